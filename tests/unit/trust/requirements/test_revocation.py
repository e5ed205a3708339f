"""Revocation lists: what they take out, what they must look like, and how fresh they have to be."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from tests.support.authority import Authority
from zt_gate.domain import Digest, Severity, Status, canonical_json
from zt_gate.errors import EvidenceError
from zt_gate.policy import requirements
from zt_gate.policy.model import Stage
from zt_gate.policy.trust_roots import Certificate, Key, Revocations, Trust
from zt_gate.trust.collect import EvidenceFile, collect
from zt_gate.trust.people.signers import Signers
from zt_gate.trust.requirements.revocation import RevocationList, Revoked, RevokedEntry, parse_list, revoked_reason
from zt_gate.trust.signatures.envelope import sign_payload
from zt_gate.trust.signatures.keys import generate
from zt_gate.trust.statements.statement import PROVENANCE_TYPE, REVOCATIONS_TYPE, parse_statement, statement_about

NOW = datetime(2026, 11, 1, 12, tzinfo=UTC)
REVOKER, OTHER = generate(), generate()
STAGE = Stage(signature=requirements.Signature(by=("release", "second", "ci")))


def entry(kind, value, issuer=""):
    return RevokedEntry(kind, value, "it was stolen", "2026-10-01T00:00:00Z", issuer)


def listed(*entries, key=REVOKER, issued=NOW - timedelta(hours=1), sequence=1):
    return sign_payload(RevocationList(issued, sequence, entries).payload(), key)


def trust(world):
    own = (Key(id="revoker", pem=REVOKER.public.pem), Key(id="other", pem=OTHER.public.pem))
    known = world.trust
    return Trust(
        keys=(*known.keys, *own),
        identities=known.identities,
        trusted_root=known.trusted_root,
        revocations=Revocations(by=("revoker", "other"), max_age_days=1),
    )


def judge(world, *data, stage=STAGE):
    brought = [EvidenceFile(f"{number}.json", item) for number, item in enumerate(data)]
    return {item.check: item for item in collect(world.question, stage, trust(world), brought)}


def outcome(evidence) -> tuple[Status, set[str]]:
    return evidence.status, {finding.rule for finding in evidence.findings if finding.severity > Severity.INFO}


def test_an_empty_fresh_list_lets_everything_be(world) -> None:
    found = judge(world, listed(), world.manifest(world.release))
    assert {name: item.status for name, item in found.items()} == {"revocations": Status.PASS, "signature": Status.PASS}


def test_it_is_asked_for_even_where_the_stage_asks_for_no_statement(world) -> None:
    assert outcome(judge(world, stage=Stage())["revocations"]) == (Status.INCOMPLETE, set())
    assert judge(world, listed(), stage=Stage())["revocations"].status is Status.PASS


@pytest.mark.parametrize("what", ["release", "file"])
def test_a_revoked_release_or_file_blocks(world, what) -> None:
    digest = world.subject.digest if what == "release" else Digest(world.subject.manifest.entries[0].sha256)
    found = judge(world, listed(entry("digest", str(digest))), world.manifest(world.release))
    assert outcome(found["revocations"]) == (Status.FAIL, {"REV-001"})
    assert "it was stolen" in found["revocations"].findings[0].message


def test_a_stale_list_still_revokes_and_a_fresh_one_beside_it_does_not_unsay_it(world) -> None:
    stale = listed(entry("digest", str(world.subject.digest)), issued=NOW - timedelta(days=400))
    alone, joined = judge(world, stale)["revocations"], judge(world, stale, listed(sequence=9))["revocations"]
    assert outcome(alone) == (Status.INCOMPLETE, {"REV-001"})
    assert outcome(joined) == (Status.FAIL, {"REV-001"})


def test_a_revoked_key_counts_nowhere(world) -> None:
    revoke = listed(entry("key", world.release.public.id))
    found = judge(world, revoke, world.manifest(world.release))
    assert found["signature"].status is Status.FAIL
    assert found["revocations"].status is Status.PASS
    assert {item.rule for item in found["revocations"].findings} == {"REV-003"}
    assert (
        judge(world, revoke, world.manifest(world.release), world.manifest(world.second))["signature"].status
        is Status.PASS
    )


def test_a_revoked_identity_counts_nowhere_and_only_under_its_issuer(world) -> None:
    who = world.trust.identities[0]
    revoke = listed(entry("identity", who.subject, who.issuer))
    assert judge(world, revoke, world.bundle())["signature"].status is Status.FAIL
    elsewhere = listed(entry("identity", who.subject, "https://other.test"))
    assert judge(world, elsewhere, world.bundle())["signature"].status is Status.PASS


def test_a_revoked_certificate_name_counts_nowhere_and_only_under_its_issuer(world) -> None:
    authority = Authority(NOW, "root")
    private = ec.generate_private_key(ec.SECP256R1())
    known = Trust(certificates=(Certificate(id="house", subject="CN=release", pem=authority.pem),))
    chain = [authority.issue(private, "release").public_bytes(Encoding.DER)]
    signature = private.sign(b"signed", ec.ECDSA(hashes.SHA256()))
    (signer,) = Signers(known, NOW).of_chain(chain, b"signed", signature)
    assert signer.name in Revoked.of([entry("certificate", "CN=release", "CN=root")]).names
    assert signer.name not in Revoked.of([entry("certificate", "CN=release", "CN=other")]).names
    assert signer.name not in Revoked.of([entry("identity", "CN=release", "CN=root")]).names


@pytest.mark.parametrize("which", ["file", "payload"])
def test_a_revoked_statement_does_not_count_and_does_not_block(world, which) -> None:
    import base64

    signed = world.manifest(world.release)
    data = signed if which == "file" else base64.b64decode(json.loads(signed)["payload"])
    revoke = listed(entry("digest", str(Digest.of(data))))
    assert judge(world, revoke, signed)["signature"].status is Status.FAIL
    found = judge(world, revoke, signed, world.bundle())
    # The bundle carries the same manifest statement, so revoking the payload takes both out.
    expected = Status.PASS if which == "file" else Status.FAIL
    assert (found["signature"].status, found["revocations"].status) == (expected, Status.PASS)


@pytest.mark.parametrize("spelling", ["d" * 64, "D" * 64])
def test_provenance_that_names_a_revoked_material_does_not_count(world, spelling) -> None:
    built = {
        "buildDefinition": {
            "buildType": "t",
            "resolvedDependencies": [{"name": "data", "digest": {"sha256": spelling}}],
        },
        "runDetails": {"builder": {"id": "b"}},
    }
    stage = Stage(provenance=requirements.Provenance(by=("release",), builders=("b",)))
    data = world.attest(PROVENANCE_TYPE, built)
    assert judge(world, listed(), data, stage=stage)["provenance"].status is Status.PASS
    found = judge(world, listed(entry("digest", "sha256:" + "d" * 64)), data, stage=stage)
    assert found["provenance"].status is Status.FAIL
    assert f"material sha256:{spelling[:12].lower()}, which is revoked" in found["provenance"].findings[0].message


@pytest.mark.parametrize(
    ("age", "status"),
    [
        (timedelta(days=1), Status.PASS),
        (timedelta(days=1, seconds=1), Status.INCOMPLETE),
        (-timedelta(minutes=5), Status.PASS),
        (-timedelta(minutes=5, seconds=1), Status.INCOMPLETE),
    ],
)
def test_a_list_has_to_be_fresh(world, age, status) -> None:
    assert judge(world, listed(issued=NOW - age))["revocations"].status is status


def test_nobody_else_may_revoke_and_nobody_else_proves_freshness(world) -> None:
    strange = listed(entry("digest", str(world.subject.digest)), key=world.stranger)
    author = listed(entry("digest", str(world.subject.digest)), key=world.release)
    assert outcome(judge(world, strange)["revocations"])[0] is Status.INCOMPLETE
    assert judge(world, strange, author, listed())["revocations"].status is Status.PASS


def test_a_revoked_revoker_proves_no_freshness_and_what_it_revoked_stays_revoked(world) -> None:
    by_other = listed(entry("key", world.release.public.id), key=OTHER)
    against = listed(entry("key", OTHER.public.id), issued=NOW - timedelta(days=9))
    found = judge(world, by_other, against, world.manifest(world.release))
    assert found["revocations"].status is Status.INCOMPLETE
    assert found["signature"].status is Status.FAIL
    own = judge(world, listed(entry("key", REVOKER.public.id)))
    assert own["revocations"].status is Status.INCOMPLETE


def rewritten(**changes):
    value = {"issued": "2026-11-01T11:00:00Z", "sequence": 1, "entries": []} | changes
    value = {key: item for key, item in value.items() if item is not ...}
    return statement_about("revocations", Digest.of(canonical_json(value)), REVOCATIONS_TYPE, value)


@pytest.mark.parametrize(
    "changes",
    [
        {"issued": ...},
        {"issued": "today"},
        {"sequence": 0},
        {"sequence": True},
        {"sequence": "1"},
        {"entries": ...},
        {"entries": {}.__class__(a=1)},
        {"entries": [5]},
        {"entries": [{}]},
        {"entries": [{"kind": "name", "value": "x", "reason": "", "since": ""}]},
        {"entries": [{"kind": "digest", "value": "md5:1", "reason": "", "since": ""}]},
        {"entries": [{"kind": "key", "value": "abc", "reason": "", "since": ""}]},
        {"entries": [{"kind": "identity", "value": "a@b", "reason": "", "since": ""}]},
        {"entries": [{"kind": "digest", "value": 5, "reason": "", "since": ""}]},
    ],
)
def test_a_malformed_list_is_reported_and_proves_nothing(world, changes) -> None:
    with pytest.raises(EvidenceError):
        parse_list(parse_statement(rewritten(**changes)))
    found = judge(world, sign_payload(rewritten(**changes), REVOKER))["revocations"]
    assert outcome(found) == (Status.INCOMPLETE, {"REV-002"})


def test_a_list_about_something_else_is_malformed(world) -> None:
    value = json.loads(rewritten())
    value["subject"][0]["digest"]["sha256"] = "0" * 64
    found = judge(world, sign_payload(json.dumps(value).encode(), REVOKER))["revocations"]
    assert outcome(found) == (Status.INCOMPLETE, {"REV-002"})
    assert parse_list(parse_statement(rewritten())).sequence == 1


def test_at_deploy_time_the_same_list_speaks_for_itself(world) -> None:
    digest, gate = world.subject.digest, world.second.public.id
    good = listed(entry("key", gate), entry("digest", "sha256:" + "0" * 64))
    keys = [REVOKER.public]
    assert revoked_reason(good, keys, digest, NOW, 1) == []
    assert "is revoked: it was stolen" in revoked_reason(good, keys, Digest("0" * 64), NOW, 1)[0]
    assert "key sha256:" in revoked_reason(good, keys, digest, NOW, 1, [f"key sha256:{gate}"])[0]
    assert "days old" in revoked_reason(good, keys, digest, NOW + timedelta(days=2), 1)[0]
    assert "in the future" in revoked_reason(good, keys, digest, NOW - timedelta(days=2), 1)[0]
    assert "none of the revokers" in revoked_reason(good, [OTHER.public], digest, NOW, 1)[0]
    assert "none of the revokers" in revoked_reason(good, [], digest, NOW, 1)[0]
    assert revoked_reason(b"{", keys, digest, NOW, 1)
    assert revoked_reason(world.manifest(REVOKER), keys, digest, NOW, 1)
