"""`python -P -m zt_gate` is the same as the command `zt-gate`.

Without `-P` Python searches the working folder first, so a repository with a `zt_gate.py` would be run in place of the
gate. The command that pip installs has no such search path, nor have the child processes, which start with `-I`.
"""

import gc
import sys

from zt_gate.cli import main


def run() -> int:
    """Run one verb in a process that ends with it."""
    code = main()
    gc.freeze()  # otherwise the interpreter's exit searches everything that was imported for garbage
    return code


if __name__ == "__main__":
    sys.exit(run())
