"""Time intake and scan as whole processes, in turn with plain hashing of the same bytes.

    python benchmarks/scan_speed.py [--gigabytes 1.0] [--runs 5] [--out benchmarks/results]

Writes scan_speed.json and scan_speed.md. Every figure is the median of its runs, with minimum and maximum beside it;
peak memory is the operating system's figure for the finished process.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

HASH = "import hashlib,sys\nwith open(sys.argv[1],'rb') as f: print(hashlib.file_digest(f,'sha256').hexdigest())"
START = "pass"


def run(words: list[str]) -> tuple[float, float, int]:
    """Run a command and return wall seconds, peak memory in MB, and the exit code."""
    start = time.perf_counter()
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return time.perf_counter() - start, usage.ru_maxrss / 1024, process.returncode


def write_safetensors(path: Path, size: int) -> None:
    """Write a file of one tensor with random-looking bytes, so that no layer can take a short cut."""
    header = json.dumps({"weight": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
    block = os.urandom(1 << 20)
    with path.open("wb") as stream:
        stream.write(struct.pack("<Q", len(header)) + header)
        for offset in range(0, size, len(block)):
            stream.write(block[: min(len(block), size - offset)])


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
    parser.add_argument("--gigabytes", type=float, default=1.0)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    args = parser.parse_args()
    gate = [sys.executable, "-m", "zt_gate"]
    with tempfile.TemporaryDirectory() as folder:
        small, big, many = Path(folder, "small.json"), Path(folder, "big.safetensors"), Path(folder, "many")
        small.write_text('{"hidden_size": 64}\n')
        many.mkdir()
        for number in range(2000):
            (many / f"{number}.json").write_text(f'{{"id": {number}}}\n')
        write_safetensors(big, int(args.gigabytes * 1e9))
        rows = measure(
            {
                "python, nothing": [sys.executable, "-c", START],
                "zt-gate --version": [*gate, "--version"],
                "zt-gate scan, one small file": [*gate, "scan", str(small)],
                "zt-gate scan, 2,000 small files": [*gate, "scan", str(many)],
                f"hashlib sha256, {args.gigabytes:g} GB": [sys.executable, "-c", HASH, str(big)],
                f"zt-gate scan, {args.gigabytes:g} GB safetensors": [*gate, "scan", str(big)],
                f"zt-gate check, {args.gigabytes:g} GB safetensors": [*gate, "check", str(big), "--stage", "dev"],
            },
            args.runs,
        )
    names = list(rows)
    facts = {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Linux, Python {platform.python_version()}",
        "runs": args.runs,
        "scan_over_hash": round(rows[names[5]]["median_s"] / rows[names[4]]["median_s"], 3),
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
    lines += ["", f"Scan over hashing the same bytes: {facts['scan_over_hash']:.2f} times."]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
