"""`python -m zt_gate` is the same as `zt-gate`."""

import sys

from zt_gate.cli import main

if __name__ == "__main__":
    sys.exit(main())
