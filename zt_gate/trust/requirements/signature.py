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


def signature_evidence(context: Context, requirement: Signature, statements: Sequence[VerifiedStatement]) -> Evidence:
    """Evaluate the signatures over the manifest, and OpenSSF Model Signing bundles where the policy accepts them.

    A file that could not be read at all is reported here too, since the release signature is the first thing that an
    evidence folder is for.
    """
    subject = context.subject
    relevant = [statement for statement in statements if statement.kind in (MANIFEST_TYPE, *TYPES, "")]
    if not relevant:
        return missing(CHECK, subject, "signature", "sign the release: zt-gate sign TARGET --key KEY", statements)
    assessments: list[Assessment] = []
    found: set[Signer] = set()
    others: list[Manifest] = []
    for statement in relevant:
        assessment = admit(statement, requirement.by)
        assessments.append(assessment)
        if statement.in_toto is not None and statement.kind in TYPES:
            if assessment.ok and judge_model_signature(
                statement.in_toto, subject, requirement.model_signing, assessment
            ):
                found |= statement.signers_of(requirement.by)
            continue
        signed = _signed_manifest(statement, subject, assessment)
        if signed is not None and signed.digest == subject.digest:
            found |= statement.signers_of(requirement.by)
        elif signed is not None:
            others.append(signed)
    # One person may hold a key and an identity; signing with both is still one signer.
    people = persons(found)
    satisfied = len(people) >= requirement.needed
    if not satisfied:
        assessments.append(_verdict(subject, requirement, sorted(people.values()), others))
    metrics = {"signers": ", ".join(sorted(people.values())), "envelopes": str(len(relevant))}
    evidence = settle(CHECK, VERSION, subject, assessments, satisfied=satisfied, metrics=metrics)
    return replace(evidence, signers=tuple(sorted({signer.name for signer in found})))


def _signed_manifest(statement: VerifiedStatement, subject: Subject, assessment: Assessment) -> Manifest | None:
    """Return the manifest that an admitted statement signs; None, with a finding, if it is malformed."""
    if not assessment.ok:
        return None
    try:
        return statement.manifest(subject)
    except EvidenceError as error:
        assessment.finding("SIG-002", error.message)
        return None


def _verdict(subject: Subject, requirement: Signature, names: list[str], others: list[Manifest]) -> Assessment:
    """Return what is missing: which paths differ from the signed manifest, and how many signers."""
    lacking = Assessment("release")
    if others and not names:
        # Of several signed manifests the nearest explains most; the digest breaks ties, so order never shows.
        lines, _ = min((subject.manifest.differences(other), other.digest.hex) for other in _nearest(subject, others))
        lacking.findings += _differences(subject, lines)
    who = ", ".join(requirement.by) or "nobody"
    have = f"{len(names)} of {requirement.needed} required signers" + (f" ({', '.join(names)})" if names else "")
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
