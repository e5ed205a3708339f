import json
import multiprocessing
import os
import signal
import time
from datetime import UTC, datetime

import pytest

from zt_gate.audit import AuditLog, Event, verify
from zt_gate.errors import AuditLogError

NOW = datetime(2026, 6, 1, tzinfo=UTC)


def event(kind="run.started", run="r", **changes):
    return Event(**{"event": kind, "run": run, "who": "w", "what": "x", "why": "y", "outcome": "z", **changes})


@pytest.fixture
def log(tmp_path):
    return tmp_path / "audit.jsonl"


def test_events_are_chained_private_and_complete(log):
    for run in ("one", "two"):
        AuditLog(log).append(event(run=run), NOW)
    AuditLog(log).append(event("run.finished", "one"), NOW)
    summary = verify(log)
    assert summary.count == 3
    assert summary.unfinished == ("two",)
    assert log.stat().st_mode & 0o777 == 0o600
    first = json.loads(log.read_bytes().splitlines()[0])
    assert first["time"] == "2026-06-01T00:00:00Z"


@pytest.mark.parametrize("field", ["event", "run", "who", "what", "why", "outcome"])
def test_an_event_without_a_word_is_refused(field):
    with pytest.raises(AuditLogError, match=field):
        event(**{field: ""}) if field not in ("event", "run") else Event(**{
            "event": "e", "run": "r", "who": "w", "what": "x", "why": "y", "outcome": "z", field: ""})  # fmt: skip


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
    log.write_bytes(b"".join(edit(log.read_bytes().splitlines(keepends=True))))
    with pytest.raises(AuditLogError):
        verify(log)


def test_a_cut_tail_is_only_noticed_by_whoever_holds_the_last_hash(log):
    """The chain alone cannot see it; that is why a summary is returned and has to be kept elsewhere."""
    for number in range(3):
        AuditLog(log).append(event(run=str(number)), NOW)
    held = verify(log)
    log.write_bytes(b"".join(log.read_bytes().splitlines(keepends=True)[:2]))
    assert verify(log).count == 2
    with pytest.raises(AuditLogError, match="cut short"):
        verify(log, held=(held.count, held.last))


def test_a_rewritten_log_is_only_noticed_by_whoever_holds_the_last_hash(log):
    for number in range(3):
        AuditLog(log).append(event(run=str(number)), NOW)
    held = verify(log)
    log.unlink()
    for number in range(4):
        AuditLog(log).append(event(run=f"forged {number}"), NOW)
    assert verify(log).count == 4
    with pytest.raises(AuditLogError, match="rewritten"):
        verify(log, held=(held.count, held.last))


def test_a_log_that_grew_still_contains_what_was_held(log):
    AuditLog(log).append(event(), NOW)
    held = verify(log)
    AuditLog(log).append(event("run.finished"), NOW)
    assert verify(log, held=(held.count, held.last)).count == 2


def test_a_torn_line_is_removed_and_that_is_logged(log):
    AuditLog(log).append(event(), NOW)
    with log.open("ab") as stream:
        stream.write(b'{"seq":99')
    AuditLog(log).append(event("run.finished"), NOW)
    kinds = [json.loads(line)["event"] for line in log.read_bytes().splitlines()]
    assert kinds == ["run.started", "log.recovered", "run.finished"]
    assert verify(log).unfinished == ()


def _append_many(path, count):
    for number in range(count):
        AuditLog(path).append(event(run=f"{os.getpid()}-{number}"), NOW)


def test_concurrent_writers_keep_the_chain(log):
    with multiprocessing.get_context("fork").Pool(4) as pool:
        pool.starmap(_append_many, [(log, 25)] * 4)
    assert verify(log).count == 100


def test_a_killed_writer_leaves_a_log_that_goes_on(log):
    context = multiprocessing.get_context("fork")
    for _ in range(5):
        writers = [context.Process(target=_append_many, args=(log, 100_000)) for _ in range(2)]
        for writer in writers:
            writer.start()
        time.sleep(0.05)
        for writer in writers:
            os.kill(writer.pid, signal.SIGKILL)
            writer.join()
    AuditLog(log).append(event(run="last"), NOW)
    assert verify(log).count >= 1


@pytest.mark.parametrize("place", ["missing/audit.jsonl", "."])
def test_a_log_that_cannot_be_opened_is_an_error(tmp_path, place):
    with pytest.raises(AuditLogError, match="cannot open the audit log"):
        AuditLog(tmp_path / place).append(event(), NOW)


def test_a_file_that_is_no_log_is_never_appended_to(tmp_path):
    other = tmp_path / "notes.txt"
    other.write_text("hello\n")
    with pytest.raises(AuditLogError, match="does not end in an event"):
        AuditLog(other).append(event(), NOW)
    assert other.read_text() == "hello\n"


def test_a_link_is_not_followed(tmp_path, log):
    log.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(AuditLogError):
        AuditLog(log).append(event(), NOW)
    assert not (tmp_path / "elsewhere").exists()
