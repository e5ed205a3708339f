"""The log itself: chained, private, complete, and going on after a crash."""

import json
import multiprocessing
import os
import random
import signal
import threading
import time
import tracemalloc
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.audit_logs import NOW, event
from zt_gate.audit import AuditLog, Event, read_events, storage, verify
from zt_gate.audit.event import MAX_LINE, decode, digest, encode
from zt_gate.domain import canonical_json
from zt_gate.errors import AuditLogError

SCHEMA = json.loads((Path(__file__).parents[3] / "rules" / "schema" / "audit-v1.schema.json").read_text())
VALID = jsonschema.Draft202012Validator(SCHEMA)


def lines(log):
    return log.read_bytes().splitlines(keepends=True)


def test_events_are_chained_private_and_complete(log):
    for run in ("one", "two"):
        AuditLog(log).append(event(run=run), NOW)
    AuditLog(log).append(event("run.finished", "one", details={"stage": "production"}), NOW)
    summary = verify(log)
    assert summary.count == 3
    assert summary.unfinished == ("two",)
    assert log.stat().st_mode & 0o777 == 0o600
    first = json.loads(lines(log)[0])
    assert first["time"] == "2026-06-01T00:00:00Z"
    assert json.loads(lines(log)[2])["details"] == {"stage": "production"}


@pytest.mark.parametrize("name", ["event", "run", "who", "what", "why", "outcome"])
@pytest.mark.parametrize("empty", ["", "  ", None])
def test_an_event_without_a_word_is_refused(name, empty):
    words = {"event": "run.started", "run": "r", "who": "w", "what": "x", "why": "y", "outcome": "z"}
    with pytest.raises(AuditLogError, match=name):
        Event(**{**words, name: empty})


@pytest.mark.parametrize(
    "changes",
    [{"event": "nodot"}, {"event": "Run.started"}, {"details": {"Upper": "x"}}, {"details": {"a": 1}},
     {"details": {f"a{n}": "" for n in range(41)}}],
)  # fmt: skip
def test_kinds_and_details_have_one_form(changes):
    with pytest.raises(AuditLogError):
        Event(**{"event": "run.started", "run": "r", "who": "w", "what": "x", "why": "y", "outcome": "z", **changes})


words = st.text(min_size=1, max_size=60).filter(str.strip)
details = st.dictionaries(st.from_regex(r"[a-z][a-z0-9_]{0,39}", fullmatch=True), st.text(max_size=60), max_size=5)


@given(who=words, what=words, why=words, outcome=words, details=details, run=words)
def test_what_is_written_is_canonical_valid_and_read_again(**fields):
    """Whatever the text: surrogates, controls, astral characters, quotes."""
    line = encode(Event("run.finished", **fields), 7, "a" * 64, NOW, secrets=())
    value = decode(line)
    assert canonical_json(value) == line
    VALID.validate(value)
    assert all(char >= " " for text in value.values() if isinstance(text, str) for char in text)


@pytest.mark.parametrize(
    "change",
    [{"who": ""}, {"who": None}, {"seq": True}, {"seq": -1}, {"prev": "x"}, {"time": "2026-06-01"}, {"extra": "1"},
     {"time": "2026-06-01T00:00:00+00:00"}, {"time": "2026-02-30T00:00:00Z"}, {"details": {}}, {"details": None},
     {"details": {"a": 1}}, {"details": {"A": "x"}}, {"event": "x"}, {"schema": "zt-gate/audit/v2"}, {"why": 3}],
)  # fmt: skip
def test_reader_and_schema_refuse_the_same_lines(change):
    value = {**decode(encode(event(), 0, "0" * 64, NOW, secrets=())), **change}
    assert decode(canonical_json(value)) is None or change == {"seq": -1}
    if change not in ({"time": "2026-02-30T00:00:00Z"}, {"seq": True}):
        assert not VALID.is_valid(value)


@pytest.mark.parametrize("name", ["schema", "seq", "prev", "time", "run", "event", "who", "what", "why", "outcome"])
def test_reader_and_schema_refuse_a_line_that_lacks_a_field(name):
    value = decode(encode(event(), 0, "0" * 64, NOW, secrets=()))
    del value[name]
    assert decode(canonical_json(value)) is None
    assert not VALID.is_valid(value)


SECRETS = [
    "ghp_" + "a1B2" * 9, "glpat-" + "x" * 20, "AKIA" + "ABCDEFGH12345678", "hf_" + "Q" * 34, "sk-" + "z9" * 15,
    "xoxb-" + "1234567890-abc", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl", "pypi-" + "A" * 40,
    "-----BEGIN PRIVATE KEY-----\nMIIEvQ\n-----END PRIVATE KEY-----", "dapi" + "0" * 32, "AIza" + "k" * 35,
]  # fmt: skip


@pytest.mark.parametrize("secret", SECRETS)
def test_no_secret_reaches_the_log(log, secret):
    item = event(who=f"by {secret}", what=f"x {secret} y", why=f"({secret})", details={"name": secret})
    AuditLog(log).append(item, NOW)
    data = log.read_text()
    assert secret not in data
    assert secret.splitlines()[-1][:24] not in data
    assert data.count("[redacted]") == 4


def test_passwords_in_urls_and_values_of_secret_variables_are_removed(log, monkeypatch):
    monkeypatch.setenv("MY_REGISTRY_TOKEN", "correct-horse-battery")
    monkeypatch.setenv("HOME_TOWN", "visible-value")
    AuditLog(log).append(
        event(what="s3://user:hunter2222@host/x", why="with correct-horse-battery", who="visible-value"), NOW
    )
    data = log.read_text()
    assert "hunter2222" not in data
    assert "correct-horse" not in data
    assert "visible-value" in data
    assert verify(log).count == 1


def test_digests_and_ordinary_words_are_not_taken_for_secrets(log):
    words = f"sha256:{'ab' * 32} skip-connection-network production https://host:443/a risk-model-v2-final-candidate"
    AuditLog(log).append(event(what=words), NOW)
    assert words in log.read_text()


@pytest.mark.parametrize(
    "edit",
    [
        lambda lines: [lines[0].replace(b'"z"', b'"q"'), *lines[1:]],
        lambda lines: [lines[1], lines[0], lines[2]],
        lambda lines: [lines[0], lines[2]],
        lambda lines: [lines[0], b"{}\n", *lines[1:]],
        lambda lines: [lines[0].replace(b'":', b'": '), *lines[1:]],
        lambda lines: [*lines, b'{"half":'],
    ],
)
def test_an_edit_anywhere_is_noticed(log, edit):
    for number in range(3):
        AuditLog(log).append(event(run=str(number)), NOW)
    log.write_bytes(b"".join(edit(lines(log))))
    with pytest.raises(AuditLogError):
        verify(log)


def test_a_torn_line_is_removed_and_that_is_logged(log):
    AuditLog(log).append(event(), NOW)
    with log.open("ab") as stream:
        stream.write(b'{"seq":99')
    AuditLog(log).append(event("run.finished"), NOW)
    found = list(read_events(log))
    assert [item["event"] for item in found] == ["run.started", "log.recovered", "run.finished"]
    assert found[1]["what"] == "sha256:" + digest(b'{"seq":99')
    assert found[1]["outcome"] == "dropped 9 bytes"
    assert verify(log).unfinished == ()


def test_an_event_that_is_refused_leaves_a_torn_line_to_be_logged(log):
    AuditLog(log).append(event(), NOW)
    with log.open("ab") as stream:
        stream.write(b'{"seq":99')
    with pytest.raises(AuditLogError):
        AuditLog(log).extend([event("run.finished")], NOW, room=1)
    assert log.read_bytes().endswith(b'{"seq":99')
    AuditLog(log).append(event("run.finished"), NOW)
    assert [item["event"] for item in read_events(log)] == ["run.started", "log.recovered", "run.finished"]


@pytest.mark.parametrize("cut", [1, 2, 40, 200])
def test_a_line_torn_at_any_byte_is_repaired(log, cut):
    for number in range(3):
        AuditLog(log).append(event(run=str(number)), NOW)
    log.write_bytes(log.read_bytes()[:-cut])
    AuditLog(log).append(event(run="next"), NOW)
    assert [item["event"] for item in read_events(log)][-2:] == ["log.recovered", "run.started"]


def test_a_line_that_a_living_writer_is_in_the_middle_of_is_no_fault(log):
    AuditLog(log).extend([event(), event()], NOW)
    data = log.read_bytes()
    log.write_bytes(data[:-20])
    writer = threading.Timer(0.02, lambda: log.write_bytes(data))
    writer.start()
    assert verify(log).count == 2
    writer.join()


def test_memory_does_not_grow_with_the_log(log):
    peaks = []
    for count in (500, 5000):
        AuditLog(log).extend((event("run.finished") for _ in range(count)), NOW)
        tracemalloc.start()
        verify(log)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] + 50_000, peaks


def test_long_lines_are_written_up_to_the_limit_and_no_further(log):
    wide = "\N{GRINNING FACE}" * 3900
    AuditLog(log).append(event(who=wide, what=wide, why=wide), NOW)
    AuditLog(log).append(event(), NOW)
    with pytest.raises(AuditLogError, match="longer than"):
        AuditLog(log).append(event(who=wide, what=wide, why=wide, outcome=wide), NOW)
    assert verify(log).count == 2
    assert len(lines(log)[0]) < MAX_LINE


def _append_many(path, count):
    for number in range(count):
        AuditLog(path).append(event(run=f"{os.getpid()}-{number}"), NOW)


def test_concurrent_writers_keep_the_chain(log):
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_append_many, args=(log, 25)) for _ in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(120)
    assert [writer.exitcode for writer in writers] == [0] * 4
    assert verify(log).count == 100


def test_killed_writers_leave_a_log_that_goes_on(log):
    chance, context = random.Random(3), multiprocessing.get_context("fork")
    for _ in range(5):
        writers = [context.Process(target=_append_many, args=(log, 100_000)) for _ in range(3)]
        for writer in writers:
            writer.start()
        time.sleep(chance.uniform(0.02, 0.15))
        for writer in writers:
            os.kill(writer.pid, signal.SIGKILL)
            writer.join()
    AuditLog(log).append(event(run="last"), NOW)
    assert verify(log).count >= 1


@pytest.mark.parametrize("place", ["missing/audit.jsonl", "."])
def test_a_log_that_cannot_be_opened_is_an_error(tmp_path, place):
    with pytest.raises(AuditLogError, match="cannot open the audit log"):
        AuditLog(tmp_path / place).append(event(), NOW)


def test_a_pipe_or_a_device_is_no_log(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for place in (tmp_path / "pipe", Path("/dev/full")):
        with pytest.raises(AuditLogError, match="no regular file"):
            AuditLog(place).append(event(), NOW)


def test_a_full_disk_is_an_error(log, monkeypatch):
    """One byte fits, then no more; the next writer removes it."""
    AuditLog(log).append(event(), NOW)
    write = os.write
    monkeypatch.setattr(storage.os, "write", lambda fd, data: write(fd, data[:1]))
    with pytest.raises(AuditLogError, match="No space left"):
        AuditLog(log).append(event(), NOW)
    monkeypatch.undo()
    AuditLog(log).append(event(), NOW)
    assert [item["event"] for item in read_events(log)] == ["run.started", "log.recovered", "run.started"]


def test_a_file_that_is_no_log_is_never_appended_to(tmp_path):
    for text in ("hello\n", "\n", "x" * 300_000):
        other = tmp_path / "notes.txt"
        other.write_text(text)
        with pytest.raises(AuditLogError, match="does not end in"):
            AuditLog(other).append(event(), NOW)
        assert other.read_text() == text


def test_a_link_is_not_followed(tmp_path, log):
    log.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(AuditLogError):
        AuditLog(log).append(event(), NOW)
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize(("magic", "name"), [(0x6969, "NFS"), (0xFE534D42, "SMB"), (0xFF534D42, "CIFS")])
def test_a_network_file_system_is_refused(log, monkeypatch, magic, name):
    monkeypatch.setattr(storage, "filesystem", lambda fd: magic)
    with pytest.raises(AuditLogError, match=f"lies on {name}"):
        AuditLog(log).append(event(), NOW)
    assert log.read_bytes() == b""


def test_the_file_system_is_what_the_kernel_says():
    with open("/proc/self/stat", "rb") as stream:
        assert storage.filesystem(stream.fileno()) == 0x9FA0
