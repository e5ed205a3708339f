"""The signers of a policy with their verifiers, and which of them are the same person."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property

from zt_gate.domain import printable
from zt_gate.errors import EvidenceError, PolicyError
from zt_gate.policy.fields import parse_instant
from zt_gate.policy.login import NeededLogin
from zt_gate.policy.people import persons_of, same_person
from zt_gate.policy.trust_roots import Entry, Trust
from zt_gate.trust.signatures.certificate import ChainVerifier, VerifiedChain, chain_verifier
from zt_gate.trust.signatures.identity import may_bear, may_overlap
from zt_gate.trust.signatures.keys import PublicKey, load_public
from zt_gate.trust.signatures.sigstore_bundle import BundleVerifier, VerifiedBundle, bundle_verifier
from zt_gate.trust.signatures.timestamp import MAX_SKEW, verified_times


@dataclass(frozen=True, slots=True, order=True)
class Signer:
    """A signer of the policy whose signature verified."""

    id: str
    """The policy's name for the entry; what `by` lists say."""
    person: str
    """The person behind the entry; two signers with the same person count once."""
    name: str
    """The key or certificate that made the signature: `key sha256:…`, or subject and issuer of a certificate."""
    key: str
    """Fingerprint of the key that made it; the entry's id where that is a key for one signature, as Sigstore's are."""
    login: NeededLogin | None = field(default=None, compare=False)
    """The login that an act of this signer must also prove."""


class UndecidedError(EvidenceError):
    """It is undecided whether a signature counts, because the policy's trusted root is out of date."""


def persons(signers: Iterable[Signer]) -> dict[str, str]:
    """Map each different person to one of their ids. Two persons with one key are one.

    As many persons count as can be given a key each. So another signature never makes them fewer.
    """
    held: dict[str, Signer] = {}
    ordered = sorted(signers)
    for person in dict.fromkeys(signer.person for signer in ordered):
        _give_key(person, ordered, held, set())
    return {signer.person: signer.id for signer in held.values()}


def _give_key(person: str, signers: Sequence[Signer], held: dict[str, Signer], tried: set[str]) -> bool:
    """Give a person one of their keys, if need be by giving its holder another one (Kuhn's matching)."""
    for signer in signers:
        if signer.person != person or signer.key in tried:
            continue
        tried.add(signer.key)
        if signer.key not in held or _give_key(held[signer.key].person, signers, held, tried):
            held[signer.key] = signer
            return True
    return False


class Signers:
    """All signers of a policy.

    Raises:
        PolicyError: a key of the policy cannot be read, two entries have one id, one key belongs to two persons, or
            an entry asks for a login at an issuer that is not pinned.
    """

    def __init__(self, trust: Trust, now: datetime) -> None:
        if len(set(trust.ids)) != len(trust.ids):
            raise PolicyError("two entries under trust have one id", "give every key and identity an id of its own")
        self._trust = trust
        self._now = now
        self._keys = {item.id: _policy_key(item.id, item.pem) for item in trust.keys}
        self._persons = _owners(trust, self._keys)
        self._logins = _logins(trust)

    @cached_property
    def keys(self) -> tuple[PublicKey, ...]:
        """The policy's keys, each once."""
        return tuple({key.id: key for key in self._keys.values()}.values())

    @cached_property
    def bundles(self) -> BundleVerifier | None:
        """The verifier of Sigstore bundles; None where the policy lists no identity.

        Raises:
            PolicyError: there are identities, and the trusted root is absent or unusable.
            UndecidedError: the trusted root is too old to be relied on.
        """
        if not self._trust.identities:
            return None
        self._require_fresh_root()
        if self._trust.trusted_root is None:
            raise PolicyError("the policy lists identities and pins no trusted root", "set trust.trusted_root")
        return bundle_verifier(self._trust.trusted_root, self._trust.identities, self._now)

    def of_keys(self, keyids: frozenset[str]) -> frozenset[Signer]:
        """Return the signers who hold keys, given the keys' fingerprints."""
        held = {name: key.id for name, key in self._keys.items() if key.id in keyids}
        return frozenset(self._signer(name, f"key sha256:{key}", key) for name, key in held.items())

    def of_bundle(self, verified: VerifiedBundle) -> frozenset[Signer]:
        """Return the signers whose identity a verified certificate shows."""
        return frozenset(self._signer(name, verified.certificate_name, name) for name in verified.identities)

    @cached_property
    def chains(self) -> ChainVerifier | None:
        """The verifier of X.509 chains; None where the policy lists no certificate.

        Raises:
            PolicyError: an authority of the policy cannot be read.
        """
        return chain_verifier(self._trust.certificates) if self._trust.certificates else None

    def of_chain(
        self, chain: Sequence[bytes], signed: bytes, signature: bytes, timestamps: Sequence[bytes] = ()
    ) -> frozenset[Signer]:
        """Return the signers whose certificate made a signature; none where the policy lists nobody of that name.

        Args:
            chain: certificates in DER, the leaf first.
            signed: the bytes that were signed, such as the PAE of an envelope.
            signature: over `signed`.
            timestamps: RFC 3161 `TimeStampResp` messages over `signature`. Without any the chain must hold now.

        Raises:
            EvidenceError: the signature, the chain or a timestamp does not verify.
            UndecidedError: there are timestamps, and the trusted root is too old to be relied on.
            PolicyError: the policy lists no certificate, or an authority cannot be read.
        """
        return self.of_entries(self.verified_chain(chain, signed, signature, timestamps))

    def of_entries(self, verified: VerifiedChain) -> frozenset[Signer]:
        """Return the signers whose name a verified chain's leaf bears."""
        return frozenset(self._signer(name, verified.name, verified.key) for name in verified.entries)

    def _signer(self, name: str, used: str, key: str) -> Signer:
        return Signer(name, self._persons[name], used, key, self._logins[name])

    def verified_chain(
        self, chain: Sequence[bytes], signed: bytes, signature: bytes, timestamps: Sequence[bytes] = ()
    ) -> VerifiedChain:
        """Verify a chain and its leaf's signature, whoever that is; arguments and errors as `of_chain`."""
        if self.chains is None:
            raise PolicyError("the policy lists no certificate", "add one under trust.certificates")
        # The authorities that stamp come from the pinned trusted root, keys and chains do not.
        if timestamps:
            self._require_fresh_root()
        times = verified_times(timestamps, signature, self._trust.trusted_root, self._now)
        return self.chains.verify(chain, signed, signature, times or [self._now])

    def _require_fresh_root(self) -> None:
        root = self._trust.trusted_root
        if root is None or root.fetched is None or root.max_age_days is None:
            return
        fetched = parse_instant(root.fetched)
        # A date of fetching that lies ahead would stretch the root's age limit as far as one likes.
        if not fetched - MAX_SKEW <= self._now <= fetched + timedelta(days=root.max_age_days):
            age = f"was fetched on {root.fetched} and is relied on for {root.max_age_days} days"
            advice = "compare the file with its source, and set trust.trusted_root.fetched and sha256 anew"
            raise UndecidedError(f"the trusted root {printable(root.file)} {age}", advice)

    def people(self) -> dict[str, tuple[str, ...]]:
        """Return the ids of each person, keyed by their joined ids."""
        owned: dict[str, list[str]] = {}
        for name, person in sorted(self._persons.items()):
            owned.setdefault(person, []).append(name)
        return {", ".join(ids): tuple(ids) for ids in owned.values()}

    def person_of(self, name: str) -> str | None:
        """Return the person behind an entry id or a `person` name; None if the policy has neither."""
        if name in self._persons:
            return self._persons[name]
        return next((self._persons[entry.id] for entry in self._trust.entries if _is_named(entry, name)), None)

    def require(self, names: Sequence[str]) -> None:
        """Check that the policy can verify the signers whom a requirement names.

        Raises:
            PolicyError: a name that `trust` does not define, or an identity without a pinned trusted root.
        """
        unknown = sorted(set(names) - set(self._trust.ids))
        if unknown:
            raise PolicyError(f"`by` names {printable(unknown[0])}, which is not under trust", "add it, or correct it")
        if self._trust.trusted_root is None and any(item.id in names for item in self._trust.identities):
            raise PolicyError("the policy lists identities and pins no trusted root", "set trust.trusted_root")


def _is_named(entry: Entry, name: str) -> bool:
    return same_person(entry.id, name) or (entry.person is not None and same_person(entry.person, name))


def _logins(trust: Trust) -> dict[str, NeededLogin | None]:
    try:
        return {entry.id: trust.login_of(entry) for entry in trust.entries}
    except ValueError as error:
        raise PolicyError(printable(str(error)), "see docs/people.md, Logins") from None


def _owners(trust: Trust, keys: dict[str, PublicKey]) -> dict[str, str]:
    """Map ids to persons. An entry is known by its key, certified name or identity, and by the name of its person.

    Entries that one certificate could match both are one person, so that no signature counts twice.
    """
    principals = {name: f"key {key.id}" for name, key in keys.items()}
    principals |= {item.id: f"certificate {item.subject}" for item in trust.certificates}
    for number, item in enumerate(trust.identities):
        # One certificate that matches two entries would otherwise count as two persons.
        same = [other.id for other in trust.identities[:number] if may_overlap(item, other)]
        same += [other.id for other in trust.certificates if may_bear(item, other.subject)]
        principals[item.id] = f"identity {item.id}"
        joined = {principals[name] for name in same}
        principals |= {name: principals[item.id] for name, old in principals.items() if old in joined}
    first: dict[str, Entry] = {}
    for entry in trust.entries:
        other = first.setdefault(principals[entry.id], entry)
        if not same_person(entry.person or "", other.person or ""):
            raise _two_persons(entry, other, principals[entry.id])
    return persons_of(trust.entries, principals)


def _two_persons(entry: Entry, other: Entry, principal: str) -> PolicyError:
    what = "are one key" if principal.startswith("key ") else "may be one certificate"
    whose = " and ".join(item.person or "nobody by name" for item in (other, entry))
    return PolicyError(
        f"{other.id} and {entry.id} {what}, registered for two persons: {whose}",
        "whoever holds it could act as both: give each person a key of their own, or both entries the same `person`",
    )


def _policy_key(name: str, pem: str | None) -> PublicKey:
    if pem is None:
        raise PolicyError(f"the key {name} of the policy was not read", "check its `file`")
    try:
        return load_public(pem, f"the key {name} of the policy")
    except EvidenceError as error:
        raise PolicyError(error.message, error.advice) from error
