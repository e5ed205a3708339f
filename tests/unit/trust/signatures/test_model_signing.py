"""OpenSSF Model Signing bundles: made here and verified by the real package, made there and verified here."""

from __future__ import annotations

import json
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from tests.support.authority import Authority
from tests.support.oms import MEANT, NOW, judge, payload_of, resigned, rules, theirs, they_accept, write_model
from zt_gate.domain import Digest, Entry, Manifest, Mode, Status, Subject
from zt_gate.errors import EvidenceError
from zt_gate.intake import Freeze, freeze
from zt_gate.policy.requirements import ModelSigning
from zt_gate.policy.trust_roots import Certificate, Identity, Trust, TrustedRoot
from zt_gate.trust.signatures.bundle_without_log import certified_bundle
from zt_gate.trust.signatures.envelope import sign_payload
from zt_gate.trust.signatures.keys import KeyType, PrivateKey, generate
from zt_gate.trust.signatures.model_signing import model_bundle, model_statement
from zt_gate.trust.statements.statement import manifest_statement

KEY = generate(KeyType.ECDSA)


@pytest.fixture
def model(tmp_path):
    return write_model(tmp_path / "model")


def ours(model, key: PrivateKey = KEY) -> bytes:
    with freeze([str(model)], Freeze.HOLD) as frozen:
        statement = model_statement(frozen.subject, single_file=model.is_file())
    return model_bundle(sign_payload(statement, key), key.public)


@pytest.mark.parametrize("part", ["", "config.json"])
def test_what_they_sign_verifies_here(model, part) -> None:
    target = model / part
    evidence = judge(target, theirs(target, KEY), KEY)
    assert (evidence.status, evidence.metrics["signers"]) == (Status.PASS, "release")


@pytest.mark.parametrize("part", ["", "config.json"])
def test_what_is_signed_here_verifies_there_and_here(model, part) -> None:
    target = model / part
    bundle = ours(target)
    assert they_accept(target, bundle, KEY)
    assert judge(target, bundle, KEY).status is Status.PASS
    target.joinpath("config.json" if not part else "").write_text("changed")
    assert not they_accept(target, bundle, KEY)
    assert judge(target, bundle, KEY).status is Status.FAIL


def test_both_write_the_same_statement(model) -> None:
    here, there = payload_of(ours(model)), payload_of(theirs(model, KEY))
    there["predicate"]["serialization"].pop("ignore_paths")
    assert here == there


@pytest.mark.parametrize("curve", ["SECP256R1", "SECP384R1"])
def test_both_curves_verify_both_ways(model, curve) -> None:
    from cryptography.hazmat.primitives import serialization as s
    from cryptography.hazmat.primitives.asymmetric import ec

    from zt_gate.trust.signatures.keys import load_private

    crypto = ec.generate_private_key(getattr(ec, curve)())
    key = load_private(crypto.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, s.NoEncryption()))
    assert they_accept(model, ours(model, key), key)
    assert judge(model, theirs(model, key), key).status is Status.PASS


@pytest.fixture
def house(tmp_path):
    root = Authority(NOW, "root")
    leaf = root.issue(KEY.crypto, "release")
    paths = tmp_path / "leaf.pem", tmp_path / "root.pem"
    for path, certificate in zip(paths, (leaf, root.certificate), strict=True):
        path.write_bytes(certificate.public_bytes(Encoding.PEM))
    trust = Trust(certificates=(Certificate(id="house", subject="CN=release", pem=root.pem),))
    return trust, paths, [item.public_bytes(Encoding.DER) for item in (leaf, root.certificate)]


def test_certificates_verify_both_ways(model, house) -> None:
    trust, paths, chain = house
    assert judge(model, theirs(model, KEY, paths), trust).metrics["signers"] == "house"
    with freeze([str(model)], Freeze.HOLD) as frozen:
        envelope = sign_payload(model_statement(frozen.subject, single_file=False), KEY)
    bundle = model_bundle(certified_bundle(envelope, KEY.public, chain), KEY.public)
    assert they_accept(model, bundle, KEY, paths[1:])
    assert judge(model, bundle, trust).status is Status.PASS
    assert judge(model, bundle, trust, now=NOW + timedelta(days=4000)).status is Status.FAIL


def test_a_certificate_of_another_key_is_not_put_into_a_bundle(house) -> None:
    with pytest.raises(EvidenceError, match="not that of the signing key"):
        certified_bundle(b"{}", generate(KeyType.ECDSA).public, house[2])


def test_a_certificate_where_the_policy_lists_none_is_a_stranger_s(model, house) -> None:
    assert "SIG-003" in rules(judge(model, theirs(model, KEY, house[1]), KEY))


def test_a_sigstore_bundle_with_a_model_statement_verifies(model, world) -> None:
    who, issuer = "https://forge.test/acme/models/release.yml@refs/heads/main", "https://token.actions.test"
    with freeze([str(model)], Freeze.HOLD) as frozen:
        statement = model_statement(frozen.subject, single_file=False)
    bundle = json.dumps(world.sigstore.sign_statement(statement, who, issuer)).encode()
    root = TrustedRoot(file="root", sha256="0" * 64, json_text=world.sigstore.trusted_root())
    trust = Trust(identities=(Identity(id="ci", issuer=issuer, subject=who),), trusted_root=root)
    assert judge(model, bundle, trust).status is Status.PASS
    (model / "config.json").write_text("changed")
    assert rules(judge(model, bundle, trust)) == {"SIG-001", "SIG-004"}


def test_a_policy_that_does_not_ask_for_them_accepts_none(model) -> None:
    evidence = judge(model, ours(model), KEY, allowed=None)
    assert evidence.status is not Status.PASS
    assert any("which the policy does not accept" in gap.reason for gap in evidence.gaps)


def test_a_stranger_s_bundle_is_named_as_such(model) -> None:
    evidence = judge(model, ours(model, generate(KeyType.ECDSA)), KEY)
    assert rules(evidence) == {"SIG-003", "SIG-004"}


def test_every_difference_is_named_with_its_path(model) -> None:
    bundle = ours(model)
    (model / "config.json").write_text("changed")
    (model / "code" / "load.py").unlink()
    (model / "extra.py").write_text("pass")
    found = {(finding.rule, finding.path) for finding in judge(model, bundle, KEY).findings if finding.path}
    assert found >= {("SIG-001", "config.json"), ("SIG-001", "code/load.py"), ("SIG-006", "extra.py")}


def test_what_the_policy_says_may_be_unsigned_is_let_through_and_nothing_else(model) -> None:
    bundle = ours(model)
    (model / "docs").mkdir()
    (model / "docs" / "a.md").write_text("a")
    (model / "README.md").write_text("r")
    assert judge(model, bundle, KEY, ModelSigning(("docs/", "README.md"))).status is Status.PASS
    for unsigned in (("docs/",), ("README.md",), ("doc", "README.md"), ("docs", "README.md"), ("docs/a", "README.md")):
        assert "SIG-006" in rules(judge(model, bundle, KEY, ModelSigning(unsigned)))
    (model / "config.json").write_text("changed")
    named = ModelSigning(("docs/", "README.md", "config.json"))
    assert "SIG-001" in rules(judge(model, bundle, KEY, named)), "what the bundle names must hold all the same"


@pytest.mark.parametrize(
    "how", [{"shard_size": 1000}, {"hashing_algorithm": "blake3"}, {"hashing_algorithm": "blake2"}]
)
def test_shards_and_other_digests_are_a_gap_with_the_remedy(model, how) -> None:
    evidence = judge(model, theirs(model, KEY, **how), KEY)
    assert any("compared here" in gap.reason and "sha256" in gap.fix for gap in evidence.gaps)
    assert evidence.status is not Status.PASS


def set_root(payload) -> None:
    import hashlib

    digests = [bytes.fromhex(item["digest"]) for item in payload["predicate"]["resources"]]
    payload["subject"][0]["digest"]["sha256"] = hashlib.sha256(b"".join(digests)).hexdigest()


def rename(name):
    return lambda payload: payload["predicate"]["resources"][0].update(name=name)


def repeat(payload) -> None:
    payload["predicate"]["resources"].append(payload["predicate"]["resources"][0])
    set_root(payload)


@pytest.mark.parametrize(
    "change",
    [
        *(rename(name) for name in ("../config.json", "/config.json", "code//load.py", "./code/load.py", "", ".")),
        *(rename(name) for name in ("code\\load.py", "code/../config.json", "cafe\u0301.py", "a\nb", "a\u202eb", "a/")),
        repeat,
        lambda payload: payload["predicate"]["resources"].reverse(),
        lambda payload: payload["predicate"]["resources"].pop(),
        lambda payload: payload["predicate"].update(resources=[]),
        lambda payload: payload["predicate"].pop("resources"),
        lambda payload: payload["predicate"].update(resources={"a": 1}),
        lambda payload: payload["predicate"].pop("serialization"),
        lambda payload: payload["predicate"]["serialization"].update(ignore_paths="all"),
        lambda payload: payload["predicate"]["resources"][0].update(digest="00"),
        lambda payload: payload["predicate"]["resources"][0].update(digest=7),
        lambda payload: payload["predicate"]["resources"][0].update(algorithm="sha512"),
        lambda payload: payload["subject"].append(payload["subject"][0]),
        lambda payload: payload["subject"][0]["digest"].update(sha256="00" * 32),
        lambda payload: payload.update(predicateType="https://model_signing/Digests/v0.1"),
    ],
)
def test_a_signed_statement_that_contradicts_itself_is_refused(model, change) -> None:
    evidence = judge(model, resigned(theirs(model, KEY), KEY, change), KEY)
    assert rules(evidence) == {"SIG-004", "SIG-005"}


def test_an_honest_statement_signed_anew_still_verifies(model) -> None:
    assert judge(model, resigned(theirs(model, KEY), KEY, lambda payload: None), KEY).status is Status.PASS


def test_many_differences_are_bounded(model) -> None:
    bundle = ours(model)
    for number in range(50):
        (model / f"extra{number}").write_text("x")
    findings = judge(model, bundle, KEY).findings
    assert len(findings) == 22
    assert any("30 more paths" in finding.message for finding in findings)


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        (Entry(".github/a.py", 1, Mode.FILE, "00" * 32), "verifiers never look"),
        (Entry(".gitattributes", 1, Mode.FILE, "00" * 32), "verifiers never look"),
        (Entry("run.sh", 1, Mode.EXECUTABLE, "00" * 32), "executable"),
        (Entry("empty", 0, Mode.DIRECTORY, Digest.of(b"").hex), "empty folder"),
    ],
)
def test_what_they_would_not_look_at_is_not_signed_in_their_format(entry, why) -> None:
    subject = Subject("m", Manifest.of([Entry("w", 1, Mode.FILE, "11" * 32), entry]))
    with pytest.raises(EvidenceError, match=why):
        model_statement(subject, single_file=False)


def test_an_ed25519_key_is_not_one_of_theirs() -> None:
    key = generate()
    with pytest.raises(EvidenceError, match="ECDSA"):
        model_bundle(sign_payload(manifest_statement(Subject("m", Manifest(()))), key), key.public)


def test_no_policy_that_is_meant_is_loose() -> None:
    assert MEANT.unsigned == ()
