import base64
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zt_gate.domain import Decision, Digest, Entry, Evidence, Manifest, Mode, Reason, Subject, Verdict
from zt_gate.errors import EvidenceError
from zt_gate.intake import FastDigest
from zt_gate.trust.signatures.envelope import sign_payload
from zt_gate.trust.signatures.keys import generate
from zt_gate.trust.statements.summary import (
    EXTENSION,
    SummaryContent,
    SummaryRequirements,
    sign_summary,
    subject_and_signers,
    verify_summary,
)

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
KEY, STRANGER = generate(), generate()
SUBJECT = Subject("model", Manifest.of([Entry("a", 1, Mode.FILE, Digest.of(b"x").hex)]))
POLICY = Digest.of(b"policy")
DEMAND = SummaryRequirements((KEY.public,), "production", NOW, POLICY)


def verdict(decision=Decision.ALLOW, stage="production"):
    reasons = () if decision is Decision.ALLOW else (Reason("finding", "bad"),)
    return Verdict(decision, stage, SUBJECT.digest, POLICY, reasons, ())


def signed(given_verdict=None, key=KEY, **changes):
    summary = SummaryContent(NOW, NOW + timedelta(days=30), {"zt-gate": "0"}, (Digest.of(b"s"),))
    return sign_summary(SUBJECT, given_verdict or verdict(), replace(summary, **changes), key)


def predicate(data):
    return json.loads(base64.b64decode(json.loads(data)["payload"]))["predicate"]


def test_an_allowed_release_is_admitted():
    assert verify_summary(signed(), SUBJECT.digest, DEMAND) == []
    assert predicate(signed())["verificationResult"] == "PASSED"
    assert predicate(signed())["inputAttestations"] == [{"digest": {"sha256": Digest.of(b"s").hex}}]


@pytest.mark.parametrize(
    ("data", "digest", "demand", "why"),
    [
        (signed(), Digest.of(b"other"), DEMAND, "these bytes are"),
        (signed(verdict(Decision.BLOCK)), SUBJECT.digest, DEMAND, "blocked this release"),
        (signed(verdict(stage="staging")), SUBJECT.digest, DEMAND, "for the stage staging"),
        (signed(key=STRANGER), SUBJECT.digest, DEMAND, "none of the keys"),
        (signed(), SUBJECT.digest, replace(DEMAND, keys=()), "none of the keys"),
        (signed(), SUBJECT.digest, replace(DEMAND, policy=Digest.of(b"newer")), "another policy"),
        (signed(verified=NOW + timedelta(hours=1)), SUBJECT.digest, DEMAND, "in the future"),
        (b"", SUBJECT.digest, DEMAND, "JSON"),
        (b"{}", SUBJECT.digest, DEMAND, "DSSE"),
    ],
)
def test_anything_else_is_refused_with_the_reason(data, digest, demand, why):
    reasons = verify_summary(data, digest, demand)
    assert any(why in reason for reason in reasons), reasons


@pytest.mark.parametrize(("seconds", "admitted"), [(-1, True), (0, False), (1, False)])
def test_a_summary_ends_at_its_second(seconds, admitted):
    demand = replace(DEMAND, now=NOW + timedelta(days=30, seconds=seconds))
    assert (verify_summary(signed(), SUBJECT.digest, demand) == []) is admitted


def test_a_verdict_about_other_bytes_is_never_signed():
    with pytest.raises(ValueError, match="another subject"):
        sign_summary(replace(SUBJECT, manifest=Manifest(())), verdict(), SummaryContent(NOW, NOW, {}), KEY)


def signed_parts(data):
    """What a signature covers, and the signatures: a key id is a hint, and white space is no content."""
    try:
        value = json.loads(data)
        signatures = [item["sig"] for item in value["signatures"]]
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    return value.get("payload"), value.get("payloadType"), signatures


@given(st.data())
def test_no_change_of_any_byte_is_admitted(data):
    good = signed()
    index = data.draw(st.integers(0, len(good) - 1))
    byte = data.draw(st.integers(0, 255).filter(lambda value: value != good[index]))
    changed = good[:index] + bytes([byte]) + good[index + 1 :]
    if signed_parts(changed) != signed_parts(good):
        assert verify_summary(changed, SUBJECT.digest, DEMAND)


FIELDS = ["verifier", "timeVerified", "resourceUri", "policy", "verificationResult", "verifiedLevels", EXTENSION]
wrong = st.none() | st.text(max_size=5) | st.lists(st.integers(), max_size=1)


@given(st.sampled_from(FIELDS), wrong | st.dictionaries(st.text(max_size=3), st.none(), max_size=1))
def test_a_signed_summary_with_a_wrong_field_is_refused(field, value):
    """Even what the right key signed has to say everything that is demanded."""
    statement = json.loads(base64.b64decode(json.loads(signed())["payload"]))
    statement["predicate"][field] = value
    assert verify_summary(sign_payload(json.dumps(statement).encode(), KEY), SUBJECT.digest, DEMAND)


FAST = FastDigest("a" * 64)


def test_a_summary_says_what_it_rests_on():
    evidence = replace(Evidence.of("signature", "1", SUBJECT.digest), signers=("key sha256:1", "ann (issuer)"))
    made = replace(verdict(), evidence=(evidence,))
    ours = predicate(signed(made, rules=Digest.of(b"r"), trusted_root=Digest.of(b"t"), fast=FAST))[EXTENSION]
    assert ours["signers"] == ["ann (issuer)", "key sha256:1"]
    assert ours["rules"] == str(Digest.of(b"r"))
    assert ours["trustedRoot"] == str(Digest.of(b"t"))
    assert ours["blake3"] == str(FAST)


def test_a_fast_digest_is_admitted_only_where_the_summary_carries_it():
    assert verify_summary(signed(fast=FAST), FAST, DEMAND) == []
    assert verify_summary(signed(fast=FAST), SUBJECT.digest, DEMAND) == []
    assert "carries no BLAKE3" in verify_summary(signed(), FAST, DEMAND)[0]
    assert "another BLAKE3" in verify_summary(signed(fast=FAST), FastDigest("b" * 64), DEMAND)[0]
    # The subject's own digest, written as a fast one, is none.
    assert verify_summary(signed(fast=FAST), FastDigest(SUBJECT.digest.hex), DEMAND)


@pytest.mark.parametrize("case", ["blocked", "stranger", "stage", "expired"])
def test_a_fast_digest_admits_nothing_that_the_own_one_would_not(case):
    data = signed(
        verdict(Decision.BLOCK) if case == "blocked" else verdict(stage="staging" if case == "stage" else "production"),
        key=STRANGER if case == "stranger" else KEY,
        fast=FAST,
        **({"expires": NOW} if case == "expired" else {}),
    )
    assert verify_summary(data, FAST, DEMAND)


@pytest.mark.parametrize("value", [None, 1, "", [], {}, "a" * 64, "sha256:" + "a" * 64])
def test_a_malformed_fast_digest_admits_nothing(value):
    statement = json.loads(base64.b64decode(json.loads(signed(fast=FAST))["payload"]))
    statement["predicate"][EXTENSION]["blake3"] = value
    assert verify_summary(sign_payload(json.dumps(statement).encode(), KEY), FAST, DEMAND)


def test_whose_and_about_what_a_summary_is():
    assert subject_and_signers(signed(), [KEY.public]) == (SUBJECT.digest, frozenset({f"key sha256:{KEY.public.id}"}))
    for keys in ([STRANGER.public], []):
        with pytest.raises(EvidenceError, match="no summary"):
            subject_and_signers(signed(), keys)
