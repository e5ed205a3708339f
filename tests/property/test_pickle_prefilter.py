"""The prefilter and the machine agree: where a pickle ends, what is broken, and above all what does nothing."""

import collections
import datetime as dt
import io
import pickle
import pickletools

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from zt_gate.intake import MemorySource
from zt_gate.scan.artifacts.pickles import window as pickle_window
from zt_gate.scan.artifacts.pickles.machine import Machine
from zt_gate.scan.artifacts.pickles.prefilter import WORTHWHILE, data_only_end
from zt_gate.scan.artifacts.pickles.rules import PickleJudge
from zt_gate.scan.artifacts.pickles.window import MalformedError
from zt_gate.scan.interface import Examination

QUICK = settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
INTERESTING = frozenset(b"coiRbPQ\x81\x82\x83\x84\x92\x93\x97\x98")
STRUCTURE = ("truncated", "no STOP", "does not exist, at", "no end of line", "frame", "length", "protocol")


class Counter(PickleJudge):
    """Counts everything that a machine tells."""

    def __init__(self, source):
        super().__init__(Examination("m", source.size), source)
        self.told = []

    def imported(self, found, offset):
        self.told.append(found.name)
        return True

    def _tell(self, *_):
        self.told.append("told")

    handed_on = unresolved = called = built = persistent = extension = _tell


@pytest.fixture(autouse=True, params=[1 << 20, 128])
def chunk(request, monkeypatch):
    """Both walks through the real window, and through one so small that every operand is met at its edge."""
    monkeypatch.setattr(pickle_window, "_CHUNK", request.param)


def machine(data):
    source = MemorySource("m", "", data)
    listener = Counter(source)
    try:
        return Machine(source, listener).run(), listener.told, ""
    except MalformedError as error:
        return None, listener.told, error.message


def prefilter(data):
    try:
        return data_only_end(MemorySource("m", "", data)), ""
    except MalformedError as error:
        return None, error.message


LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=60) | st.binary(max_size=300)
LEAVES |= st.text(min_size=250, max_size=300)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=5), inner, max_size=4)
        | st.tuples(inner, inner)
        | st.sets(st.integers(), max_size=4)
        | st.frozensets(st.text(max_size=3), max_size=3)
        | st.binary(max_size=9).map(bytearray)
    ),
    max_leaves=30,
)
OBJECTS = st.dates() | st.complex_numbers() | st.just(collections.OrderedDict(a=1)) | st.just(dt.timedelta(1))


@QUICK
@given(value=VALUES, protocol=st.integers(0, 5), rest=st.binary(max_size=20))
def test_both_end_at_the_same_offset(value, protocol, rest):
    data = pickle.dumps(value, protocol)
    interesting = any(op.code.encode("latin-1")[0] in INTERESTING for op, _, _ in pickletools.genops(data))
    assert prefilter(data + rest) == (None if interesting else len(data), "")
    end, _, _ = machine(data + rest)
    assert end == len(data)


@QUICK
@given(before=VALUES, thing=OBJECTS, after=VALUES, protocol=st.integers(0, 5))
def test_what_imports_is_always_left_to_the_machine(before, thing, after, protocol):
    data = pickle.dumps([before, thing, after], protocol)
    assert prefilter(data) == (None, "")
    assert machine(data)[1]


def agree(data):
    end, told, broken = machine(data)
    fast, fault = prefilter(data)
    if fast is not None or fault:
        assert told == []  # the machine may not have seen anything that the prefilter stepped over
    if end is not None:
        assert fast in (end, None)
        assert fault == ""
    if broken and any(word in broken for word in STRUCTURE) and fast is not None:
        pytest.fail(f"the machine says {broken!r} and the prefilter ends at {fast}")


@QUICK
@given(
    value=VALUES,
    protocol=st.integers(0, 5),
    edits=st.lists(st.tuples(st.integers(0, 999), st.integers(0, 255)), max_size=4),
    cut=st.integers(0, 400),
)
def test_mutated_pickles(value, protocol, edits, cut):
    data = bytearray(pickle.dumps(value, protocol))
    for at, byte in edits:
        data[at % len(data)] = byte
    agree(bytes(data[: max(1, len(data) - cut)] if cut < 40 else data))


CODES = [op.code.encode("latin-1") for op in pickletools.opcodes]


@QUICK
@given(parts=st.lists(st.sampled_from(CODES) | st.binary(max_size=9) | st.sampled_from([b"\0", b"1\n", b"K\x01"])))
def test_arbitrary_opcodes(parts):
    agree(b"".join(parts))
    agree(b"".join(parts) + b"N.")


@QUICK
@given(value=VALUES, protocol=st.integers(2, 5), code=st.sampled_from(sorted(INTERESTING)), data=st.data())
def test_an_interesting_opcode_anywhere_is_never_stepped_over(value, protocol, code, data):
    honest = pickle.dumps(value, protocol)
    starts = [offset for _, _, offset in pickletools.genops(honest)]
    at = data.draw(st.sampled_from(starts))
    changed = honest[:at] + bytes([code]) + honest[at:]
    fast, fault = prefilter(changed)
    assert fast is None
    # A frame that has grown may be refused as such; everything else is for the machine to see.
    assert fault == "" or fault.startswith("a frame") or at == starts[-1]


def test_every_opcode_is_known_to_it():
    """An opcode is stepped over, left to the machine, or the end; only bytes that are no opcode are broken."""
    known = {code[0] for code in CODES}
    for code in range(256):
        _, fault = prefilter(bytes([code]) + b"\1\0\0\0\0\0\0\0\n" + bytes(20) + b".")
        assert (fault == f"opcode 0x{code:02x} does not exist, at offset 0") == (code not in known), hex(code)


@pytest.mark.parametrize("width", [1, 4, 8])
def test_operands_of_every_length(width):
    code = {1: b"\x8c", 4: b"X", 8: b"\x8d"}[width]
    for length in [*range(60), 127, 128, 129, 255]:
        data = b"\x80\x04(" + (code + length.to_bytes(width, "little") + b"c" * length) * 5 + b"l."
        assert prefilter(data) == (len(data), ""), length
        assert prefilter(data[:-3])[0] is None
        assert prefilter(data[:-3])[1]


def test_a_large_pickle_takes_the_short_way_and_a_call_in_it_is_found(monkeypatch, tmp_path):
    from zt_gate.scan.artifacts.format import Input
    from zt_gate.scan.artifacts.pickles import stream as pickle_stream
    from zt_gate.scan.artifacts.registry import examine
    from zt_gate.scan.interface import Head

    def scan(data):
        source = MemorySource("m.pkl", "", data)
        exam = Examination("m.pkl", len(data))
        examine(Input(source, exam, Head.of(source), examine))
        return exam

    honest = pickle.dumps([{"k": (i, "x", 1.5)} for i in range(2000)])
    assert len(honest) > WORTHWHILE
    hostile = honest[:-1] + b"0cos\nsystem\n(S'true'\ntR."
    assert {finding.rule for finding in scan(hostile).findings} == {"ART-101"}
    assert {finding.rule for finding in scan(honest + hostile).findings} == {"ART-101"}
    monkeypatch.setattr(pickle_stream, "Machine", None)
    assert scan(honest).claim() is not None
    assert scan(honest + honest).claim() is not None


def test_the_real_unpickler_imports_nothing_that_was_stepped_over():
    """What the prefilter lets through, CPython loads without asking for a single name."""

    class Spy(pickle.Unpickler):
        def find_class(self, module, name):
            raise AssertionError((module, name))

    value = [
        {"a": (1, 2.5, None, True), "b": {1, 2}, "c": frozenset("xy"), "d": b"1" * 300, "e": "é" * 99, "f": 1 << 99}
    ]
    for protocol in (4, 5):  # protocol 3 imports the types of sets
        data = pickle.dumps(value, protocol)
        assert prefilter(data)[0] == len(data)
        Spy(io.BytesIO(data)).load()
