"""What must hold of trust whatever is brought: no altered envelope verifies, and taking away never adds."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from zt_gate.domain import Digest, Entry, Manifest, Mode, Severity, Status, Subject
from zt_gate.errors import EvidenceError
from zt_gate.policy import requirements
from zt_gate.policy.model import Stage
from zt_gate.policy.requirements import Provenance, Signature
from zt_gate.policy.trust_roots import Key, Trust
from zt_gate.trust.collect import Context, EvidenceFile, collect
from zt_gate.trust.signatures.envelope import read_envelope, sign_payload
from zt_gate.trust.signatures.keys import KeyType, generate
from zt_gate.trust.statements.statement import (
    PROVENANCE_TYPE,
    TEST_RESULT_TYPE,
    manifest_statement,
    parse_statement,
    statement,
)

NOW = datetime(2026, 11, 1, tzinfo=UTC)
KEYS = {"a": generate(), "b": generate(KeyType.ECDSA), "c": generate()}
TRUST = Trust(keys=tuple(Key(id=name, pem=key.public.pem) for name, key in KEYS.items() if name != "c"))


def subject(content: bytes) -> Subject:
    return Subject("m", Manifest.of([Entry("w.bin", len(content), Mode.FILE, Digest.of(content).hex)]))


SUBJECT, OTHER = subject(b"this"), subject(b"other")
QUESTION = Context(SUBJECT, "production", Digest.of(b"policy"), NOW)
TESTED = {"result": "PASSED", "passedTests": ["robustness"]}
BUILT = {"buildDefinition": {"buildType": "t"}, "runDetails": {"builder": {"id": "builder"}}}
STAGE = Stage(
    signature=Signature(by=("a", "b"), count=2),
    provenance=Provenance(by=("a",), builders=("builder",)),
    tests=requirements.Tests(by=("b",), suites=("robustness", "backdoor")),
)
SIGNED = {name: json.loads(sign_payload(manifest_statement(SUBJECT), key)) for name, key in KEYS.items()}


def bit_flips(data: bytes) -> st.SearchStrategy[bytes]:
    place = st.tuples(st.integers(0, len(data) - 1), st.integers(1, 255))
    return place.map(lambda at: data[: at[0]] + bytes([data[at[0]] ^ at[1]]) + data[at[0] + 1 :])


def other_bytes(data: bytes) -> st.SearchStrategy[bytes]:
    shorter = st.integers(0, len(data) - 1).map(lambda end: data[:end])
    longer = st.binary(min_size=1, max_size=8).map(lambda more: data + more)
    return st.one_of(bit_flips(data), shorter, longer, st.binary(max_size=80)).filter(lambda value: value != data)


@given(st.data(), st.sampled_from(["a", "b"]), st.sampled_from(["payload", "sig"]))
@settings(max_examples=150, deadline=None)
def test_no_altered_payload_or_signature_ever_verifies(data, name, part) -> None:
    envelope = json.loads(json.dumps(SIGNED[name]))
    place = envelope if part == "payload" else envelope["signatures"][0]
    altered = data.draw(other_bytes(base64.b64decode(place[part])))
    place[part] = base64.b64encode(altered).decode()
    try:
        verified = read_envelope(json.dumps(envelope).encode()).verified_by([KEYS[name].public])
    except EvidenceError:
        return
    assert verified == frozenset()


@given(st.data(), st.sampled_from(["a", "b"]))
@settings(max_examples=100, deadline=None)
def test_no_altered_byte_of_the_file_makes_it_say_something_else(data, name) -> None:
    raw = json.dumps(SIGNED[name]).encode()
    try:
        envelope = read_envelope(data.draw(bit_flips(raw)))
    except EvidenceError:
        return
    if envelope.verified_by([KEYS[name].public]):  # such as a changed key id, which is only a hint
        assert envelope.payload == base64.b64decode(SIGNED[name]["payload"])


@given(st.binary(max_size=200) | st.recursive(st.none() | st.text(), st.lists).map(lambda v: json.dumps(v).encode()))
@settings(max_examples=100, deadline=None)
def test_parsers_raise_nothing_but_evidence_errors(data) -> None:
    for parse in (read_envelope, parse_statement):
        try:
            parse(data)
        except EvidenceError:
            continue
        raise AssertionError("random bytes were accepted")


def pool() -> list[EvidenceFile]:
    items = [sign_payload(manifest_statement(who), key) for who in (SUBJECT, OTHER) for key in KEYS.values()]
    for key in KEYS.values():
        items.append(sign_payload(statement(PROVENANCE_TYPE, BUILT, SUBJECT), key))
        items.append(sign_payload(statement(PROVENANCE_TYPE, BUILT | {"runDetails": {}}, SUBJECT), key))
        items.append(sign_payload(statement(TEST_RESULT_TYPE, TESTED, SUBJECT), key))
        items.append(sign_payload(statement(TEST_RESULT_TYPE, TESTED | {"passedTests": ["backdoor"]}, SUBJECT), key))
        items.append(sign_payload(statement(TEST_RESULT_TYPE, TESTED | {"failedTests": ["x"]}, SUBJECT), key))
    items += [b"", b"{", b'{"payload": 1, "payloadType": 2, "signatures": 3}', b'{"verificationMaterial": {}}']
    return [EvidenceFile(f"{number:02}.json", item) for number, item in enumerate(items)]


POOL = pool()


def judge(brought) -> dict[str, tuple[Status, set[str]]]:
    found = collect(QUESTION, STAGE, TRUST, brought)
    return {item.check: (item.status, set(filter(None, item.metrics.get("signers", "").split(", ")))) for item in found}


def test_the_whole_pool_meets_every_requirement() -> None:
    assert {status for status, _ in judge(POOL).values()} == {Status.PASS}


@given(st.sets(st.sampled_from(POOL)), st.data())
@settings(max_examples=60, deadline=None)
def test_taking_files_away_never_adds_a_signer_or_a_pass(brought, data) -> None:
    fewer = data.draw(st.sets(st.sampled_from(sorted(brought, key=repr)))) if brought else set()
    before, after = judge(list(brought)), judge(list(fewer))
    for check, (status, signers) in after.items():
        assert signers <= before[check][1]
        assert status is not Status.PASS or before[check][0] is Status.PASS


@given(st.sets(st.sampled_from(POOL)))
@settings(max_examples=40, deadline=None)
def test_an_unmet_requirement_blocks_at_every_threshold(brought) -> None:
    for item in collect(QUESTION, STAGE, TRUST, list(brought)):
        worst = max((finding.severity for finding in item.findings), default=Severity.INFO)
        if item.status is Status.PASS:
            assert worst is Severity.INFO
        else:
            assert worst is Severity.CRITICAL or item.gaps


@given(st.permutations(POOL[::3]))
@settings(max_examples=20, deadline=None)
def test_order_never_shows(order) -> None:
    assert collect(QUESTION, STAGE, TRUST, order) == collect(QUESTION, STAGE, TRUST, POOL[::3])


@given(st.sets(st.sampled_from([item for item in POOL if item.data]), min_size=1, max_size=4))
@settings(max_examples=40, deadline=None)
def test_no_requirement_passes_without_a_signer_that_it_lists(brought) -> None:
    for check, (status, signers) in judge(list(brought)).items():
        if status is Status.PASS:
            assert signers
            assert signers <= set(getattr(STAGE, check).by)
