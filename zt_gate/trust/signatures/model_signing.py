"""OpenSSF Model Signing (OMS): model signatures that other tools make and verify.

An OMS bundle lists files with their digests under a root digest that binds the digests and not the names. So the root
proves little, and names and digests are compared with the manifest one by one. Whatever the bundle omits (an unlisted
file, the signer's `ignore_paths`, `.git`, modes and empty folders, which OMS cannot express) is a finding unless the
policy lists it under `unsigned`.

Specification: https://github.com/ossf/model-signing-spec (v1.0)
"""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from zt_gate.domain import Digest, Entry, Finding, Mode, Subject, canonical_json, printable
from zt_gate.errors import EvidenceError
from zt_gate.policy.requirements import ModelSigning
from zt_gate.trust.requirements.requirement import Assessment
from zt_gate.trust.signatures.bundle_without_log import keyed_bundle
from zt_gate.trust.signatures.keys import PublicKey
from zt_gate.trust.statements.statement import MODEL_SIGNATURE_TYPE, STATEMENT_TYPE, Statement

DIGESTS_TYPE = "https://model_signing/Digests/v0.1"
"""Predicate type before 1.0; such a bundle is recognised, and refused."""
TYPES = (MODEL_SIGNATURE_TYPE, DIGESTS_TYPE)

_WHOLE = "."
"""Name of the only resource where a single file was signed; the subject then carries the file's name."""
# OMS verifiers skip git's own files (spec section 6.2), so code that is put there after signing still verifies.
_NEVER_SIGNED = {".git", ".github", ".gitignore", ".gitattributes"}
_MAX_FINDINGS = 20
_FIX_FORMAT = "sign with: model_signing sign --hash_algorithm sha256, without shards; or with: zt-gate sign"


@dataclass(frozen=True, slots=True)
class SignedModel:
    """The signed files of a verified OMS statement."""

    files: dict[str, str]
    """Path to hexadecimal SHA-256."""
    ignored: tuple[str, ...]
    """Paths that the signer declared to ignore. They only explain a finding; nothing is exempted by them."""


def judge_model_signature(
    statement: Statement, subject: Subject, allowed: ModelSigning | None, assessment: Assessment
) -> bool:
    """Return whether a verified OMS statement covers the whole subject; record what it does not cover."""
    if allowed is None:
        reason = "is an OpenSSF Model Signing bundle, which the policy does not accept"
        assessment.gap(reason, "set signature.model_signing in the policy, or sign with: zt-gate sign TARGET --key KEY")
        return False
    if unreadable := _other_format(statement.predicate):
        assessment.gap(unreadable, _FIX_FORMAT)
        return False
    try:
        model = read_model(statement)
    except EvidenceError as error:
        assessment.finding("SIG-005", error.message)
        return False
    assessment.findings += _bounded(_changed(model, subject) + _left_out(model, subject, allowed.unsigned))
    return assessment.ok


def read_model(statement: Statement) -> SignedModel:
    """Read an OMS v1.0 statement over whole files and SHA-256.

    Raises:
        EvidenceError: an older format, an unsafe or repeated name, or a root digest that is not that of the list.
    """
    if statement.predicate_type != MODEL_SIGNATURE_TYPE:
        raise EvidenceError("is of a format before OMS 1.0; sign again with model-signing 1.0 or later")
    resources = statement.predicate.get("resources")
    if len(statement.subjects) != 1 or not isinstance(resources, list) or not resources:
        raise EvidenceError("an OMS statement has one subject, and a list of resources")
    named = [_resource(item) for item in resources]
    # Spec section 6.5.1: digests in order, without names. Two files that swap names keep this root.
    root = hashlib.sha256(b"".join(bytes.fromhex(digest) for _, digest in named)).hexdigest()
    if root != statement.subjects[0].digest.hex:
        raise EvidenceError("the root digest is not that of the listed resources")
    if [name for name, _ in named] == [_WHOLE]:
        named = [(statement.subjects[0].name, named[0][1])]
    files = dict(named)
    # The dict kept the last of two equal names, so the other digest would never be compared.
    if len(files) != len(named):
        raise EvidenceError("a resource is listed twice")
    for name in files:
        _check_name(name)
    return SignedModel(files, _ignored(statement.predicate))


def model_statement(subject: Subject, *, single_file: bool) -> bytes:
    """Build the OMS v1.0 statement about a subject.

    Args:
        subject: what is signed.
        single_file: whether the target is a file and not a folder; OMS then writes its name into the subject.

    Raises:
        EvidenceError: the subject holds something that OMS cannot sign or that its verifiers never look at.
    """
    for entry in subject.manifest.entries:
        if why := _unsignable(entry):
            raise EvidenceError(f"{printable(entry.path)} {why}", "sign with: zt-gate sign TARGET --format dsse")
    entries = subject.manifest.content
    resources = [
        {"name": _WHOLE if single_file else entry.path, "algorithm": "sha256", "digest": entry.sha256}
        for entry in entries
    ]
    root = hashlib.sha256(b"".join(bytes.fromhex(entry.sha256) for entry in entries)).hexdigest()
    # Only the last part of the path: a published signature should not reveal the folders of this machine.
    name = entries[0].path if single_file else printable(subject.label)
    value = {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": name, "digest": {"sha256": root}}],
        "predicateType": MODEL_SIGNATURE_TYPE,
        "predicate": {
            # Where links are allowed, model-signing does not hash what a linked folder holds.
            "serialization": {"method": "files", "hash_type": "sha256", "allow_symlinks": False},
            "resources": resources,
        },
    }
    return canonical_json(value)


def model_bundle(signed: bytes, public: PublicKey | None) -> bytes:
    """Return a signed OMS statement as the bundle that OMS verifiers read.

    Args:
        signed: a bundle already, or a DSSE envelope that is wrapped into one.
        public: the key that made the envelope.

    Raises:
        EvidenceError: a key that OMS does not know.
    """
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    if public is not None and not isinstance(load_pem_public_key(public.pem.encode()), ec.EllipticCurvePublicKey):
        raise EvidenceError("OMS knows ECDSA keys only", "make one with: zt-gate keygen --type ecdsa")
    if "dsseEnvelope" in json.loads(signed):
        return signed
    if public is None:
        raise EvidenceError("it is not known which key signed", "sign with --key FILE")
    return keyed_bundle(signed, public)


def _other_format(predicate: dict[str, Any]) -> str:
    """Return why a format cannot be compared with the manifest: shards, or digests other than SHA-256."""
    how = predicate.get("serialization")
    if not isinstance(how, dict):
        return ""
    if how.get("method") != "files":
        return f"signs in the unit {printable(str(how.get('method')), 40)}, and only whole files are compared here"
    if how.get("hash_type") != "sha256":
        return f"signs {printable(str(how.get('hash_type')), 40)} digests, and only SHA-256 is compared here"
    return ""


def _resource(item: Any) -> tuple[str, str]:
    name, digest = (item.get("name"), item.get("digest")) if isinstance(item, dict) else (None, None)
    if not isinstance(name, str) or not isinstance(digest, str) or item.get("algorithm") != "sha256":
        raise EvidenceError("a resource is malformed: it needs name, algorithm sha256 and digest")
    try:
        return name, Digest(digest).hex
    except ValueError:
        raise EvidenceError("a resource has a malformed SHA-256 digest") from None


def _check_name(name: str) -> None:
    parts = name.split("/")
    plain = unicodedata.is_normalized("NFC", name) and printable(name, len(name) + 1) == name and "\\" not in name
    # model-signing itself follows `../` in signed names out of the model (model-transparency PR #647).
    if not plain or any(part in ("", ".", "..") for part in parts):
        raise EvidenceError(f"the resource name {printable(name, 120)!r} is no plain path inside the model")


def _ignored(predicate: dict[str, Any]) -> tuple[str, ...]:
    how = predicate.get("serialization")
    paths = how.get("ignore_paths", []) if isinstance(how, dict) else None
    if not isinstance(paths, list) or not all(isinstance(path, str) for path in paths):
        raise EvidenceError("the statement does not say how the model was read")
    return tuple(paths)


def _changed(model: SignedModel, subject: Subject) -> list[Finding]:
    present = {entry.path: entry for entry in subject.manifest.content}
    findings = []
    for path, digest in sorted(model.files.items()):
        if path not in present:
            findings.append(_finding("SIG-001", path, "signed, but missing here"))
        elif present[path].sha256 != digest:
            findings.append(_finding("SIG-001", path, "content differs from what was signed"))
    return findings


def _left_out(model: SignedModel, subject: Subject, unsigned: Sequence[str]) -> list[Finding]:
    entries = (entry for entry in subject.manifest.entries if not _under(entry.path, unsigned))
    return [_finding("SIG-006", entry.path, why) for entry in entries if (why := _why_left_out(entry, model))]


def _why_left_out(entry: Entry, model: SignedModel) -> str:
    if not entry.is_content or entry.path in model.files:
        return _wordless(entry)
    # model-signing adopts these even against the verifier's own settings. Here they only explain a finding.
    by_signer = any(_under(entry.path, (path, f"{path.rstrip('/')}/")) for path in model.ignored)
    return "is not signed; the signer declared to ignore it" if by_signer else "is not signed"


def _wordless(entry: Entry) -> str:
    """Return what about an entry OMS cannot express; empty for a plain file."""
    if entry.mode is Mode.EXECUTABLE:
        return "is executable, and OMS signs no modes"
    if entry.mode is Mode.DIRECTORY:
        return "is an empty folder, and OMS signs none"
    return "" if entry.mode is Mode.FILE else "cannot be signed"


def _unsignable(entry: Entry) -> str:
    if entry.path.split("/")[0] in _NEVER_SIGNED:
        return "lies where OMS verifiers never look"
    return _wordless(entry)


def _under(path: str, places: Sequence[str]) -> bool:
    return any(path == place or (place.endswith("/") and path.startswith(place)) for place in places)


def _finding(rule: str, path: str, why: str) -> Finding:
    message = f"{printable(path)}: {why}"
    return Finding.of(rule, message, path=path, symbol=message)


def _bounded(findings: list[Finding]) -> list[Finding]:
    if len(findings) <= _MAX_FINDINGS:
        return findings
    more = f"{len(findings) - _MAX_FINDINGS} more paths are not as the bundle says"
    return [*findings[:_MAX_FINDINGS], Finding.of("SIG-001", more, symbol="more")]
