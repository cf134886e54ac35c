"""`python -m vsanimesr.training`."""

import sys

from vsanimesr.training.cli import main

if __name__ == "__main__":
    sys.exit(main())
