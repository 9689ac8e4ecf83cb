"""`./chatkit test`: runs the tests; arguments go to pytest."""

import sys

import pytest

if __name__ == "__main__":
    sys.exit(pytest.main(["-ra", *sys.argv[1:]]))
