"""`python -m services.edge serve`, `… print` and `… service-config`."""

import sys

from services.edge.process import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
