"""`python -m vsanimesr`."""

import sys

from vsanimesr.cli import main

if __name__ == "__main__":
    sys.exit(main())
