"""Evaluation statements and tickets as a runner and a gate would make them, without running a model."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from zt_gate.domain import Digest, Entry, Evidence, Manifest, Mode, Subject
from zt_gate.policy.evaluation_requirements import Backdoor, Robustness, Threat
from zt_gate.policy.model import Stage
from zt_gate.policy.trust_roots import Key, Trust
from zt_gate.rulings.attacks import CORRUPTIONS, SEVERITIES, STAGES
from zt_gate.rulings.sampling import drawn
from zt_gate.trust.collect import Context, collect
from zt_gate.trust.evidence_folder import EvidenceFile
from zt_gate.trust.replay import Replay
from zt_gate.trust.signatures.envelope import sign_payload
from zt_gate.trust.signatures.keys import PrivateKey, generate
from zt_gate.trust.statements.statement import ROBUSTNESS_TYPE, predicate_digest, statement
from zt_gate.trust.statements.ticket import TICKET_TYPE, ticket_predicate

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
SUBJECT = Subject("m", Manifest.of([Entry("m.onnx", 1, Mode.FILE, Digest.of(b"m").hex)]))
OLDER = Subject("m", Manifest.of([Entry("m.onnx", 1, Mode.FILE, Digest.of(b"older").hex)]))
DATA, POLICY = Digest.of(b"data"), Digest.of(b"policy")
SEED, NONCE = "ab" * 32, "cd" * 32
POPULATION = 400


def stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass
class Bench:
    """Who signs, and what is asked."""

    gate: PrivateKey = field(default_factory=generate)
    runner: PrivateKey = field(default_factory=generate)
    stranger: PrivateKey = field(default_factory=generate)
    replay: Replay | None = None

    @property
    def trust(self) -> Trust:
        keys = {"gate": self.gate, "runner": self.runner}
        return Trust(keys=tuple(Key(id=name, pem=key.public.pem) for name, key in keys.items()))

    def ticket(self, key: PrivateKey | None = None, subject: Subject = SUBJECT, **other: Any) -> bytes:
        return sign_payload(statement(TICKET_TYPE, self.ticket_value(**other), subject), key or self.gate)

    def ticket_value(self, **other: Any) -> dict[str, Any]:
        facts: dict[str, Any] = {
            "data": DATA,
            "samples": POPULATION,
            "policy": POLICY,
            "stage": "production",
            "nonce": NONCE,
            "seed": SEED,
            "issued": NOW - timedelta(days=1),
            "expires": NOW + timedelta(days=1),
            "plan": {"robustness": {}, "backdoor": {}},
            "baseline": None,
        }
        return ticket_predicate(**{**facts, **other})

    def measured(self, codes: list[int], **other: Any) -> dict[str, Any]:
        """A predicate with these outcomes, in the order of the seed; `robustness` fields and others may be replaced."""
        order = drawn(SEED, POPULATION)[: len(codes)]
        numbers = {
            "threat": {"norm": "Linf", "eps": "3/100", "low": 0.0, "high": 1.0},
            "order": order,
            "labels": [number % 2 for number in order],
            "codes": codes,
            "stages": list(STAGES["standard"]),
            "confirmed": {},
            "flags": [],
            "curve": [{"eps": "0", "robust": 60, "tried": 64}, {"eps": "3/100", "robust": 30, "tried": 64}],
            "path": [[len(codes), codes.count(-1)]],
        }
        numbers |= {name: other.pop(name) for name in list(other) if name in (*numbers, "corruptions")}
        numbers["confirmed"] = numbers["confirmed"] or {"from": len(numbers["stages"]), "samples": 0, "why": []}
        return {"robustness": numbers, **self.frame(), **other}

    def frame(self, **ticket: Any) -> dict[str, Any]:
        digest = predicate_digest(self.ticket_value(**ticket))
        return {
            "ticket": {"nonce": NONCE, "digest": {"sha256": digest.hex}},
            "data": {"digest": {"sha256": DATA.hex}},
            "seed": SEED,
            "startedOn": stamp(NOW - timedelta(hours=3)),
            "finishedOn": stamp(NOW - timedelta(hours=2)),
            "environment": {"device": "cpu"},
            "sandbox": {"level": "kernel", "layers": {"landlock": "ABI 7"}},
            "model": {"kind": "torch-state", "differentiable": True, "declaration": {"classes": 2}},
            "problems": [],
            "unmeasured": [],
        }

    def sign(
        self, predicate: dict[str, Any], key: PrivateKey | None = None, subject: Subject = SUBJECT,
        kind: str = ROBUSTNESS_TYPE,
    ) -> bytes:  # fmt: skip
        return sign_payload(statement(kind, predicate, subject), key or self.runner)

    def judge(self, wanted: Robustness | Backdoor, *data: bytes, subject: Subject = SUBJECT) -> Evidence:
        question = Context(subject, "production", POLICY, NOW, self.replay)
        name = "robustness" if isinstance(wanted, Robustness) else "backdoor"
        brought = [EvidenceFile(f"{number}.json", item) for number, item in enumerate(data)]
        (evidence,) = collect(question, Stage(**{name: wanted}), self.trust, brought)
        return evidence


def wanted(**other: Any) -> Robustness:
    """A demand that honest numbers meet."""
    facts = {"by": ("runner",), "tickets": ("gate",), "threat": Threat("Linf", "3/100"), "least": "50%"}
    return Robustness(**{**facts, **other})


def outcomes(robust: int, fooled: int, wrong: int = 0) -> list[int]:
    """So many samples of each kind, mixed."""
    codes = [-1] * robust + [0] * fooled + [-2] * wrong
    return [codes[number] for number in drawn("mix", len(codes))]


def confirmed(samples: int, plan: str = "standard") -> dict[str, Any]:
    """Fields of numbers whose first samples met the attacks of `confirm` besides those of a plan."""
    first, more = STAGES[plan], [stage for stage in STAGES["confirm"] if stage not in STAGES[plan]]
    return {"stages": [*first, *more], "confirmed": {"from": len(first), "samples": samples, "why": ["least"]}}


def corrupted(right: list[int]) -> dict[str, Any]:
    """What a statement says of corruptions: for each sample so many of its images are answered correctly."""
    cells, shared = len(CORRUPTIONS) * SEVERITIES, sum(right)
    flat = [shared // cells + (cell < shared % cells) for cell in range(cells)]
    rows = [flat[number * SEVERITIES : (number + 1) * SEVERITIES] for number in range(len(CORRUPTIONS))]
    return {"right": right, "counts": dict(zip(CORRUPTIONS, rows, strict=True))}


def stored(data: bytes) -> dict[str, Any]:
    """Stored inputs with their digest."""
    return {"digest": {"sha256": Digest.of(data).hex}, "npz": base64.b64encode(data).decode()}
