"""One brought item: what it is, who of the policy's signers really signed it, and what it says.

Every key is tried on every envelope and every identity on every certificate, so the outcome depends on the policy
and the bytes alone. Which requirement an item serves is decided afterwards, by the requirement's own `by` list.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Any

from zt_gate.domain import Manifest, Subject, printable
from zt_gate.errors import EvidenceError, PolicyError
from zt_gate.policy.model import Trust
from zt_gate.trust.brought import MAX_FILE, Brought
from zt_gate.trust.envelope import Envelope, parse_envelope
from zt_gate.trust.keys import PublicKey, load_public
from zt_gate.trust.sigstore_bundle import BundleVerifier, bundle_verifier, is_bundle
from zt_gate.trust.statement import MANIFEST_TYPE, Statement, parse_statement
from zt_gate.trust.strict_json import parse_object


@dataclass(frozen=True, slots=True)
class Item:
    """A brought item after verification."""

    name: str
    kind: str = ""
    """Predicate type as the payload claims it; empty where nothing could be read. Routes reports, proves nothing."""
    signers: frozenset[str] = frozenset()
    """Ids of the policy's keys and identities whose signature verifies."""
    statement: Statement | None = None
    """The statement; None for a bare signature over the manifest, and where a problem is."""
    problem: str = ""
    """Why the item is worth nothing: malformed, or a signature that does not verify."""
    stranger: str = ""
    """Who signed it, where that is nobody whom the policy lists."""

    def manifest(self, subject: Subject) -> Manifest:
        """Return the manifest that was signed.

        Raises:
            EvidenceError: the statement carries no sound manifest.
        """
        return subject.manifest if self.statement is None else self.statement.manifest()


class Signers:
    """Everybody whom a policy knows, ready to verify with.

    Raises:
        PolicyError: a key of the policy cannot be read, or two entries have one id.
    """

    def __init__(self, trust: Trust, now: datetime) -> None:
        if len(set(trust.ids)) != len(trust.ids):
            raise PolicyError("two entries under trust have one id", "give every key and identity an id of its own")
        self._trust = trust
        self._now = now
        self._keys = {item.id: _policy_key(item.id, item.pem) for item in trust.keys}

    @cached_property
    def keys(self) -> tuple[PublicKey, ...]:
        """The policy's keys, each once."""
        return tuple({key.id: key for key in self._keys.values()}.values())

    @cached_property
    def bundles(self) -> BundleVerifier | None:
        """The verifier of Sigstore bundles; None where the policy lists no identity.

        Raises:
            PolicyError: there are identities, and the trusted root is absent or unusable.
        """
        if not self._trust.identities:
            return None
        if self._trust.trusted_root is None:
            raise PolicyError("the policy lists identities and pins no trusted root", "set trust.trusted_root")
        return bundle_verifier(self._trust.trusted_root, self._trust.identities, self._now)

    def ids_of(self, keyids: frozenset[str]) -> frozenset[str]:
        """Return the policy's names of keys, given their fingerprints."""
        return frozenset(name for name, key in self._keys.items() if key.id in keyids)

    def principals(self, names: Iterable[str]) -> dict[str, str]:
        """Map each *different* signer to one name: two names of one key are one signer."""
        found: dict[str, str] = {}
        identities = {item.id: f"{item.issuer}\n{item.subject}" for item in self._trust.identities}
        for name in sorted(names, reverse=True):
            found[self._keys[name].id if name in self._keys else identities[name]] = name
        return found

    def demand(self, names: Sequence[str]) -> None:
        """Check that the policy can verify the signers whom a requirement names.

        Raises:
            PolicyError: a name that `trust` does not define, or an identity without a pinned trusted root.
        """
        unknown = sorted(set(names) - set(self._trust.ids))
        if unknown:
            raise PolicyError(f"`by` names {printable(unknown[0])}, which is not under trust", "add it, or correct it")
        if self._trust.trusted_root is None and any(item.id in names for item in self._trust.identities):
            raise PolicyError("the policy lists identities and pins no trusted root", "set trust.trusted_root")


def examine(brought: Brought, signers: Signers, subject: Subject) -> Item:
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
        item = Item("", problem=error.message)
    except Exception as error:  # noqa: BLE001 - whatever a hostile item provokes, it is worth nothing
        item = Item("", problem=f"{type(error).__name__}: {printable(str(error), 120)}")
    return replace(item, name=printable(brought.name, 200))


def _envelope(envelope: Envelope, signers: Signers) -> Item:
    statement = parse_statement(envelope.payload)
    found = envelope.verified_by(signers.keys)
    if found:
        return Item("", statement.predicate_type, signers.ids_of(found), statement)
    hints = sorted({printable(item.keyid, 80) or "a key without an id" for item in envelope.signatures})
    known = [hint for hint in hints if hint in {key.id for key in signers.keys}]
    if known:
        return Item("", statement.predicate_type, problem=f"the signature of key {known[0]} does not verify")
    return Item("", statement.predicate_type, stranger=f"key {', '.join(hints)}")


def _bundle(value: dict[str, Any], signers: Signers, subject: Subject) -> Item:
    content = value.get("dsseEnvelope")
    material = value.get("verificationMaterial")
    if content is not None and isinstance(material, dict) and "publicKey" in material:
        # Only the envelope inside counts, for the policy's own keys; identities never come from such a bundle.
        return _envelope(parse_envelope(content), signers)
    kind = MANIFEST_TYPE if content is None else parse_statement(parse_envelope(content).payload).predicate_type
    if signers.bundles is None:
        return Item("", kind, stranger="a Sigstore certificate, and the policy lists no identity")
    try:
        verified = signers.bundles.verify(value, subject.manifest.to_bytes())
    except EvidenceError as error:
        return Item("", kind, problem=error.message)
    if not verified.identities:
        return Item("", kind, stranger=verified.certificate_name)
    statement = None if verified.payload is None else parse_statement(verified.payload)
    return Item("", statement.predicate_type if statement else MANIFEST_TYPE, verified.identities, statement)


def _policy_key(name: str, pem: str | None) -> PublicKey:
    if pem is None:
        raise PolicyError(f"the key {name} of the policy was not read", "check its `file`")
    try:
        return load_public(pem, f"the key {name} of the policy")
    except EvidenceError as error:
        raise PolicyError(error.message, error.advice) from error
