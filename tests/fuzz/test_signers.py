"""Whatever stands in a certificate, a timestamp, a bundle or a token's URI, the answer is right or refused."""

import json
from datetime import UTC, datetime, timedelta

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import example, given
from hypothesis import strategies as st

from tests.support.authority import Authority, der
from tests.support.private_sigstore import PrivateSigstore, utf8_string
from zt_gate.errors import EvidenceError, UsageError
from zt_gate.policy.trust_roots import Certificate, Identity, Trust, TrustedRoot
from zt_gate.trust.people.signers import Signers
from zt_gate.trust.signatures.identity import der_utf8
from zt_gate.trust.signatures.pkcs11 import parse_uri

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
SIGSTORE = PrivateSigstore(NOW)
ROOT = Authority(NOW, "root")
BETWEEN = Authority(NOW, "between", ROOT)
KEY = ec.generate_private_key(ec.SECP256R1())
CHAIN = der([BETWEEN.issue(KEY, "release"), BETWEEN.certificate])
SIGNED = b"signed"
SIGNATURE = KEY.sign(SIGNED, ec.ECDSA(hashes.SHA256()))
STAMP = SIGSTORE.timestamps.stamp(SIGNATURE)
BUNDLE = SIGSTORE.sign_statement(b"{}", "https://forge.test/a", "https://tokens.test", stamped=True)
SIGNERS = Signers(
    Trust(
        certificates=(Certificate(id="house", subject="CN=release", pem=ROOT.pem),),
        identities=(Identity(id="ci", issuer="https://tokens.test", subject="https://forge.test/a"),),
        trusted_root=TrustedRoot(file="root.json", sha256="0" * 64, json_text=SIGSTORE.trusted_root()),
    ),
    NOW,
)


def changed(data: bytes, place: int, value: int) -> bytes:
    place %= len(data)
    return data[:place] + bytes([data[place] ^ value]) + data[place + 1 :]


def test_the_unchanged_things_are_accepted():
    assert SIGNERS.of_chain(CHAIN, SIGNED, SIGNATURE, [STAMP])
    assert SIGNERS.bundles.verify(BUNDLE, b"").identities == {"ci"}


@given(st.integers(0, 10_000), st.integers(1, 255), st.integers(0, 1))
def test_no_changed_byte_of_a_chain_is_accepted(place, value, which):
    chain = list(CHAIN)
    chain[which] = changed(chain[which], place, value)
    try:
        accepted = SIGNERS.of_chain(chain, SIGNED, SIGNATURE)
    except EvidenceError as error:
        assert error.message  # noqa: PT017 - both ways out are right, and this is the one that has words
    else:
        raise AssertionError(f"byte {place} of certificate {which} ^ {value}: {accepted}")


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_a_changed_timestamp_never_moves_the_time(place, value):
    # Some bytes are under no signature, such as the status text; the time is, so an expired leaf stays expired.
    expired = der([ROOT.issue(KEY, "release", begins=NOW - timedelta(days=2), ends=NOW - timedelta(days=1))])
    try:
        accepted = SIGNERS.of_chain(expired, SIGNED, SIGNATURE, [changed(STAMP, place, value)])
    except EvidenceError:
        return
    raise AssertionError(f"byte {place} ^ {value}: {accepted}")


@given(
    st.lists(st.binary(max_size=80), max_size=3), st.binary(max_size=80), st.lists(st.binary(max_size=80), max_size=2)
)
def test_noise_is_refused(chain, signature, stamps):
    try:
        SIGNERS.of_chain(chain, SIGNED, signature, stamps)
    except EvidenceError:
        return
    raise AssertionError("noise was accepted")


@given(st.binary(max_size=300))
@example(b"\x0c\x80")
@example(b"\x0c\x84\x00\x00\x00\x01x")
@example(b"\x0c\x81")
def test_only_one_spelling_of_a_utf8_string_is_read(data):
    try:
        text = der_utf8(data)
    except ValueError:
        return
    assert utf8_string(text) == data


@given(st.text(max_size=80) | st.text(st.sampled_from("pkcs1:object=id;?&%0a/module-path=type"), max_size=80))
@example("pkcs11:object=%C3%28?module-path=/m")
@example("pkcs11:;;;?&&&")
def test_a_token_uri_is_read_or_refused(text):
    for uri in (text, f"pkcs11:{text}", f"pkcs11:object=x;{text}?module-path=/m&{text}"):
        try:
            parsed = parse_uri(uri)
        except UsageError:
            continue
        assert parsed.module.startswith("/")
        assert parsed.object is not None or parsed.id is not None


@given(st.data())
def test_a_changed_bundle_shows_the_same_identity_or_is_refused(data):
    text = json.dumps(BUNDLE)
    place = data.draw(st.integers(0, len(text) - 1))
    try:
        value = json.loads(text[:place] + data.draw(st.characters(codec="ascii")) + text[place + 1 :])
        verified = SIGNERS.bundles.verify(value, b"")
    except (ValueError, EvidenceError):
        return
    assert verified.payload == b"{}"
