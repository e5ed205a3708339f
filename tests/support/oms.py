"""OpenSSF Model Signing for the tests: the real `model-signing` package on one side, our requirement on the other."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from zt_gate.domain import Digest, Evidence
from zt_gate.intake import Freeze, freeze
from zt_gate.policy.model import Stage
from zt_gate.policy.requirements import ModelSigning, Signature
from zt_gate.policy.trust_roots import Key, Trust
from zt_gate.trust.collect import Context, EvidenceFile, collect
from zt_gate.trust.signatures.bundle_without_log import keyed_bundle
from zt_gate.trust.signatures.envelope import sign_payload
from zt_gate.trust.signatures.keys import PrivateKey, private_pem

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
MEANT = ModelSigning()


def write_model(folder: Path) -> Path:
    """Write a model of three files, one of them in a folder."""
    (folder / "code").mkdir(parents=True)
    (folder / "config.json").write_text('{"a":1}')
    (folder / "model.safetensors").write_bytes(b"M" * 10)
    (folder / "code" / "load.py").write_text("pass\n")
    return folder


def theirs(model: Path, key: PrivateKey, chain: Sequence[Path] = (), **hashing: Any) -> bytes:
    """Sign with the real package, by key or by certificate, and return the bundle.

    `hashing` may hold `ignored`, `links`, and the arguments of `use_shard_serialization` or `use_file_serialization`.
    """
    from model_signing import hashing as theirs_hashing
    from model_signing import signing

    place = model.parent / f"{model.name}.theirs"
    place.mkdir(exist_ok=True)
    (place / "key.pem").write_bytes(private_pem(key))
    config = signing.Config()
    if chain:
        config.use_certificate_signer(
            private_key=place / "key.pem", signing_certificate=chain[0], certificate_chain=list(chain[1:])
        )
    else:
        config.use_elliptic_key_signer(private_key=place / "key.pem")
    how = theirs_hashing.Config()
    if ignored := hashing.pop("ignored", ()):
        how.set_ignored_paths(paths=[model / path for path in ignored])
    if hashing.pop("links", False):
        how.set_allow_symlinks(True)
    if hashing:
        (how.use_shard_serialization if "shard_size" in hashing else how.use_file_serialization)(**hashing)
    config.set_hashing_config(how).sign(model, place / "model.sig")
    return (place / "model.sig").read_bytes()


def they_accept(
    model: Path, bundle: bytes, key: PrivateKey, roots: Sequence[Path] = (), *, links: bool = False
) -> bool:
    """Whether the real package verifies a bundle over a model."""
    from model_signing import hashing as theirs_hashing
    from model_signing import verifying

    place = model.parent / f"{model.name}.verified"
    place.mkdir(exist_ok=True)
    (place / "model.sig").write_bytes(bundle)
    (place / "key.pub").write_text(key.public.pem)
    config = verifying.Config()
    if roots:
        config.use_certificate_verifier(certificate_chain=list(roots))
    else:
        config.use_elliptic_key_verifier(public_key=place / "key.pub")
    if links:
        config.set_hashing_config(theirs_hashing.Config().set_allow_symlinks(True))
    try:
        config.verify(model, place / "model.sig")
    except Exception:  # noqa: BLE001 - it raises errors of many types
        return False
    return True


def judge(
    model: Path, bundle: bytes, trust: Trust | PrivateKey, allowed: ModelSigning | None = MEANT, now: datetime = NOW
) -> Evidence:
    """Freeze the model and judge it by one bundle, under a policy that lists one signer."""
    if isinstance(trust, PrivateKey):
        trust = Trust(keys=(Key(id="release", pem=trust.public.pem),))
    stage = Stage(signature=Signature(tuple(trust.ids), model_signing=allowed))
    with freeze([str(model)], Freeze.HOLD) as frozen:
        question = Context(frozen.subject, "production", Digest.of(b"policy"), now)
        (evidence,) = collect(question, stage, trust, [EvidenceFile("model.sig", bundle)])
    return evidence


def rules(evidence: Evidence) -> set[str]:
    """The rules that fired."""
    return {finding.rule for finding in evidence.findings}


def payload_of(bundle: bytes) -> dict[str, Any]:
    """The statement in a bundle."""
    value: dict[str, Any] = json.loads(base64.b64decode(json.loads(bundle)["dsseEnvelope"]["payload"]))
    return value


def resigned(bundle: bytes, key: PrivateKey, change: Callable[[dict[str, Any]], object]) -> bytes:
    """Change the statement in a bundle and sign it anew, as a signer with other tools would."""
    payload = payload_of(bundle)
    change(payload)
    return keyed_bundle(sign_payload(json.dumps(payload).encode(), key), key.public)
