"""Runs modelaudit in the child process, one file at a time, so that one bad file does not end the others.

Its list of trusted publishers stays off, which would lower findings by who claims to have written a file; so do its
cache and its telemetry. Of what it reports at the level of information nothing is kept.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import os
from pathlib import Path
from typing import Any

from zt_gate.isolation.serve import serve

_SEVERITIES = {"debug": "info", "info": "info", "warning": "medium", "critical": "critical"}
_SETTINGS = {"cache_enabled": False, "use_hf_whitelist": False}


def handle(request: dict[str, Any]) -> dict[str, Any]:
    """Examine the files that the request names, below its root."""
    os.environ["PROMPTFOO_DISABLE_TELEMETRY"] = "1"
    core = importlib.import_module("modelaudit.core")
    results = importlib.import_module("modelaudit.core_results")
    return {
        "version": importlib.metadata.version("modelaudit"),
        "files": [_examine(core, results, request["root"], path) for path in request["paths"]],
    }


def _examine(core: Any, results: Any, root: str, path: str) -> dict[str, Any]:
    full = str(Path(root, path))
    try:
        result = core.scan_model_directory_or_file(full, **_SETTINGS)
        code = results.determine_exit_code(result)
    except Exception as error:  # noqa: BLE001 - whatever stops it leaves the file unread, and that is reported
        return {"path": path, "examined": 0, "errors": [f"{type(error).__name__}: {error}"], "issues": []}
    issues = sorted({_issue(full, issue) for issue in result.issues if _severity(issue) != "info"})
    errors = []
    if result.scanner_names and results.results_have_inconclusive_outcome(result):
        errors.append("it could not examine all of it")
    elif code != 0 and not issues:
        errors.append(f"it ended with status {code} and named nothing")
    return {"path": path, "examined": len(result.scanner_names), "errors": errors, "issues": issues}


def _severity(issue: Any) -> str:
    """Return our word; a severity that is not known here counts as the worst."""
    return _SEVERITIES.get(str(issue.severity.value), "critical")


def _issue(full: str, issue: Any) -> tuple[str, str, str, str]:
    member = str(issue.location or "").removeprefix(full).split(" (pos ")[0].strip(" :")
    symbol = issue.details.get("import_reference") or issue.rule_code or ""
    return member[:200], str(symbol)[:200], _severity(issue), str(issue.message)[:500]


if __name__ == "__main__":
    serve(handle)
