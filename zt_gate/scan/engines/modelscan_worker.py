"""Runs modelscan in the child process, one file at a time, through its Python interface.

One file at a time, because modelscan gives up on a whole folder when one archive in it raises. Its scanners for
numpy, HDF5, Keras and SavedModel stay off, each for the reason that stands beside it: what they report depends on
what else is installed.
"""

from __future__ import annotations

import copy
import importlib
from pathlib import Path
from typing import Any

from zt_gate.isolation.serve import serve
from zt_gate.scan.engines.formats import HEAD, formats_of

_SCANNERS = {
    "modelscan.scanners.PickleUnsafeOpScan": True,
    "modelscan.scanners.PyTorchUnsafeOpScan": True,
    # Calls private functions of numpy that newer versions no longer have; every file is then skipped.
    "modelscan.scanners.NumpyUnsafeOpScan": False,
    # Needs h5py, and says nothing where it is absent.
    "modelscan.scanners.H5LambdaDetectScan": False,
    # Both need tensorflow.
    "modelscan.scanners.KerasLambdaDetectScan": False,
    "modelscan.scanners.SavedModelLambdaDetectScan": False,
    "modelscan.scanners.SavedModelTensorflowOpScan": False,
}
_NO_SCANNER = "SCAN_NOT_SUPPORTED"


class Formats:
    """Middleware in modelscan's sense: sets the formats by our rule instead of by the bare extension."""

    def __init__(self, settings: Any) -> None:
        by_value = {format_.value: format_ for format_ in settings["known"]}
        self._properties = by_value

    def __call__(self, model: Any, call_next: Any) -> None:
        """Set the formats of one file or archive member."""
        stream = model.get_stream()
        head = stream.read(HEAD)
        stream.seek(0)
        names = formats_of(str(model.get_source()), head)
        model.set_context("formats", [self._properties[name] for name in names])
        call_next(model)


def settings() -> dict[str, Any]:
    """Return modelscan's settings with our choice of scanners and our middleware.

    Raises:
        KeyError: this modelscan does not have the scanners that we know.
    """
    module = importlib.import_module("modelscan.settings")
    chosen: dict[str, Any] = copy.deepcopy(module.DEFAULT_SETTINGS)
    unknown = set(chosen["scanners"]) ^ set(_SCANNERS)
    if unknown:
        raise KeyError(f"modelscan has other scanners than zt-gate knows: {', '.join(sorted(unknown))}")
    for name, enabled in _SCANNERS.items():
        chosen["scanners"][name]["enabled"] = enabled
    formats = module.SupportedModelFormats
    chosen["middlewares"] = {f"{Formats.__module__}.Formats": {"known": [formats.PICKLE, formats.PYTORCH]}}
    return chosen


def handle(request: dict[str, Any]) -> dict[str, Any]:
    """Examine the files that the request names, below its root."""
    if Formats.__module__ == "__main__":
        # modelscan imports the middleware by name; under -m this module carries another one.
        return dict(importlib.import_module("zt_gate.scan.engines.modelscan_worker").handle(request))
    package = importlib.import_module("modelscan.modelscan")
    scanner = package.ModelScan(settings())
    return {
        "version": str(package.__version__),
        "files": [_examine(scanner, request["root"], path) for path in request["paths"]],
    }


def _examine(scanner: Any, root: str, path: str) -> dict[str, Any]:
    """Return what modelscan says about one file: issues, errors, and how many of its parts it read."""
    full = str(Path(root, path).absolute())  # the spelling that modelscan uses in what it reports
    errors = []
    try:
        scanner.scan(full)
    except Exception as error:  # noqa: BLE001 - what it had found before is kept, and the failure is reported
        errors.append(f"{type(error).__name__}: {error}")
    errors += [str(error.message) for error in scanner.errors]
    # Other reasons to skip mean that it tried: a damaged archive, a torch file without its magic number.
    skipped = [item for item in scanner.skipped if item.category.name != _NO_SCANNER]
    errors += [str(item.message) for item in skipped if not _read_as_pickle(item, full, scanner)]
    return {
        "path": path,
        "examined": len(scanner.scanned),
        "errors": sorted(set(errors)),
        "issues": sorted({_issue(issue, path, full) for issue in scanner.issues.all_issues}),
    }


def _read_as_pickle(skip: Any, full: str, scanner: Any) -> bool:
    """Whether the torch scanner declined a file that the pickle scanner then read to its end."""
    return skip.category.name == "MAGIC_NUMBER" and str(skip.source) == full and full in scanner.scanned


def _issue(issue: Any, path: str, full: str) -> tuple[str, str, str, str]:
    details = issue.details
    member = str(details.source)[len(full) + 1 :]
    symbol = f"{details.module}.{details.operator}"
    what = f"loading {path} would import {symbol}, which can run commands"
    return member, symbol, issue.severity.name.lower(), what


if __name__ == "__main__":
    serve(handle)
