"""Time intake and scan as whole processes, in turn with plain hashing of the same bytes.

    python benchmarks/scan_speed.py [--runs 5] [--out benchmarks/results]

Writes scan_speed.json and scan_speed.md. Every figure is the median of its runs, with minimum and maximum beside it;
peak memory is the operating system's figure for the finished process.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from peer_sets import prepared

HASH = "import hashlib,sys\nwith open(sys.argv[1],'rb') as f: print(hashlib.file_digest(f,'sha256').hexdigest())"
START = "pass"
HASHED = ("1 GB safetensors", "560 MB torch zip", "500 MB ONNX")
"""Large files whose scanning is compared with hashing them."""


def run(words: list[str]) -> tuple[float, float, int]:
    """Run a command and return wall seconds, peak memory in MB, and the exit code."""
    start = time.perf_counter()
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return time.perf_counter() - start, usage.ru_maxrss / 1024, process.returncode


def measure(commands: dict[str, list[str]], runs: int) -> dict[str, dict[str, float]]:
    """Run the commands in turn, one warm-up round first."""
    samples: dict[str, list[tuple[float, float, int]]] = {name: [] for name in commands}
    for number in range(runs + 1):
        for name, words in commands.items():
            sample = run(words)
            if number:
                samples[name].append(sample)
    rows = {}
    for name, found in samples.items():
        seconds = [sample[0] for sample in found]
        rows[name] = {
            "median_s": round(statistics.median(seconds), 4),
            "min_s": round(min(seconds), 4),
            "max_s": round(max(seconds), 4),
            "peak_mb": round(max(sample[1] for sample in found), 1),
            "exit": found[-1][2],
        }
    return rows


def main() -> None:
    """Measure, print, and write both files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    args = parser.parse_args()
    gate = [sys.executable, "-m", "zt_gate"]
    with tempfile.TemporaryDirectory() as folder:
        cases = dict(prepared("speed", Path(folder, "speed")))
        commands = {"python, nothing": [sys.executable, "-c", START], "zt-gate --version": [*gate, "--version"]}
        for name, path in cases.items():
            if name in HASHED:
                commands[f"hashlib sha256, {name}"] = [sys.executable, "-c", HASH, str(path)]
            commands[f"zt-gate scan, {name}"] = [*gate, "scan", str(path)]
        commands[f"zt-gate check, {HASHED[0]}"] = [*gate, "check", str(cases[HASHED[0]]), "--stage", "dev"]
        rows = measure(commands, args.runs)
    facts = {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Linux, Python {platform.python_version()}",
        "runs": args.runs,
        "scan_over_hash": {
            name: round(rows[f"zt-gate scan, {name}"]["median_s"] / rows[f"hashlib sha256, {name}"]["median_s"], 3)
            for name in HASHED
        },
        "rows": rows,
    }
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "scan_speed.json").write_text(json.dumps(facts, indent=2) + "\n")
    (args.out / "scan_speed.md").write_text(table(facts))
    print(table(facts))


def table(facts: dict) -> str:
    """Return the figures as Markdown."""
    lines = [
        f"{facts['date']}, {facts['machine']}; whole processes, median of {facts['runs']} in turn after a warm-up.",
        "",
        "| command | median s | min-max s | peak MB | exit |",
        "|---|---|---|---|---|",
    ]
    for name, row in facts["rows"].items():
        spread = f"{row['min_s']:.3f}-{row['max_s']:.3f}"
        lines.append(f"| {name} | {row['median_s']:.3f} | {spread} | {row['peak_mb']:.0f} | {row['exit']} |")
    times = ", ".join(f"{name} {ratio:.2f}" for name, ratio in facts["scan_over_hash"].items())
    lines += ["", f"Scan over hashing the same bytes, times: {times}."]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
