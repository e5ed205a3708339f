"""Stepping over batches changes nothing: the same is told, at the same offsets, with the same values."""

import collections
import contextlib
import datetime as dt
import os
import pickle
import pickletools

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from zt_gate.intake import MemorySource
from zt_gate.scan.artifacts.pickles import batches as pickle_batches
from zt_gate.scan.artifacts.pickles import window as pickle_window
from zt_gate.scan.artifacts.pickles.batches import Skipped
from zt_gate.scan.artifacts.pickles.machine import Machine
from zt_gate.scan.artifacts.pickles.rules import PickleJudge
from zt_gate.scan.artifacts.pickles.values import ContainerValue, DictValue, Instance, Tuple
from zt_gate.scan.artifacts.pickles.window import MalformedError
from zt_gate.scan.interface import Examination

MANY = settings(
    max_examples=int(os.environ.get("ZT_GATE_FUZZ", "250")),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large],
)


def shown(value, depth=4):
    """Tell what a value is and what it holds. Batches are unpacked for that, which must not change anything."""
    if depth == 0:
        return type(value).__name__
    if isinstance(value, Tuple):
        members = value.items if value.items is not None else value.held
        return ("tuple", value.items is None, [shown(item, depth - 1) for item in members])
    if isinstance(value, Instance):
        return ("instance", value.made_by, value.cls, [shown(item, depth - 1) for item in value.held or ()])
    if not isinstance(value, ContainerValue):
        return repr(value)
    for batch in value.batches or ():
        batch.make()
    keys = {}
    if isinstance(value, DictValue):
        about = ("dunder", "formula", "computed", "unfollowed", "others")
        keys = {name: shown(item, depth - 1) for name, item in value.items.items()}
        keys |= {("about", name): getattr(value, name) for name in about}
    # Batches are unpacked as they are asked for, so members have no order.
    return (value.kind, keys, sorted((shown(item, depth - 1) for item in value.held or ()), key=repr))


class Witness(PickleJudge):
    """Writes down everything that a machine tells, with the values as they are at that moment, and judges as well."""

    def __init__(self, source):
        super().__init__(Examination("m", source.size), source)
        self.told = []


def _also_write_down(name):
    judge = getattr(PickleJudge, name)

    def tell(self, *what):
        self.told.append((name, [shown(value) for value in what]))
        return judge(self, *what)

    return tell


for _name in ("imported", "handed_on", "unresolved", "called", "built", "changed", "persistent", "extension", "array"):
    setattr(Witness, _name, _also_write_down(_name))


@pytest.fixture(autouse=True, params=[1 << 20, 256])
def chunk(request, monkeypatch):
    """The real window, and one so small that batches do not fit or lie across its edge; runs however short."""
    monkeypatch.setattr(pickle_window, "_CHUNK", request.param)
    monkeypatch.setattr(pickle_batches, "WORTH_A_SHAPE", 1)


def walk(data, batches=True):
    source = MemorySource("m", "", data)
    witness = Witness(source)
    machine = Machine(source, witness)
    if not batches:
        machine.batches_from = len(data) + 1
    end, broken = None, ""
    try:
        end = machine.run()
    except MalformedError as error:
        broken = error.message
    memo = []
    for index in range(len(machine.memo)):
        with contextlib.suppress(MalformedError):
            memo.append(shown(machine.recall(index)))
    return end, broken, witness.told, [str(finding) for finding in witness.exam.findings], memo


def same(data):
    assert walk(data) == walk(data, batches=False)


TEXT = st.text(max_size=8) | st.sampled_from(["__class__", "shape", "dtype", "a" * 39, "b" * 40, "c" * 300, "os", "é"])
LEAVES = st.none() | st.booleans() | st.integers() | st.integers(0, 255) | st.floats() | TEXT | st.binary(max_size=300)
OBJECTS = (
    st.dates()
    | st.complex_numbers()
    | st.just(collections.OrderedDict(a=1, b=[2, 3]))
    | st.just(dt.timedelta(1))
    | st.just(collections.Counter("aab"))
    | st.just(len)
    | st.just(dt.date)
)
VALUES = st.recursive(
    LEAVES | OBJECTS,
    lambda inner: (
        st.lists(inner, max_size=6)
        | st.dictionaries(TEXT, inner, max_size=4)
        | st.tuples(inner)
        | st.tuples(inner, inner)
        | st.tuples(inner, inner, inner)
        | st.tuples(inner, inner, inner, inner)
        | st.sets(LEAVES, max_size=4)
        | st.frozensets(TEXT, max_size=3)
        | st.lists(inner, min_size=1, max_size=2).map(lambda some: some * 3)
        | st.lists(LEAVES, min_size=1, max_size=2).map(lambda some: [some] * 3 + some * 40)
    ),
    max_leaves=30,
)
PICKLERS = st.sampled_from([pickle.dumps, pickle._dumps])


@MANY
@given(value=VALUES, protocol=st.integers(0, 5), dumps=PICKLERS)
def test_honest_pickles_of_data_and_objects(value, protocol, dumps):
    same(dumps([value, "end", value], protocol))


@MANY
@given(
    value=VALUES,
    protocol=st.integers(0, 5),
    edits=st.lists(st.tuples(st.integers(0, 9999), st.integers(0, 255)), max_size=4),
    cut=st.integers(0, 400),
)
def test_mutated_pickles(value, protocol, edits, cut):
    data = bytearray(pickle.dumps(value, protocol))
    for at, byte in edits:
        data[at % len(data)] = byte
    same(bytes(data[: max(1, len(data) - cut)] if cut < 40 else data))


CODES = [op.code.encode("latin-1") for op in pickletools.opcodes]
PIECES = [
    b"](", b"}(", b"\x8f(", b"(", b"e", b"u", b"\x90", b"t", b"\x85", b"\x86", b"\x87", b"a", b"s", b"\x94",
    b"K\x01", b"K\x02", b"N", b")", b"h\x00", b"h\x01", b"h\x02", b"j\x03\0\0\0", b"q\x00", b"q\x01", b"q\x02",
    b"r\x00\0\0\0", b"r\x01\0\0\0", b"\x8c\x01x", b"\x8c\x02os", b"\x8c\x06system", b"\x8c\x05shape",
    b"\x8c\x02__", b"\x8c\x02\xc3\xa9", b"\x8c\x01\xc3", b"X\x01\0\0\0y", b"\x93", b"cos\nsystem\n", b"R", b"b",
    b"\x81", b"C\x02ab", b"\x8a\x01\x05", b"0", b"2", b"1", b"l", b"d", b"\x95\x02\0\0\0\0\0\0\0",
    b"G" + bytes(8), b"Q", b"]", b"}", b"\x8f", b"\x91", b"cdatetime\ndate\n",
]  # fmt: skip


@MANY
@given(parts=st.lists(st.sampled_from(PIECES), max_size=60))
@example([b"](", b"\x8c\x02os", b"\x94", b"\x8c\x06system", b"\x94", b"e", b"h\x00", b"h\x01", b"\x93", b")", b"R"])
@example([b"](", b"\x8c\x02os", b"\x94", b"K\x01", b"\x86", b"\x94", b"e", b"N", b"q\x00", b"h\x01", b"Q"])
@example(
    [
        b"}(",
        b"\x8c\x02os",
        b"\x94",
        b"]",
        b"\x94",
        b"u",
        b"](",
        b"h\x00",
        b"h\x01",
        b"\x86",
        b"\x94",
        b"e",
        b"h\x02",
        b"Q",
    ]
)
@example([b"}(", b"K\x01", b"K\x01", b"\x8c\x01x", b"\x86", b"u", b"q\x00"])
@example([b"}(", b"\x8c\x01x", b"K\x01", b"\x8c\x01x", b"\x87", b"K\x01", b"u", b"q\x00"])
@example([b"}(", b"K\x01", b"}", b"\x8c\x01x", b"K\x01", b"s", b"u", b"q\x00"])
@example([b"cos\nsystem\n", b"q\x00", b"](", b"h\x00", b"K\x01", b"e"])
@example([b"}(", b"}", b"\x94", b"K\x01", b"u", b"h\x00", b"\x8c\x02__", b"K\x01", b"s", b"h\x00", b"Q"])
def test_arbitrary_pieces(parts):
    same(b"\x80\x04" + b"".join(parts))
    same(b"\x80\x02]" + b"".join(parts) + b".")


@MANY
@given(parts=st.lists(st.sampled_from(PIECES) | st.sampled_from(CODES) | st.binary(max_size=9), max_size=40))
def test_arbitrary_bytes(parts):
    same(b"".join(parts) + b".")


@pytest.mark.parametrize("protocol", range(6))
def test_long_batches_across_windows_and_frames(protocol):
    rows = [(i, f"n{i}", i / 3, [i, None], {"id": i, "é": f"ü{i}"}, {i}, frozenset([i, "x"])) for i in range(3000)]
    value = [
        dt.date(2020, 1, 1),
        list(range(5000)),
        rows,
        {f"k{i}": i for i in range(3000)},
        [f"k{i}" for i in range(99)],
    ]
    value += [{f"k{i}": f"v{i}" for i in range(2000)}, {i: i for i in range(2000)}, [f"é{i}" for i in range(2000)]]
    value += [{f"k{i}": "a", f"l{i}": "b"} for i in range(99)] + [{f"k{i}": [i] for i in range(2000)}]
    value += [
        rows[7],
        rows[2999],
        value[4][5],
        [(i, i) for i in range(2000)],
        [f"t{i}" for i in range(2000)],
        b"x" * 300,
    ]
    same(pickle.dumps(value, protocol))


def test_batches_are_really_stepped_over(monkeypatch):
    monkeypatch.setattr(pickle_window, "_CHUNK", 1 << 20)
    data = pickle.dumps([dt.date(2020, 1, 1), [f"k{i}" for i in range(3000)]])
    source = MemorySource("m", "", data)
    machine = Machine(source, Witness(source))
    assert machine.run() == len(data)
    assert sum(type(value) is Skipped for value in machine.memo) == 3000


def test_batches_of_ever_new_shapes_compile_only_so_many():
    data = b"\x80\x04](" + b"".join(
        b"](" + (b"\x8c\x01x" * columns + b"K\x01" * rows + b"N") * 3 + b"e"
        for columns in range(9)
        for rows in range(9)
    )
    source = MemorySource("m", "", data + b"e.")
    machine = Machine(source, Witness(source))
    assert machine.run() == source.size
    assert machine.shapes._left >= 0
    same(data + b"e.")


def test_chains_of_batches_that_refer_to_one_another_end():
    """Each batch takes a tuple from the one before; asking for the last may not nest without end."""
    data, index = b"\x80\x04](K\x01K\x02\x86\x94e", 0
    for index in range(4000):
        data += b"](j" + index.to_bytes(4, "little") + b"K\x03\x86\x94e"
    source = MemorySource("m", "", data + b"j" + index.to_bytes(4, "little") + b"0N.")
    assert Machine(source, Witness(source)).run() == source.size
