"""`python -m zt_gate` is the same as `zt-gate`."""

import gc
import sys

from zt_gate.cli import main


def run() -> int:
    """Run one verb in a process that ends with it."""
    code = main()
    gc.freeze()  # or the interpreter would search everything that was imported for garbage on its way out
    return code


if __name__ == "__main__":
    sys.exit(run())
