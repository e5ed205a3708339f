"""Verify one evidence file: which signers of the policy signed it, and which statement it carries.

Every key is tried on every envelope and every identity on every certificate, so the result depends on the policy
and the bytes alone. Each requirement then counts only the signers of its own `by` list.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from zt_gate.codecs.strict_json import parse_object
from zt_gate.domain import Manifest, Subject, printable
from zt_gate.errors import EvidenceError, PolicyError
from zt_gate.trust.evidence_folder import MAX_FILE, EvidenceFile
from zt_gate.trust.people.signers import Signer, Signers, UndecidedError
from zt_gate.trust.signatures.bundle_without_log import (
    BundleWithoutLog,
    check_version,
    is_bundle_without_log,
    read_bundle_without_log,
)
from zt_gate.trust.signatures.envelope import Envelope, parse_envelope, verifies
from zt_gate.trust.signatures.sigstore_bundle import is_bundle
from zt_gate.trust.statements.statement import MANIFEST_TYPE, Statement, parse_statement


@dataclass(frozen=True, slots=True)
class VerifiedStatement:
    """An evidence file after verification: its verified signers, or why it does not count."""

    name: str
    kind: str = ""
    """Predicate type as the payload claims it, verified or not; empty if nothing could be read. It only selects where
    problems are reported."""
    signers: frozenset[Signer] = frozenset()
    """Signers of the policy whose signature over the statement verified."""
    in_toto: Statement | None = None
    """The parsed in-toto statement; None for a bare signature over the manifest, and if there is a problem."""
    workflow: Mapping[str, str] = field(default_factory=dict)
    """What the certificate of a CI workflow that signed says about its source, by the names of `CLAIMS`."""
    problem: str = ""
    """Why the file does not count: it is malformed, or its signature does not verify."""
    untrusted_signer: str = ""
    """Name of the signer, if the policy does not list that signer."""
    undecided: str = ""
    """Why the signer could not be established: the policy's own trusted root is out of date."""
    fix: str = ""
    """How to fix an undecided result."""

    def signers_of(self, by: Sequence[str]) -> frozenset[Signer]:
        """Return the verified signers that a `by` list names."""
        return frozenset(signer for signer in self.signers if signer.id in by)

    def manifest(self, subject: Subject) -> Manifest:
        """Return the manifest that was signed.

        Raises:
            EvidenceError: the statement carries no sound manifest.
        """
        return subject.manifest if self.in_toto is None else self.in_toto.manifest()


def verify_evidence_file(file: EvidenceFile, signers: Signers, subject: Subject) -> VerifiedStatement:
    """Verify one evidence file. Whatever is wrong with the file becomes its `problem`, never an exception.

    Raises:
        PolicyError: the policy's own trusted root cannot be used.
    """
    try:
        value = parse_object(file.data, "the file", MAX_FILE)
        statement = _bundle(value, signers, subject) if is_bundle(value) else _envelope(parse_envelope(value), signers)
    # The operator's own root is at fault, so the run stops; blaming the file would hide that.
    except PolicyError:
        raise
    except EvidenceError as error:
        statement = VerifiedStatement("", problem=error.message)
    except Exception as error:  # noqa: BLE001 - a hostile file may raise anything in a parser; it then does not count
        statement = VerifiedStatement("", problem=f"{type(error).__name__}: {printable(str(error), 120)}")
    return replace(statement, name=printable(file.name, 200))


def _envelope(envelope: Envelope, signers: Signers) -> VerifiedStatement:
    # The statement is parsed before its signature is checked, so that a report can name its kind; an unsigned one is
    # never returned as `in_toto`.
    statement = parse_statement(envelope.payload)
    matching = envelope.verified_by(signers.keys)
    if matching:
        return VerifiedStatement("", statement.predicate_type, signers.of_keys(matching), statement)
    # Key ids are unsigned and only word the message; no key was chosen by them.
    hints = sorted({printable(signature.keyid, 80) or "a key without an id" for signature in envelope.signatures})
    known = [hint for hint in hints if hint in {key.id for key in signers.keys}]
    if known:
        return VerifiedStatement(
            "", statement.predicate_type, problem=f"the signature of key {known[0]} does not verify"
        )
    return VerifiedStatement("", statement.predicate_type, untrusted_signer=f"key {', '.join(hints)}")


def _bundle(value: dict[str, Any], signers: Signers, subject: Subject) -> VerifiedStatement:
    check_version(value)
    artifact = subject.manifest.to_bytes() if "messageSignature" in value else b""
    if is_bundle_without_log(value):
        bundle = read_bundle_without_log(value, artifact)
        return _by_chain(bundle, signers) if bundle.chain else _by_key(bundle, signers)
    content = value.get("dsseEnvelope")
    kind = MANIFEST_TYPE if content is None else parse_statement(parse_envelope(content).payload).predicate_type
    try:
        if signers.bundles is None:
            return VerifiedStatement("", kind, untrusted_signer="a Sigstore certificate (the policy lists no identity)")
        verified = signers.bundles.verify(value, artifact)
    except EvidenceError as error:
        return _unverified(error, kind)
    if not verified.identities:
        claims = ", ".join(verified.unmatched_claims)
        mismatch = f", without the claim {claims} as it should be" if claims else ""
        return VerifiedStatement("", kind, untrusted_signer=f"{verified.certificate_name}{mismatch}")
    statement = None if verified.payload is None else parse_statement(verified.payload)
    return VerifiedStatement("", kind, signers.of_bundle(verified), statement, verified.workflow)


def _by_key(bundle: BundleWithoutLog, signers: Signers) -> VerifiedStatement:
    """Try the policy's own keys on the content; such a bundle never proves an identity."""
    if bundle.envelope is not None:
        return _envelope(bundle.envelope, signers)
    keyids = frozenset(key.id for key in signers.keys if verifies(key, bundle.signature, bundle.signed))
    if not keyids:
        signer = "a key without an id (or the signature does not verify)"
        return VerifiedStatement("", MANIFEST_TYPE, untrusted_signer=signer)
    return VerifiedStatement("", MANIFEST_TYPE, signers.of_keys(keyids))


def _by_chain(bundle: BundleWithoutLog, signers: Signers) -> VerifiedStatement:
    statement = None if bundle.envelope is None else parse_statement(bundle.envelope.payload)
    kind = MANIFEST_TYPE if statement is None else statement.predicate_type
    if signers.chains is None:
        return VerifiedStatement("", kind, untrusted_signer="a certificate (the policy lists none)")
    try:
        verified = signers.verified_chain(bundle.chain, bundle.signed, bundle.signature, bundle.timestamps)
    except EvidenceError as error:
        return _unverified(error, kind)
    matching = signers.of_entries(verified)
    if not matching:
        return VerifiedStatement("", kind, untrusted_signer=verified.name)
    return VerifiedStatement("", kind, matching, statement)


def _unverified(error: EvidenceError, kind: str) -> VerifiedStatement:
    if isinstance(error, UndecidedError):
        return VerifiedStatement("", kind, undecided=error.message, fix=error.advice)
    return VerifiedStatement("", kind, problem=error.message)
