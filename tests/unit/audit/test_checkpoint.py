"""What a signed checkpoint shows that the chain alone cannot, and that no two of them ever contradict each other."""

import json
import multiprocessing
import os
import random
import signal
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sigstore._internal.rekor.checkpoint import SignedCheckpoint, SignedNote

from tests.support.audit_logs import NOW, event
from zt_gate.audit import AuditLog, verify
from zt_gate.audit.checkpoint import Checkpoint, open_note, origin_of, sign, split_note
from zt_gate.audit.event import digest, encode
from zt_gate.audit.sign_checkpoint import checkpoint_file, frontier_file
from zt_gate.errors import AuditLogError


def grow(log, key, *runs):
    for run in runs:
        AuditLog(log, key).append(event(run=run), NOW)


def held(log, key):
    return open_note(checkpoint_file(log).read_bytes(), key.public_key(), "it")


def forge(log, outcomes):
    """Write a log with a perfect chain, whatever it says."""
    prev, data = "0" * 64, b""
    for seq, outcome in enumerate(outcomes):
        line = encode(event(outcome=outcome), seq, prev, NOW, secrets=())
        prev, data = digest(line), data + line + b"\n"
    log.write_bytes(data)


@pytest.fixture
def sealed(log, key):
    grow(log, key, "a", "b", "c")
    return log


def test_a_log_that_grew_still_contains_its_checkpoint(sealed, key):
    first = held(sealed, key)
    grow(sealed, key, "d")
    assert (first.size, held(sealed, key).size) == (3, 4)
    assert verify(sealed, [first, held(sealed, key)]).checkpoint == held(sealed, key)
    assert first.origin == held(sealed, key).origin == origin_of(digest(sealed.read_bytes().split(b"\n")[0]))


@pytest.mark.parametrize(
    ("edit", "alone", "why"),
    [
        (lambda log: log.write_bytes(b"".join(log.read_bytes().splitlines(True)[:2])), True, "cut short"),
        (lambda log: log.write_bytes(b""), True, "cut short"),
        (lambda log: forge(log, ["allow"] * 3), True, "another log|rewritten"),
        (lambda log: forge(log, ["allow"] * 9), True, "another log|rewritten"),
        (lambda log: log.write_bytes(log.read_bytes().replace(b'"run":"b"', b'"run":"x"')), False, "follow"),
        (lambda log: log.write_bytes(b"".join(sorted(log.read_bytes().splitlines(True)))[::1] * 2), False, "follow"),
    ],
)
def test_the_chain_alone_does_not_show_what_a_held_checkpoint_shows(sealed, key, edit, alone, why):
    checkpoint = held(sealed, key)
    edit(sealed)
    if alone:
        verify(sealed)
    else:
        with pytest.raises(AuditLogError):
            verify(sealed)
    with pytest.raises(AuditLogError, match=why):
        verify(sealed, [checkpoint])


def test_a_tail_rewritten_behind_the_first_line_is_shown(sealed, key):
    """The origin stays, and so does the first line: only the root differs."""
    checkpoint = held(sealed, key)
    first = sealed.read_bytes().splitlines(True)[0]
    sealed.write_bytes(first)
    AuditLog(sealed).extend([event(run="x"), event(run="y")], NOW)
    assert verify(sealed).count == 3
    with pytest.raises(AuditLogError, match="was rewritten: its first 3 events"):
        verify(sealed, [checkpoint])


@pytest.mark.parametrize(
    "edit",
    [
        lambda log: log.write_bytes(b"".join(log.read_bytes().splitlines(True)[:2])),
        lambda log: log.write_bytes(b""),
        lambda log: forge(log, ["allow"] * 5),
        lambda log: forge(log, ["started"] * 2),
        lambda log: checkpoint_file(log).unlink(),
        lambda log: checkpoint_file(log).write_bytes(b""),
        lambda log: checkpoint_file(log).write_bytes(checkpoint_file(log).read_bytes().replace(b"\n3\n", b"\n2\n")),
    ],
)
@pytest.mark.parametrize("cached", [True, False])
def test_nothing_is_signed_that_contradicts_the_last_checkpoint(sealed, key, edit, cached):
    edit(sealed)
    if not cached and checkpoint_file(sealed).exists():
        frontier_file(sealed).unlink()
    before = checkpoint_file(sealed).read_bytes() if checkpoint_file(sealed).exists() else None
    data = sealed.read_bytes()
    with pytest.raises(AuditLogError):
        AuditLog(sealed, key).append(event(), NOW)
    assert sealed.read_bytes() == data
    assert (checkpoint_file(sealed).read_bytes() if checkpoint_file(sealed).exists() else None) == before


def test_another_key_continues_nothing(sealed, key, stranger):
    with pytest.raises(AuditLogError, match="not signed by this key"):
        AuditLog(sealed, stranger).append(event(), NOW)
    assert verify(sealed, [held(sealed, key)]).count == 3


@pytest.mark.parametrize("junk", [b"", b"{}", b"[]", b"\xff", b'{"size":3}', b"x" * 20_000, None])
def test_the_frontier_is_only_a_shortcut(sealed, key, junk):
    if junk is None:
        frontier_file(sealed).unlink()
    else:
        frontier_file(sealed).write_bytes(junk)
    if junk is not None and len(junk) > 16 << 10:
        with pytest.raises(AuditLogError, match="too long"):
            grow(sealed, key, "d")
        return
    grow(sealed, key, "d")
    assert verify(sealed, [held(sealed, key)]).count == 4


def test_a_frontier_that_lies_about_the_log_leads_to_nothing_false(sealed, key):
    """Right hashes, wrong place: the log behind it was replaced. What is signed still extends what was signed."""
    first = held(sealed, key)
    kept = frontier_file(sealed).read_bytes()
    lines = sealed.read_bytes().splitlines(True)
    sealed.write_bytes(lines[0] + lines[1].replace(b'"run":"b"', b'"run":"x"') + lines[2])
    frontier_file(sealed).write_bytes(kept)
    grow(sealed, key, "d")
    later = held(sealed, key)
    honest = sealed.with_name("honest.jsonl")
    honest.write_bytes(b"".join(lines) + sealed.read_bytes().splitlines(True)[3])
    assert verify(honest, [first, later]).count == 4
    with pytest.raises(AuditLogError):
        verify(sealed, [later])


@pytest.mark.parametrize(
    "lie",
    [
        lambda value, _: value["subtrees"].__setitem__(0, "ab" * 32),
        lambda value, _: value.update(first="ab" * 32),
        lambda value, _: value.update(last="ab" * 32),
        lambda value, lines: value.update(offset=len(lines[0] + lines[1])),
        lambda value, _: value.update(offset=value["offset"] - 1),
        lambda value, _: value.update(offset=-1),
        lambda value, _: value.update(offset=1 << 70),
        lambda value, _: value.update(size=2),
        lambda value, lines: value.update(size=1, subtrees=value["subtrees"][:1], offset=len(lines[0])),
    ],
)
def test_a_frontier_that_does_not_fit_its_checkpoint_is_passed_over(sealed, key, lie):
    first, value = held(sealed, key), json.loads(frontier_file(sealed).read_bytes())
    lie(value, sealed.read_bytes().splitlines(True))
    frontier_file(sealed).write_text(json.dumps(value))
    grow(sealed, key, "d")
    assert verify(sealed, [first, held(sealed, key)]).count == held(sealed, key).size == 4


def test_a_checkpoint_with_the_right_root_and_the_name_of_another_log_is_refused(sealed, key):
    other = Checkpoint("zt-gate.dev/audit/other", 3, held(sealed, key).root)
    with pytest.raises(AuditLogError, match="about another log"):
        verify(sealed, [other])
    checkpoint_file(sealed).write_bytes(sign(other, key))
    with pytest.raises(AuditLogError, match="about another log"):
        grow(sealed, key, "d")


def test_a_log_without_checkpoints_may_get_them_later(log, key):
    AuditLog(log).append(event(), NOW)
    grow(log, key, "b")
    assert held(log, key).size == 2
    AuditLog(log).append(event(run="unsigned"), NOW)
    assert verify(log, [held(log, key)]).count == 3
    grow(log, key, "d")
    assert held(log, key).size == 4


@settings(max_examples=30)
@given(st.lists(st.sampled_from(["signed", "plain", "torn", "no frontier"]), max_size=12))
def test_every_checkpoint_extends_the_one_before_it(tmp_path_factory, key, steps):
    log, notes = tmp_path_factory.mktemp("log") / "audit.jsonl", []
    for number, step in enumerate(["signed", *steps]):
        if step == "torn":
            with log.open("ab") as stream:
                stream.write(b'{"torn')
        elif step == "no frontier":
            frontier_file(log).unlink(missing_ok=True)
        AuditLog(log, None if step == "plain" else key).append(event(run=str(number)), NOW)
        notes.append(held(log, key))
    assert [note.size for note in notes] == sorted(note.size for note in notes)
    verify(log, notes)


def _work(log, key, count):
    for _ in range(count):
        AuditLog(log, key).append(event(run=str(os.getpid())), NOW)


def test_writers_that_are_killed_leave_chain_and_checkpoint_intact(log, key):
    """Eight at once, two hundred events each unless they are killed before."""
    context, chance, notes = multiprocessing.get_context("fork"), random.Random(5), []
    writers = [context.Process(target=_work, args=(log, key, 200)) for _ in range(8)]
    for writer in writers:
        writer.start()
    for writer in writers[:5]:
        time.sleep(chance.uniform(0.05, 0.3))
        os.kill(writer.pid, signal.SIGKILL)
        writer.join()
        notes.append(held(log, key))
    for writer in writers:
        writer.join()
    grow(log, key, "last")
    assert verify(log, [*notes, held(log, key)]).count == held(log, key).size > 600


def test_sigstore_reads_our_checkpoints(sealed, key):
    text = checkpoint_file(sealed).read_text()
    theirs = SignedCheckpoint.from_text(text)
    ours = held(sealed, key)
    assert (theirs.checkpoint.origin, theirs.checkpoint.log_size) == (ours.origin, 3)
    assert theirs.checkpoint.log_hash == ours.root.hex()
    (signature,) = SignedNote.from_text(text).signatures
    import base64

    key.public_key().verify(base64.b64decode(signature.signature), theirs.signed_note.note.encode())


# The example in https://c2sp.org/signed-note is signed by nobody known; this one was made by hand from the text of
# the specification: Ed25519 with the secret key 00..1f, over "example.com/log\n0\n<hash of nothing>\n".
def test_the_key_id_is_that_of_the_specification(key):
    import hashlib

    note = sign(Checkpoint("example.com/log", 0, hashlib.sha256(b"").digest()), key)
    checkpoint, ((name, value),) = split_note(note, "it")
    assert (checkpoint.origin, checkpoint.size, name) == ("example.com/log", 0, "example.com/log")
    raw = key.public_key().public_bytes_raw()
    assert value[:4] == hashlib.sha256(b"example.com/log\n\x01" + raw).digest()[:4]
    assert note.startswith(
        b"example.com/log\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n\n\xe2\x80\x94 example.com/log "
    )


def test_signatures_of_others_are_ignored_and_ours_must_be_right(sealed, key, stranger):
    note = checkpoint_file(sealed).read_bytes()
    other = sign(held(sealed, key), stranger).partition(b"\n\n")[2]
    assert open_note(note + other, key.public_key(), "it") == held(sealed, key)
    assert open_note(note[: note.index(b"\n\n") + 2] + other + note.partition(b"\n\n")[2], key.public_key(), "it")
    with pytest.raises(AuditLogError, match="not signed by this key"):
        open_note(note, stranger.public_key(), "it")
    wrong = bytearray(note)
    wrong[-6] ^= 1
    with pytest.raises(AuditLogError, match=r"signature of it is wrong|no signed checkpoint"):
        open_note(bytes(wrong), key.public_key(), "it")


@pytest.mark.parametrize(
    "edit",
    [
        lambda note: b"", lambda note: note[:-1], lambda note: note.replace(b"\n\n", b"\n"), lambda note: note + b"\n",
        lambda note: note.replace(b"\n3\n", b"\n03\n"), lambda note: note.replace(b"\n3\n", b"\n-3\n"),
        lambda note: note.replace(b"\n3\n", b"\n3\nextension\n"), lambda note: note.replace(b"\n", b"\r\n"),
        lambda note: b"\xff" + note, lambda note: note.replace(b"=\n\n", b"\n\n"), lambda note: b"\n" + note,
        lambda note: note.replace("\N{EM DASH}".encode(), b"-"), lambda note: note + b"x" * (128 << 10),
        lambda note: note.replace(b"zt-gate.dev", b"zt gate.dev"),
        lambda note: note.replace(b"\n3\n", "\n\N{ARABIC-INDIC DIGIT THREE}\n".encode()),
    ],
)  # fmt: skip
def test_what_is_no_checkpoint_is_refused(sealed, key, edit):
    with pytest.raises(AuditLogError, match="no signed checkpoint"):
        open_note(edit(checkpoint_file(sealed).read_bytes()), key.public_key(), "it")
