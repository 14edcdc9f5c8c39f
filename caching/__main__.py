"""`python -m caching`: the engine from a shell."""

import sys

from caching.cli import main

if __name__ == "__main__":
    sys.exit(main())
