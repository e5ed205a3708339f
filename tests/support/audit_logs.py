"""Synthetic logs: a gate's honest life over months, repeatable from a seed."""

import random
from datetime import UTC, datetime, timedelta

from zt_gate.audit import Event

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def event(kind="run.started", run="r", **changes):
    return Event(**{"event": kind, "run": run, "who": "w", "what": "x", "why": "y", "outcome": "z", **changes})


def honest_runs(releases=12, months=6, seed=1):
    """Yield (event, time): runs in office hours, a fixed signer for each release, sizes that vary by some percent."""
    chance = random.Random(seed)
    teams = ("vision", "speech", "credit-risk", "search")
    plan = []
    for number in range(releases):
        usual, hour = chance.uniform(1e6, 5e8), chance.uniform(9, 16)
        for _ in range(4 * months):
            day = chance.randrange(30 * months)
            time = NOW + timedelta(days=day, hours=min(18, max(8, chance.gauss(hour, 1.5))))
            blocked = chance.random() < 0.08 + 0.06 * (number % 4)
            size = int(usual * chance.gauss(1, 0.02))
            plan.append((time, number, teams[number % 4], size, blocked))
    for index, (time, number, team, size, blocked) in enumerate(sorted(plan)):
        run, digest = f"run-{index:06d}", f"sha256:{index:064x}"
        owner = {"stage": "production", "team": team}
        yield event("run.started", run, outcome="started", what=f"model-{number}", details=owner), time
        if chance.random() < 0.01:
            continue
        facts = {
            "subject": digest, "name": f"model-{number}", "bytes": str(size), "signers": f"release-{number}",
            "tensors": "120", "milliseconds": f"freeze:{size // 1000000} scan:{400 + number}",
        }  # fmt: skip
        if blocked:
            facts |= {"reasons": "signature/check-missing artifacts/finding", "rules": "ART-101:2"}
        end = time + timedelta(seconds=40)
        yield (
            event("run.finished", run, outcome="block" if blocked else "allow", what=digest, details=owner | facts),
            end,
        )


def write_log(path, pairs, key=None):
    """Write events with times of their own, under one lock for each time."""
    from zt_gate.audit import AuditLog

    log = AuditLog(path)
    for item, time in pairs:
        log.append(item, time)
    if key is not None:
        AuditLog(path, key).append(event("log.recovered"), NOW)
    return path
