"""Measure the gate beside other scanners on the same files: what is stopped, what is let in, how long it takes.

    python benchmarks/scan_peers.py [--every 1] [--timeout 60] [--speed-timeout 60] [--only NAME] [--skip speed]

Every scanner is installed into an environment of its own below build/peers and run with its defaults. Hostile files
are those of `zt-gate selftest`, honest ones those of honest_corpus.py. Nothing is ever loaded. A case is a fork of a
process that has imported the scanner (peer_driver.py), and on a sample of the cases the same is asked of whole
processes: another answer there ends the measurement with an error. The clock times whole processes.
Writes scan_peers.json and scan_peers.md.

What an exit code means: *flagged* names something, *blocked* stops a pipeline without naming it (an error, a file that
was skipped, an unfinished examination, a time-out), *silent* is exit code 0.
"""

from __future__ import annotations

import argparse
import json
import os
import pickle
import platform
import queue
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from honest_corpus import install as install_honest
from honest_corpus import make as make_honest
from honest_corpus import samples as honest_samples
from peer_sets import prepared
from peers import ORDER, ROOT, TOOLS, Driver, Tool, WholeProcess, answer, install

HERE = Path(__file__).parent
HOSTILE = b"\x80\x02cos\nsystem\n(S'true'\ntR."
Case = tuple[str, str, Path]
"""Its name, its family, and what is scanned."""


@dataclass(slots=True)
class Figures:
    """What one tool did on one set."""

    answers: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    rows: dict[str, str] = field(default_factory=dict)
    families: dict[str, Counter[str]] = field(default_factory=dict)


class Bench:
    """Gives cases to tools, several at a time."""

    def __init__(self, tools: list[Tool], folder: Path, timeout: float, jobs: int) -> None:
        self._tools, self._folder, self._timeout, self._jobs = tools, folder, timeout, jobs
        self._lock = threading.Lock()
        self._warm = [folder / "warm.pkl", folder / "warm.bin", folder / "warm.json"]
        for path, data in zip(self._warm, (pickle.dumps({"a": 1}, 4), HOSTILE, b"{}"), strict=True):
            path.write_bytes(data)

    def detect(self, cases: list[Case]) -> dict[str, Figures]:
        """Give every case to every tool."""
        figures = {tool.name: Figures() for tool in self._tools}
        work: queue.SimpleQueue[tuple[Tool, Case]] = queue.SimpleQueue()
        for tool in self._tools:
            for case in cases:
                work.put((tool, case))
        faults: list[BaseException] = []
        threads = [
            threading.Thread(target=self._work, args=(number, work, figures, faults)) for number in range(self._jobs)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if faults:
            raise faults[0]
        for mine in figures.values():
            mine.rows = {name: mine.rows[name] for name, _, _ in cases}
        return figures

    def _work(
        self, number: int, work: queue.SimpleQueue[tuple[Tool, Case]], figures: dict[str, Figures],
        faults: list[BaseException],
    ) -> None:  # fmt: skip
        drivers: dict[str, Driver] = {}
        place = Path(tempfile.mkdtemp(dir=self._folder, prefix=f"job{number}-"))
        try:
            while not faults:
                tool, (name, family, path) = work.get_nowait()
                if tool.name not in drivers:
                    for other in drivers.values():
                        other.close()
                    drivers = {tool.name: Driver(tool, place, self._warm)}
                said, run = answer(tool, drivers[tool.name], path, self._timeout)
                with self._lock:
                    mine = figures[tool.name]
                    mine.answers[said] += 1
                    mine.families.setdefault(family, Counter())[said] += 1
                    mine.seconds += run.wall
                    mine.rows[name] = f"{said} {run.code}" + (" time-out" if run.timed_out else "")
        except queue.Empty:
            pass
        except BaseException as error:  # noqa: BLE001 - told by the thread that waits
            faults.append(error)
        finally:
            for driver in drivers.values():
                driver.close()

    def confirm(self, cases: list[Case], figures: dict[str, Figures], count: int) -> int:
        """Ask whole processes about a sample of the cases.

        Raises:
            RuntimeError: a fork gave another answer than the scanner that a user starts.
        """
        sample = cases[:: max(1, len(cases) // count)][:count]
        place = Path(tempfile.mkdtemp(dir=self._folder, prefix="whole-"))
        wrong = []
        for tool in self._tools:
            for name, _, path in sample:
                said, run = answer(tool, WholeProcess(tool, place), path, self._timeout)
                told = figures[tool.name].rows[name]
                if not run.timed_out and not told.endswith("time-out") and told != f"{said} {run.code}":
                    wrong.append(f"{tool.name} on {name}: {told} in a fork, {said} {run.code} as a process")
        if wrong:
            raise RuntimeError("forks and processes differ: " + "; ".join(wrong))
        return len(sample)


def clock(
    tools: list[Tool], cases: Iterable[tuple[str, Path]], folder: Path, timeout: float
) -> dict[str, dict[str, dict[str, object]]]:
    """Time every tool on every case: one whole process each, after one on a tiny file, so that the disk is warm."""
    rows: dict[str, dict[str, dict[str, object]]] = {}
    for name, path in cases:
        rows[name] = {}
        for tool in tools:
            if path.is_dir() and not tool.folders:
                continue
            said, run = answer(tool, WholeProcess(tool, folder), path, timeout)
            rows[name][tool.name] = {
                "answer": said, "exit": run.code, "wall_s": round(run.wall, 3), "cpu_s": round(run.cpu, 3),
                "peak_mb": round(run.peak_mb), "timed_out": run.timed_out,
            }  # fmt: skip
    return rows


def hostile_cases(folder: Path) -> list[Case]:
    """Return the constructs; their family stands in their name."""
    return [(name, name.partition("/")[0], path) for name, path in prepared("hostile", folder)]


def honest_cases(folder: Path) -> list[Case]:
    """Return the honest models; their family is the library or the package that they come from."""
    install_honest(folder)
    make_honest(folder)
    return [(sample.name, sample.group, sample.path) for sample in honest_samples(folder)]


def main() -> None:
    """Install, measure, and write both files."""
    args = arguments()
    wanted = [tool for tool in TOOLS if not args.only or tool.name in args.only]
    versions = {tool.name: install(tool) for tool in wanted}
    tools = [tool for tool in wanted if versions[tool.name]]
    facts: dict[str, object] = {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Linux, Python {platform.python_version()}",
        "every": args.every,
        "jobs": args.jobs,
        "timeout_s": args.timeout,
        "versions": {name: version or "did not install" for name, version in versions.items()},
    }
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        bench = Bench(tools, folder, args.timeout, args.jobs)
        for part, make in (("hostile", hostile_cases), ("honest", honest_cases)):
            if part not in args.skip:
                cases = make(folder / part if part == "hostile" else ROOT.parent / "honest")[:: args.every]
                start = time.perf_counter()
                figures = bench.detect(cases)
                facts[part] = plain(figures)
                write(facts, args.out)
                facts[f"{part}_confirmed"] = bench.confirm(cases, figures, args.confirm)
                facts[f"{part}_minutes"] = round((time.perf_counter() - start) / 60, 1)
                write(facts, args.out)
        if "speed" not in args.skip:
            facts["speed"] = clock(tools, prepared("speed", folder / "speed"), folder, args.speed_timeout)
            write(facts, args.out)
    print(table(facts))


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--every", type=int, default=1, help="take each N-th case only")
    parser.add_argument("--jobs", type=int, default=min(8, os.cpu_count() or 1), help="cases at a time")
    parser.add_argument("--confirm", type=int, default=8, help="cases of each set that whole processes repeat")
    parser.add_argument("--timeout", type=float, default=60, help="seconds for one detection run")
    parser.add_argument("--speed-timeout", type=float, default=60, help="seconds for one speed run")
    parser.add_argument("--only", action="append", default=[], help="only this tool; may be repeated")
    parser.add_argument("--skip", action="append", default=[], choices=["hostile", "honest", "speed"])
    parser.add_argument("--out", type=Path, default=HERE / "results")
    return parser.parse_args()


def write(facts: dict[str, object], folder: Path) -> None:
    """Write what has been measured so far: each part takes long enough to be interrupted."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "scan_peers.json").write_text(json.dumps(facts, indent=1) + "\n")
    (folder / "scan_peers.md").write_text(table(facts))


def plain(figures: dict[str, Figures]) -> dict[str, dict[str, object]]:
    """Return figures as a JSON value."""
    return {
        name: {
            **{said: mine.answers[said] for said in ORDER},
            "seconds": round(mine.seconds, 1),
            "families": {family: {said: told[said] for said in ORDER} for family, told in mine.families.items()},
            "rows": mine.rows,
        }
        for name, mine in figures.items()
    }


CONFIRMED = "Whole processes gave the same answers on {} of these cases."
TITLES = {
    "hostile": ("Hostile constructs", "named", "stopped without a name", "**let through**"),
    "honest": ("Honest models", "**false alarm**", "**stopped without a finding**", "let through"),
}


def table(facts: dict) -> str:
    """Return the figures as Markdown."""
    lines = [
        f"{facts['date']}, {facts['machine']}; default options; {facts['jobs']} cases at a time, each in a fork of the "
        f"imported scanner, {facts['timeout_s']:g} s at most; large files as whole processes, one after the other"
        + (f"; each {facts['every']}th case" if facts["every"] > 1 else "")
        + ".",
        "",
        "Versions: " + ", ".join(f"{name} {version}" for name, version in facts["versions"].items()) + ".",
    ]
    for part, titles in TITLES.items():
        if part in facts:
            lines += summary(titles, facts[part])
            if f"{part}_confirmed" in facts:
                lines += ["", CONFIRMED.format(facts[f"{part}_confirmed"])]
    if "hostile" in facts:
        lines += by_family("Let through, by family", facts["hostile"], ("silent",))
    if "honest" in facts:
        lines += by_family("Stopped, by origin", facts["honest"], ("flagged", "blocked"))
    if "speed" in facts:
        names = [name for name, version in facts["versions"].items() if version != "did not install"]
        lines += ["", "| wall s / peak MB (answer) | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
        for case, row in facts["speed"].items():
            lines.append(f"| {case} | " + " | ".join(cell(row.get(name)) for name in names) + " |")
    return "\n".join(lines) + "\n"


def summary(titles: tuple[str, ...], part: dict) -> list[str]:
    """Return a row for each tool."""
    title, flagged, blocked, silent = titles
    lines = ["", f"| {title} | cases | {flagged} | {blocked} | {silent} | seconds |", "|---|---|---|---|---|---|"]
    for name, row in part.items():
        counts = " | ".join(str(row[said]) for said in ORDER)
        lines.append(f"| {name} | {len(row['rows'])} | {counts} | {row['seconds']} |")
    return lines


def by_family(title: str, part: dict, words: tuple[str, ...]) -> list[str]:
    """Return a row for each family: in how many of its cases each tool gave one of these answers."""
    first = next(iter(part.values()))["families"]
    lines = ["", f"| {title} | cases | " + " | ".join(part) + " |", "|---" * (len(part) + 2) + "|"]
    for family in sorted(first):
        told = [sum(row["families"][family][word] for word in words) for row in part.values()]
        lines.append(f"| {family} | {sum(first[family].values())} | " + " | ".join(str(count) for count in told) + " |")
    return lines


def cell(run: dict | None) -> str:
    """Return one figure of the clock."""
    if run is None:
        return "-"
    late = "> " if run["timed_out"] else ""
    return f"{late}{run['wall_s']:.2f} / {run['peak_mb']} ({run['answer']})"


if __name__ == "__main__":
    main()
