"""`python -m services.edge serve` and `… print`."""

import sys

from services.edge.process import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
