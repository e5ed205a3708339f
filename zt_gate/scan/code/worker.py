"""Examines code files of a target in a child process: parsing hostile text can overrun the C stack."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from zt_gate.domain.finding import rule_severity
from zt_gate.isolation.serve import serve
from zt_gate.scan.code.bandit_engine import BanditRun, run_bandit
from zt_gate.scan.code.source import EncodingError, SourceError, Unit, read_unit
from zt_gate.scan.code.torch_version import oldest_torch


def handle(request: dict[str, Any]) -> dict[str, Any]:
    """Examine the files that the request names, below its root.

    Args:
        request: `root`, `paths`, and `requirements`: the files in which the release says what it needs.
    """
    units: dict[str, Unit] = {}
    gaps: dict[str, str] = {}
    results: dict[str, list[list[Any]]] = {}
    for path in request["paths"]:
        try:
            units[path] = read_unit(path, Path(request["root"], path).read_bytes())
        except SourceError as error:
            gaps[path] = str(error)
            if isinstance(error, EncodingError):
                results[path] = [["COD-110", int(rule_severity("COD-110")), 0, 1, error.encoding, f"the file {error}"]]
    needs = [Path(request["root"], path).read_text("utf-8", "replace") for path in request["requirements"]]
    torch = oldest_torch(needs)
    results |= {path: _hits(path, unit, gaps, torch) for path, unit in units.items()}
    run = run_bandit({path: (unit.data, unit.tree) for path, unit in units.items()})
    gaps |= {path: f"bandit: {reason}" for path, reason in run.skipped.items()}
    _add_issues(results, units, run)
    files = [
        {"path": path, "gap": gaps.get(path, ""), "hits": sorted(results.get(path, []))} for path in request["paths"]
    ]
    return {"version": run.version, "files": files}


def _hits(path: str, unit: Unit, gaps: dict[str, str], torch: tuple[int, ...]) -> list[list[Any]]:
    """Return what our own rules see in a file; what goes wrong in them is a gap of that file."""
    try:
        return [
            [hit.rule, int(rule_severity(hit.rule)), *unit.place(hit.line), hit.symbol, hit.message]
            for hit in unit.hits(torch)
        ]
    except Exception as error:  # noqa: BLE001 - whatever a hostile file provokes is an unfinished examination
        gaps[path] = f"{type(error).__name__}: {error}"
        return []


def _add_issues(results: dict[str, list[list[Any]]], units: dict[str, Unit], run: BanditRun) -> None:
    calls: dict[str, dict[tuple[int, int], str]] = {}
    for issue in run.issues:
        unit = units[issue.file]
        if issue.file not in calls:
            calls[issue.file] = unit.calls()
        symbol = calls[issue.file].get((issue.line, issue.column)) or issue.name
        cell, line = unit.place(issue.line)
        results[issue.file].append([f"bandit.{issue.test}", int(issue.severity), cell, line, symbol, issue.text])


if __name__ == "__main__":
    serve(handle)
