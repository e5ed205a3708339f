"""Count the honest files that the scanner stops, by environment and by cause: every one is a false alarm.

    python tools/honest/scan_objects.py build/frozen [--only NAME] [--each N] [--out stops.json]

Each file is judged by the `artifacts` check's own function for one file, in this process and without intake: a process
per file would take hours. `--each 5` takes every fifth file.
"""

from __future__ import annotations

import argparse
import json
import re
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from zt_gate.domain import Severity
from zt_gate.intake import MemorySource
from zt_gate.scan.artifacts.format import Input, ScanBudget
from zt_gate.scan.artifacts.registry import examine
from zt_gate.scan.interface import Examination, Head

_BLOCKS = (Severity.HIGH, Severity.CRITICAL)


def causes(path: Path) -> set[str]:
    """Return why a file is stopped, without what is particular to it; empty where it passes."""
    source = MemorySource(path.name, "", path.read_bytes())
    exam = Examination(path.name, source.size)
    with exam.guarded(path.name):
        examine(Input(source, exam, Head.of(source), examine, budget=ScanBudget.of(source.size)))
    found = {
        f"{finding.rule} {finding.symbol or finding.message[:100]}"
        for finding in exam.findings
        if finding.severity in _BLOCKS
    }
    return found | {f"gap: {re.sub(r'[0-9]+', 'N', gap.reason)[:150]}" for gap in exam.gaps}


def main() -> None:
    """Scan the files of every environment and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", action="append")
    parser.add_argument("--each", type=int, default=1, help="scan every Nth file")
    parser.add_argument("--out", type=Path)
    asked = parser.parse_args()
    table: dict[str, Any] = {}
    for about in sorted(asked.folder.glob("*/about.json")):
        name = about.parent.name
        if asked.only and name not in asked.only:
            continue
        table[name] = environment(about, asked.each)
        row = table[name]
        print(
            f"{name}: {row['stopped']} of {row['files']} stopped ({100 * row['stopped'] / max(1, row['files']):.1f} %)",
            flush=True,
        )
        for cause, count in list(row["causes"].items())[:12]:
            print(f"    {count:5} {cause}", flush=True)
    if asked.out:
        asked.out.write_text(json.dumps(table, indent=1))


def environment(about: Path, each: int) -> dict[str, Any]:
    """Scan one environment's files; causes are counted by file, so that they may add up to more than were stopped."""
    objects = json.loads(about.read_text())["objects"][::each]
    stops: Counter[str] = Counter()
    by_library: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    stopped = 0
    for entry in objects:
        found = causes(about.parent / entry["file"])
        stops.update(found)
        stopped += bool(found)
        by_library[entry["library"]][0] += 1
        by_library[entry["library"]][1] += bool(found)
    return {"files": len(objects), "stopped": stopped, "libraries": by_library, "causes": dict(stops.most_common())}


if __name__ == "__main__":
    main()
