"""The verdict as a signed summary: SLSA Verification Summary Attestation v1 in a DSSE envelope.

The gate hands it to the enforcement points: the registry, the admission controller, the deploy job. A blocked release
gets one too, so that a refusal can be told from a missing summary.

Source: https://slsa.dev/spec/v1.0/verification_summary; its seven verification steps are those of `verify_summary`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from zt_gate.domain import Decision, Digest, Subject, Verdict, printable
from zt_gate.errors import EvidenceError
from zt_gate.intake.blake3_digest import FastDigest
from zt_gate.policy.fields import parse_instant
from zt_gate.trust.signatures.envelope import read_envelope, sign_payload
from zt_gate.trust.signatures.keys import PrivateKey, PublicKey
from zt_gate.trust.statements.statement import parse_statement, statement

SUMMARY_TYPE = "https://slsa.dev/verification_summary/v1"
VERIFIER = "https://zt-gate.dev/verifier"
EXTENSION = "https://zt-gate.dev/summary/v1"
"""Key of our own fields in the predicate: stage, expiry, verdict digest, and what it rests on."""
MAX_SKEW = timedelta(minutes=5)
_FORMAT = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True, slots=True)
class SummaryContent:
    """Contents of a summary besides the verdict."""

    verified: datetime
    """When the verdict was reached."""
    expires: datetime
    """Until when a deployment may rely on it."""
    versions: Mapping[str, str]
    """Version of zt-gate and of each check."""
    inputs: Sequence[Digest] = ()
    """Digest of every signed statement that was considered."""
    rules: Digest | None = None
    """Of the rule files that were applied."""
    trusted_root: Digest | None = None
    """Of the Sigstore trusted root that the policy pins."""
    fast: FastDigest | None = None
    """The subject's fast digest, for `zt-gate admit --fast`."""


@dataclass(frozen=True, slots=True)
class SummaryRequirements:
    """What an enforcement point requires of a summary."""

    keys: tuple[PublicKey, ...]
    """Whose signature counts."""
    stage: str
    now: datetime
    policy: Digest | None = None
    """The policy that must have been applied; any when None."""


def sign_summary(subject: Subject, verdict: Verdict, summary: SummaryContent, key: PrivateKey) -> bytes:
    """Return the signed summary of a verdict.

    Raises:
        ValueError: the verdict is about another subject.
    """
    if verdict.subject != subject.digest:
        raise ValueError("the verdict is about another subject")
    predicate = {
        "verifier": {"id": VERIFIER, "version": dict(sorted(summary.versions.items()))},
        "timeVerified": summary.verified.astimezone(UTC).strftime(_FORMAT),
        "resourceUri": f"urn:zt-gate:{subject.digest}",
        "policy": {"digest": {"sha256": verdict.policy.hex}},
        "inputAttestations": [{"digest": {"sha256": digest.hex}} for digest in sorted(set(summary.inputs))],
        "verificationResult": "PASSED" if verdict.decision is Decision.ALLOW else "FAILED",
        "verifiedLevels": [f"ZTGATE_{verdict.stage.upper()}"] if verdict.decision is Decision.ALLOW else [],
        EXTENSION: _extension(verdict, summary),
    }
    return sign_payload(statement(SUMMARY_TYPE, predicate, subject), key)


def _extension(verdict: Verdict, summary: SummaryContent) -> dict[str, Any]:
    signers = {name for item in verdict.evidence for name in item.signers}
    extension: dict[str, Any] = {
        "stage": verdict.stage,
        "expires": _expires(verdict, summary).astimezone(UTC).strftime(_FORMAT),
        "verdict": str(verdict.digest),
        "signers": sorted(signers),
    }
    if verdict.broken_glass is not None:
        extension["brokenGlass"] = verdict.broken_glass.to_json()
    known = {"rules": summary.rules, "trustedRoot": summary.trusted_root, "blake3": summary.fast}
    return extension | {name: str(value) for name, value in known.items() if value is not None}


def _expires(verdict: Verdict, summary: SummaryContent) -> datetime:
    """Return until when a deployment may rely on it; never longer than a break-glass window."""
    break_glass = verdict.broken_glass
    return summary.expires if break_glass is None else min(summary.expires, parse_instant(break_glass.until))


def subject_and_signers(data: bytes, keys: Sequence[PublicKey]) -> tuple[Digest, frozenset[str]]:
    """Return which subject a summary is about, and who vouches for it: the gate, and the counted signers.

    The names are those of `Signer.name`, which revocation lists name as well.

    Raises:
        EvidenceError: it is signed by none of the keys, malformed, or about more than one subject.
    """
    envelope = read_envelope(data)
    signed_by = envelope.verified_by(keys) if keys else frozenset()
    parsed = parse_statement(envelope.payload) if signed_by else None
    if parsed is None or len(parsed.subjects) != 1:
        raise EvidenceError("it is no summary, by one of the keys that count here, about one subject")
    extension = parsed.predicate.get(EXTENSION)
    counted = extension.get("signers", []) if isinstance(extension, dict) else []
    names = {name for name in counted if isinstance(name, str)} if isinstance(counted, list) else set()
    return parsed.subjects[0].digest, frozenset(names | {f"key sha256:{keyid}" for keyid in signed_by})


def stated_expiry(data: bytes) -> datetime | None:
    """Return when a summary says that it ends, whoever signed it; None where it does not say."""
    try:
        return parse_instant(parse_statement(read_envelope(data).payload).predicate[EXTENSION]["expires"])
    except (EvidenceError, KeyError, TypeError, ValueError):
        return None


def break_glass_incident(data: bytes) -> str:
    """Return the break-glass incident of a verified summary and its end, for people; empty for an ordinary summary.

    Raises:
        EvidenceError: it is no summary; `verify_summary` says so first.
    """
    extension = parse_statement(read_envelope(data).payload).predicate.get(EXTENSION)
    break_glass = extension.get("brokenGlass") if isinstance(extension, dict) else None
    if not isinstance(break_glass, dict):
        return ""
    incident, until = printable(str(break_glass.get("incident")), 120), printable(str(break_glass.get("until")), 40)
    return f"the incident {incident}, until {until}"


def verify_summary(data: bytes, digest: Digest | FastDigest, requirements: SummaryRequirements) -> list[str]:
    """Return why a summary does not admit a subject; an empty list admits it.

    Args:
        data: the signed summary.
        digest: of the bytes that are about to be used, computed by the caller from those bytes: the subject's own,
            or the fast one, which the summary then has to carry.
        requirements: who must have signed what, for which stage, at which time.
    """
    try:
        envelope = read_envelope(data)
        # An empty list of keys accepts nobody, whatever the envelope says.
        if not requirements.keys or not envelope.verified_by(requirements.keys):
            return ["its signature is by none of the keys that count here"]
        parsed = parse_statement(envelope.payload)
        if parsed.predicate_type != SUMMARY_TYPE:
            return [f"it is a {printable(parsed.predicate_type, 120)}, not a verification summary"]
        if isinstance(digest, FastDigest):
            if reason := _other_bytes(parsed.predicate[EXTENSION].get("blake3"), digest):
                return [reason]
            # The fast digest matched, so the bytes are known; every other step compares the subject's own digest.
            digest = subject_and_signers(data, requirements.keys)[0]
        if not parsed.is_about(digest):
            about = ", ".join(named.digest.short for named in parsed.subjects[:3])
            return [f"it is about {about}; these bytes are {digest.short}"]
        return _unmet(parsed.predicate, digest, requirements)
    except EvidenceError as error:
        return [error.message]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        return [f"it is malformed: {type(error).__name__}: {printable(str(error), 120)}"]


def _other_bytes(carried: object, digest: FastDigest) -> str:
    if carried is None:
        return "it carries no BLAKE3 digest: leave out --fast, or let zt-gate check write one with --summary-fast"
    return "" if carried == str(digest) else f"these bytes are {digest}, and it carries another BLAKE3 digest"


def _unmet(predicate: dict[str, Any], digest: Digest, requirements: SummaryRequirements) -> list[str]:
    extension = predicate[EXTENSION]
    verified, expires = parse_instant(predicate["timeVerified"]), parse_instant(extension["expires"])
    reasons = []
    if predicate["verifier"]["id"] != VERIFIER:
        reasons.append(f"it was written by {printable(str(predicate['verifier']['id']), 120)}, not by zt-gate")
    # SLSA has the verifier compare it, since one signed summary must not serve for another resource.
    if predicate["resourceUri"] != f"urn:zt-gate:{digest}":
        reasons.append("its resource is another one than its subject")
    if predicate["verificationResult"] != "PASSED":
        reasons.append("the gate blocked this release")
    if extension["stage"] != requirements.stage:
        reasons.append(f"it is for the stage {printable(str(extension['stage']), 60)}, not for {requirements.stage}")
    if f"ZTGATE_{requirements.stage.upper()}" not in predicate["verifiedLevels"]:
        reasons.append(f"it does not state the level ZTGATE_{requirements.stage.upper()}")
    if requirements.now >= expires:
        reasons.append(f"it expired at {extension['expires']}")
    if verified > requirements.now + MAX_SKEW:
        reasons.append(f"it was written at {predicate['timeVerified']}, which is in the future")
    if requirements.policy is not None and predicate["policy"]["digest"]["sha256"] != requirements.policy.hex:
        reasons.append("it was judged by another policy")
    return reasons
