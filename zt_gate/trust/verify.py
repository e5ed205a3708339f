"""One brought item: what it is, who of the policy's signers really signed it, and what it says.

Every key is tried on every envelope and every identity on every certificate, so the outcome depends on the policy
and the bytes alone. Which requirement an item serves is decided afterwards, by the requirement's own `by` list.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from zt_gate.codecs.strict_json import parse_object
from zt_gate.domain import Manifest, Subject, printable
from zt_gate.errors import EvidenceError, PolicyError
from zt_gate.trust.evidence_folder import MAX_FILE, EvidenceFile
from zt_gate.trust.people.signers import Signer, Signers, UndecidedError
from zt_gate.trust.signatures.bundle_without_log import Unlogged, check_version, is_unlogged, read_unlogged
from zt_gate.trust.signatures.envelope import Envelope, parse_envelope, verifies
from zt_gate.trust.signatures.sigstore_bundle import is_bundle
from zt_gate.trust.statements.statement import MANIFEST_TYPE, Statement, parse_statement


@dataclass(frozen=True, slots=True)
class VerifiedStatement:
    """A brought item after verification."""

    name: str
    kind: str = ""
    """Predicate type as the payload claims it; empty where nothing could be read. Routes reports, proves nothing."""
    signers: frozenset[Signer] = frozenset()
    """Who of the policy's keys, certificates and identities really signed it."""
    in_toto: Statement | None = None
    """The statement; None for a bare signature over the manifest, and where a problem is."""
    problem: str = ""
    """Why the item is worth nothing: malformed, or a signature that does not verify."""
    stranger: str = ""
    """Who signed it, where that is nobody whom the policy lists."""
    undecided: str = ""
    """Why it cannot be said who signed it: the policy's own material is out of date."""
    remedy: str = ""
    """What would settle that."""

    def signers_of(self, by: Sequence[str]) -> frozenset[Signer]:
        """Return those signers whom a `by` list names."""
        return frozenset(signer for signer in self.signers if signer.id in by)

    def manifest(self, subject: Subject) -> Manifest:
        """Return the manifest that was signed.

        Raises:
            EvidenceError: the statement carries no sound manifest.
        """
        return subject.manifest if self.in_toto is None else self.in_toto.manifest()


def examine(brought: EvidenceFile, signers: Signers, subject: Subject) -> VerifiedStatement:
    """Verify one brought item. Whatever goes wrong with the item becomes its `problem`.

    Raises:
        PolicyError: the policy's own trusted root cannot be used.
    """
    try:
        value = parse_object(brought.data, "the file", MAX_FILE)
        item = _bundle(value, signers, subject) if is_bundle(value) else _envelope(parse_envelope(value), signers)
    except PolicyError:
        raise
    except EvidenceError as error:
        item = VerifiedStatement("", problem=error.message)
    except Exception as error:  # noqa: BLE001 - whatever a hostile item provokes, it is worth nothing
        item = VerifiedStatement("", problem=f"{type(error).__name__}: {printable(str(error), 120)}")
    return replace(item, name=printable(brought.name, 200))


def _envelope(envelope: Envelope, signers: Signers) -> VerifiedStatement:
    statement = parse_statement(envelope.payload)
    found = envelope.verified_by(signers.keys)
    if found:
        return VerifiedStatement("", statement.predicate_type, signers.of_keys(found), statement)
    hints = sorted({printable(item.keyid, 80) or "a key without an id" for item in envelope.signatures})
    known = [hint for hint in hints if hint in {key.id for key in signers.keys}]
    if known:
        return VerifiedStatement(
            "", statement.predicate_type, problem=f"the signature of key {known[0]} does not verify"
        )
    return VerifiedStatement("", statement.predicate_type, stranger=f"key {', '.join(hints)}")


def _bundle(value: dict[str, Any], signers: Signers, subject: Subject) -> VerifiedStatement:
    check_version(value)
    artifact = subject.manifest.to_bytes() if "messageSignature" in value else b""
    if is_unlogged(value):
        bundle = read_unlogged(value, artifact)
        return _by_chain(bundle, signers) if bundle.chain else _by_key(bundle, signers)
    content = value.get("dsseEnvelope")
    kind = MANIFEST_TYPE if content is None else parse_statement(parse_envelope(content).payload).predicate_type
    try:
        if signers.bundles is None:
            return VerifiedStatement("", kind, stranger="a Sigstore certificate (the policy lists no identity)")
        verified = signers.bundles.verify(value, artifact)
    except EvidenceError as error:
        return _unverified(error, kind)
    if not verified.identities:
        unshown = f", without the claim {', '.join(verified.unshown)} as it should be" if verified.unshown else ""
        return VerifiedStatement("", kind, stranger=f"{verified.certificate_name}{unshown}")
    statement = None if verified.payload is None else parse_statement(verified.payload)
    return VerifiedStatement("", kind, signers.of_bundle(verified), statement)


def _by_key(bundle: Unlogged, signers: Signers) -> VerifiedStatement:
    """Only what is inside counts, for the policy's own keys; identities never come from such a bundle."""
    if bundle.envelope is not None:
        return _envelope(bundle.envelope, signers)
    keyids = frozenset(key.id for key in signers.keys if verifies(key, bundle.signature, bundle.signed))
    if not keyids:
        return VerifiedStatement("", MANIFEST_TYPE, stranger="a key without an id (or the signature does not verify)")
    return VerifiedStatement("", MANIFEST_TYPE, signers.of_keys(keyids))


def _by_chain(bundle: Unlogged, signers: Signers) -> VerifiedStatement:
    statement = None if bundle.envelope is None else parse_statement(bundle.envelope.payload)
    kind = MANIFEST_TYPE if statement is None else statement.predicate_type
    if signers.chains is None:
        return VerifiedStatement("", kind, stranger="a certificate (the policy lists none)")
    try:
        verified = signers.verified_chain(bundle.chain, bundle.signed, bundle.signature, bundle.timestamps)
    except EvidenceError as error:
        return _unverified(error, kind)
    found = signers.of_entries(verified)
    return (
        VerifiedStatement("", kind, found, statement) if found else VerifiedStatement("", kind, stranger=verified.name)
    )


def _unverified(error: EvidenceError, kind: str) -> VerifiedStatement:
    if isinstance(error, UndecidedError):
        return VerifiedStatement("", kind, undecided=error.message, remedy=error.advice)
    return VerifiedStatement("", kind, problem=error.message)
