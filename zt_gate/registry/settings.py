"""How a registry server is told what to enforce, by environment variables: a policy, an audit log, and so on.

Every worker reads them by itself, and again when a file changes; so it does with the files that the policy names. What
cannot be read closes the protected names, and nothing else: the trouble is a sentence for whoever asks.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from zt_gate.audit import AuditLog
from zt_gate.domain import printable
from zt_gate.errors import UsageError, ZtGateError
from zt_gate.intake.sealed import SealedPlace, sealed_place
from zt_gate.policy.fields import parse_instant
from zt_gate.policy.load import load_policy
from zt_gate.policy.model import LoadedPolicy
from zt_gate.policy.requirements import Act
from zt_gate.policy.trust_roots import Revocations
from zt_gate.registry.protected import DEFAULT, Protected
from zt_gate.trust.signatures.keys import PublicKey, load_private, load_public, passphrase_from, read_key_file
from zt_gate.trust.statements.policy_signature import signature_file, verify_policy

POLICY = "ZT_GATE_POLICY"
POLICY_KEY = "ZT_GATE_POLICY_KEY"
AUDIT_LOG = "ZT_GATE_AUDIT_LOG"
AUDIT_KEY = "ZT_GATE_AUDIT_KEY"
REVOCATIONS = "ZT_GATE_REVOCATIONS"
SEALED = "ZT_GATE_SEALED"
"""The root of the sealed copies: a folder, or `s3://BUCKET/PREFIX`."""
_MAX_LIST = 64 << 20

Stamp = tuple[int, ...]


@dataclass(frozen=True)
class Rules:
    """What holds at the moment."""

    protected: Protected
    trouble: str = ""
    """Why nothing protected is let through; empty as a rule."""
    loaded: LoadedPolicy | None = None
    keys: tuple[PublicKey, ...] = ()
    """Of the gates whose verdicts count."""
    revokers: tuple[PublicKey, ...] = ()

    def trouble_at(self, now: datetime) -> str:
        """Return why nothing protected is let through at a time; empty as a rule."""
        expires = self.loaded.policy.metadata.expires if self.loaded is not None else None
        if not self.trouble and expires is not None and now >= parse_instant(expires):
            return f"the policy expired at {expires}"
        return self.trouble

    @property
    def revocations(self) -> Revocations | None:
        """What the policy demands of a revocation list; None where it demands none."""
        return self.loaded.policy.trust.revocations if self.loaded is not None else None


class ServerSettings:
    """The server's settings, read again whenever a file changed.

    Args:
        environment: the variables; the process's own as a rule.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._lock = threading.Lock()
        self._rules: tuple[dict[Path, Stamp], Rules] | None = None
        self._revoked: tuple[Stamp, bytes] | None = None

    def rules(self) -> Rules:
        """Return the rules that hold; never raises, since what cannot be read is said in `trouble`."""
        reference = self._environment.get(POLICY, "")
        if not reference:
            return Rules(DEFAULT, f"the server has no policy; set {POLICY}")
        with self._lock:
            if self._rules is None or any(_stamp(path) != stamp for path, stamp in self._rules[0].items()):
                stamps: dict[Path, Stamp] = {}
                self._rules = (stamps, _read_rules(reference, self._environment.get(POLICY_KEY, ""), stamps))
            return self._rules[1]

    def revocation_list(self) -> bytes | None:
        """Return the signed revocation list; None where none is named.

        Raises:
            OSError: it cannot be read.
        """
        named = self._environment.get(REVOCATIONS, "")
        if not named:
            return None
        stamp = _stamp(Path(named))
        with self._lock:
            if self._revoked is None or self._revoked[0] != stamp:
                with open(named, "rb") as stream:
                    self._revoked = (stamp, stream.read(_MAX_LIST))
            return self._revoked[1]

    def revocation_stamp(self) -> Stamp:
        """Return what changes whenever the revocation list does."""
        named = self._environment.get(REVOCATIONS, "")
        return _stamp(Path(named)) if named else ()

    def sealed_place(self) -> SealedPlace:
        """Return the place of the sealed copies.

        Raises:
            UsageError: none is named, or it cannot be one.
        """
        named = self._environment.get(SEALED, "")
        if not named:
            raise UsageError(f"the server has no place for sealed copies; set {SEALED}")
        loaded = self.rules().loaded
        registry = loaded.policy.registry if loaded is not None else None
        lock = registry.lock if registry is not None else None
        return sealed_place(named, lock.retention if lock is not None else None)

    def audit_log(self) -> AuditLog | None:
        """Return the audit log; None where none is named.

        Raises:
            EvidenceError: the key for its checkpoints cannot be used.
        """
        named, key = self._environment.get(AUDIT_LOG, ""), self._environment.get(AUDIT_KEY, "")
        if not named:
            return None
        if not key:
            return AuditLog(Path(named))
        private = load_private(read_key_file(Path(key)), passphrase_from(self._environment), printable(key))
        return AuditLog(Path(named), private.crypto)


def _read_rules(reference: str, signers: str, stamps: dict[Path, Stamp]) -> Rules:
    for path in [_signature(reference), *(Path(name) for name in signers.split(os.pathsep) if name)]:
        stamps[path] = _stamp(path)
    try:
        # A file is stamped before it is read, so that a change in between is seen the next time.
        loaded = load_policy(reference, lambda path: _remember_stamp(stamps, path))
        if signers:
            loaded = _with_signature(loaded, reference, signers)
    except (ZtGateError, OSError, ValueError) as error:
        return Rules(DEFAULT, f"the policy cannot be read: {printable(str(error), 90)}")
    policy = loaded.policy
    if policy.registry is None:
        return Rules(DEFAULT, "the policy has no section `registry`", loaded)
    protected = Protected.of(policy.registry)
    # The names stay protected, and nothing gets through them, until the signature verifies.
    if policy.metadata.signed and (loaded.signature is None or not loaded.signature.signers):
        why = loaded.signature.problem if loaded.signature is not None else f"set {POLICY_KEY}"
        return Rules(protected, f"the policy has to be signed: {why}", loaded)
    try:
        return Rules(protected, "", loaded, _keys(loaded, policy.registry.by, "decide"), _revokers(loaded))
    except ZtGateError as error:
        return Rules(protected, printable(error.message, 90), loaded)


def _with_signature(loaded: LoadedPolicy, reference: str, signers: str) -> LoadedPolicy:
    keys = [load_public(read_key_file(Path(name)), printable(name)) for name in signers.split(os.pathsep)]
    place = _signature(reference)
    data = place.read_bytes() if place.is_file() else None
    return replace(loaded, signature=verify_policy(loaded, data, keys))


def _revokers(loaded: LoadedPolicy) -> tuple[PublicKey, ...]:
    wanted = loaded.policy.trust.revocations
    return _keys(loaded, wanted.by, "revoke") if wanted is not None else ()


def _keys(loaded: LoadedPolicy, names: tuple[str, ...], act: Act) -> tuple[PublicKey, ...]:
    """Return the keys of those who are listed and, where the policy has roles, may do the act."""
    roles = loaded.policy.roles
    able = {name for name, role in roles.items() if act in role.may} if roles is not None else None
    listed = [key for key in loaded.policy.trust.keys if key.id in names]
    listed = [key for key in listed if able is None or able.intersection(key.roles)]
    return tuple(load_public(key.pem or "", f"the key {key.id} of the policy") for key in listed)


def _signature(reference: str) -> Path:
    return signature_file(Path(reference))


def _remember_stamp(stamps: dict[Path, Stamp], path: Path) -> None:
    stamps.setdefault(path, _stamp(path))


def _stamp(path: Path) -> Stamp:
    """Return what changes whenever a file does; zeros where there is none."""
    try:
        status = path.stat()
    except OSError:
        return (0, 0, 0, 0)
    # utime(2) can restore a time of modification, and not that of the inode's change.
    return (status.st_mtime_ns, status.st_ctime_ns, status.st_size, status.st_ino)
