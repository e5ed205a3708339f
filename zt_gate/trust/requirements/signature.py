"""The requirement `signature`: enough different signers of the policy signed this very manifest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from zt_gate.domain import Evidence, Finding, Manifest, Subject, printable
from zt_gate.errors import EvidenceError
from zt_gate.policy.requirements import Signature
from zt_gate.trust.context import Context
from zt_gate.trust.people.signers import Signer, persons
from zt_gate.trust.requirements.requirement import Assessment, admit, missing, settle
from zt_gate.trust.signatures.model_signing import TYPES, judge_model_signature
from zt_gate.trust.statements.statement import MANIFEST_TYPE
from zt_gate.trust.verify import VerifiedStatement

CHECK = "signature"
VERSION = "2"
KINDS = (MANIFEST_TYPE, *TYPES)
"""Predicate types that the requirement looks at."""
_MAX_DIFFERENCES = 20


def signature_evidence(question: Context, wanted: Signature, items: Sequence[VerifiedStatement]) -> Evidence:
    """Judge the signatures over the manifest, and OpenSSF Model Signing bundles where the policy accepts them.

    An item that could not be read at all is reported here, since a release signature is what a folder of evidence
    is for first.
    """
    subject = question.subject
    relevant = [item for item in items if item.kind in (MANIFEST_TYPE, *TYPES, "")]
    if not relevant:
        return missing(CHECK, subject, "signature", "sign the release: zt-gate sign TARGET --key KEY", items)
    outcomes: list[Assessment] = []
    found: set[Signer] = set()
    others: list[Manifest] = []
    for item in relevant:
        outcome = admit(item, wanted.by)
        outcomes.append(outcome)
        if item.statement is not None and item.kind in TYPES:
            if outcome.ok and judge_model_signature(item.statement, subject, wanted.model_signing, outcome):
                found |= item.signers_of(wanted.by)
            continue
        signed = _signed_manifest(item, subject, outcome)
        if signed is not None and signed.digest == subject.digest:
            found |= item.signers_of(wanted.by)
        elif signed is not None:
            others.append(signed)
    people = persons(found)
    satisfied = len(people) >= wanted.needed
    if not satisfied:
        outcomes.append(_verdict(subject, wanted, sorted(people.values()), others))
    metrics = {"signers": ", ".join(sorted(people.values())), "envelopes": str(len(relevant))}
    evidence = settle(CHECK, VERSION, subject, outcomes, satisfied=satisfied, metrics=metrics)
    return replace(evidence, signers=tuple(sorted({signer.name for signer in found})))


def _signed_manifest(item: VerifiedStatement, subject: Subject, outcome: Assessment) -> Manifest | None:
    """Return the manifest that an admitted item signs; None, with a finding, where it is malformed."""
    if not outcome.ok:
        return None
    try:
        return item.manifest(subject)
    except EvidenceError as error:
        outcome.finding("SIG-002", error.message)
        return None


def _verdict(subject: Subject, wanted: Signature, names: list[str], others: list[Manifest]) -> Assessment:
    """Say what is lacking: which lines of the signed manifest differ, or how many signers."""
    lacking = Assessment("release")
    if others and not names:
        # Of several signed manifests the nearest explains most; the digest breaks ties, so order never shows.
        lines, _ = min((subject.manifest.differences(other), other.digest.hex) for other in _nearest(subject, others))
        lacking.findings += _differences(subject, lines)
    who = ", ".join(wanted.by) or "nobody"
    have = f"{len(names)} of {wanted.needed} required signers" + (f" ({', '.join(names)})" if names else "")
    message = f"{have} signed {subject.digest.short}; the policy accepts {who}"
    lacking.findings.append(Finding.of("SIG-004", message, symbol="count"))
    return lacking


def _nearest(subject: Subject, others: list[Manifest]) -> list[Manifest]:
    counts = [len(subject.manifest.differences(other)) for other in others]
    return [other for other, count in zip(others, counts, strict=True) if count == min(counts)]


def _differences(subject: Subject, lines: list[str]) -> list[Finding]:
    paths = sorted((entry.path for entry in subject.manifest.entries), key=len, reverse=True)
    findings = []
    for line in lines[:_MAX_DIFFERENCES]:
        path = next((path for path in paths if line.startswith(f"{path}: ")), "")
        shown = printable(line)
        findings.append(Finding.of("SIG-001", shown, path=path, symbol=shown))
    if len(lines) > _MAX_DIFFERENCES:
        message = f"{len(lines) - _MAX_DIFFERENCES} more paths differ from the signed manifest"
        findings.append(Finding.of("SIG-001", message, symbol="more"))
    return findings
