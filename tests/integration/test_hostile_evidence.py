"""Hostile files in the evidence folder, through the command line: a reason, never a traceback, and bounded."""

from __future__ import annotations

import base64
import json
import os
import resource
import subprocess
import sys
import time

import pytest

from tests.support.oms import write_model
from zt_gate.cli.main import main
from zt_gate.trust.signatures.bundle_without_log import MEDIA_TYPE, keyed_bundle
from zt_gate.trust.signatures.envelope import sign_payload
from zt_gate.trust.signatures.keys import KeyType, generate, private_pem
from zt_gate.trust.statements.statement import STATEMENT_TYPE

KEY = generate(KeyType.ECDSA)
OMS = "https://model_signing/signature/v1.0"
SHA = {"sha256": "00" * 32}


def stated(**changes) -> bytes:
    """A statement, signed by the key that the policy lists: who signs may be hostile too."""
    value = {"_type": STATEMENT_TYPE, "subject": [{"name": "m", "digest": SHA}], "predicateType": OMS, "predicate": {}}
    return sign_payload(json.dumps(value | changes).encode(), KEY)


def enveloped(payload: bytes = b"{}", kind: str = "application/vnd.in-toto+json", **changes) -> bytes:
    text = base64.b64encode(payload).decode()
    value = {"payload": text, "payloadType": kind, "signatures": [{"sig": "AAAA"}]}
    return json.dumps(value | changes).encode()


def bundled(**changes) -> bytes:
    return json.dumps(json.loads(keyed_bundle(stated(), KEY.public)) | changes).encode()


def resources(names) -> dict:
    listed = [{"name": name, "algorithm": "sha256", "digest": "00" * 32} for name in names]
    return {"serialization": {"method": "files", "hash_type": "sha256"}, "resources": listed}


HOSTILE = {
    "empty": b"",
    "cut off": b'{"payload": "',
    "not text": b"\xff\xfe\x00{",
    "a list": b"[]",
    "a key twice": enveloped()[:-1] + b', "payload": "AAAA"}',
    "a key twice in the payload": enveloped(b'{"_type": 1, "_type": 2}'),
    "not a number": b'{"payload": NaN}',
    "a number of a million digits": b'{"payload": ' + b"9" * 1_000_000 + b"}",
    "nested deeply": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "nested deeply in the payload": enveloped(b"[" * 100_000),
    "another payload type": enveloped(kind="text/plain"),
    "no signature": enveloped(signatures=[]),
    "a hundred signatures": enveloped(signatures=[{"sig": "AAAA"}] * 100),
    "a signature that is a number": enveloped(signatures=[{"sig": 1}]),
    "another statement type": stated(_type="https://in-toto.io/Statement/v9"),
    "no predicate type": stated(predicateType=None),
    "ten thousand subjects": stated(subject=[{"name": str(n), "digest": SHA} for n in range(10_000)]),
    "no subject": stated(subject=[]),
    "a subject without digest": stated(subject=[{"name": "m"}]),
    "a subject with another digest": stated(subject=[{"name": "m", "digest": {"gce_image_id": "8970"}}]),
    "a hundred thousand resources": stated(predicate=resources(f"file{n}" for n in range(100_000))),
    "resources of every kind": stated(predicate={"resources": [None, 1, "a", [], {}]}),
    "a serialization of another kind": stated(predicate={"serialization": ["files"], "resources": []}),
    "an escape sequence as a name": stated(predicate=resources(["\x1b[2Ja"])),
    "a bundle of another version": bundled(mediaType="application/vnd.dev.sigstore.bundle.v9+json"),
    "a bundle without material": bundled(verificationMaterial=None),
    "a bundle with a list as material": bundled(verificationMaterial=[]),
    "a bundle with both contents": bundled(messageSignature={"signature": "AAAA"}),
    "a bundle without content": json.dumps(
        {"mediaType": MEDIA_TYPE, "verificationMaterial": {"publicKey": {}}}
    ).encode(),
    "a bundle with a text as chain": bundled(verificationMaterial={"x509CertificateChain": "a"}),
    "a bundle with a chain of nothing": bundled(verificationMaterial={"x509CertificateChain": {"certificates": []}}),
    "a bundle with log entries of every kind": bundled(verificationMaterial={"tlogEntries": [None, 1, "a", [], {}]}),
    "a key in the place of a certificate": bundled(
        verificationMaterial={"certificate": {"rawBytes": base64.b64encode(KEY.public.pem.encode()).decode()}}
    ),
}


@pytest.fixture
def release(tmp_path, monkeypatch):
    monkeypatch.delenv("ZT_GATE_PASSPHRASE", raising=False)
    monkeypatch.setenv("NO_COLOR", "1")
    (tmp_path / "k.key").write_bytes(private_pem(KEY))
    (tmp_path / "k.pub").write_text(KEY.public.pem)
    (tmp_path / "model.evidence").mkdir()
    return write_model(tmp_path / "model")


def verify(release) -> int:
    return main(["verify", str(release), "--key", str(release.with_name("k.pub"))])


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_file_is_no_signature_and_does_not_spoil_a_good_one(release, capsys, kind) -> None:
    (release.with_name("model.evidence") / "hostile.json").write_bytes(HOSTILE[kind])
    assert verify(release) == 1
    shown = capsys.readouterr()
    assert "NOT VERIFIED" in shown.out
    assert len(shown.out.splitlines()) > 1, "a refusal has a reason"
    assert "Traceback" not in shown.out + shown.err
    assert "\x1b" not in shown.out
    assert len(shown.out) < 20_000
    assert main(["sign", str(release), "--key", str(release.with_name("k.key"))]) == 0
    assert verify(release) == 0


POLICY = """\
apiVersion: zt-gate/v1
kind: Policy
metadata: {name: hostile}
trust:
  keys: [{id: release, file: k.pub}]
stages:
  production:
    checks: {artifacts: required}
    signature: {by: [release], model_signing: {unsigned: [notes.txt]}}
"""


def test_the_gate_blocks_on_hostile_files_and_allows_with_a_model_signature_beside_them(release, capsys) -> None:
    policy, folder = release.with_name("policy.yaml"), release.with_name("model.evidence")
    policy.write_text(POLICY)
    (release / "model.safetensors").unlink()
    (release / "code" / "load.py").unlink()
    (release / "code").rmdir()
    for number, data in enumerate(HOSTILE.values()):
        (folder / f"{number}.json").write_bytes(data)
    command = ["check", str(release), "--policy", str(policy), "--stage", "production"]
    assert main(command) == 1
    assert "SIG-002" in "".join(capsys.readouterr())
    assert main(["sign", str(release), "--key", str(release.with_name("k.key")), "--format", "oms"]) == 0
    (release / "notes.txt").write_text("not signed, as the policy says")
    assert main(command) == 0
    for number in range(len(HOSTILE)):
        (folder / f"{number}.json").unlink()
    (release / "more.txt").write_text("not signed")
    assert main(command) == 1
    shown = "".join(capsys.readouterr())
    assert "SIG-006" in shown
    assert "Traceback" not in shown


def limited() -> None:
    resource.setrlimit(resource.RLIMIT_AS, (2 << 30, 2 << 30))


@pytest.mark.parametrize("kind", ["payload", "certificate", "signatures", "entries"])
def test_fifty_megabytes_are_read_within_bounds_of_memory_and_time(release, kind) -> None:
    large = "A" * (50 << 20)
    bundle = json.loads(keyed_bundle(stated(), KEY.public))
    if kind == "payload":
        bundle["dsseEnvelope"]["payload"] = large
    elif kind == "certificate":
        bundle["verificationMaterial"] = {"x509CertificateChain": {"certificates": [{"rawBytes": large}]}}
    elif kind == "signatures":
        bundle["dsseEnvelope"]["signatures"] = [{"sig": large}]
    else:
        bundle["verificationMaterial"] = {"publicKey": {}, "tlogEntries": [{}] * 5_000_000}
    (release.with_name("model.evidence") / "large.json").write_text(json.dumps(bundle))
    command = [sys.executable, "-m", "zt_gate", "verify", str(release), "--key", str(release.with_name("k.pub"))]
    environment = {"PATH": os.environ["PATH"], "HOME": str(release.parent), "NO_COLOR": "1"}
    started = time.monotonic()
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=120, check=False, preexec_fn=limited
    )
    assert (done.returncode, "NOT VERIFIED" in done.stdout) == (1, True), done.stderr[-500:]
    assert "Traceback" not in done.stdout + done.stderr
    assert time.monotonic() - started < 60


def test_a_file_larger_than_any_evidence_is_refused_unread(release, capsys) -> None:
    with (release.with_name("model.evidence") / "huge.json").open("wb") as stream:
        stream.truncate(1 << 40)
    assert verify(release) == 2
    assert "evidence is not that large" in capsys.readouterr().err
