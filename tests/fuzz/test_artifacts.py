"""Whatever bytes come: the check ends with findings, gaps or claims, never with another exception."""

import contextlib
import io
import json
import pickle
import pickletools
import struct
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from zt_gate.intake import Freeze, MemorySource, freeze
from zt_gate.scan.artifacts import ArtifactCheck
from zt_gate.scan.artifacts.format import Input
from zt_gate.scan.artifacts.pickles.machine import Machine
from zt_gate.scan.artifacts.pickles.rules import PickleJudge
from zt_gate.scan.artifacts.pickles.window import MalformedError
from zt_gate.scan.artifacts.registry import examine
from zt_gate.scan.interface import Examination, Head

QUICK = settings(
    max_examples=max(150, settings().max_examples), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


def scan(name, data):
    source = MemorySource(name, "", data)
    exam = Examination(name, len(data))
    with exam.guarded(name):
        examine(Input(source, exam, Head.of(source), examine))
    return exam


def zip_bytes():
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a/data.pkl", pickle.dumps({"a": 1}))
        archive.writestr("a/b.json", "{}")
    return buffer.getvalue()


def npy_bytes():
    buffer = io.BytesIO()
    np.save(buffer, np.arange(5))
    return buffer.getvalue()


HEADER = json.dumps({"a": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}}).encode()
SEEDS = {
    "m.pkl": pickle.dumps({"a": [1, 2.5, "x", (None, True)], "b": {1, 2}, "c": np.float32(1)}, 4),
    "p0.pkl": pickle.dumps({"a": [1, 2.5, "x", (None, True)], "c": complex(1, 2)}, 0),
    "m.zip": zip_bytes(),
    "m.npy": npy_bytes(),
    "m.safetensors": struct.pack("<Q", len(HEADER)) + HEADER + bytes(4),
    "MLmodel": b"flavors:\n  python_function:\n    loader_module: mlflow.sklearn\n    data: x\n",
    "c.json": b'{"a": [1, {"b": null}]}',
}


@QUICK
@given(name=st.sampled_from(sorted(SEEDS)), data=st.binary(max_size=300))
def test_any_bytes_under_any_name(name, data):
    exam = scan(name, data)
    assert exam.findings or exam.gaps or exam.claim()


@QUICK
@given(
    name=st.sampled_from(sorted(SEEDS)),
    edits=st.lists(st.tuples(st.integers(0, 4000), st.integers(0, 255)), min_size=1, max_size=6),
    cut=st.integers(0, 4000),
)
def test_honest_files_with_a_few_bytes_changed(name, edits, cut):
    data = bytearray(SEEDS[name])
    for at, value in edits:
        data[at % len(data)] = value
    exam = scan(name, bytes(data[: max(1, cut)]))
    assert exam.findings or exam.gaps or exam.claim()


OPCODES = st.lists(st.sampled_from([op.code.encode("latin-1") for op in pickletools.opcodes]) | st.binary(max_size=4))


@QUICK
@given(opcodes=OPCODES)
def test_the_machine_ends_in_an_offset_or_a_refusal(opcodes):
    source = MemorySource("m", "", b"".join(opcodes))
    try:
        end = Machine(source, PickleJudge(Examination("m", source.size), source)).run()
    except MalformedError:
        return
    assert 0 < end <= source.size


class Recorder(PickleJudge):
    """Keeps imports and the number of calls and builds."""

    def __init__(self, source):
        super().__init__(Examination("m", source.size), source)
        self.names = []

    def imported(self, found, offset):
        self.names.append((found.module, found.qualname))
        return False


class Inert:
    """Stands in for whatever a pickle imports."""

    def __new__(cls, *args, **kwargs):
        return object.__new__(cls)

    def __init__(self, *args, **kwargs):
        pass

    def __setstate__(self, state):
        pass

    def __hash__(self):
        return 0

    append = extend = add = __setitem__ = lambda self, *args: None


class Spy(pickle.Unpickler):
    """The real C machine; nothing that it is asked for is ever imported."""

    def __init__(self, data):
        super().__init__(io.BytesIO(data), fix_imports=False)
        self.names = []

    def find_class(self, module, name):
        self.names.append((module, name))
        return Inert


LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=300) | st.binary(max_size=300)
LEAVES |= st.complex_numbers() | st.dates() | st.decimals() | st.fractions()
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(max_size=5), inner, max_size=4)
        | st.tuples(inner, inner)
        | st.sets(st.integers(), max_size=4)
        | st.frozensets(st.text(max_size=3), max_size=3)
    ),
    max_leaves=20,
)


@QUICK
@given(value=VALUES, protocol=st.integers(3, 5), rest=st.binary(max_size=5))
def test_the_machine_agrees_with_the_c_unpickler(value, protocol, rest):
    data = pickle.dumps(value, protocol)
    spy = Spy(data)
    spy.load()
    source = MemorySource("m", "", data + rest)
    recorder = Recorder(source)
    assert Machine(source, recorder).run() == len(data)
    assert recorder.names == spy.names


@QUICK
@given(value=VALUES, protocol=st.integers(0, 5))
def test_the_machine_ends_where_pickletools_does(value, protocol):
    data = pickle.dumps(value, protocol)
    source = MemorySource("m", "", data)
    assert Machine(source, Recorder(source)).run() == list(pickletools.genops(data))[-1][2] + 1


@QUICK
@given(
    value=VALUES,
    protocol=st.integers(3, 5),
    edits=st.lists(st.tuples(st.integers(0, 999), st.integers(0, 255)), max_size=3),
)
def test_what_the_c_unpickler_imports_the_machine_reports(value, protocol, edits):
    data = bytearray(pickle.dumps(value, protocol))
    for at, byte in edits:
        data[at % len(data)] = byte
    if b"\x82" in data or b"\x83" in data or b"\x84" in data or len(data) > 3000:
        return
    spy = Spy(bytes(data))
    with contextlib.suppress(Exception):  # it may refuse at any point; what it imported until then has to be reported
        spy.load()
    source = MemorySource("m", "", bytes(data))
    recorder = Recorder(source)
    with contextlib.suppress(MalformedError):
        Machine(source, recorder).run()
    if 0 in [data[i + 1] for i in range(len(data) - 1) if data[i] == 0x80]:
        return
    assert [name for _, name in recorder.names][: len(spy.names)] == [name for _, name in spy.names]


@QUICK
@given(edits=st.lists(st.tuples(st.integers(0, 999), st.integers(0, 255)), max_size=4), tail=st.binary(max_size=20))
def test_any_mlmodel(edits, tail):
    data = bytearray(SEEDS["MLmodel"] + tail)
    for at, value in edits:
        data[at % len(data)] = value
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "MLmodel").write_bytes(data)
        with freeze([folder], Freeze.HOLD) as frozen:
            evidence = ArtifactCheck().run(frozen)
    assert evidence.findings or evidence.gaps or evidence.claims


@pytest.mark.parametrize("name", sorted(set(SEEDS) - {"MLmodel"}))
def test_the_seeds_themselves_pass(name):
    exam = scan(name, SEEDS[name])
    assert exam.claim()
    assert exam.findings == []
