"""What a caller names, opened for the gate: the signed policy, the evidence folders, the cache, the audit log.

The command line and the Python API both build their `gate.Request` from these, so that both decide alike.
"""

from __future__ import annotations

import getpass
import itertools
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from zt_gate.audit import AuditLog
from zt_gate.domain import printable
from zt_gate.errors import EvidenceError, UsageError
from zt_gate.intake.containment import refuse_inside
from zt_gate.policy.model import SCAN, LoadedPolicy
from zt_gate.scan.engines import ENGINES

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from zt_gate.scan.cache import ExaminationCache

AUDIT_KEY_VARIABLE = "ZT_GATE_AUDIT_KEY"
_MAX_SIGNATURE = 1 << 20


def scan_policy(
    targets: Sequence[Path], engines: Sequence[str], osv: Path | None, sarif: Sequence[Path]
) -> LoadedPolicy:
    """Return the built-in policy of a scan, plus the optional checks that the caller asks for.

    Raises:
        UsageError: there is no such engine, or a file lies in a target, whose author would then have written it.
    """
    if unknown := set(engines) - set(ENGINES):
        raise UsageError(f"there is no engine {min(unknown)!r}", f"engines: {', '.join(ENGINES)}")
    policy = SCAN.with_opinions("scan", list(engines)) if engines else SCAN
    if osv is not None:
        for target in targets:
            refuse_inside(osv, target, "OSV database")
        policy = policy.with_opinions("scan", ["vulnerabilities"], "required")
    if sarif:
        policy = policy.with_opinions("scan", ["sarif"])
    for path, target in itertools.product(sarif, targets):
        refuse_inside(path, target, "SARIF file")
    return policy


def verify_policy_signature(loaded: LoadedPolicy, reference: str, keys: Sequence[Path] | None) -> LoadedPolicy:
    """Return the policy with the result of verifying its signature; unchanged where no key is named.

    A bad signature is not an error here: the result is part of the policy, and the judge blocks on it.

    Args:
        loaded: the policy as it was loaded.
        reference: the file that it was loaded from; its signature lies in `FILE.dsse.json`.
        keys: public key files, of which one has to have signed the policy.

    Raises:
        UsageError: a pack has no signature of its own.
        EvidenceError: a key, or the signature that is there, cannot be read.
    """
    if not keys:
        return loaded
    from zt_gate.policy.load import PACK_PREFIX
    from zt_gate.trust.signatures.keys import load_public, read_key_file
    from zt_gate.trust.statements.policy_signature import signature_file, verify_policy

    if reference.startswith(PACK_PREFIX):
        raise UsageError(f"{printable(reference)} has no signature", "extend it in a policy file, and sign that")
    public = [load_public(read_key_file(path), printable(path)) for path in keys]
    return replace(loaded, signature=verify_policy(loaded, _signature(signature_file(Path(reference))), public))


def evidence_folders(target: Path, named: Sequence[Path] | None) -> list[Path]:
    """Return the folders of signed statements: those that were named, or `TARGET.evidence` where that exists."""
    if named is not None:
        return list(named)
    from zt_gate.trust.evidence_folder import evidence_folder

    folder = evidence_folder(target)
    return [folder] if folder.is_dir() else []


@contextmanager
def open_cache(folder: Path | None, targets: Sequence[Path]) -> Iterator[ExaminationCache | None]:
    """Yield the cache of examinations in a folder; None where no folder was named.

    Raises:
        UsageError: it lies inside a target, whose author would be the author of its key, or others can write to it.
        ToolError: it cannot be used.
    """
    if folder is None:
        yield None
        return
    from zt_gate.scan.cache import ExaminationCache

    place = folder.resolve()
    if any(place.is_relative_to(target.resolve()) for target in targets):
        raise UsageError(
            f"the cache {printable(folder)} lies inside the target",
            "keep it where the model's author cannot write",
        )
    opened = ExaminationCache(folder)
    try:
        yield opened
    finally:
        opened.close()


def open_audit_log(path: Path | None, key: Path | None) -> AuditLog | None:
    """Return the audit log that was named, or None.

    Args:
        path: the log; None where none was named.
        key: the private key for its checkpoints; the file that `ZT_GATE_AUDIT_KEY` names where it is None.

    Raises:
        UsageError: a key without a log.
        EvidenceError: the key cannot be used.
    """
    if path is None:
        if key is not None:
            raise UsageError("--audit-key signs a log, and none was named", "add --audit-log FILE")
        return None
    named = key or (Path(os.environ[AUDIT_KEY_VARIABLE]) if os.environ.get(AUDIT_KEY_VARIABLE) else None)
    return AuditLog(path, _private_key(named) if named is not None else None)


def not_ed25519(path: Path) -> EvidenceError:
    """Return the error for a key of another type: checkpoints (C2SP tlog-checkpoint) are signed with Ed25519 alone."""
    return EvidenceError(f"{printable(path)} is not Ed25519, which checkpoints need", "make one with: zt-gate keygen")


def current_actor() -> str:
    """Return who started the run, for the audit log: a claim of the CI system or of this machine, not verified."""
    # In Jenkins, BUILD_USER_ID comes from the plugin Build User Vars.
    for variable in ("GITHUB_ACTOR", "GITLAB_USER_LOGIN", "BUILD_USER_ID"):
        if os.environ.get(variable):
            return f"{variable}:{os.environ[variable]}"
    try:
        return f"user:{getpass.getuser()}"
    except (KeyError, OSError):
        return f"uid:{os.getuid()}"


def _signature(path: Path) -> bytes | None:
    try:
        with open(path, "rb", opener=_open_without_waiting) as stream:
            return stream.read(_MAX_SIGNATURE + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise EvidenceError(f"cannot read {printable(path)}: {error.strerror}", "check the file") from None


def _open_without_waiting(path: str, flags: int) -> int:
    # Opening a named pipe in place of the signature would wait for a writer for ever.
    return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)


def _private_key(path: Path) -> Ed25519PrivateKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from zt_gate.trust.signatures.keys import load_private, passphrase_from, read_key_file

    key = load_private(read_key_file(path), passphrase_from(os.environ), printable(path)).crypto
    if not isinstance(key, Ed25519PrivateKey):
        raise not_ed25519(path)
    return key
