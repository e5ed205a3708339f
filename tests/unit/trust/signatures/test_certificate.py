from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from asn1crypto import x509 as asn1_x509
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID

from tests.support.authority import Authority, der
from tests.support.private_sigstore import base64_text
from tests.support.timestamp_authority import TimestampAuthority
from zt_gate.cli import main
from zt_gate.domain import Evidence, Status
from zt_gate.errors import EvidenceError, PolicyError
from zt_gate.policy.requirements import Signature
from zt_gate.policy.trust_roots import Certificate, Key, Trust, TrustedRoot
from zt_gate.trust.people.signers import Signers, UndecidedError
from zt_gate.trust.signatures.envelope import Envelope
from zt_gate.trust.signatures.keys import KeyType, generate, private_pem
from zt_gate.trust.statements.statement import PAYLOAD_TYPE, manifest_statement

HOUR = timedelta(hours=1)
ECDSA = ec.ECDSA(hashes.SHA256())


@dataclass
class House:
    """A root, an intermediate, and a policy that knows one leaf under the root."""

    now: Any
    root: Authority
    between: Authority
    stamps: TimestampAuthority

    @property
    def trust(self) -> Trust:
        return Trust(certificates=(Certificate(id="house", subject="CN=release", pem=self.root.pem),))

    def of_chain(self, chain, key=None, *, trust=None, now=None, stamps=(), signed=b"signed") -> set[str]:
        signature = sign(key or self.key, b"signed")
        signers = Signers(trust or self.trust, now or self.now)
        tokens = [item.stamp(signature, at) for item, at in stamps]
        return {signer.id for signer in signers.of_chain(der(chain), signed, signature, tokens)}

    def leaf(self, by: Authority | None = None, name="release", **changes) -> list[x509.Certificate]:
        issuer = by or self.between
        return [issuer.issue(self.key, name, **changes), *([] if issuer is self.root else [issuer.certificate])]

    @property
    def key(self) -> ec.EllipticCurvePrivateKey:
        return KEY


KEY = ec.generate_private_key(ec.SECP256R1())


def sign(key, data: bytes) -> bytes:
    return key.sign(data) if isinstance(key, ed25519.Ed25519PrivateKey) else key.sign(data, hash_of(key))


def hash_of(key) -> Any:
    return ec.ECDSA(hashes.SHA384()) if isinstance(key.curve, ec.SECP384R1) else ECDSA


@pytest.fixture(scope="module")
def house(world) -> House:
    now = world.question.now
    root = Authority(now, "root")
    return House(now, root, Authority(now, "between", root), TimestampAuthority(now))


def test_a_leaf_under_the_root_or_an_intermediate_signs(house) -> None:
    assert house.of_chain(house.leaf()) == {"house"}
    assert house.of_chain(house.leaf(house.root)) == {"house"}
    assert house.of_chain([*house.leaf(), house.root.certificate]) == {"house"}


@pytest.mark.parametrize("make", [ed25519.Ed25519PrivateKey.generate, lambda: ec.generate_private_key(ec.SECP384R1())])
def test_other_modern_keys_sign_too(house, make) -> None:
    key = make()
    chain = [house.between.issue(key, "release"), house.between.certificate]
    assert house.of_chain(chain, key) == {"house"}


def test_another_name_is_nobody_of_the_policy(house) -> None:
    assert house.of_chain(house.leaf(name="Release")) == set()
    assert house.of_chain(house.leaf(name="release,CN=x")) == set()


def test_a_leaf_with_alternative_names_is_known_by_them_alone(house) -> None:
    mail = x509.RFC822Name("release@acme.test")
    by_mail = replace(house.trust.certificates[0], id="mail", subject="release@acme.test")
    trust = Trust(certificates=(*house.trust.certificates, by_mail))
    assert house.of_chain(house.leaf(alternative=[mail]), trust=trust) == {"mail"}
    two = [mail, x509.DNSName("evil.test")]
    assert house.of_chain(house.leaf(alternative=two), trust=trust) == set()


def test_a_signature_over_other_bytes_or_by_another_key_is_refused(house) -> None:
    with pytest.raises(EvidenceError, match="did not make the signature"):
        house.of_chain(house.leaf(), signed=b"other")
    with pytest.raises(EvidenceError, match="did not make the signature"):
        house.of_chain(house.leaf(), ec.generate_private_key(ec.SECP256R1()))


def test_another_authority_proves_nothing_even_when_it_bears_the_same_name(house) -> None:
    twin = Authority(house.now, "root")
    for chain in (house.leaf(twin), [*house.leaf(twin), house.root.certificate]):
        with pytest.raises(EvidenceError, match="does not lead to an authority"):
            house.of_chain(chain)
    with pytest.raises(EvidenceError, match="does not lead to an authority"):
        house.of_chain(house.leaf()[:1])  # the intermediate is left out


@pytest.mark.parametrize(
    "changes",
    [
        {"ends": -HOUR},
        {"begins": HOUR},
        {"signs_data": False},
        {"purpose": ExtendedKeyUsageOID.SERVER_AUTH},
        {"more": [(x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00"), True)]},
    ],
    ids=["expired", "not yet", "not for signing", "for servers", "unknown critical extension"],
)
def test_a_leaf_that_may_not_sign_now_is_refused(house, changes) -> None:
    times = {"begins": house.now - 2 * HOUR, "ends": house.now + 2 * HOUR}
    for name, value in changes.items():
        times[name] = house.now + value if isinstance(value, timedelta) else value
    with pytest.raises(EvidenceError, match="does not lead to an authority"):
        house.of_chain(house.leaf(**times))


def test_an_unknown_extension_that_is_not_critical_and_no_purpose_at_all_are_fine(house) -> None:
    unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")
    assert house.of_chain(house.leaf(more=[(unknown, False)], purpose=None)) == {"house"}


def test_an_issuer_that_is_no_authority_is_refused(house) -> None:
    for changes in ({"is_authority": False}, {"may_certify": False}):
        with pytest.raises(EvidenceError, match="does not lead to an authority"):
            house.of_chain(house.leaf(Authority(house.now, "impostor", house.root, **changes)))


def test_a_path_length_is_respected(house) -> None:
    short = Authority(house.now, "short", house.root, path_length=0)
    below = Authority(house.now, "below", short)
    assert house.of_chain(house.leaf(short)) == {"house"}
    with pytest.raises(EvidenceError, match="does not lead to an authority"):
        house.of_chain([*house.leaf(below), short.certificate])


def test_an_expired_root_is_no_authority_any_more(house) -> None:
    later = house.now + timedelta(days=400)
    chain = house.leaf(house.root, begins=later - HOUR, ends=later + HOUR)
    with pytest.raises(EvidenceError, match="does not lead to an authority"):
        house.of_chain(chain, now=later)


def test_weak_keys_are_refused(house) -> None:
    for key in (rsa.generate_private_key(65537, 2048), ec.generate_private_key(ec.SECP521R1())):
        chain = [house.between.issue(key, "release"), house.between.certificate]
        with pytest.raises(EvidenceError, match="neither Ed25519 nor ECDSA"):
            house.of_chain(chain)


@pytest.mark.parametrize(("digest", "accepted"), [("sha256", True), ("sha1", False)])
def test_sha1_in_a_chain_is_refused(house, digest, accepted) -> None:
    # `cryptography` makes no certificate with SHA-1, so a sound one is signed anew.
    leaf = asn1_x509.Certificate.load(der(house.leaf(house.root))[0])
    leaf["tbs_certificate"]["signature"] = leaf["signature_algorithm"] = {"algorithm": f"{digest}_ecdsa"}
    algorithm = ec.ECDSA(hashes.SHA1() if digest == "sha1" else hashes.SHA256())
    leaf["signature_value"] = house.root.key.sign(leaf["tbs_certificate"].dump(force=True), algorithm)
    signers = Signers(house.trust, house.now)
    if accepted:
        assert signers.of_chain([leaf.dump()], b"signed", sign(KEY, b"signed"))
    else:
        with pytest.raises(EvidenceError, match="does not lead to an authority"):
            signers.of_chain([leaf.dump()], b"signed", sign(KEY, b"signed"))


@pytest.mark.parametrize("chain", [[], [b""], [b"\x30\x00"], [b"x" * 100_000], [b"\x30\x03\x02\x01\x00"] * 9])
def test_what_is_no_chain_is_refused(house, chain) -> None:
    with pytest.raises(EvidenceError):
        Signers(house.trust, house.now).of_chain(chain, b"signed", b"signature")


def with_root(house: House, world, **changes) -> Trust:
    text = json.loads(world.sigstore.trusted_root())
    certificates = [{"rawBytes": base64_text(item)} for item in der(house.stamps.chain)]
    text["timestampAuthorities"][0]["certChain"]["certificates"] = certificates
    root = TrustedRoot(file="root.json", sha256="0" * 64, json_text=json.dumps(text), **changes)
    return replace(house.trust, trusted_root=root)


def test_an_expired_leaf_counts_with_a_timestamp_from_its_time(house, world) -> None:
    then = house.now - 3 * HOUR
    expired = house.leaf(begins=then - HOUR, ends=then + HOUR)
    trust = with_root(house, world)
    with pytest.raises(EvidenceError, match="does not lead to an authority"):
        house.of_chain(expired, trust=trust)
    assert house.of_chain(expired, trust=trust, stamps=[(house.stamps, then)]) == {"house"}
    for late in (house.now, then + HOUR + timedelta(seconds=1)):
        with pytest.raises(EvidenceError, match="does not lead to an authority"):
            house.of_chain(expired, trust=trust, stamps=[(house.stamps, late)])


def test_every_timestamp_must_verify_and_hold(house, world) -> None:
    trust, stranger = with_root(house, world), TimestampAuthority(house.now)
    good, now = (house.stamps, house.now), house.now
    assert house.of_chain(house.leaf(), trust=trust, stamps=[good]) == {"house"}
    with pytest.raises(EvidenceError, match="does not verify against"):
        house.of_chain(house.leaf(), trust=trust, stamps=[good, (stranger, now)])
    with pytest.raises(EvidenceError, match="does not lead"):
        house.of_chain(house.leaf(), trust=trust, stamps=[good, (house.stamps, now - 2 * HOUR)])
    with pytest.raises(EvidenceError, match="in the future"):
        house.of_chain(house.leaf(), trust=trust, stamps=[(house.stamps, now + timedelta(minutes=6))])
    with pytest.raises(EvidenceError, match="pins no trusted root"):
        house.of_chain(house.leaf(), stamps=[good])


@pytest.mark.parametrize(("hours", "in_use"), [(-30, "certificate"), (-3, "authority")])
def test_a_timestamp_from_outside_its_authoritys_time_is_refused(house, world, hours, in_use) -> None:
    """The authority's certificate begins a day before now; its use, by the root, two hours before now or long ago."""
    begins = house.now - (timedelta(days=9) if in_use == "certificate" else 2 * HOUR)
    trust = with_root(house, world)
    text = json.loads(trust.trusted_root.json_text)
    text["timestampAuthorities"][0]["validFor"] = {"start": begins.strftime("%Y-%m-%dT%H:%M:%SZ")}
    trust = replace(trust, trusted_root=replace(trust.trusted_root, json_text=json.dumps(text)))
    at = house.now + timedelta(hours=hours)
    chain = house.leaf(house.root, begins=at - HOUR, ends=house.now + HOUR)
    assert house.of_chain(chain, trust=trust, stamps=[(house.stamps, house.now)]) == {"house"}
    with pytest.raises(EvidenceError, match="does not verify against"):
        house.of_chain(chain, trust=trust, stamps=[(house.stamps, at)])


def test_a_timestamp_over_another_signature_or_none_at_all_is_refused(house, world) -> None:
    signers, signature = Signers(with_root(house, world), house.now), sign(KEY, b"signed")
    good = house.stamps.stamp(signature)
    assert signers.of_chain(der(house.leaf()), b"signed", signature, [good])
    for tokens in ([house.stamps.stamp(b"other")], [b""], [b"\x30\x00"], [good, good], [good[:-1]]):
        with pytest.raises(EvidenceError):
            signers.of_chain(der(house.leaf()), b"signed", signature, tokens)


def test_a_stale_root_leaves_a_timestamp_undecided(house, world) -> None:
    trust = with_root(house, world, fetched="2026-10-01T12:00:00Z", max_age_days=30)
    assert house.of_chain(house.leaf(), trust=trust) == {"house"}  # no timestamp, so no root is needed
    with pytest.raises(UndecidedError, match="relied on for 30 days"):
        house.of_chain(house.leaf(), trust=trust, stamps=[(house.stamps, house.now)])


def bundle(house: House, world, chain, **material) -> bytes:
    payload = manifest_statement(world.subject)
    signature = sign(KEY, Envelope(payload, ()).signed)
    certificates = [{"rawBytes": base64_text(item)} for item in der(chain)]
    envelope = {
        "payload": base64_text(payload),
        "payloadType": PAYLOAD_TYPE,
        "signatures": [{"sig": base64_text(signature)}],
    }
    value = {
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": {"x509CertificateChain": {"certificates": certificates}} | material,
        "dsseEnvelope": envelope,
    }
    return json.dumps(value).encode()


def judged(world, trust: Trust, *data: bytes, count=1) -> Evidence:
    return world.judge(Signature(by=tuple(trust.ids), count=count), *data, trust=trust)


def test_a_bundle_with_a_chain_is_a_release_signature(house, world) -> None:
    evidence = judged(world, house.trust, bundle(house, world, house.leaf()))
    assert evidence.status is Status.PASS
    assert evidence.metrics["signers"] == "house"


def test_a_strangers_certificate_is_named(house, world) -> None:
    evidence = judged(world, house.trust, bundle(house, world, house.leaf(name="mallory")))
    assert any("CN=mallory (certificate by CN=between)" in finding.message for finding in evidence.findings)
    assert {finding.rule for finding in evidence.findings} == {"SIG-003", "SIG-004"}


def test_the_policy_alone_chooses_whether_certificates_count(house, world) -> None:
    assert judged(world, world.trust, bundle(house, world, house.leaf())).status is Status.FAIL
    both = replace(world.trust, certificates=house.trust.certificates)
    assert judged(world, both, bundle(house, world, house.leaf())).status is Status.PASS
    assert judged(world, both, world.bundle()).status is Status.PASS


def test_one_certificate_that_is_an_identity_as_well_counts_once(world) -> None:
    pem = world.sigstore.authority_pem()
    workflow = world.trust.identities[0].subject
    trust = Trust(
        certificates=(Certificate(id="chain", subject=workflow, pem=pem),),
        identities=world.trust.identities,
        trusted_root=world.trust.trusted_root,
    )
    assert judged(world, trust, world.bundle()).status is Status.PASS
    assert judged(world, trust, world.bundle(), count=2).status is Status.FAIL


def test_one_key_with_certificates_for_two_persons_counts_once(world, house) -> None:
    other = replace(house.trust.certificates[0], id="other", subject="CN=other")
    trust = replace(house.trust, certificates=(*house.trust.certificates, other))
    first = bundle(house, world, house.leaf())
    same = bundle(house, world, house.leaf(name="other"))
    assert judged(world, trust, first, same).status is Status.PASS
    assert judged(world, trust, first, same, count=2).status is Status.FAIL
    pem = house.key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    listed = replace(house.trust, keys=(Key(id="bob", pem=pem),))
    plain = json.dumps(json.loads(first)["dsseEnvelope"]).encode()
    assert judged(world, listed, plain).metrics["signers"] == "bob"
    assert judged(world, listed, first, plain, count=2).status is Status.FAIL


def test_one_name_that_is_a_certificate_and_an_identity_is_one_person(world, house) -> None:
    # The same signature could be brought twice, once as each, where the policy pins Fulcio's own authority.
    entry = replace(house.trust.certificates[0], subject=world.trust.identities[0].subject)
    trust = replace(world.trust, certificates=(entry,))
    signers = Signers(trust, house.now)
    chain = [house.between.issue(KEY, "", alternative=[x509.UniformResourceIdentifier(entry.subject)])]
    (by_chain,) = signers.of_chain(der([*chain, house.between.certificate]), b"signed", sign(KEY, b"signed"))
    (by_identity,) = signers.of_bundle(signers.bundles.verify(json.loads(world.bundle()), b""))
    assert by_chain.id != by_identity.id
    assert by_chain.person == by_identity.person
    with pytest.raises(PolicyError, match="registered for two persons"):
        Signers(replace(trust, certificates=(replace(entry, person="ann"),)), house.now)


@pytest.mark.parametrize(
    "material",
    [
        {"x509CertificateChain": {"certificates": {}}},
        {"x509CertificateChain": {"certificates": [{"rawBytes": "***"}]}},
        {"x509CertificateChain": []},
        {"x509CertificateChain": None},
        {"certificate": {"rawBytes": "AAAA"}},
        {"timestampVerificationData": {"rfc3161Timestamps": [{"signedTimestamp": "AAAA"}]}},
        {"timestampVerificationData": {"rfc3161Timestamps": {"a": 1}}},
        {"timestampVerificationData": [1]},
    ],
)
def test_a_malformed_bundle_is_refused_and_never_a_fault(house, world, material) -> None:
    evidence = judged(world, house.trust, bundle(house, world, house.leaf(), **material))
    assert evidence.status is Status.FAIL
    assert "SIG-002" in {finding.rule for finding in evidence.findings}


def test_a_second_signature_beside_a_certificate_is_refused(house, world) -> None:
    value = json.loads(bundle(house, world, house.leaf()))
    value["dsseEnvelope"]["signatures"] *= 2
    assert judged(world, house.trust, json.dumps(value).encode()).status is Status.FAIL


def test_an_authority_that_is_no_certificate_is_an_error_of_the_policy(house, world) -> None:
    trust = Trust(certificates=(Certificate(id="release", subject="CN=x", pem="nothing"),))
    with pytest.raises(PolicyError, match="holds no certificates"):
        judged(world, trust, bundle(house, world, house.leaf()))


@pytest.mark.parametrize(("seconds", "status"), [(-1, Status.PASS), (0, Status.PASS), (1, Status.INCOMPLETE)])
def test_a_trusted_root_is_relied_on_for_its_days_and_then_leaves_a_gap(world, seconds, status) -> None:
    fetched = world.question.now - timedelta(days=30, seconds=seconds)
    root = replace(world.trust.trusted_root, fetched=fetched.strftime("%Y-%m-%dT%H:%M:%SZ"), max_age_days=30)
    trust = replace(world.trust, trusted_root=root)
    evidence = world.judge(Signature(by=("ci",)), world.bundle(), trust=trust)
    assert evidence.status is status
    if status is Status.INCOMPLETE:
        assert "was fetched on 2026-10-02T11:59:59Z and is relied on for 30 days" in evidence.gaps[0].reason
        assert "compare the file with its source" in evidence.gaps[0].fix


def test_a_stale_root_does_not_matter_where_keys_suffice(world) -> None:
    root = replace(world.trust.trusted_root, fetched="2020-01-01T00:00:00Z", max_age_days=30)
    trust = replace(world.trust, trusted_root=root)
    wanted = Signature(by=("ci", "release"))
    assert world.judge(wanted, world.bundle(), world.manifest(world.release), trust=trust).status is Status.PASS


def test_a_root_that_was_fetched_in_the_future_is_not_relied_on(world) -> None:
    root = replace(world.trust.trusted_root, fetched="2027-01-01T00:00:00Z", max_age_days=30)
    trust = replace(world.trust, trusted_root=root)
    assert world.judge(Signature(by=("ci",)), world.bundle(), trust=trust).status is Status.INCOMPLETE


def test_a_release_signed_with_a_certificate_is_verified_by_its_authority(tmp_path, monkeypatch, capsys) -> None:
    now = datetime.now(UTC)
    root = Authority(now, "root")
    key = generate(KeyType.ECDSA)
    leaf = root.issue(key.crypto, "release")
    (tmp_path / "team.key").write_bytes(private_pem(key))
    (tmp_path / "team.crt").write_bytes(leaf.public_bytes(Encoding.PEM))
    (tmp_path / "root.crt").write_text(root.pem)
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "weights.bin").write_bytes(b"abc")
    release, authority = str(tmp_path / "model"), ["--certificate-authority", str(tmp_path / "root.crt")]
    signing = ["--key", str(tmp_path / "team.key"), "--certificate", str(tmp_path / "team.crt")]
    assert main(["sign", release, *signing]) == 0
    assert main(["verify", release, *authority, "--subject", "CN=release"]) == 0
    assert main(["verify", release, *authority, "--subject", "CN=other"]) == 1
    assert main(["verify", release, *authority]) == 2
    assert main(["verify", release, *authority, "--subject", "CN=release", "--issuer", "x"]) == 2
    out = capsys.readouterr()
    assert "signed by CN=release (under " in out.out
    assert "--certificate-authority needs --subject" in out.err
