"""Examines all code files of a target in one child process: parsing hostile text can overrun the C stack."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from zt_gate.scan.code.bandit_engine import BanditRun, run_bandit
from zt_gate.scan.code.source import SourceError, Unit, read_unit
from zt_gate.scan.engines.child import serve


def handle(request: dict[str, Any]) -> dict[str, Any]:
    """Examine the files that the request names, below its root."""
    units: dict[str, Unit] = {}
    gaps: dict[str, str] = {}
    for path in request["paths"]:
        try:
            units[path] = read_unit(path, Path(request["root"], path).read_bytes())
        except SourceError as error:
            gaps[path] = str(error)
    names = {
        _bandit_name(request["root"], number, path, unit): path for number, (path, unit) in enumerate(units.items())
    }
    run = run_bandit(list(names))
    gaps |= {names[name]: f"bandit: {reason}" for name, reason in run.skipped.items()}
    results = {path: _hits(path, unit, gaps) for path, unit in units.items()}
    _add_issues(results, units, names, run)
    files = [
        {"path": path, "gap": gaps.get(path, ""), "hits": sorted(results.get(path, []))} for path in request["paths"]
    ]
    return {"version": run.version, "files": files}


def _hits(path: str, unit: Unit, gaps: dict[str, str]) -> list[list[Any]]:
    """Return what our own rules see in a file; what goes wrong in them is a gap of that file."""
    try:
        return [[hit.rule, hit.severity, *unit.place(hit.line), hit.symbol, hit.message] for hit in unit.hits()]
    except Exception as error:  # noqa: BLE001 - whatever a hostile file provokes is an unfinished examination
        gaps[path] = f"{type(error).__name__}: {error}"
        return []


def _add_issues(
    results: dict[str, list[list[Any]]], units: dict[str, Unit], names: dict[str, str], run: BanditRun
) -> None:
    calls = {path: units[path].calls() for path in {names[issue.file] for issue in run.issues}}
    for issue in run.issues:
        path = names[issue.file]
        symbol = calls[path].get((issue.line, issue.column)) or issue.name
        cell, line = units[path].place(issue.line)
        results[path].append([f"bandit.{issue.test}", int(issue.severity), cell, line, symbol, issue.text])


def _bandit_name(root: str, number: int, path: str, unit: Unit) -> str:
    """Return where bandit finds a file: itself, or for a notebook its Python text in our private folder."""
    if unit.notebook is None:
        return os.path.join(root, path)
    name = os.path.abspath(f"notebook-{number}.py")
    Path(name).write_bytes(unit.data)
    return name


if __name__ == "__main__":
    serve(handle)
