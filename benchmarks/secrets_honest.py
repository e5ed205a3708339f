"""What the secrets check alarms about in installed packages, where every alarm is a false one, and how long it takes.

    python benchmarks/secrets_honest.py [--packages DIR]

Writes benchmarks/results/secrets.md and .json. Installed packages hold what makes such searches cry wolf: tests with
keys made for them, documentation with example addresses, hashes, tables of numbers.
"""

from __future__ import annotations

import argparse
import json
import sysconfig
import time
from collections import Counter
from importlib.metadata import distributions
from pathlib import Path

from zt_gate.domain import Severity
from zt_gate.intake import Freeze, freeze
from zt_gate.scan.secrets.check import SecretsCheck

RESULTS = Path(__file__).parent / "results"


def packages(folder: Path) -> list[Path]:
    """Return what lies in the folder, without links, compiled Python and what pip leaves behind."""
    return [path for path in sorted(folder.iterdir()) if not path.is_symlink() and path.name != "__pycache__"]


def measure(folder: Path) -> dict:
    """Search every package by itself; return counts, alarms and seconds."""
    facts: dict = {"files": 0, "bytes": 0, "freeze": 0.0, "search": 0.0, "alarms": [], "gaps": []}
    for place in packages(folder):
        started = time.perf_counter()
        with freeze([place], Freeze.HOLD) as frozen:
            facts["freeze"] += time.perf_counter() - started
            facts["files"] += len(frozen.files)
            facts["bytes"] += sum(file.size for file in frozen.files.values())
            started = time.perf_counter()
            evidence = SecretsCheck().run(frozen)
            facts["search"] += time.perf_counter() - started
        facts["alarms"] += [
            [f.rule, str(f.severity), f.symbol.partition("#")[0], f"{place.name}/{f.path}".split("//")[-1], f.line]
            for f in evidence.findings
        ]
        facts["gaps"] += [[f"{place.name}/{gap.path}", gap.reason] for gap in evidence.gaps]
    return facts


def kind_of(path: str) -> str:
    """Return what sort of file a path names: its ending, and whether it belongs to tests."""
    parts = Path(path).parts
    tests = any(part.strip("_").startswith(("test", "conftest")) for part in parts)
    return (Path(path).suffix or "no ending") + (" of tests" if tests else "")


def report(facts: dict, count: int) -> str:
    """Return the measurement as Markdown, with every alarm that blocks at `high` on a line of its own."""
    alarms, total = facts["alarms"], facts["bytes"]
    high = [item for item in alarms if Severity.parse(item[1]) >= Severity.HIGH]
    share = 1000 * len(alarms) / max(1, facts["files"])
    size = f"{count} packages, {facts['files']:,} files, {total / 1e6:,.0f} MB"
    blocked = f"{len(high)} at `high`, where `zt-gate scan` blocks"
    rows = [
        f"{size}; frozen in {facts['freeze']:.0f} s, searched in {facts['search']:.0f} s on two cores.",
        "",
        f"{len(alarms)} false alarms, {share:.2f} by 1,000 files; {blocked}. Not searched: {len(facts['gaps'])} files.",
        "",
        "| rule | severity | kind of value | kind of file | alarms |",
        "|---|---|---|---|---|",
    ]
    kinds = Counter((rule, severity, kind, kind_of(path)) for rule, severity, kind, path, _ in alarms)
    rows += [f"| {' | '.join(key)} | {number} |" for key, number in sorted(kinds.items())]
    rows += ["", "At `high`:", ""] if high else []
    rows += [f"- {rule} {kind}: `{path}`" + (f" line {line}" if line else "") for rule, _, kind, path, line in high]
    rows += ["", "Not searched:", ""] if facts["gaps"] else []
    rows += [f"- `{path}`: {reason}" for path, reason in facts["gaps"]]
    return "\n".join([*rows, ""])


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--packages", type=Path, default=Path(sysconfig.get_path("purelib")))
    folder = parser.parse_args().packages
    facts = measure(folder)
    text = report(facts, len(list(distributions(path=[str(folder)]))))
    print(text)
    (RESULTS / "secrets.md").write_text(text)
    (RESULTS / "secrets.json").write_text(json.dumps(facts, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
