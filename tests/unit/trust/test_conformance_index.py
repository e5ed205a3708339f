"""All rows of the shared index of real signatures: accepted and rejected as their publishers say.

Run alone with: pytest -m conformance. What differs on purpose is listed in docs/signing-conformance.md, and nowhere
else.
"""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from zt_gate.codecs.strict_json import parse_object
from zt_gate.domain import Digest, Entry, Manifest, Mode, Status, Subject
from zt_gate.errors import EvidenceError
from zt_gate.intake import Freeze, freeze
from zt_gate.policy.model import Stage
from zt_gate.policy.requirements import ModelSigning, Signature
from zt_gate.policy.trust_roots import Certificate, Identity, Key, Trust, TrustedRoot
from zt_gate.trust.collect import Context, EvidenceFile, collect
from zt_gate.trust.people.signers import Signers
from zt_gate.trust.signatures.bundle_without_log import check_version, is_bundle_without_log, read_bundle_without_log
from zt_gate.trust.signatures.envelope import read_envelope, verifies
from zt_gate.trust.signatures.keys import generate, load_public
from zt_gate.trust.signatures.model_signing import read_model
from zt_gate.trust.signatures.sigstore_bundle import bundle_verifier
from zt_gate.trust.statements.statement import parse_statement
from zt_gate.trust.verify import verify_evidence_file

pytestmark = pytest.mark.conformance

ROOT = Path(__file__).parents[3]
NOW = datetime(2026, 11, 23, tzinfo=UTC)
ROWS = 94
FOREIGN_LEAF = "CN=intermediate-ca"
"""Subject of the certificate with which model-signing signs its own test models."""
ANOTHER_KEY = generate()
DIFFERENT = {"oms/v0.2.0-certificate/model.sig"}
"""Rows whose publisher says `accept`, and which are refused here; docs/signing-conformance.md says why."""


@pytest.fixture(scope="module")
def rows(data_folder) -> dict[str, dict[str, str]]:
    with (data_folder / "index.csv").open() as stream:
        return {row["path"]: row for row in csv.DictReader(stream)}


def index() -> list[str]:
    """The rows' names, for parametrisation; a placeholder where the data is absent, which the fixture then skips."""
    file = ROOT.parent / "shared" / "data" / "signing" / "index.csv"
    if not file.is_file():
        return ["(absent)"]
    with file.open() as stream:
        return [row["path"] for row in csv.DictReader(stream)]


def pinned(folder, row) -> TrustedRoot:
    text = (folder / row["trusted_root"]).read_text()
    value = json.loads(text)
    return TrustedRoot(file="root", sha256="0" * 64, json_text=json.dumps(value.get("trustedRoot", value)))


def first_line(folder, row) -> bytes:
    data = (folder / row["path"]).read_bytes()
    return data.strip().splitlines()[0] if row["path"].endswith((".jsonl", ".slsa")) else data


def logged(folder, row, identity) -> bool:
    """A Sigstore bundle: its signature and certificate, and that it is about the artifact where one is named."""
    from sigstore.hashes import HashAlgorithm, Hashed

    verifier = bundle_verifier(pinned(folder, row), [Identity(id="x", issuer=row["issuer"], subject=identity)], NOW)
    hashed = row["artifact_sha256"] or "00" * 32
    verified = verifier.verify(
        parse_object(first_line(folder, row), "the bundle", 1 << 24),
        Hashed(algorithm=HashAlgorithm.SHA2_256, digest=bytes.fromhex(hashed)),
    )
    digests = {"sha256": row["artifact_sha256"], "sha512": row["artifact_sha512"]}
    if verified.payload is not None and row["artifact_sha256"]:
        stated = json.loads(verified.payload)["subject"]
        assert any(item["digest"].get(name) == value for item in stated for name, value in digests.items()) or (
            "not this file" in row["proves"] or "not the .txt file" in row["proves"]
        )
    return bool(verified.identities)


def keyed(folder, row, _identity) -> bool:
    """A bundle that asks for a public key; the policy's is the one beside it, if any."""
    value = parse_object(first_line(folder, row), "the bundle", 1 << 24)
    check_version(value)
    assert is_bundle_without_log(value)
    bundle = read_bundle_without_log(value, (folder / row["artifact"]).read_bytes())
    keys = [load_public(path.read_bytes()) for path in (folder / row["path"]).parent.glob("key.pub")]
    return any(verifies(key, bundle.signature, bundle.signed) for key in keys)


def google(folder, row, _identity) -> bool:
    """An envelope by a bare key, whose signature is two numbers side by side."""
    key = load_public((folder / row["path"]).with_name("vsa_signing_public_key.pem").read_bytes())
    return bool(read_envelope(first_line(folder, row)).verified_by([key]))


def raw(folder, row, _identity) -> bool:
    """An envelope with a certificate in it and no log entry; nobody's, whatever the certificate says."""
    item = verify_evidence_file(
        EvidenceFile("x", first_line(folder, row)), Signers(Trust(), NOW), Subject("m", Manifest(()))
    )
    return bool(item.signers)


def model(folder, row, identity) -> bool:
    """An OpenSSF Model Signing bundle over a folder or a file, judged as a stage would."""
    data = (folder / row["path"]).read_bytes()
    keys, certificates, identities, root = (), (), (), None
    kind = Path(row["path"]).name if row["path"].startswith("oms-spec/") else Path(row["path"]).parent.name
    if "sigstore" in kind:
        subject, issuer = identity or "stefanb@us.ibm.com", row["issuer"] or "https://sigstore.verify.ibm.com/oauth2"
        identities = (Identity(id="x", issuer=issuer, subject=subject),)
        root = pinned(folder, {"trusted_root": row["trusted_root"] or "roots/prod_client_trust_config.json"})
    elif "certificate" in kind:
        named = FOREIGN_LEAF + ("x" if identity.endswith("x") else "")
        certificates = (Certificate(id="x", subject=named, pem=(folder / "oms/keys/ca-cert.pem").read_text()),)
    else:
        theirs = (folder / "oms/keys/signing-key-pub.pem").read_text()
        keys = (Key(id="x", pem=ANOTHER_KEY.public.pem if identity.endswith("x") else theirs),)
    trust = Trust(keys, certificates, identities, root)
    stage = Stage(signature=Signature(("x",), model_signing=ModelSigning(("ignore-me",))))
    question = Context(signed_subject(folder, row, data), "verify", Digest.of(b"policy"), NOW)
    (evidence,) = collect(question, stage, trust, [EvidenceFile("model.sig", data)])
    return evidence.status is Status.PASS


def signed_subject(folder, row, data) -> Subject:
    if row["artifact"]:
        with freeze([str(folder / row["artifact"])], Freeze.HOLD) as frozen:
            assert not frozen.refusals
            return frozen.subject
    try:  # a vector of the specification, whose model is not published: the digests that it names
        stated = parse_statement(read_envelope(json.dumps(json.loads(data)["dsseEnvelope"]).encode()).payload)
        files = read_model(stated).files
    except (EvidenceError, ValueError, KeyError, TypeError):
        files = {"signme-1": "00" * 32}
    return Subject("model", Manifest.of(Entry(path, 1, Mode.FILE, digest) for path, digest in files.items()))


def road(row):
    path = row["path"]
    if path.startswith("oms"):
        return model
    if "managed-key" in path:
        return keyed
    if "/vsa/" in path:
        return google
    return logged if row["identity"] else raw


def accepted(folder, row, identity) -> bool:
    try:
        return road(row)(folder, row, identity)
    except EvidenceError:
        return False


@pytest.mark.parametrize("path", index())
def test_a_real_signature_is_judged_as_its_publisher_says(data_folder, rows, path) -> None:
    row = rows[path]
    assert accepted(data_folder, row, row["identity"]) == (row["expected"] != "reject" and path not in DIFFERENT)
    if road(row) in (logged, model):
        assert not accepted(data_folder, row, (row["identity"] or "stefanb@us.ibm.com") + "x")


def test_no_row_is_left_out(rows) -> None:
    assert len(rows) == ROWS
    assert {rows[path]["expected"] for path in DIFFERENT} == {"accept"}


def test_a_signature_by_a_foreign_workflow_is_sound_and_refused_by_who_it_is(data_folder, rows) -> None:
    (row,) = [row for row in rows.values() if row["expected"] == "accept-crypto/reject-policy"]
    trusted = rows["slsa-verifier/bcr/MODULE.bazel.intoto.jsonl"]["identity"]
    assert accepted(data_folder, row, row["identity"])
    assert not accepted(data_folder, row, trusted)


def test_what_differs_is_documented() -> None:
    page = (ROOT / "docs" / "signing-conformance.md").read_text()
    assert [path for path in DIFFERENT if f"`{path}`" not in page] == []


def test_a_genuine_timestamp_of_another_signature_beside_a_good_log_entry_is_refused(data_folder, rows) -> None:
    row = rows["mock/dsse.sigstore.json"]
    verifier = bundle_verifier(
        pinned(data_folder, row), [Identity(id="x", issuer=row["issuer"], subject=row["identity"])], NOW
    )
    value = json.loads((data_folder / row["path"]).read_bytes())
    other = json.loads((data_folder / "mock/art.sigstore.json").read_bytes())
    assert verifier.verify(value, b"").identities == {"x"}
    stamps = other["verificationMaterial"]["timestampVerificationData"]
    value["verificationMaterial"]["timestampVerificationData"] = stamps
    with pytest.raises(EvidenceError, match="not every timestamp"):
        verifier.verify(value, b"")
