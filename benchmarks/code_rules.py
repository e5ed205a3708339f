"""What the code check finds, what it alarms about wrongly, and how long it takes, beside plain bandit.

    python benchmarks/code_rules.py [--rounds 3]

Writes benchmarks/results/code_rules.md and .json. The risky lines stand in `code_lines.py`. The honest code is that of
installed packages; every finding there counts as a false alarm, though many are true remarks about risky code.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from importlib.metadata import version
from pathlib import Path

from code_lines import LINES, aliased

from zt_gate.domain import Severity
from zt_gate.intake import Freeze, freeze
from zt_gate.scan.code.check import CodeCheck

RESULTS = Path(__file__).parent / "results"
HONEST = ("sklearn", "joblib", "skops", "mlxtend")
SPEED_LINES = 100_000


def bandit(folder: Path) -> tuple[list[dict], float]:
    """Run plain bandit over a folder; return its findings and the seconds that it took."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "bandit", "-q", "-r", "-f", "json", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    taken = time.perf_counter() - started
    own = [item for item in json.loads(done.stdout)["results"] if not item["test_id"].startswith("B9")]
    return own, taken


def ours(folder: Path) -> tuple[list, float]:
    """Run the code check over a folder; return its findings and the seconds that it took, freezing included."""
    started = time.perf_counter()
    with freeze([folder], Freeze.HOLD) as frozen:
        evidence = CodeCheck().run(frozen)
    taken = time.perf_counter() - started
    for gap in evidence.gaps:
        print("gap:", gap.path, gap.reason)
    return list(evidence.findings), taken


def found_lines(sources: dict[str, str]) -> dict[str, set[str]]:
    """Return which of some small files each tool says something about, at low or above."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number, source in enumerate(sources.values()):
            (folder / f"m{number:03}.py").write_text(source)
        keys = list(sources)
        # An import by itself is no finding about a line, and a file that says so about every import finds nothing.
        hits = {
            "bandit": [
                Path(item["filename"]).name for item in bandit(folder)[0] if item["test_id"] not in ("B403", "B404")
            ]
        }
        all_ours = [item for item in ours(folder)[0] if item.severity >= Severity.LOW]
        hits["zt-gate"] = [Path(item.path).name for item in all_ours]
    return {tool: {keys[int(name[1:4])] for name in names} for tool, names in hits.items()}


def _only_python(_folder: str, names: list[str]) -> list[str]:
    return [name for name in names if "." in name and not name.endswith(".py")]


def honest() -> tuple[str, dict]:
    """Return the packages, and false alarms of both tools on the same files."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for package in HONEST:
            place = Path(__import__(package).__file__).parent
            shutil.copytree(
                place,
                folder / package,
                ignore=lambda _, names: [n for n in names if not (n.endswith(".py") or "." not in n)],
            )
        lines = sum(path.read_bytes().count(b"\n") for path in folder.rglob("*.py"))
        theirs = Counter(item["issue_severity"].lower() for item in bandit(folder)[0])
        found = ours(folder)[0]
    rules = Counter(item.severity.name.lower() for item in found if item.rule.startswith("COD-"))
    every = Counter(item.severity.name.lower() for item in found)
    kinds = Counter(item.rule for item in found if item.rule.startswith("COD-") and item.severity >= Severity.LOW)
    packages = ", ".join(
        f"{package} {version({'sklearn': 'scikit-learn'}.get(package, package))}" for package in HONEST
    )
    return packages, {"lines": lines, "bandit": theirs, "rules": rules, "check": every, "kinds": kinds}


def speed(rounds: int) -> dict:
    """Time both tools in turn over the same 100,000 lines."""
    with tempfile.TemporaryDirectory() as name:
        folder, lines = Path(name), 0
        for path in sorted(Path(__import__("sklearn").__file__).parent.rglob("*.py")):
            if lines < SPEED_LINES:
                lines += path.read_bytes().count(b"\n")
                shutil.copy(path, folder / f"m{lines:07}.py")
        taken = {"bandit": [], "zt-gate": []}
        for _ in range(rounds):
            taken["bandit"].append(bandit(folder)[1])
            taken["zt-gate"].append(ours(folder)[1])
    return {"lines": lines} | {tool: statistics.median(values) for tool, values in taken.items()}


def report(plain: dict, named: dict, forms: int, packages: str, alarms: dict, times: dict) -> str:
    """Return the measurement as Markdown."""
    missed = sorted(set(LINES) - plain["zt-gate"])
    lines = alarms["lines"]

    def rate(count: Counter, *names: str) -> str:
        return f"{1000 * sum(count[name] for name in names) / lines:.3f}"

    def row(name: str, *severities: str) -> str:
        mine, both = rate(alarms["rules"], *severities), rate(alarms["check"], *severities)
        return f"| {name} | {mine} (with bandit inside {both}) | {rate(alarms['bandit'], *severities)} |"

    share = times["zt-gate"] / times["bandit"]
    rows = [
        "| | zt-gate | bandit |",
        "|---|---|---|",
        f"| risky lines found, of {len(LINES)} | {len(plain['zt-gate'])} | {len(plain['bandit'])} |",
        f"| the same lines under other names, of {forms} | {len(named['zt-gate'])} | {len(named['bandit'])} |",
        row("findings per 1,000 honest lines, high and above", "high", "critical"),
        row("… medium", "medium"),
        row("… low", "low"),
        f"| seconds for {times['lines']:,} lines | {times['zt-gate']:.1f} | {times['bandit']:.1f} |",
    ]
    kinds = ", ".join(f"{rule} {count}" for rule, count in alarms["kinds"].most_common())
    words = [
        f"Honest code: {packages}; {lines:,} lines, their tests among them. Our rules there: {kinds}.",
        f"Missed risky lines: {', '.join(missed) or 'none'}. bandit {version('bandit')}; two processor cores.",
        f"The time of the code check includes freezing and bandit's own tests: {share:.2f} of plain bandit's.",
    ]
    return "\n".join([*rows, "", *words, ""])


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    forms = aliased()
    plain, named = found_lines(LINES), found_lines(forms)
    packages, alarms = honest()
    times = speed(rounds)
    text = report(plain, named, len(forms), packages, alarms, times)
    print(text, "forms missed:", sorted(set(forms) - named["zt-gate"]))
    (RESULTS / "code_rules.md").write_text(text)
    facts = {"alarms": alarms, "times": times, "found": {tool: sorted(names) for tool, names in plain.items()}}
    facts["found_aliased"] = {tool: sorted(names) for tool, names in named.items()}
    (RESULTS / "code_rules.json").write_text(json.dumps(facts, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
