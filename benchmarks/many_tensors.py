"""Time the scan of honest files with many tensors, in turn with plain hashing of the same bytes.

    python benchmarks/many_tensors.py [--runs 3] [--out benchmarks/results]

Makes each file with the library that users make it with, scans it as a whole process, and deletes it. Writes
many_tensors.json and many_tensors.md. Every figure is the median of its runs after a warm-up.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import sys
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from scan_speed import HASH, measure

if TYPE_CHECKING:
    import torch

TARGET = 1.2
"""Times the hashing of the same bytes that a scan may take."""


def torch_zip(path: Path, tensors: int, megabytes: int) -> None:
    """Write a state dict."""
    import torch

    size = megabytes * 1_000_000 // tensors // 4
    torch.save({f"layers.{i}.weight": torch.randn(size) for i in range(tensors)}, path)


def npz(path: Path, arrays: int, megabytes: int) -> None:
    """Write arrays as numpy.savez does."""
    import numpy as np

    rng, size = np.random.default_rng(0), megabytes * 1_000_000 // arrays // 4
    np.savez(path, **{f"layer_{i}": rng.standard_normal(size, dtype=np.float32) for i in range(arrays)})


def _network(layers: int, width: int) -> torch.nn.Module:
    import torch

    return torch.nn.Sequential(*(torch.nn.Linear(width, width) for _ in range(layers)))


def exported(path: Path, layers: int, width: int) -> None:
    """Write a program as torch.export does."""
    import torch

    torch.export.save(torch.export.export(_network(layers, width), (torch.zeros(1, width),)), path)


def checkpoint(path: Path, layers: int, width: int) -> None:
    """Write a model in training with the state of its optimizer."""
    import torch

    model = _network(layers, width)
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.zeros(1, width)).sum().backward()
    optimizer.step()
    torch.save({"model": model.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 3}, path)


CASES: dict[str, tuple[str, Callable[[Path], None]]] = {
    "torch zip, 200 tensors, 480 MB": ("a.pt", partial(torch_zip, tensors=200, megabytes=480)),
    "npz, 200 arrays, 480 MB": ("a.npz", partial(npz, arrays=200, megabytes=480)),
    "pt2, 120 tensors, 480 MB": ("a.pt2", partial(exported, layers=60, width=1414)),
    "torch zip, 700 tensors, 560 MB": ("b.pt", partial(torch_zip, tensors=700, megabytes=560)),
    "checkpoint with AdamW, 240 tensors, 480 MB": ("c.pt", partial(checkpoint, layers=30, width=1155)),
}


def main() -> None:
    """Measure, print, and write both files."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    args = parser.parse_args()
    rows: dict[str, dict[str, float]] = {}
    load = round(os.getloadavg()[0], 1)
    for name, (file, make) in CASES.items():
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, file)
            # In a process of its own: what the libraries take would count as the peak of every process started here.
            maker = multiprocessing.get_context("spawn").Process(target=make, args=(path,))
            maker.start()
            maker.join()
            found = measure(
                {"hash": [sys.executable, "-c", HASH, str(path)],
                 "scan": [sys.executable, "-m", "zt_gate", "scan", str(path)]},
                args.runs,
            )  # fmt: skip
            hashed, scanned = found["hash"], found["scan"]
            rows[name] = {
                "bytes": path.stat().st_size,
                "sha256_s": hashed["median_s"],
                "scan_s": scanned["median_s"],
                "scan_max_s": scanned["max_s"],
                "peak_mb": scanned["peak_mb"],
                "exit": scanned["exit"],
                "times": round(scanned["median_s"] / hashed["median_s"], 2),
            }
    facts = {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "machine": f"{os.cpu_count()} cores, {platform.machine()}, Linux, Python {platform.python_version()}",
        "runs": args.runs,
        "load": load,
        "target": TARGET,
        "rows": rows,
    }
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "many_tensors.json").write_text(json.dumps(facts, indent=2) + "\n")
    (args.out / "many_tensors.md").write_text(table(facts))
    print(table(facts))


def table(facts: dict) -> str:
    """Return the figures as Markdown."""
    lines = [
        f"{facts['date']}, {facts['machine']}; whole processes, median of {facts['runs']} in turn after a warm-up.",
        f"Load average when it began: {facts['load']}. The target is {facts['target']} times, with both cores free.",
        "",
        "| file | sha256 s | scan s | times | peak MB | exit |",
        "|---|---|---|---|---|---|",
    ]
    for name, row in facts["rows"].items():
        lines.append(
            f"| {name} | {row['sha256_s']:.2f} | {row['scan_s']:.2f} | {row['times']:.2f} | {row['peak_mb']:.0f} | "
            f"{row['exit']} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
