"""`zt-gate`, and `python -P -m zt_gate`: run one verb.

Without `-P` Python searches the working folder first, so a repository with a `zt_gate.py` would be run in place of the
gate, as would an `importlib.py`, which `python -m` itself imports. The command that pip installs has no such search
path, nor have the child processes, which start with `-I`. Whatever is imported after the package itself never comes
from the working folder, however the gate was started.
"""

import os
import sys


def _forget_working_folder() -> None:
    """Search no module in the working folder, unless the gate or Python itself is installed there.

    `python -m` puts it first, and an empty part of PYTHONPATH, such as its end after a colon, names it as well.
    """
    here = os.path.realpath(os.curdir)
    ours = {
        os.path.realpath(os.path.join(os.path.dirname(file), up)) for file, up in ((__file__, ".."), (os.__file__, "."))
    }
    if here not in ours:
        sys.path[:] = [entry for entry in sys.path if os.path.realpath(entry) != here]


_forget_working_folder()

import gc  # noqa: E402 - only now, as all imports below: see above

from zt_gate.cli import main  # noqa: E402


def run() -> int:
    """Run one verb in a process that ends with it."""
    code = main()
    gc.freeze()  # otherwise the interpreter's exit searches everything that was imported for garbage
    return code


if __name__ == "__main__":
    sys.exit(run())
