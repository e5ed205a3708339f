"""A policy's own signature: over what it amounts to, by a key that the operator names."""

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.policies import KEY, loaded, policy
from zt_gate.domain import Digest
from zt_gate.trust.signatures.envelope import sign_payload
from zt_gate.trust.signatures.keys import generate
from zt_gate.trust.statements.policy_signature import POLICY_TYPE, policy_statement, verify_policy
from zt_gate.trust.statements.statement import statement_about

POLICY = loaded(policy(trust={"keys": [{"id": "ann", "pem": KEY}]}, stages={"s": {"mode": "enforce"}}))
OURS, OTHER = generate(), generate()
SIGNED = sign_payload(policy_statement(POLICY), OURS)


def test_a_signature_by_a_named_key_counts():
    answer = verify_policy(POLICY, SIGNED, [OTHER.public, OURS.public])
    assert (answer.signers, answer.problem) == ((OURS.public.id,), "")


@pytest.mark.parametrize(
    ("data", "keys", "words"),
    [
        (None, [OURS.public], "no signature beside it"),
        (SIGNED, [], "none of the keys"),
        (SIGNED, [OTHER.public], "none of the keys"),
        (b"{}", [OURS.public], "cannot be read"),
        (b"x" * (1 << 21), [OURS.public], "larger than"),
        (sign_payload(statement_about("t", Digest.of(b"x"), POLICY_TYPE, {}), OURS), [OURS.public], "changed since"),
        (
            sign_payload(statement_about("t", POLICY.digest, "https://acme.example/other", {}), OURS),
            [OURS.public],
            "not a policy",
        ),
    ],
)
def test_nothing_else_does(data, keys, words):
    answer = verify_policy(POLICY, data, keys)
    assert answer.signers == ()
    assert words in answer.problem


def test_a_swapped_key_or_mode_ends_the_signature():
    stage = replace(POLICY.policy.stages["s"], mode="warn")
    key = replace(POLICY.policy.trust.keys[0], pem=KEY.replace("Gb9", "Gb8"))
    for changed in (
        replace(POLICY.policy, stages={"s": stage}),
        replace(POLICY.policy, trust=replace(POLICY.policy.trust, keys=(key,))),
    ):
        assert verify_policy(loaded(changed), SIGNED, [OURS.public]).signers == ()


@given(st.data())
def test_a_changed_byte_never_counts(data):
    """Whatever is changed in what was signed or in the signature, it is no signature over this policy."""
    value = json.loads(SIGNED)
    place = data.draw(st.sampled_from(["payload", "sig"]))
    text = value["payload"] if place == "payload" else value["signatures"][0]["sig"]
    at = data.draw(st.integers(0, len(text.rstrip("=")) - 2))
    letter = data.draw(st.sampled_from("ABCabc012").filter(lambda new: new != text[at]))
    text = text[:at] + letter + text[at + 1 :]
    if place == "payload":
        value["payload"] = text
    else:
        value["signatures"][0]["sig"] = text
    assert verify_policy(POLICY, json.dumps(value).encode(), [OURS.public]).signers == ()


@given(st.binary(max_size=300))
def test_whatever_lies_beside_a_policy_is_answered(data):
    assert verify_policy(POLICY, data, [OURS.public]).problem
