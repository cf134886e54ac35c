"""`python -m vsanimesr.training`."""

import os
import sys

# Read when torch is loaded: threads that wait look 10,000 times, then sleep. Libgomp has them look
# 30 times as often, which is no faster alone and a third slower beside another busy process.
if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")

if __name__ == "__main__":  # and not where a process of its own begins with this module
    from vsanimesr.training import leaving

    leaving.at_once()

from vsanimesr.training.cli import main

if __name__ == "__main__":
    sys.exit(main())
