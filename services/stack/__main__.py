"""`python -m services.stack`, which `./chatkit` runs."""

import sys

from services.stack.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
