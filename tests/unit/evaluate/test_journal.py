"""A journal is believed only where this runner wrote it, line after line."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zt_gate.errors import UsageError
from zt_gate.evaluate.journal import Journal

KEY, RUN = b"k" * 32, {"subject": "sha256:1", "batch": 64}
ENTRIES = {
    "flags": {"raised": [], "measures": {"odd": float("nan"), "share": 0.1}},
    "a": {"robust": 3},
    "b": {"x": "é"},
}


def written(path, key=KEY, run=RUN):
    journal = Journal(path, run, key)
    for name, value in ENTRIES.items():
        journal.note(name, value)
    journal.close()
    return path.read_bytes().splitlines(keepends=True)


def recalled(path, key=KEY, run=RUN):
    journal = Journal(path, run, key)
    journal.close()
    return [name for name in ENTRIES if journal.recall(name) is not None]


def test_what_was_written_is_recalled_and_written_on(tmp_path):
    path = tmp_path / "journal.jsonl"
    written(path)
    journal = Journal(path, RUN, KEY)
    assert journal.recall("a")["robust"] == 3
    assert journal.recall("b")["x"] == "é"
    journal.note("c", {"robust": 4})
    journal.close()
    again = Journal(path, RUN, KEY)
    again.close()
    assert again.recall("c")["robust"] == 4
    assert recalled(path) == list(ENTRIES)


def _without_mac(line):
    entry = json.loads(line)
    del entry["mac"]
    return json.dumps(entry).encode() + b"\n"


def _said(line, **other):
    return json.dumps({**json.loads(line), **other}).encode() + b"\n"


FORGED = {
    "another number": lambda lines: [*lines[:2], _said(lines[2], robust=9), lines[3]],
    "no code": lambda lines: [*lines[:2], _without_mac(lines[2])],
    "an old journal": lambda lines: list(map(_without_mac, lines)),
    "another run's first line": lambda lines: [_said(lines[0], run=RUN | {"batch": 1}), *lines[1:]],
    "another order": lambda lines: [*lines[:2], lines[3], lines[2]],
    "a line left out": lambda lines: [*lines[:2], lines[3]],
    "a line twice": lambda lines: [*lines, lines[3]],
    "a line without its first": lambda lines: lines[1:],
    "an empty line": lambda lines: [*lines[:2], b"\n", *lines[2:]],
    "a code that is no text": lambda lines: [*lines[:3], _said(lines[3], mac=1)],
    "a code of other letters": lambda lines: [*lines[:3], _said(lines[3], mac="é")],
    "a line that is no object": lambda lines: [*lines, b"[]\n"],
}


@pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED)
def test_a_line_that_this_runner_did_not_write_refuses_the_run(tmp_path, forge):
    path = tmp_path / "journal.jsonl"
    path.write_bytes(b"".join(forge(written(path))))
    kept = path.read_bytes()
    with pytest.raises(UsageError, match=r"line \d of .* was not written by this runner"):
        recalled(path)
    assert path.read_bytes() == kept


def test_another_key_and_another_run_are_told_apart(tmp_path):
    path = tmp_path / "journal.jsonl"
    lines = written(path)
    with pytest.raises(UsageError, match="not written by this runner"):
        recalled(path, key=b"o" * 32)
    with pytest.raises(UsageError, match="belongs to another run"):
        recalled(path, run=RUN | {"subject": "sha256:2"})
    other = written(tmp_path / "other.jsonl", run=RUN | {"subject": "sha256:2"})
    path.write_bytes(b"".join([lines[0], *other[1:]]))
    with pytest.raises(UsageError, match="line 2 of"):
        recalled(path)


@given(cut=st.integers(0, 2000))
def test_a_journal_that_ends_anywhere_goes_on_from_its_last_whole_line(tmp_path, cut):
    path = tmp_path / "cut.jsonl"
    path.unlink(missing_ok=True)
    lines = written(path)
    path.write_bytes(b"".join(lines)[:cut])
    whole = b"".join(lines)[:cut].count(b"\n")
    assert recalled(path) == list(ENTRIES)[: max(0, whole - 1)]
    assert path.read_bytes().count(b"\n") == max(1, whole)


@given(place=st.integers(0, 10_000), bit=st.integers(0, 7))
def test_no_changed_bit_is_believed(tmp_path, place, bit):
    path = tmp_path / "flipped.jsonl"
    path.unlink(missing_ok=True)
    data = bytearray(b"".join(written(path)))
    data[place % len(data)] ^= 1 << bit
    path.write_bytes(data)
    try:
        journal = Journal(path, RUN, KEY)
    except UsageError:
        return
    journal.close()
    for name, value in ENTRIES.items():
        assert journal.recall(name) is None or json.dumps({"key": name, **value}) == json.dumps(
            {"key": name, **{field: journal.recall(name)[field] for field in value}}
        )
