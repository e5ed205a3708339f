"""Bundles of the private Sigstore before a second, unrelated verifier: npm's `@sigstore/verify`.

Both verifiers must agree, on good bundles and on bad ones. Where node is absent or npm cannot fetch the four pinned
packages, the test says so and is skipped.
"""

from __future__ import annotations

import base64
import copy
import json
import os
import re
import shutil
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from asn1crypto import tsp

from tests.support.private_sigstore import PrivateSigstore
from zt_gate.errors import EvidenceError
from zt_gate.policy.trust_roots import Identity, TrustedRoot
from zt_gate.trust.signatures.sigstore_bundle import bundle_verifier

ROOT = Path(__file__).parents[2]
PINNED = ROOT / "tests" / "support" / "npm"
INSTALLED = ROOT / "build" / "npm"
NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
ISSUER = "https://token.actions.test"
WORKFLOW = "https://forge.test/acme/models/release.yml@refs/heads/main"
STAMPS = "timestampVerificationData"
ARTIFACT = b"the bytes that are signed"
PAYLOAD = b'{"_type":"https://in-toto.io/Statement/v1","subject":[],"predicateType":"t:1","predicate":{}}'


def node_version() -> tuple[int, ...]:
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("node and npm are not installed, so there is no second verifier")
    shown = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout
    return tuple(int(part) for part in re.findall(r"\d+", shown)[:2])


@pytest.fixture(scope="module")
def second_verifier() -> Path:
    version = node_version()
    if not ((18, 17) <= version < (19,) or version >= (20, 5)):
        pytest.skip(f"the second verifier needs node 18.17 or 20.5 and later, and this is {version[0]}.{version[1]}")
    lock = (PINNED / "package-lock.json").read_bytes()
    if not (INSTALLED / "done").is_file() or (INSTALLED / "done").read_bytes() != lock:
        shutil.rmtree(INSTALLED, ignore_errors=True)
        INSTALLED.mkdir(parents=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(PINNED / name, INSTALLED / name)
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        try:
            done = subprocess.run(command, cwd=INSTALLED, capture_output=True, text=True, timeout=120, check=False)
        except subprocess.TimeoutExpired:
            pytest.skip("npm did not fetch the second verifier within two minutes")
        if done.returncode:
            pytest.skip(f"npm cannot fetch the second verifier: {done.stderr.strip()[:200]}")
        (INSTALLED / "done").write_bytes(lock)
    return INSTALLED


def ask(second_verifier, tmp_path, root, cases) -> list[str]:
    request = tmp_path / "request.json"
    request.write_text(json.dumps({"root": json.loads(root), "cases": cases}))
    command = ["node", str(PINNED / "verify.js"), str(second_verifier), str(request)]
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True, env=environment)
    return json.loads(done.stdout)


def ours(root, case) -> bool:
    identity = Identity(id="x", issuer=case["issuer"], subject=case["subject"])
    verifier = bundle_verifier(TrustedRoot(file="root", sha256="0" * 64, json_text=root), [identity], NOW)
    artifact = b"" if case["artifact"] is None else base64.b64decode(case["artifact"])
    try:
        return bool(verifier.verify(case["bundle"], artifact).identities)
    except EvidenceError:
        return False


def changed(bundle, *place):
    """Flip a bit in the middle of a base64 text."""
    copied = copy.deepcopy(bundle)
    holder = copied
    for step in place[:-1]:
        holder = holder[step]
    data = bytearray(base64.b64decode(holder[place[-1]]))
    data[len(data) // 2] ^= 1
    holder[place[-1]] = base64.b64encode(data).decode()
    return copied


def cases(sigstore) -> tuple[list[dict], list[dict]]:
    """Good cases, and bad ones."""
    sigstore.sign_artifact(b"somebody else's entry, so that inclusion proofs are not empty", WORKFLOW, ISSUER)
    envelope = sigstore.sign_statement(PAYLOAD, WORKFLOW, ISSUER)
    message = sigstore.sign_artifact(ARTIFACT, WORKFLOW, ISSUER)
    stamped = sigstore.sign_statement(PAYLOAD, WORKFLOW, ISSUER, stamped=True)
    other_stamp = copy.deepcopy(stamped)
    token = base64.b64encode(sigstore.timestamps.stamp(b"another signature", NOW)).decode()
    material = other_stamp["verificationMaterial"]
    material["timestampVerificationData"] = {"rfc3161Timestamps": [{"signedTimestamp": token}]}
    late = sigstore.sign_statement(PAYLOAD, WORKFLOW, ISSUER, NOW - timedelta(days=2))
    stranger = PrivateSigstore(NOW).sign_statement(PAYLOAD, WORKFLOW, ISSUER)

    def case(bundle, artifact=None, subject=WORKFLOW, issuer=ISSUER):
        text = None if artifact is None else base64.b64encode(artifact).decode()
        return {"bundle": bundle, "artifact": text, "subject": subject, "issuer": issuer}

    entry = ("verificationMaterial", "tlogEntries", 0)
    good = [case(envelope), case(message, ARTIFACT), case(stamped)]
    bad = [
        case(message, ARTIFACT + b"!"),
        case(envelope, subject=WORKFLOW + "x"),
        case(envelope, issuer=ISSUER + "/x"),
        case(late),
        case(stranger),
        case(changed(envelope, "dsseEnvelope", "payload")),
        case(changed(envelope, "dsseEnvelope", "signatures", 0, "sig")),
        case(changed(message, "messageSignature", "signature"), ARTIFACT),
        case(changed(envelope, *entry, "inclusionProof", "rootHash")),
        case(changed(envelope, *entry, "inclusionProof", "hashes", 0)),
        case(changed(envelope, *entry, "inclusionPromise", "signedEntryTimestamp")),
        case(changed(envelope, *entry, "canonicalizedBody")),
        case(changed(envelope, "verificationMaterial", "certificate", "rawBytes")),
        case(other_stamp),
    ]
    return good, bad


def test_one_known_difference_a_changed_certificate_inside_a_timestamp_is_refused_here_alone(
    second_verifier, tmp_path
) -> None:
    """No signature covers that certificate. They leave it unread; here the token as a whole has to be sound."""
    sigstore = PrivateSigstore(NOW)
    bundle = sigstore.sign_statement(PAYLOAD, WORKFLOW, ISSUER, stamped=True)
    token = base64.b64decode(bundle["verificationMaterial"][STAMPS]["rfc3161Timestamps"][0]["signedTimestamp"])
    certificate = tsp.TimeStampResp.load(token)["time_stamp_token"]["content"]["certificates"].dump()
    at = token.index(certificate) + len(certificate) // 2
    changed = token[:at] + bytes([token[at] ^ 1]) + token[at + 1 :]
    text = base64.b64encode(changed).decode()
    bundle["verificationMaterial"][STAMPS] = {"rfc3161Timestamps": [{"signedTimestamp": text}]}
    case = {"bundle": bundle, "artifact": None, "subject": WORKFLOW, "issuer": ISSUER}
    assert ask(second_verifier, tmp_path, sigstore.trusted_root(), [case]) == ["verified"]
    assert not ours(sigstore.trusted_root(), case)


def test_both_verifiers_agree_on_good_and_bad_bundles(second_verifier, tmp_path) -> None:
    sigstore = PrivateSigstore(NOW)
    good, bad = cases(sigstore)
    theirs = ask(second_verifier, tmp_path, sigstore.trusted_root(), good + bad)
    assert theirs[: len(good)] == ["verified"] * len(good)
    assert "verified" not in theirs[len(good) :]
    assert [ours(sigstore.trusted_root(), case) for case in good + bad] == [True] * len(good) + [False] * len(bad)
