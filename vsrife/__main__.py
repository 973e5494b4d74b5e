"""`python -m vsrife`."""

import sys

from vsrife.cli import main

if __name__ == "__main__":
    sys.exit(main())
