"""Time sealing in a bucket: one large model, and one of many small files, with what it takes of requests and memory.

    python benchmarks/sealing_speed.py [--megabytes 300] [--files 50000] [--store localstack] [--out benchmarks/results]

The store runs on the same machine, so the seconds are those of gate and store together; the requests are the same
anywhere. Writes sealing_speed.json and sealing_speed.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import sys
import tempfile
import time
from collections import Counter
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from tests.support.s3_places import counted, forget  # noqa: E402 - the tests' own helpers
from tests.support.s3_store import STORES, running  # noqa: E402
from zt_gate.intake.sealed.object_store import SealedBucket  # noqa: E402


def large(root: Path, megabytes: int) -> None:
    """Write a model of one large file and two small ones."""
    (root / "MLmodel").write_text("flavors: {}\n")
    (root / "config.json").write_text("{}")
    with (root / "model.safetensors").open("wb") as file:
        for _ in range(megabytes):
            file.write(os.urandom(1_000_000))


def many(root: Path, files: int) -> None:
    """Write a model of small files, a hundred to a folder."""
    for number in range(files):
        place = root / f"{number // 100:04}" / f"{number:06}.json"
        place.parent.mkdir(exist_ok=True)
        place.write_text(f'{{"number": {number}}}')


def measure(place: SealedBucket, root: Path) -> dict[str, Any]:
    """Seal a folder and ask twice whether it may be used: with its commit object unread, and read."""
    place.probe()
    times = [time.perf_counter()]
    with counted() as requests:
        sealed = place.seal(root, lambda _: None)
    times.append(time.perf_counter())
    after_sealing = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    forget()
    for _ in range(2):
        assert place.trouble(sealed) == ""
        times.append(time.perf_counter())
    seconds = [round(after - before, 3) for before, after in pairwise(times)]
    return {
        "requests": len(requests.names),
        "kinds": dict(Counter(requests.names)),
        "seal_seconds": seconds[0],
        "first_trouble_seconds": seconds[1],
        "trouble_seconds": seconds[2],
        "peak_mib": after_sealing,
        "peak_mib_with_trouble": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
    }


def table(results: dict[str, Any]) -> str:
    """Return the results as Markdown."""
    rows = [
        "| model | requests | seal, s | usable? first, s | then, s | peak memory, MiB |",
        "|---|---|---|---|---|---|",
    ]
    for name, row in results["models"].items():
        figures = [f"{row['requests']:,}", f"{row['seal_seconds']:.1f}", f"{row['first_trouble_seconds']:.3f}"]
        figures += [f"{row['trouble_seconds']:.3f}", str(row["peak_mib_with_trouble"])]
        rows.append(f"| {name} | {' | '.join(figures)} |")
    return "\n".join([*rows, "", f"{results['store']} on {results['machine']}, {results['date']}.", ""])


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=300)
    parser.add_argument("--files", type=int, default=50_000)
    parser.add_argument("--store", choices=STORES, default="localstack")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    chosen = parser.parse_args()
    store = running(chosen.store)
    os.environ.update(store.environment)
    models = {}
    for name, write, size in (
        (f"{chosen.megabytes} MB", large, chosen.megabytes),
        (f"{chosen.files:,} files", many, chosen.files),
    ):
        with tempfile.TemporaryDirectory() as folder:
            write(Path(folder), size)
            models[name] = measure(SealedBucket(f"s3://{store.bucket()}/sealed"), Path(folder))
            print(name, models[name], flush=True)
    machine = f"{os.cpu_count()} cores, Python {platform.python_version()}"
    results = {"store": store.name, "machine": machine, "date": f"{datetime.now(UTC):%Y-%m-%d}", "models": models}
    chosen.out.mkdir(parents=True, exist_ok=True)
    (chosen.out / "sealing_speed.json").write_text(json.dumps(results, indent=2) + "\n")
    (chosen.out / "sealing_speed.md").write_text(table(results))


if __name__ == "__main__":
    main()
