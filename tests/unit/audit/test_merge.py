"""Segments of short-lived runners in one log: nothing twice, nothing lost, nothing changed unnoticed."""

import pytest

from tests.support.audit_logs import NOW, event
from zt_gate.audit import AuditLog, read_events, verify
from zt_gate.audit.checkpoint import open_note
from zt_gate.audit.event import digest, event_time
from zt_gate.audit.merge import known_segments, merge
from zt_gate.audit.sign_checkpoint import checkpoint_file
from zt_gate.errors import AuditLogError, UsageError


def segment(folder, name, count, key=None):
    path = folder / name
    for number in range(count):
        AuditLog(path, key).append(event(run=f"{name} {number}", details={"team": "vision"}), NOW)
    return path


def fold(out, *segments, key=None, held=()):
    known = known_segments(out)
    return [merge(AuditLog(out, key), known, path, held, "merger", NOW.replace(year=2027)) for path in segments]


def test_merged_events_keep_their_words_their_time_and_their_digest(tmp_path):
    one, out = segment(tmp_path, "one", 2), tmp_path / "all"
    assert fold(out, one) == [2]
    first, _, note = read_events(out)
    source = next(read_events(one))
    assert {name: first[name] for name in ("event", "run", "who", "what", "why", "outcome")} == {
        name: source[name] for name in ("event", "run", "who", "what", "why", "outcome")
    }
    assert first["details"]["team"] == "vision"
    assert first["details"]["merged_digest"] == digest(one.read_bytes().splitlines()[0])
    assert event_time(first) == NOW
    assert first["time"].startswith("2027")
    assert note["event"] == "segment.merged"
    assert note["details"]["root"] == verify(one).checkpoint.root.hex()


def test_merging_again_adds_nothing_and_later_only_what_is_new(tmp_path):
    one, two, out = segment(tmp_path, "one", 3), segment(tmp_path, "two", 2), tmp_path / "all"
    assert fold(out, one, two, one) == [3, 2, 0]
    data = out.read_bytes()
    assert fold(out, two, one) == [0, 0]
    assert out.read_bytes() == data
    AuditLog(one).append(event(run="new"), NOW)
    assert fold(out, one, two) == [1, 0]
    runs = [item["run"] for item in read_events(out) if item["event"] == "run.started"]
    assert runs == ["one 0", "one 1", "one 2", "two 0", "two 1", "new"]


@pytest.mark.parametrize("kept", range(1, 5))
def test_a_merge_that_was_interrupted_is_finished(tmp_path, kept):
    one, out = segment(tmp_path, "one", 4), tmp_path / "all"
    fold(out, one)
    whole = [item["details"].get("merged_digest") for item in read_events(out)]
    out.write_bytes(b"".join(out.read_bytes().splitlines(True)[:kept]) + b'{"torn')
    fold(out, one)
    again = [item["details"].get("merged_digest") for item in read_events(out) if item["event"] != "log.recovered"]
    assert again == whole
    assert fold(out, one) == [0]


def test_the_segment_of_a_runner_that_died_while_writing_is_merged_and_its_torn_line_named(tmp_path):
    one, out = segment(tmp_path, "one", 2), tmp_path / "all"
    with one.open("ab") as stream:
        stream.write(b'{"torn')
    assert fold(out, one) == [2]
    assert fold(out, one) == [0]
    assert list(read_events(out))[-1]["details"]["torn"] == "sha256:" + digest(b'{"torn')


def test_a_segment_that_changed_since_is_refused(tmp_path):
    one, out = segment(tmp_path, "one", 3), tmp_path / "all"
    fold(out, one)
    first = one.read_bytes().splitlines(True)[0]
    one.write_bytes(first)
    with pytest.raises(AuditLogError, match="shorter than"):
        fold(out, one)
    AuditLog(one).extend([event(run="x"), event(run="y"), event(run="z")], NOW)
    with pytest.raises(AuditLogError, match="rewritten since"):
        fold(out, one)


def test_a_segment_must_contain_its_checkpoint(tmp_path, key):
    one, out = segment(tmp_path, "one", 3, key), tmp_path / "all"
    held = [open_note(checkpoint_file(one).read_bytes(), key.public_key(), "it")]
    one.write_bytes(b"".join(one.read_bytes().splitlines(True)[:2]))
    with pytest.raises(AuditLogError, match="cut short"):
        fold(out, one, held=held)
    assert not out.exists()


def test_a_broken_segment_adds_nothing(tmp_path):
    one, out = segment(tmp_path, "one", 3), tmp_path / "all"
    one.write_bytes(one.read_bytes().replace(b"one 1", b"one 9"))
    with pytest.raises(AuditLogError, match="does not follow"):
        fold(out, one)
    assert not out.exists()


def test_a_merged_log_is_not_merged_again(tmp_path):
    one, out = segment(tmp_path, "one", 1), tmp_path / "all"
    fold(out, one)
    with pytest.raises(UsageError, match="itself a merged log"):
        fold(tmp_path / "more", out)


def test_an_empty_segment_adds_nothing(tmp_path):
    (tmp_path / "empty").write_bytes(b"")
    assert fold(tmp_path / "all", tmp_path / "empty") == [0]
    assert not (tmp_path / "all").exists()


def test_the_longest_event_can_be_merged(tmp_path):
    wide = "\N{GRINNING FACE}" * 3800
    one, out = tmp_path / "one", tmp_path / "all"
    AuditLog(one).append(event(who=wide, what=wide, why=wide, details={f"d{n}": "x" for n in range(40)}), NOW)
    assert fold(out, one) == [1]
    assert next(read_events(out))["who"] == wide
