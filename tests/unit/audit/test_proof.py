"""A proof convinces somebody who has the public key and nothing else, and no changed proof does."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.audit_logs import NOW, event
from zt_gate.audit import AuditLog
from zt_gate.audit.proof import prove, verify_proof
from zt_gate.audit.sign_checkpoint import checkpoint_file
from zt_gate.errors import AuditLogError, UsageError


def grown(folder, key, count):
    log = folder / "audit.jsonl"
    AuditLog(log, key).extend((event(run=f"run {n}") for n in range(count)), NOW)
    return log, checkpoint_file(log).read_bytes()


@pytest.fixture(scope="module")
def nine(tmp_path_factory, key):
    return grown(tmp_path_factory.mktemp("nine"), key, 9)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 9])
def test_every_event_of_a_log_can_be_proven(tmp_path, key, size):
    log, note = grown(tmp_path, key, size)
    AuditLog(log).append(event(run="later, and not covered"), NOW)
    for number in range(size):
        proven = verify_proof(prove(log, number, note, "it"), key.public_key(), "it")
        assert proven.event["run"] == f"run {number}"
        assert (proven.index, proven.checkpoint.size) == (number, size)


def test_the_proof_is_that_of_the_specification(nine):
    log, note = nine
    lines = prove(log, 3, note, "it").decode().split("\n")
    assert lines[0] == "c2sp.org/tlog-proof@v1"
    assert base64.b64decode(lines[1].removeprefix("extra ")) == log.read_bytes().splitlines()[3]
    assert lines[2] == "index 3"
    assert [len(base64.b64decode(line)) for line in lines[3:7]] == [32] * 4
    assert "\n".join(lines[8:]).encode() == note


@pytest.mark.parametrize("number", [-1, 9, 10])
def test_what_the_checkpoint_does_not_cover_is_not_proven(nine, number):
    with pytest.raises(UsageError, match="covers 9 events"):
        prove(nine[0], number, nine[1], "it")


def test_a_log_that_was_rewritten_proves_nothing(tmp_path, key):
    log, note = grown(tmp_path, key, 3)
    log.write_bytes(b"".join(log.read_bytes().splitlines(True)[:2]))
    with pytest.raises(AuditLogError, match="cut short"):
        prove(log, 0, note, "it")


@given(st.data())
def test_no_changed_proof_convinces(nine, key, data):
    proof = prove(nine[0], 4, nine[1], "it")
    place = data.draw(st.integers(0, len(proof) - 1))
    changed = proof[:place] + bytes([proof[place] ^ data.draw(st.integers(1, 255))]) + proof[place + 1 :]
    with pytest.raises(AuditLogError):
        verify_proof(changed, key.public_key(), "it")


def test_an_event_of_another_place_does_not_convince(nine, key):
    """The proof of event 4 with the line of event 5."""
    four, five = (prove(nine[0], number, nine[1], "it").split(b"\n") for number in (4, 5))
    four[1] = five[1]
    with pytest.raises(AuditLogError, match="no proof of an event"):
        verify_proof(b"\n".join(four), key.public_key(), "it")
    four[2] = five[2]
    with pytest.raises(AuditLogError, match="does not add up"):
        verify_proof(b"\n".join(four), key.public_key(), "it")


def test_another_key_does_not_convince(nine, stranger):
    with pytest.raises(AuditLogError, match="not signed by this key"):
        verify_proof(prove(nine[0], 4, nine[1], "it"), stranger.public_key(), "it")
