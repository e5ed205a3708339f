"""in-toto Statement v1: what a signed text says, and about which digest.

A statement is parsed strictly: whatever two readers could read differently is refused. zt-gate's own release
statement carries the whole manifest, so that a refusal can name the file that changed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from zt_gate.codecs.strict_json import parse_object
from zt_gate.domain import Digest, Manifest, Subject, canonical_json, printable
from zt_gate.errors import EvidenceError

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
STATEMENT_TYPE_01 = "https://in-toto.io/Statement/v0.1"
"""The same layout under its former name. SLSA builders still write it, so provenance is accepted in it."""
PAYLOAD_TYPE = "application/vnd.in-toto+json"
MANIFEST_TYPE = "https://zt-gate.dev/predicate/manifest/v1"
MODEL_SIGNATURE_TYPE = "https://model_signing/signature/v1.0"
"""OpenSSF Model Signing: the other statement that lists every file."""
PROVENANCE_TYPE = "https://slsa.dev/provenance/v1"
PROVENANCE_TYPE_02 = "https://slsa.dev/provenance/v0.2"
TEST_RESULT_TYPE = "https://in-toto.io/attestation/test-result/v0.1"
RELEASE_TYPE = "https://in-toto.io/attestation/release/v0.1"
BOM_TYPE = "https://cyclonedx.org/bom"
APPROVAL_TYPE = "https://zt-gate.dev/predicate/approval/v1"
REVOCATIONS_TYPE = "https://zt-gate.dev/predicate/revocations/v1"
DATASET_TYPE = "https://zt-gate.dev/predicate/dataset/v1"
SCAN_TYPE = "https://zt-gate.dev/predicate/scan/v1"
SARIF_TYPE = "https://zt-gate.dev/predicate/sarif/v1"
ROBUSTNESS_TYPE = "https://zt-gate.dev/predicate/robustness/v1"
BACKDOOR_TYPE = "https://zt-gate.dev/predicate/backdoor/v1"

# A manifest line takes about 150 bytes, and a release may have 200,000 of them; others are far smaller.
MAX_STATEMENT = 64 << 20
MAX_OTHER_STATEMENT = 16 << 20
MAX_SUBJECTS = 1000


@dataclass(frozen=True, slots=True)
class StatementSubject:
    """One subject of a statement."""

    name: str
    digest: Digest


@dataclass(frozen=True, slots=True)
class Statement:
    """A parsed in-toto Statement v1."""

    subjects: tuple[StatementSubject, ...]
    predicate_type: str
    predicate: dict[str, Any]

    def is_about(self, digest: Digest) -> bool:
        """Whether exactly one subject carries the digest. A repeated subject is rejected, like a missing one."""
        return sum(named.digest == digest for named in self.subjects) == 1

    def manifest(self) -> Manifest:
        """Return the manifest of a manifest statement.

        Raises:
            EvidenceError: another predicate type, a malformed manifest, or one that is not what the subject names.
        """
        if self.predicate_type != MANIFEST_TYPE:
            raise EvidenceError(f"the statement is of type {printable(self.predicate_type, 120)}, not a manifest")
        try:
            manifest = Manifest.from_json(self.predicate)
            digest = manifest.digest
        except (ValueError, TypeError) as error:
            raise EvidenceError(f"the signed manifest is malformed: {printable(str(error), 120)}") from None
        if len(self.subjects) != 1 or self.subjects[0].digest != digest:
            raise EvidenceError("the signed manifest is not the one that the statement's subject names")
        return manifest


def parse_statement(data: bytes) -> Statement:
    """Read a statement strictly. Fields that in-toto does not know are ignored, as its parsing rules ask.

    Statement v0.1 is accepted for SLSA provenance only.

    Raises:
        EvidenceError: not strict JSON, another `_type`, too large, too many subjects, or one without a sha256.
    """
    value = parse_object(data, "the statement", MAX_STATEMENT)
    kind, subjects, predicate = value.get("predicateType"), value.get("subject"), value.get("predicate", {})
    # v0.1 is the format in which many SLSA builders still sign; no other statement needs it.
    older = kind in (PROVENANCE_TYPE, PROVENANCE_TYPE_02) and value.get("_type") == STATEMENT_TYPE_01
    if value.get("_type") != STATEMENT_TYPE and not older:
        raise EvidenceError(f"the statement is not of type {STATEMENT_TYPE}")
    if not isinstance(kind, str) or not kind:
        raise EvidenceError("the statement has no predicateType")
    if kind not in (MANIFEST_TYPE, MODEL_SIGNATURE_TYPE) and len(data) > MAX_OTHER_STATEMENT:
        raise EvidenceError(f"the statement has {len(data)} bytes, more than the {MAX_OTHER_STATEMENT} accepted")
    if not isinstance(subjects, list) or not subjects:
        raise EvidenceError("the statement has no subject")
    if len(subjects) > MAX_SUBJECTS:
        raise EvidenceError(f"the statement has {len(subjects)} subjects, more than the {MAX_SUBJECTS} accepted")
    if not isinstance(predicate, dict):
        raise EvidenceError("the statement's predicate is not an object")
    return Statement(tuple(_named(item) for item in subjects), kind, predicate)


def statement(predicate_type: str, predicate: dict[str, Any], subject: Subject) -> bytes:
    """Build a statement about a subject's digest.

    The bytes are canonical where the predicate allows it; a predicate with fractions is written with sorted keys.

    Raises:
        EvidenceError: the predicate has no JSON form.
    """
    return statement_about(printable(subject.label), subject.digest, predicate_type, predicate)


def statement_about(name: str, digest: Digest, predicate_type: str, predicate: dict[str, Any]) -> bytes:
    """Build a statement about a digest that need not be a release's, as `statement` does.

    Raises:
        EvidenceError: the predicate has no JSON form.
    """
    value = {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": name, "digest": {"sha256": digest.hex}}],
        "predicateType": predicate_type,
        "predicate": predicate,
    }
    try:
        return canonical_json(value)
    # Canonical JSON takes no fractions here, and scores of other tools are fractions.
    except (TypeError, ValueError):
        return _sorted_json(value)


def predicate_digest(predicate: dict[str, Any]) -> Digest:
    """Return the digest of a predicate, whatever the order and spacing of the statement it stands in.

    Raises:
        EvidenceError: the predicate has no JSON form.
    """
    return Digest.of(_sorted_json(predicate))


def manifest_statement(subject: Subject) -> bytes:
    """Build the statement that a release signature signs: the manifest itself."""
    return statement(MANIFEST_TYPE, subject.manifest.to_json(), subject)


def _sorted_json(value: dict[str, Any]) -> bytes:
    try:
        return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise EvidenceError(f"the predicate has no JSON form: {printable(str(error), 120)}") from None


def _named(item: Any) -> StatementSubject:
    digests = item.get("digest") if isinstance(item, dict) else None
    value = digests.get("sha256") if isinstance(digests, dict) else None
    name = item.get("name", "") if isinstance(item, dict) else None
    if not isinstance(value, str) or not isinstance(name, str):
        raise EvidenceError("a subject of the statement has no sha256 digest")
    try:
        return StatementSubject(name, Digest(value))
    except ValueError:
        raise EvidenceError("a subject of the statement has a malformed sha256 digest") from None
