from __future__ import annotations

import json

import pytest

from zt_gate.errors import EvidenceError
from zt_gate.trust.statements.statement import (
    MANIFEST_TYPE,
    PROVENANCE_TYPE,
    STATEMENT_TYPE,
    TEST_RESULT_TYPE,
    manifest_statement,
    parse_statement,
    statement,
)

HEX = "ab" * 32


def text(**changes) -> bytes:
    value = {
        "_type": STATEMENT_TYPE,
        "subject": [{"name": "m", "digest": {"sha256": HEX}}],
        "predicateType": PROVENANCE_TYPE,
        "predicate": {},
    }
    return json.dumps({key: item for key, item in (value | changes).items() if item is not ...}).encode()


def test_our_statement_carries_the_manifest_and_names_its_digest(subject_of) -> None:
    subject = subject_of(weights=b"abc")
    parsed = parse_statement(manifest_statement(subject))
    assert parsed.predicate_type == MANIFEST_TYPE
    assert parsed.manifest() == subject.manifest
    assert parsed.is_about(subject.digest)
    assert not parsed.is_about(subject_of(weights=b"abd").digest)


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"[]", "not a JSON object"),
        (b"{", "not strict JSON"),
        (b"\xff", "not strict JSON"),
        (b'{"a": NaN}', "NaN is not JSON"),
        (b'{"_type": "a", "_type": "b"}', "stands twice"),
        (b"[" * 100_000, "nested too deeply"),
        (text(_type="https://in-toto.io/Statement/v0.1", predicateType=TEST_RESULT_TYPE), "not of type"),
        (text(_type=...), "not of type"),
        (text(predicateType=""), "no predicateType"),
        (text(predicateType=5), "no predicateType"),
        (text(subject=[]), "no subject"),
        (text(subject={}), "no subject"),
        (text(subject=["m"]), "no sha256"),
        (text(subject=[{"digest": {"sha512": HEX * 2}}]), "no sha256"),
        (text(subject=[{"digest": {"sha256": HEX.upper()}}]), "malformed sha256"),
        (text(subject=[{"name": "m", "digest": {"sha256": HEX}}] * 1001), "1001 subjects"),
        (text(predicate=[]), "not an object"),
        (text(predicate={"x": "y" * (17 << 20)}), "more than"),
    ],
)
def test_what_cannot_be_read_with_certainty_is_refused(data, why) -> None:
    with pytest.raises(EvidenceError, match=why):
        parse_statement(data)


def test_duplicate_keys_deep_inside_are_refused_too() -> None:
    data = text().replace(b'"predicate": {}', b'"predicate": {"a": {"b": 1, "b": 2}}')
    with pytest.raises(EvidenceError, match="stands twice"):
        parse_statement(data)


def test_a_digest_named_twice_is_not_about_the_digest(subject_of) -> None:
    subject = subject_of(weights=b"abc")
    named = {"name": "m", "digest": {"sha256": subject.digest.hex}}
    assert parse_statement(text(subject=[named])).is_about(subject.digest)
    assert not parse_statement(text(subject=[named, named])).is_about(subject.digest)


def test_a_manifest_that_the_subject_does_not_name_is_refused(subject_of) -> None:
    value = json.loads(manifest_statement(subject_of(weights=b"abc")))
    value["predicate"]["files"][0]["sha256"] = HEX
    with pytest.raises(EvidenceError, match="not the one"):
        parse_statement(json.dumps(value).encode()).manifest()
    value["predicate"]["files"][0]["extra"] = 1
    with pytest.raises(EvidenceError, match="malformed"):
        parse_statement(json.dumps(value).encode()).manifest()


def test_fractions_do_not_keep_a_predicate_from_being_signed(subject_of) -> None:
    subject = subject_of(weights=b"abc")
    data = statement("https://example.test/measured/v1", {"b": 0.5, "a": 1}, subject)
    assert parse_statement(data).predicate == {"a": 1, "b": 0.5}
    with pytest.raises(EvidenceError, match="no JSON form"):
        statement("https://example.test/measured/v1", {"b": float("nan")}, subject)
