"""Time the audit log beside SQLite on the same disk, verify a million events, and kill writers at random.

    python benchmarks/audit_speed.py [--events 1000000] [--appends 300] [--runs 5] [--out benchmarks/results]

Writes audit_speed.json and audit_speed.md. Figures are medians of the runs, with minimum and maximum beside them;
SIGKILL is not a loss of power, and the disk's own cache is the disk's own affair.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import random
import signal
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from zt_gate.audit import AuditLog, Event, verify
from zt_gate.audit.checkpoint import open_note
from zt_gate.audit.event import GENESIS, digest, encode
from zt_gate.audit.sign_checkpoint import checkpoint_file

KEY = Ed25519PrivateKey.from_private_bytes(bytes(32))
FACTS = {
    "subject": "sha256:" + "ab" * 32, "name": "credit-risk", "stage": "production", "team": "risk",
    "bytes": "123456789", "signers": "release",
    "checks": "artifacts:pass audit:pass code:pass intake:pass signature:pass",
}  # fmt: skip
EVENT = Event("run.finished", "r" * 32, "GITHUB_ACTOR:ann", "sha256:" + "ab" * 32, "stage production", "allow", FACTS)
VERIFY = (
    "import resource,sys,time\nfrom pathlib import Path\nfrom zt_gate.audit import verify\nstart=time.perf_counter()\n"
    "count=verify(Path(sys.argv[1])).count\n"
    "print(count,time.perf_counter()-start,resource.getrusage(resource.RUSAGE_SELF).ru_maxrss/1024)"
)


def per_append(folder: Path, appends: int, key: Ed25519PrivateKey | None) -> float:
    """Milliseconds for one event, opened, locked, written, flushed and closed."""
    log = AuditLog(Path(tempfile.mkdtemp(dir=folder)) / "audit.jsonl", key)
    start = time.perf_counter()
    for _ in range(appends):
        log.append(EVENT, datetime.now(UTC))
    return (time.perf_counter() - start) / appends * 1000


def per_commit(folder: Path, appends: int) -> float:
    """Milliseconds for one row in SQLite: WAL, synchronous=FULL, one transaction each, one connection for all."""
    line = encode(EVENT, 0, GENESIS, datetime.now(UTC), secrets=())
    connection = sqlite3.connect(Path(tempfile.mkdtemp(dir=folder)) / "log.db", isolation_level=None)
    connection.execute("pragma journal_mode=WAL")
    connection.execute("pragma synchronous=FULL")
    connection.execute("create table event(seq integer primary key, prev blob, line blob)")
    start = time.perf_counter()
    for number in range(appends):
        connection.execute("begin immediate")
        connection.execute("insert into event values(?,?,?)", (number, digest(line), line))
        connection.execute("commit")
    seconds = time.perf_counter() - start
    connection.close()
    return seconds / appends * 1000


def append_after(log: Path, appends: int) -> float:
    """Milliseconds for one event with its checkpoint, at the end of a long log."""
    writer = AuditLog(log, KEY)
    writer.append(EVENT, datetime.now(UTC))
    start = time.perf_counter()
    for _ in range(appends):
        writer.append(EVENT, datetime.now(UTC))
    return (time.perf_counter() - start) / appends * 1000


def verified(log: Path) -> tuple[int, float, float]:
    """Events, seconds and peak MB of a process that verifies a log and does nothing else."""
    done = subprocess.run([sys.executable, "-c", VERIFY, str(log)], capture_output=True, text=True, check=True)
    count, seconds, megabytes = done.stdout.split()
    return int(count), float(seconds), float(megabytes)


def _write(log: Path, count: int) -> None:
    for _ in range(count):
        AuditLog(log, KEY).append(EVENT, datetime.now(UTC))


def crash(folder: Path, writers: int, count: int) -> dict[str, int]:
    """Let writers append, kill them at random and start others, until all have had their turn; then verify."""
    log, chance, killed, held = folder / "crash.jsonl", random.Random(7), 0, []
    context = multiprocessing.get_context("fork")
    running = [context.Process(target=_write, args=(log, count)) for _ in range(writers)]
    for writer in running:
        writer.start()
    while any(writer.is_alive() for writer in running):
        time.sleep(chance.uniform(0.5, 4))
        alive = [number for number, writer in enumerate(running) if writer.is_alive()]
        if alive and killed < 40:
            number = chance.choice(alive)
            os.kill(running[number].pid, signal.SIGKILL)
            running[number].join()
            killed += 1
            running[number] = context.Process(target=_write, args=(log, count // 4))
            running[number].start()
        if checkpoint_file(log).exists():
            held.append(open_note(checkpoint_file(log).read_bytes(), KEY.public_key(), "the checkpoint"))
    _write(log, 1)
    held.append(open_note(checkpoint_file(log).read_bytes(), KEY.public_key(), "the checkpoint"))
    count = verify(log, held).count
    torn = sum('"event":"log.recovered"' in line for line in log.open())
    return {"writers": writers, "killed": killed, "events": count, "torn_lines": torn, "checkpoints_held": len(held)}


def spread(values: list[float]) -> dict[str, float]:
    """Median, minimum and maximum."""
    return {"median": round(statistics.median(values), 3), "min": round(min(values), 3), "max": round(max(values), 3)}


def measure(args: argparse.Namespace, folder: Path) -> dict[str, object]:
    """Run everything."""
    rounds = [
        (
            per_append(folder, args.appends, None),
            per_commit(folder, args.appends),
            per_append(folder, args.appends, KEY),
        )
        for _ in range(args.runs)
    ]
    plain, rows, signed = zip(*rounds, strict=True)
    small, big = folder / "small.jsonl", folder / "big.jsonl"
    for log, events in ((small, args.events // 100), (big, args.events)):
        AuditLog(log).extend((EVENT for _ in range(events)), datetime.now(UTC))
    few, many = verified(small), verified(big)
    return {
        "append_ms": spread(list(plain)),
        "sqlite_wal_full_ms": spread(list(rows)),
        "ratio": spread([a / b for a, b in zip(plain, rows, strict=True)]),
        "append_with_checkpoint_ms": spread(list(signed)),
        "append_with_checkpoint_after_many_ms": round(append_after(big, 50), 3),
        "verify": [
            {"events": n, "seconds": round(s, 2), "events_per_s": round(n / s), "peak_mb": round(mb, 1)}
            for n, s, mb in (few, many)
        ],
        "bytes_per_event": big.stat().st_size // many[0],
        "crash": crash(folder, 8, args.crash_events),
    }


def table(found: dict) -> str:
    """Return the figures as Markdown."""
    cpu = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    row = "| {} | {median} ms ({min} to {max}) |"
    verified_rows = [
        f"| verify {item['events']:,} events | {item['seconds']} s, {item['events_per_s']:,} a second, "
        f"peak {item['peak_mb']} MB |"
        for item in found["verify"]
    ]
    run = found["crash"]
    crashed = (
        f"| {run['writers']} writers, {run['killed']} of them killed at random | {run['events']:,} events, "
        f"{run['torn_lines']} torn lines named; chain and all "
        f"{run['checkpoints_held']} checkpoints held on the way intact |"
    )
    ratio = found["ratio"]
    return "\n".join(
        [
            "| what | measured |",
            "|---|---|",
            row.format("append one event, flushed", **found["append_ms"]),
            row.format("one row in SQLite, WAL, synchronous=FULL", **found["sqlite_wal_full_ms"]),
            f"| append by SQLite, same run | {ratio['median']} ({ratio['min']} to {ratio['max']}) |",
            row.format("append with signed checkpoint", **found["append_with_checkpoint_ms"]),
            f"| the same at the end of the long log | {found['append_with_checkpoint_after_many_ms']} ms |",
            *verified_rows,
            crashed,
            "",
            f"{found['bytes_per_event']} bytes an event; {cpu}; {datetime.now(UTC):%Y-%m-%d}.",
        ]
    )


def main() -> None:
    """Measure and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--appends", type=int, default=300)
    parser.add_argument("--crash-events", type=int, default=2000)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        found = measure(args, Path(folder))
    text = table(found)
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "audit_speed.json").write_text(json.dumps(found, indent=2) + "\n")
    (args.out / "audit_speed.md").write_text(text + "\n")
    print(text)


if __name__ == "__main__":
    main()
