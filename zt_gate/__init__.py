"""zt-gate: a release gate for machine-learning models.

One question is answered here: *may these exact bytes be promoted to this stage, on this evidence, now?* The default
answer is no.

Data walks through the package once, from left to right: `intake` freezes a target into a subject, `scan` and
`trust` turn it and the signed statements about it into evidence, `policy.judge` turns evidence into a verdict,
`report` and `audit` write it down. `gate.py` is the whole walk on one page.
"""

# Nothing is imported here: `python -m zt_gate` runs this while the working folder is still searched first, so that even
# a `typing.py` or `__future__.py` of the repository would be run.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from zt_gate.api import Finding, Reason, Result, ScanResult, check, scan
    from zt_gate.errors import ZtGateError

__version__ = "0.2.0"

__all__ = ["Finding", "Reason", "Result", "ScanResult", "ZtGateError", "__version__", "check", "scan"]


def __getattr__(name: str) -> "Any":
    """Import what was asked for: `import zt_gate` alone stays next to nothing."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    if name == "scan":
        return importlib.import_module("zt_gate.scan")  # the package is callable, and is `zt_gate.api.scan`
    return getattr(importlib.import_module("zt_gate.errors" if name == "ZtGateError" else "zt_gate.api"), name)
