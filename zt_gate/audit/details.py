"""What `run.finished` says beyond its words: the facts that figures, exports and anomalies are drawn from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from zt_gate.domain import Evidence, Status, Subject, Verdict

_MOST = 50
"""Names in one detail. A release with more different rules against it is not told apart by the rest."""


def run_details(
    subject: Subject,
    verdict: Verdict,
    evidence: Sequence[Evidence],
    *,
    team: str,
    waivers: Mapping[str, str],
    seconds: Mapping[str, float],
) -> dict[str, str]:
    """Return the details of a finished run, without the empty ones.

    Args:
        subject: what was judged.
        verdict: the verdict on it.
        evidence: all evidence.
        team: who owns the release; empty when nobody said so.
        waivers: for each waiver of the policy, when it expires.
        seconds: wall time by step.
    """
    manifest = subject.manifest
    blocked = Counter(reason.rule for reason in verdict.reasons if reason.rule)
    passed = Counter(item.finding.rule for item in verdict.waived)
    facts = {
        "subject": str(subject.digest),
        "name": release_name(subject.name),
        "stage": verdict.stage,
        "policy": str(verdict.policy),
        "verdict": str(verdict.digest),
        "decision": str(verdict.decision),
        "team": team,
        "files": str(len(manifest.content)),
        "bytes": str(manifest.total_bytes),
        "signers": _signers(evidence),
        "tensors": _tensors(evidence),
        "reasons": _joined({f"{reason.check or 'policy'}/{reason.code}" for reason in verdict.reasons}),
        "rules": _counted(blocked),
        "waived": _counted(passed),
        "waivers": _joined({f"{item.waiver}@{waivers.get(item.waiver, '')}" for item in verdict.waived}),
        "checks": _joined({f"{item.check}:{item.status}" for item in evidence}),
        "milliseconds": _joined({f"{name}:{round(value * 1000)}" for name, value in seconds.items()}),
    }
    return {name: text for name, text in facts.items() if text}


def split(text: str) -> list[str]:
    """Return the parts of a joined detail."""
    return [part for part in text.split(" ") if part]


def release_name(name: str) -> str:
    """Return what the release is called wherever it was put: runs on different machines see different folders."""
    if name.startswith("models:/"):
        return name.split("/")[1]
    return name.rstrip("/").rpartition("/")[2] or name


def _joined(parts: Iterable[str]) -> str:
    return " ".join(sorted(parts)[:_MOST])


def _counted(counts: Counter[str]) -> str:
    return _joined(f"{rule}:{count}" for rule, count in counts.items())


def _signers(evidence: Sequence[Evidence]) -> str:
    """Who signed, as the signature check found out; never what an unverified signature claims."""
    found = {
        name.strip()
        for item in evidence
        if item.check == "signature" and item.status is Status.PASS
        for name in item.metrics.get("signers", "").split(",")
    }
    return " ".join(sorted(name.replace(" ", "_") for name in found if name)[:_MOST])


def _tensors(evidence: Sequence[Evidence]) -> str:
    """Number of tensors, where a check counted them."""
    counts = [item.metrics["tensors"] for item in evidence if item.metrics.get("tensors", "").isdecimal()]
    return str(sum(map(int, counts))) if counts else ""
