"""What says when a bundle was signed: the log's own time in Rekor v1, a timestamp authority for Rekor v2."""

from __future__ import annotations

import base64
import copy
import json
from datetime import timedelta

import pytest

from tests.support.private_sigstore import base64_text
from tests.support.timestamp_authority import TimestampAuthority
from zt_gate.domain import Status
from zt_gate.policy.requirements import Signature
from zt_gate.trust.statements.statement import manifest_statement

BY_CI = Signature(by=("ci",))


@pytest.fixture
def sign(world):
    who = world.trust.identities[0]

    def signed(**how):
        return world.sigstore.sign_statement(manifest_statement(world.subject), who.subject, who.issuer, **how)

    return signed


@pytest.fixture
def status(world):
    return lambda value: world.judge(BY_CI, json.dumps(value).encode()).status


def stamps(bundle) -> list:
    return bundle["verificationMaterial"]["timestampVerificationData"]["rfc3161Timestamps"]


@pytest.mark.parametrize("log", [1, 2])
def test_a_stamped_bundle_passes_whatever_its_place_in_the_log(sign, status, log) -> None:
    for _ in range(4):
        assert status(sign(log=log, stamped=True)) is Status.PASS


def test_a_log_without_a_time_of_its_own_needs_a_timestamp(sign, status) -> None:
    assert status(sign(log=1)) is Status.PASS
    assert status(sign(log=2)) is Status.FAIL


@pytest.mark.parametrize("log", [1, 2])
def test_every_timestamp_must_verify(world, sign, status, log) -> None:
    good = sign(log=log, stamped=True)
    signature = good["dsseEnvelope"]["signatures"][0]["sig"]
    for data, authority in (
        (b"another signature", world.sigstore.timestamps),
        (signature.encode(), world.sigstore.timestamps),
        (b"", TimestampAuthority(world.sigstore.now)),
    ):
        for extra in (stamps(good), []):
            bad = copy.deepcopy(good)
            bad["verificationMaterial"]["timestampVerificationData"] = {
                "rfc3161Timestamps": [*extra, {"signedTimestamp": base64_text(authority.stamp(data))}]
            }
            assert status(bad) is Status.FAIL


def test_a_timestamp_outside_the_certificate_is_refused(world, sign, status) -> None:
    good = sign(log=2, stamped=True)
    signature = base64.b64decode(good["dsseEnvelope"]["signatures"][0]["sig"])
    for minutes, expected in ((0, Status.PASS), (9, Status.FAIL), (11, Status.FAIL), (-1, Status.FAIL)):
        at = world.sigstore.now + timedelta(minutes=minutes)
        value = copy.deepcopy(good)
        stamps(value)[0]["signedTimestamp"] = base64_text(world.sigstore.timestamps.stamp(signature, at))
        assert status(value) is expected  # after 9 minutes the certificate still holds, but that is in the future


@pytest.mark.parametrize("field", ["digest", "content", "rawBytes"])
def test_a_log_entry_about_something_else_is_refused(world, sign, status, field) -> None:
    good, other = sign(log=2, stamped=True), sign(log=2, stamped=True)
    mixed = copy.deepcopy(good)
    mixed["verificationMaterial"]["tlogEntries"] = other["verificationMaterial"]["tlogEntries"]
    assert status(mixed) is Status.FAIL
    body = json.loads(base64.b64decode(good["verificationMaterial"]["tlogEntries"][0]["canonicalizedBody"]))
    entry = body["spec"]["hashedRekordV002"]
    theirs = json.loads(base64.b64decode(other["verificationMaterial"]["tlogEntries"][0]["canonicalizedBody"]))
    foreign = theirs["spec"]["hashedRekordV002"]
    if field == "digest":
        entry["data"]["digest"] = base64_text(bytes(32))
    elif field == "content":
        entry["signature"]["content"] = foreign["signature"]["content"]
    else:
        entry["signature"]["verifier"] = foreign["signature"]["verifier"]
    good["verificationMaterial"]["tlogEntries"] = [world.sigstore.record(body, world.sigstore.now)]  # truly logged
    assert status(good) is Status.FAIL
