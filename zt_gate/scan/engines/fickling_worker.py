"""Runs fickling in the child process, over plain pickles and over the members of archives that it looks into."""

from __future__ import annotations

import importlib
import importlib.metadata
import zipfile
from pathlib import Path
from typing import Any

from zt_gate.isolation.serve import serve

_SEVERITIES = {
    # It calls a value that nothing uses suspicious, which an OrderedDict has; and every import from outside the
    # standard library likely unsafe, which most honest models have. The first is left out, the second does not block.
    "LIKELY_SAFE": "info",
    "POSSIBLY_UNSAFE": "info",
    "SUSPICIOUS": "info",
    "LIKELY_UNSAFE": "medium",
    "LIKELY_OVERTLY_MALICIOUS": "high",
    "OVERTLY_MALICIOUS": "critical",
}


def handle(request: dict[str, Any]) -> dict[str, Any]:
    """Examine the files that the request names, below its root."""
    loader = importlib.import_module("fickling.loader")
    return {
        "version": importlib.metadata.version("fickling"),
        "files": [_examine(loader, request["root"], path) for path in request["paths"]],
    }


def _examine(loader: Any, root: str, path: str) -> dict[str, Any]:
    full = str(Path(root, path))
    try:
        results = (
            loader.scan_zip_archive(full, graceful=True)
            if zipfile.is_zipfile(full)
            else {"": loader.scan_file(full, graceful=True)}
        )
    except Exception as error:  # noqa: BLE001 - whatever stops it leaves the file unread, and that is reported
        return {"path": path, "examined": 0, "errors": [f"{type(error).__name__}: {error}"], "issues": []}
    errors = {str(error) for result in results.values() for error in result.errors}
    issues = {
        issue
        for member, result in results.items()
        for analysis in result.results
        for one in analysis.results
        if (issue := _issue(member, one))[2] != "info"
    }
    read = sum(bool(result.results) for result in results.values())
    if not read and not errors and results:
        errors = {"it found no pickle"}
    return {"path": path, "examined": read, "errors": sorted(errors), "issues": sorted(issues)}


def _issue(member: str, result: Any) -> tuple[str, str, str, str]:
    """Return one of its results; a severity that is not known here counts as the worst."""
    severity = _SEVERITIES.get(result.severity.name, "critical")
    symbol = str(result.trigger or result.analysis_name or "")
    return member, symbol[:200], severity, " ".join(str(result).split())[:500]


if __name__ == "__main__":
    serve(handle)
