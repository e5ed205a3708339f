"""CPython's unpickler with inert stand-ins, beside our reading: they agree, or it is a finding, and nothing runs."""

import collections
import contextlib
import datetime as dt
import io
import os
import pickle
import random
import resource
import struct
import zipfile
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from zt_gate.corpus.opcodes import HOSTILE, OLD_HOSTILE, SYSTEM, call, name, program, stack_name, text
from zt_gate.domain import Severity, Status
from zt_gate.intake import Freeze, MemorySource, freeze
from zt_gate.scan.artifacts.pickles.machine import Machine
from zt_gate.scan.artifacts.pickles.prefilter import data_only_end
from zt_gate.scan.artifacts.pickles.window import MalformedError
from zt_gate.scan.engines.table import UnpicklerCheck
from zt_gate.scan.engines.unpickler_worker import PickleReading, compare, disagreement, our_reading, their_reading
from zt_gate.scan.engines.unpickler_worker import _Names as Silent

ORDERED = ("collections", "OrderedDict")
VALUES = [collections.OrderedDict(a=1), dt.date(2020, 1, 1), {1, 2}, b"x" * 300, Decimal("1.5"), 2.5, None, 1 << 80]
MANY = settings(
    max_examples=int(os.environ.get("ZT_GATE_FUZZ", "150")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large],
)


def framed(body, length=None):
    return b"\x80\x04\x95" + struct.pack("<Q", len(body) if length is None else length) + body


def crossing(padding):
    """Make a BINBYTES whose length lies across the end of a frame: a file-based loader drops the first half of it."""
    behind = bytes(4) + b"cos\nsystem\n)R" + b"."
    return framed(b"N0" * padding + b"B" + struct.pack("<H", len(behind) - 2)) + behind + b"."


def run(root):
    with freeze([root], Freeze.HOLD) as frozen:
        return UnpicklerCheck().run(frozen)


@pytest.fixture
def little_memory():
    """A memo index of four thousand millions makes the C unpickler ask for a table of that size."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    with open("/proc/self/statm") as file:
        used = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + (512 << 20), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, before)


@pytest.mark.parametrize("protocol", range(6))
def test_honest_pickles_of_every_protocol_are_read_alike(protocol):
    model = LogisticRegression().fit(np.arange(6.0).reshape(6, 1), [0, 1] * 3)
    for value in (VALUES, model, np.arange(5), np.array([{"a": 1}], dtype=object)):
        assert compare(pickle.dumps(value, protocol) * 2) == (2, [])


@pytest.mark.parametrize("data", [HOSTILE, OLD_HOSTILE, program(call(stack_name("builtins", "eval"), text("1/0")))])
def test_a_hostile_pickle_is_read_alike_and_never_run(data, monkeypatch):
    monkeypatch.setattr(os, "system", lambda _: pytest.fail("it was run"))
    assert compare(data) == (1, [])
    assert len(their_reading(data, 0, ahead=True).names) == 1


def test_extensions_and_objects_of_the_loader_are_not_looked_up():
    assert their_reading(b"\x80\x02\x82\x01.", 0, ahead=True).names == []
    assert compare(b"\x80\x04" + text("id") + b"Q.") == (1, [])


def test_a_name_that_we_miss_a_name_that_we_invent_and_another_end_are_told():
    seen = PickleReading([ORDERED], 9)
    assert disagreement(seen, seen) is None
    assert "asks for collections.OrderedDict" in disagreement(PickleReading([], 9), seen)[1]
    assert "never asks for" in disagreement(seen, PickleReading([], 9))[1]
    assert disagreement(seen, PickleReading([ORDERED], 10))[0] == "end of pickle"


def test_where_one_stops_early_only_what_cpython_asked_for_counts():
    assert disagreement(PickleReading([ORDERED], 9), PickleReading([], None)) is None
    assert disagreement(PickleReading([], None), PickleReading([], 9)) is None
    assert disagreement(PickleReading([], None), PickleReading([ORDERED], None)) is not None


def test_a_blinded_reading_is_found_out(monkeypatch):
    monkeypatch.setattr(
        "zt_gate.scan.engines.unpickler_worker.our_reading",
        lambda data, start: PickleReading([], our_reading(data, start).end),
    )
    assert [symbol for symbol, _ in compare(HOSTILE)[1]] == ["os.system"]


@pytest.mark.parametrize("padding", [0, 10_000])
def test_an_operand_across_the_end_of_a_frame_is_a_difference_and_refused_by_our_reading(padding):
    data = crossing(padding)
    assert ("os", "system") in their_reading(data, 0, ahead=False).names
    assert [symbol for symbol, _ in compare(data)[1]] == ["os.system"]
    assert our_reading(data, 0).end is None
    assert data_only_end(MemorySource("", "", data)) is None


def test_a_frame_that_runs_past_stop_hides_what_a_second_load_would_read():
    second = program(SYSTEM, 2)
    data = framed(b"N." + b"\x80\x04\x8e" + struct.pack("<Q", len(second))) + second + b"."
    assert their_reading(data, 0, ahead=False).end == data.index(second)
    assert our_reading(data, 0).end is None
    assert data_only_end(MemorySource("", "", data)) is None


def test_a_frame_within_a_frame_is_refused():
    assert our_reading(framed(b"\x95" + bytes(8) + b"N."), 0).end is None


@pytest.mark.parametrize("value", [[collections.OrderedDict, *map(str, range(40_000))], list(range(90_000))])
def test_a_frame_of_a_large_pickle_may_not_end_anywhere_else(value):
    data = pickle.dumps(value, 4)
    assert compare(data) == (1, [])
    [length] = struct.unpack_from("<Q", data, 3)
    for change in (-2, 1, 2):
        moved = data[:3] + struct.pack("<Q", length + change) + data[11:]
        with pytest.raises(MalformedError, match="frame"):
            Machine(MemorySource("", "", moved), Silent()).run()
        with contextlib.suppress(MalformedError):
            assert data_only_end(MemorySource("", "", moved)) is None


def test_the_check_names_file_member_and_symbol_and_passes_honest_ones(make_tree):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("in/data.pkl", crossing(0))
    files = {"m.pt": out.getvalue(), "h.pkl": pickle.dumps(VALUES), "x.pkl": HOSTILE, "raw.bin": b"\xff" * 64}
    evidence = run(make_tree(files))
    assert evidence.status is Status.FAIL
    [found] = evidence.findings
    assert (found.rule, found.path, found.member, found.symbol) == ("ENG-105", "m.pt", "in/data.pkl", "os.system")
    assert found.severity is Severity.HIGH
    assert evidence.looked == ("h.pkl", "m.pt", "x.pkl")
    assert run(make_tree({"h.pkl": pickle.dumps(VALUES)}, "honest")).status is Status.PASS


LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=300), st.binary(max_size=300),
    st.sampled_from([collections.OrderedDict, dt.date, Fraction, Decimal("2.5"), Fraction(1, 3), dt.date(2000, 1, 2)]),
)  # fmt: skip
DATA = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    max_leaves=40,
)


@given(value=DATA, protocol=st.integers(0, 5))
@MANY
def test_whatever_a_pickler_writes_is_read_alike(value, protocol):
    assert compare(pickle.dumps(value, protocol)) == (1, [])


PARTS = [
    *(bytes([opcode]) for opcode in b"(tR)}b02\x94\x81oN]aesu1\x93\x85Q."),
    text("a"), name("os", "system"), name(*ORDERED), stack_name("m", "f"), b"im\nf\n", b"h\0", b"q\0", b"K\1", b"Px\n",
    b"\x80\2", b"\x95" + struct.pack("<Q", 3), b"B\3\0\0\0",
]  # fmt: skip


@given(parts=st.lists(st.sampled_from(PARTS), max_size=30), protocol=st.sampled_from([0, 2, 4]))
@MANY
@pytest.mark.usefixtures("little_memory")
def test_opcodes_in_any_order_never_ask_for_what_we_do_not_see(parts, protocol):
    assert agree(program(b"".join(parts), protocol))


@given(value=DATA, protocol=st.integers(0, 5), seed=st.integers(0, 1 << 32), times=st.integers(1, 4))
@MANY
@pytest.mark.usefixtures("little_memory")
def test_mutated_pickles_never_ask_for_what_we_do_not_see(value, protocol, seed, times):
    chosen, data = random.Random(seed), bytearray(pickle.dumps(value, protocol))
    for _ in range(times):
        data[chosen.randrange(len(data))] = chosen.randrange(256)
    assert agree(bytes(data))


def agree(data):
    """Whether both readings of bytes are the same wherever ours is one, that is, no refusal."""
    ours = our_reading(data, 0)
    return ours.end is None or not any(disagreement(ours, their_reading(data, 0, ahead=ahead)) for ahead in (0, 1))
