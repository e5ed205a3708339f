"""Runs picklescan in the child process. What it could not read it only logs, so its log is read as well."""

from __future__ import annotations

import importlib
import importlib.metadata
import logging
from pathlib import Path
from typing import Any

from zt_gate.isolation.serve import serve

_FOUND = "%s: %s import"
"""How the template of its message about a dangerous import begins; the first argument is file, or file:member."""
# picklescan logs this and then reads the file as a plain pickle, so that nothing is left unread by it.
_SECOND_TRY = "WARNING: Invalid PyTorch magic number"


class _Log(logging.Handler):
    """Keeps what picklescan says about one file."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one message."""
        self.records.append(record)

    def errors(self) -> set[str]:
        """Return what could not be read."""
        said = {record.getMessage() for record in self.records if not str(record.msg).startswith(_FOUND)}
        return {text for text in said if not text.startswith(_SECOND_TRY)}

    def members(self, full: str) -> dict[str, str]:
        """Return the member of the archive in which each dangerous import stands."""
        found = [record.args for record in self.records if str(record.msg).startswith(_FOUND)]
        rows = [args for args in found if isinstance(args, tuple) and len(args) == 4]
        return {f"{module}.{name}": str(place)[len(full) + 1 :] for place, _, module, name in rows}


def handle(request: dict[str, Any]) -> dict[str, Any]:
    """Examine the files that the request names, below its root."""
    scanner = importlib.import_module("picklescan.scanner")
    log = logging.getLogger("picklescan")
    log.propagate = False
    return {
        "version": importlib.metadata.version("picklescan"),
        "files": [_examine(scanner, log, request["root"], path) for path in request["paths"]],
    }


def _examine(scanner: Any, log: logging.Logger, root: str, path: str) -> dict[str, Any]:
    full, heard = str(Path(root, path)), _Log()
    log.addHandler(heard)
    try:
        result = scanner.scan_file_path(full)
        dangerous, read, errors = result.globals, int(result.scanned_files), heard.errors()
        if result.scan_err and not errors:
            errors = {"it gave no reason"}
    except Exception as error:  # noqa: BLE001 - whatever stops it leaves the file unread, and that is reported
        dangerous, read, errors = [], 0, {f"{type(error).__name__}: {error}"}
    finally:
        log.removeHandler(heard)
    members = heard.members(full)
    symbols = {f"{item.module}.{item.name}" for item in dangerous if item.safety.value == "dangerous"} | set(members)
    issues = sorted((members.get(symbol, ""), symbol, "critical", _what(path, symbol)) for symbol in symbols)
    return {"path": path, "examined": read, "errors": sorted(errors), "issues": issues}


def _what(path: str, symbol: str) -> str:
    return f"loading {path} would import {symbol}, which it lists as dangerous"


if __name__ == "__main__":
    serve(handle)
