"""Revocation lists: signed statements about what no longer counts, and the check `revocations`.

A list is a statement with the predicate type `https://zt-gate.dev/predicate/revocations/v1`:

    {"issued": "…Z", "sequence": 7, "entries": [
        {"kind": "digest", "value": "sha256:…", "reason": "…", "since": "…Z"},
        {"kind": "key", "value": "<SHA-256 of the SubjectPublicKeyInfo>", …},
        {"kind": "identity", "value": "<subject>", "issuer": "<OIDC issuer>", …},
        {"kind": "certificate", "value": "<subject>", "issuer": "<RFC 4514 name of the leaf's issuer>", …}]}

Its one subject is the SHA-256 of the predicate's canonical JSON, so that a list is about itself. A digest may be that
of a release, of a file, of a material, or of a statement (its payload, or the file that carries it). `since` is for
people: a revoked key or statement never counts, whenever it was signed, since a plain key has no trusted time.

The entries of all lists by listed revokers apply together, fresh or not; a fresh list shows that none is missing. A
list is the one kind of statement whose absence could allow a release, so a fresh one is required, and `max_age_days`
limits for how long an attacker can withhold a newer list.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from zt_gate.codecs.strict_json import parse_object
from zt_gate.domain import Digest, Evidence, Finding, Subject, canonical_json, printable
from zt_gate.errors import EvidenceError
from zt_gate.policy.model import REVOCATIONS
from zt_gate.policy.trust_roots import Revocations
from zt_gate.trust.context import Context
from zt_gate.trust.evidence_folder import MAX_FILE, EvidenceFile
from zt_gate.trust.requirements.requirement import MAX_SKEW, Assessment, admit, instant, settle, signer_ids
from zt_gate.trust.signatures.envelope import parse_envelope, read_envelope
from zt_gate.trust.signatures.keys import PublicKey
from zt_gate.trust.statements.build import PROVENANCE_TYPES, parse_build
from zt_gate.trust.statements.statement import REVOCATIONS_TYPE, Statement, parse_statement, statement_about
from zt_gate.trust.verify import VerifiedStatement

VERSION = "1"
_MAX_ENTRIES = 100_000
_NAMES = ("identity", "certificate")
_FORMAT = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True, slots=True, order=True)
class RevokedEntry:
    """One revoked digest, key, identity or certificate."""

    kind: str
    """`digest`, `key`, `identity` or `certificate`."""
    value: str
    reason: str
    since: str
    """RFC 3339, for people."""
    issuer: str = ""
    """Of an identity or certificate."""

    def to_json(self) -> dict[str, str]:
        """Return the entry as it stands in a list."""
        value = {"kind": self.kind, "value": self.value, "reason": self.reason, "since": self.since}
        return value | ({"issuer": self.issuer} if self.kind in _NAMES else {})


@dataclass(frozen=True, slots=True)
class RevocationList:
    """A parsed list."""

    issued: datetime
    sequence: int
    entries: tuple[RevokedEntry, ...]

    def payload(self) -> bytes:
        """Return the statement that is signed."""
        predicate = {
            "issued": self.issued.astimezone(UTC).strftime(_FORMAT),
            "sequence": self.sequence,
            "entries": [entry.to_json() for entry in sorted(set(self.entries))],
        }
        return statement_about("revocations", Digest.of(canonical_json(predicate)), REVOCATIONS_TYPE, predicate)


@dataclass(frozen=True, slots=True)
class Revoked:
    """Everything that is revoked, with the reason."""

    digests: Mapping[str, str]
    """By hexadecimal SHA-256."""
    names: Mapping[str, str]
    """By the name of a `Signer`."""

    @classmethod
    def of(cls, entries: Iterable[RevokedEntry]) -> Revoked:
        """Join entries. Of several reasons for one thing the first in order is kept."""
        ordered = sorted(entries, reverse=True)
        digests = {entry.value.removeprefix("sha256:"): entry.reason for entry in ordered if entry.kind == "digest"}
        return cls(digests, {_signer_name(entry): entry.reason for entry in ordered if entry.kind != "digest"})


def parse_list(statement: Statement) -> RevocationList:
    """Read a list.

    Raises:
        EvidenceError: malformed, or its subject is not its own digest.
    """
    predicate = statement.predicate
    try:
        own = Digest.of(canonical_json(predicate))
        entries = predicate["entries"]
        issued, sequence = instant(predicate["issued"]), predicate["sequence"]
        if statement.predicate_type != REVOCATIONS_TYPE or issued is None or type(sequence) is not int or sequence < 1:
            raise EvidenceError("it lacks a time of issue, or a sequence number from 1")
        if len(entries) > _MAX_ENTRIES:
            raise EvidenceError(f"it has more than {_MAX_ENTRIES} entries")
        parsed = RevocationList(issued, sequence, tuple(_entry(item) for item in entries))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        why = f"{type(error).__name__}: {printable(str(error), 80)}"
        raise EvidenceError(f"the revocation list is malformed: {why}") from None
    if len(statement.subjects) != 1 or statement.subjects[0].digest != own:
        raise EvidenceError("the revocation list is not about itself")
    return parsed


def apply_revocations(
    context: Context,
    requirement: Revocations,
    evidence_files: Sequence[EvidenceFile],
    statements: Sequence[VerifiedStatement],
) -> tuple[list[VerifiedStatement], Evidence]:
    """Return the statements without the revoked ones, and the evidence about the lists and the subject.

    Args:
        context: the subject and the clock.
        requirement: from the policy.
        evidence_files: the files that the statements were read from, in the same order.
        statements: all verified statements.
    """
    revoked = Revoked.of(entry for found in _signed_lists(statements, requirement.by) for entry in found.entries)
    kept, ignored = _without_revoked(evidence_files, statements, revoked)
    return kept, _evidence(context, requirement, kept, revoked, ignored)


def _signed_lists(statements: Sequence[VerifiedStatement], by: Sequence[str]) -> list[RevocationList]:
    """Return every sound list that a listed revoker signed."""
    found = []
    for statement in statements:
        # A revoker who is revoked later still revokes here: revoking a signer must not bring back what its lists took.
        if statement.kind == REVOCATIONS_TYPE and statement.in_toto is not None and statement.signers_of(by):
            try:
                found.append(parse_list(statement.in_toto))
            except EvidenceError:
                continue  # `_judge` reports it
    return found


def _evidence(
    context: Context,
    requirement: Revocations,
    statements: Sequence[VerifiedStatement],
    revoked: Revoked,
    ignored: Mapping[str, str],
) -> Evidence:
    """Judge the lists, and the subject by them.

    Revoked signers have been removed already, so a list that only a revoked revoker signed does not prove freshness.
    Ignored statements are reported as information and do not block.
    """
    relevant = [statement for statement in statements if statement.kind == REVOCATIONS_TYPE]
    notes = [Finding.of("REV-003", f"{name} counts for nothing: {why}", symbol=name) for name, why in ignored.items()]
    revoked_content = _revoked_content(context.subject, revoked)
    assessments = [_judge(statement, context, requirement) for statement in relevant]
    fresh = [statement for statement, assessment in zip(relevant, assessments, strict=True) if assessment.ok]
    if not fresh and not any(assessment.gaps for assessment in assessments):
        lacking = Assessment("release")
        fix = "name the folder that holds it: --evidence DIR"
        lacking.gap("no revocation list by a listed revoker found", fix)
        assessments.append(lacking)
    count = len(revoked.digests) + len(revoked.names)
    metrics = {"signers": signer_ids(fresh, requirement.by), "lists": str(len(relevant)), "revoked": str(count)}
    judged = settle(REVOCATIONS, VERSION, context.subject, assessments, satisfied=bool(fresh), metrics=metrics)
    return Evidence.of(
        REVOCATIONS,
        VERSION,
        context.subject.digest,
        findings=[*judged.findings, *revoked_content, *notes],
        gaps=judged.gaps,
        metrics=metrics,
    )


def revoked_reason(
    data: bytes,
    keys: Sequence[PublicKey],
    digest: Digest,
    now: datetime,
    max_age_days: int,
    names: Iterable[str] = (),
    files: Mapping[str, str] | None = None,
) -> list[str]:
    """Return why a revocation list rejects a digest at deploy time; an empty list admits it.

    Args:
        data: the signed list.
        keys: the revokers' public keys.
        digest: of the bytes that are about to be used.
        now: the clock.
        max_age_days: how old the list may be.
        names: who vouches for the bytes, as `Signer.name` has it: the gate and those whom it counted.
        files: path by SHA-256 of each file; None where they are not known, as with a BLAKE3 manifest.
    """
    try:
        envelope = read_envelope(data)
        if not keys or not envelope.verified_by(keys):
            return ["the revocation list is signed by none of the revokers' keys"]
        listed = parse_list(parse_statement(envelope.payload))
    except EvidenceError as error:
        return [error.message]
    revoked = Revoked.of(listed.entries)
    reasons = [age_problem for age_problem in [_age_problem(listed, now, max_age_days)] if age_problem]
    if digest.hex in revoked.digests:
        reasons.append(f"{digest.short} is revoked: {printable(revoked.digests[digest.hex], 200)}")
    for value in sorted(revoked.digests.keys() & (files or {}).keys()):
        path = printable((files or {})[value])
        reasons.append(f"{path} is revoked: {printable(revoked.digests[value], 200)}")
    vouching = sorted(set(names) & set(revoked.names))
    return reasons + [f"{name} is revoked: {printable(revoked.names[name], 200)}" for name in vouching]


def _without_revoked(
    evidence_files: Sequence[EvidenceFile], statements: Sequence[VerifiedStatement], revoked: Revoked
) -> tuple[list[VerifiedStatement], dict[str, str]]:
    """Remove revoked signers and statements; return the rest, and what was removed with the reason."""
    ignored: dict[str, str] = {}
    kept = []
    for raw, statement in zip(evidence_files, statements, strict=True):
        for signer in statement.signers:
            if signer.name in revoked.names:
                ignored[f"the signer {signer.id} ({signer.name})"] = _revoked_text(revoked.names[signer.name])
        signers = frozenset(signer for signer in statement.signers if signer.name not in revoked.names)
        problem = "its signers are revoked" if statement.signers and not signers else statement.problem
        if signers and (reason := _revoked_statement(raw.data, statement, revoked.digests)):
            signers, problem = frozenset(), reason
            ignored[statement.name] = reason
        kept.append(replace(statement, signers=signers, problem=problem))
    return kept, ignored


def _revoked_text(reason: str) -> str:
    return f"revoked: {printable(reason, 200)}"


def _revoked_statement(data: bytes, statement: VerifiedStatement, digests: Mapping[str, str]) -> str:
    """Return why a statement does not count: it, or a material that it names, is revoked; empty if neither is."""
    if not digests:
        return ""  # the usual case: nothing has to be hashed and parsed again
    # One payload can be wrapped in many envelopes, so its own digest is looked up too.
    own = {Digest.of(data).hex}
    with contextlib.suppress(EvidenceError):  # a signature without an envelope has no payload of its own
        value = parse_object(data, "the file", MAX_FILE)
        own.add(Digest.of(parse_envelope(value.get("dsseEnvelope", value)).payload).hex)
    for found in sorted(own & set(digests)):
        return _revoked_text(digests[found])
    if statement.in_toto is None or statement.kind not in PROVENANCE_TYPES:
        return ""
    with contextlib.suppress(ValueError):  # malformed provenance is reported by its own requirement
        for material in parse_build(statement.in_toto).materials:
            if (found := material.digests.get("sha256", "").lower()) in digests:
                return f"it names the material sha256:{found[:12]}, which is {_revoked_text(digests[found])}"
    return ""


def _judge(statement: VerifiedStatement, context: Context, requirement: Revocations) -> Assessment:
    assessment = admit(statement, requirement.by)
    if not assessment.ok or statement.in_toto is None:
        return assessment
    try:
        age_problem = _age_problem(parse_list(statement.in_toto), context.now, requirement.max_age_days)
    except EvidenceError as error:
        assessment.finding("REV-002", error.message)
        return assessment
    if age_problem:
        assessment.gap(age_problem, "fetch the newest list, or issue it again: zt-gate revoke --list FILE --key KEY")
    return assessment


def _age_problem(listed: RevocationList, now: datetime, max_age_days: int) -> str:
    if listed.issued > now + MAX_SKEW:
        return f"the revocation list is dated {listed.issued:{_FORMAT}}, which is in the future"
    if now - listed.issued > timedelta(days=max_age_days):
        days = (now - listed.issued).days
        return f"the revocation list is {days} days old; at most {max_age_days} are accepted"
    return ""


def _revoked_content(subject: Subject, revoked: Revoked) -> list[Finding]:
    findings = []
    if subject.digest.hex in revoked.digests:
        why = printable(revoked.digests[subject.digest.hex], 200)
        findings.append(Finding.of("REV-001", f"the release {subject.digest.short} is revoked: {why}"))
    for entry in subject.manifest.content:
        if entry.sha256 in revoked.digests:
            why = printable(revoked.digests[entry.sha256], 200)
            message = f"{entry.path} holds revoked bytes: {why}"
            findings.append(Finding.of("REV-001", message, path=entry.path, symbol=entry.sha256))
    return findings


def _signer_name(entry: RevokedEntry) -> str:
    """Return what `Signer.name` is for an entry."""
    if entry.kind == "key":
        return f"key sha256:{entry.value}"
    by = "certificate by " if entry.kind == "certificate" else ""
    return f"{printable(entry.value, 200)} ({by}{printable(entry.issuer, 120)})"


def _entry(item: Any) -> RevokedEntry:
    kind, value = item["kind"], item["value"]
    texts = (value, item["reason"], item["since"], item.get("issuer", ""))
    if kind not in ("digest", "key", *_NAMES) or not all(isinstance(text, str) for text in texts):
        raise ValueError("an entry is of an unknown kind, or holds something that is no text")
    if kind == "digest":
        Digest.parse(value)
    if kind == "key":
        Digest(value)
    if kind in _NAMES and not (value and texts[3]):
        raise ValueError(f"an entry of the kind {kind} needs a subject and an issuer")
    return RevokedEntry(kind, value, texts[1], texts[2], texts[3])
