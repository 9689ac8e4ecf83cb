"""`python -m benchmarks`, which `./chatkit bench` runs."""

import sys

if __name__ == "__main__":
    # Imported here only, because each process of the load generator imports this file, and needs none of it.
    from benchmarks.cli import main

    sys.exit(main(sys.argv[1:]))
