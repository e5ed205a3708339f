"""Notes travel whole, and nothing else gets in their way."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zt_gate.codecs.strict_json import parse_json
from zt_gate.domain import Claim, Finding, Gap, Notes, Severity
from zt_gate.scan.examination import ExaminationJob, notes_from_json, notes_to_json

SIZES = {"a.pkl": 7, "b": 0}
NOTES = Notes(
    [Finding("ART-101", Severity.CRITICAL, "imports é", "a.pkl", "x!y", 3, None, "os.system", "remove it")],
    [Gap("cut off", "b", "copy it")],
    [Claim("a.pkl", 7, "zip+pickle")],
)
GOOD = notes_to_json(NOTES)


def travelled(notes):
    return ExaminationJob("a.pkl", SIZES, lambda: notes).read(ExaminationJob("a.pkl", SIZES, lambda: notes).answer())


def test_notes_come_back_as_they_went():
    assert travelled(NOTES) == NOTES


def test_text_is_made_printable_once_more():
    forged = Notes(gaps=[Gap("fine\n\x1b[2KALLOW", "b")])
    assert travelled(forged).gaps[0].reason == "fine\\n\\x1b[2KALLOW"


def changed(name, index, value):
    rows = [list(row) for row in GOOD[name]]
    rows[0][index] = value
    return {**GOOD, name: rows}


BAD = [
    None, [], {}, {**GOOD, "more": []}, {**GOOD, "gaps": None}, {**GOOD, "gaps": [["too short"]]},
    changed("findings", 0, "no rule"), changed("findings", 1, 9), changed("findings", 1, True),
    changed("findings", 2, None), changed("findings", 3, "other.pkl"), changed("findings", 5, -1),
    changed("findings", 5, 1.5), changed("findings", 6, "7"), changed("gaps", 1, "other.pkl"), changed("gaps", 1, None),
    changed("claims", 0, "other.pkl"), changed("claims", 1, 6), changed("claims", 1, True), changed("claims", 2, ""),
]  # fmt: skip


@pytest.mark.parametrize("value", BAD)
def test_what_is_no_set_of_notes_is_refused(value):
    with pytest.raises(ValueError):  # noqa: PT011 - the kind is what callers rely on
        notes_from_json(value, SIZES)


@given(data=st.binary(max_size=200))
def test_any_bytes_are_notes_or_a_value_error(data):
    try:
        notes = notes_from_json(parse_json(data), SIZES)
    except ValueError:
        return
    assert travelled(notes) == notes
