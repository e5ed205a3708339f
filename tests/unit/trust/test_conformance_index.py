"""A dozen rows of the shared index of real Sigstore bundles: accepted and rejected as the index says."""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime

import pytest

from zt_gate.errors import EvidenceError
from zt_gate.policy.model import Identity, TrustedRoot
from zt_gate.trust.sigstore_bundle import bundle_verifier
from zt_gate.trust.strict_json import parse_object

NOW = datetime(2026, 11, 23, tzinfo=UTC)
ROWS = [
    "conformance/happy-path-intoto-in-dsse-v3/bundle.sigstore.json",
    "conformance/intoto-with-custom-trust-root/bundle.sigstore.json",
    "conformance/rekor2-dsse-happy-path/bundle.sigstore.json",
    "slsa-verifier/gha_generic/v2.1.0/binary-linux-amd64-push-v14.intoto.jsonl",
    "slsa-verifier/npm/gundam-visor-cli-v1-tag.prov.sigstore.json",
    "gh-cli/custom-issuer.sigstore.json",
    "pypi/pypi_attestations-0.0.19.tar.gz.slsa.attestation.sigstore.json",
    "mock/dsse.sigstore.json",
    "mock/art.sigstore.json",
    "conformance/dsse-invalid-sig_fail/bundle.sigstore.json",
    "conformance/dsse-mismatch-envelope_fail/bundle.sigstore.json",
    "conformance/intoto-log-entry-mismatch_fail/bundle.sigstore.json",
    "conformance/intoto-expired-certificate_fail/bundle.sigstore.json",
    "conformance/intoto-tsa-timestamp-outside-cert-validity_fail/bundle.sigstore.json",
    "conformance/rekor2-dsse-invalid-sig_fail/bundle.sigstore.json",
    "conformance/rekor2-dsse-mismatch-envelope_fail/bundle.sigstore.json",
    "conformance/bundle-from-wrong-instance_fail/bundle.sigstore.json",
    "conformance/set-invalid-signature_fail/bundle.sigstore.json",
    "conformance/managed-key-no-key_fail/bundle.sigstore.json",
    "conformance/bundle-malformed-json_fail/bundle.sigstore.json",
    "slsa-verifier/npm/gundam-visor-cli-v1-tag-invalidsigprov.prov.sigstore.json",
    "sigstore-python/bundle_cve_2022_36056.txt.sigstore",
]


def accepted(folder, row, identity_subject) -> bool:
    root = (folder / row["trusted_root"]).read_text()
    # Where the index names no issuer, the bundle's own is not the point of the row; none would match.
    identity = Identity(id="x", issuer=row["issuer"], subject=identity_subject)
    verifier = bundle_verifier(TrustedRoot(file="root", sha256="0" * 64, json_text=root), [identity], NOW)
    data = (folder / row["path"]).read_bytes()
    artifact = (folder / row["artifact"]).read_bytes() if row["artifact"] else b""
    try:
        value = parse_object(data.splitlines()[0] if row["path"].endswith("l") else data, "the bundle", 1 << 24)
        return bool(verifier.verify(value, artifact).identities)
    except EvidenceError:
        return False


@pytest.mark.parametrize("path", ROWS)
def test_a_real_bundle_is_judged_as_the_index_says(data_folder, path) -> None:
    with (data_folder / "index.csv").open() as stream:
        row = {item["path"]: item for item in csv.DictReader(stream)}[path]
    assert accepted(data_folder, row, row["identity"]) == (row["expected"] == "accept")
    assert not accepted(data_folder, row, row["identity"] + "x")


def test_a_genuine_timestamp_of_another_signature_beside_a_good_log_entry_is_refused(data_folder) -> None:
    with (data_folder / "index.csv").open() as stream:
        row = {item["path"]: item for item in csv.DictReader(stream)}["mock/dsse.sigstore.json"]
    root = TrustedRoot(file="root", sha256="0" * 64, json_text=(data_folder / row["trusted_root"]).read_text())
    verifier = bundle_verifier(root, [Identity(id="x", issuer=row["issuer"], subject=row["identity"])], NOW)
    value = json.loads((data_folder / row["path"]).read_bytes())
    other = json.loads((data_folder / "mock/art.sigstore.json").read_bytes())
    assert verifier.verify(value, b"").identities == {"x"}
    value["verificationMaterial"]["timestampVerificationData"] = other["verificationMaterial"][
        "timestampVerificationData"
    ]
    with pytest.raises(EvidenceError, match="not every timestamp"):
        verifier.verify(value, b"")
