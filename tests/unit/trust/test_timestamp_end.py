"""The end of a timestamp authority's validity belongs to it, to the second."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.support.authority import Authority, der
from tests.support.private_sigstore import PrivateSigstore
from zt_gate.errors import EvidenceError
from zt_gate.policy.trust_roots import Certificate, Identity, Trust, TrustedRoot
from zt_gate.trust.people.signers import Signers
from zt_gate.trust.signatures.keys import KeyType, generate
from zt_gate.trust.signatures.sigstore_bundle import bundle_verifier

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
WHO = ("https://forge.test/acme/release.yml@refs/heads/main", "https://token.actions.test")
PAYLOAD = b'{"_type":"https://in-toto.io/Statement/v1","subject":[],"predicateType":"t:1","predicate":{}}'


def root_until(sigstore, end: datetime) -> TrustedRoot:
    value = json.loads(sigstore.trusted_root())
    value["timestampAuthorities"][0]["validFor"]["end"] = end.strftime("%Y-%m-%dT%H:%M:%SZ")
    return TrustedRoot(file="root", sha256="0" * 64, json_text=json.dumps(value))


@pytest.mark.parametrize(("seconds", "good"), [(-1, False), (0, True), (1, True)])
def test_a_sigstore_bundle_stamped_at_the_end(seconds, good) -> None:
    sigstore = PrivateSigstore(NOW)
    bundle = sigstore.sign_statement(PAYLOAD, *WHO, log=2, stamped=True)
    root = root_until(sigstore, NOW + timedelta(seconds=seconds))
    verifier = bundle_verifier(root, [Identity(id="x", issuer=WHO[1], subject=WHO[0])], NOW)
    if good:
        assert verifier.verify(bundle, b"").identities == {"x"}
    else:
        with pytest.raises(EvidenceError):
            verifier.verify(bundle, b"")


@pytest.mark.parametrize(("seconds", "good"), [(-1, False), (0, True), (1, True)])
def test_a_certificate_s_signature_stamped_at_the_end(seconds, good) -> None:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    sigstore, house, key = PrivateSigstore(NOW), Authority(NOW, "root"), generate(KeyType.ECDSA)
    signature = key.crypto.sign(b"signed", ec.ECDSA(hashes.SHA256()))
    trust = Trust(certificates=(Certificate(id="house", subject="CN=release", pem=house.pem),))
    trust = replace(trust, trusted_root=root_until(sigstore, NOW + timedelta(seconds=seconds)))
    chain, stamps = der([house.issue(key.crypto, "release")]), [sigstore.timestamps.stamp(signature, NOW)]
    signers = Signers(trust, NOW)
    if good:
        assert [signer.id for signer in signers.of_chain(chain, b"signed", signature, stamps)] == ["house"]
    else:
        with pytest.raises(EvidenceError, match="timestamp"):
            signers.of_chain(chain, b"signed", signature, stamps)
