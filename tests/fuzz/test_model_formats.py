"""Whatever bytes come, the readers of model formats end in a word; on honest files they agree with the libraries."""

import io
import json
import tarfile

import h5py
import msgpack
import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from zt_gate.intake import MemorySource
from zt_gate.scan.artifacts.format import Input
from zt_gate.scan.artifacts.hdf5.reader import Hdf5File
from zt_gate.scan.artifacts.registry import examine
from zt_gate.scan.interface import Examination, Head

QUICK = settings(
    max_examples=max(100, settings().max_examples), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


def scan(name, data):
    source = MemorySource(name, "", data)
    exam = Examination(name, len(data))
    with exam.guarded(name):
        examine(Input(source, exam, Head.of(source), examine))
    return exam


def h5_bytes(tree, attributes, libver="earliest"):
    buffer = io.BytesIO()
    with h5py.File(buffer, "w", libver=libver) as file:
        for path, values in tree.items():
            file.create_dataset(path, data=np.array(values))
        for name, value in attributes.items():
            file.attrs[name] = value
    return buffer.getvalue()


def tar_bytes(names, style):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=style) as archive:
        for name in names:
            info = tarfile.TarInfo(name)
            info.size = len(name)
            archive.addfile(info, io.BytesIO(name.encode()))
    return buffer.getvalue()


CONFIG = json.dumps({"class_name": "Sequential", "config": {"name": "s", "layers": []}})
SEEDS = {
    "m.h5": h5_bytes({"a/b": [1.0], "c": [2]}, {"model_config": CONFIG, "layer_names": [b"a", b"b"]}),
    "new.h5": h5_bytes({"a/b": [1.0]}, {"note": "text"}, "latest"),
    "m.tar": tar_bytes(["a.txt", "n" * 120 + ".txt"], tarfile.PAX_FORMAT),
    "gnu.tar": tar_bytes(["a.txt", "n" * 120 + ".txt"], tarfile.GNU_FORMAT),
    "m.msgpack": msgpack.packb({"a": [1, 2.5, "x" * 40, None], "b": msgpack.ExtType(2, b"xx")}),
    "m.ubj": b"{i\x07learner{i\x01aZ}i\x07version[$U#i\x03\x01\x02\x03}",
    "m.model": b"\n\x0a\n\x03abc\x15\0\0\0\0\n\x0a\n\x03the\x15\0\0\0\0\x12\x02\x18\x03",
    "m.pmml": b'<?xml version="1.0"?><PMML xmlns="http://www.dmg.org/PMML-4_4"><Header/></PMML>',
    "schema.json": b'{"__loader__": "DictNode", "__module__": "builtins", "__class__": "dict", "content": {}}',
    "config.json": CONFIG.encode(),
}


@QUICK
@given(
    name=st.sampled_from(sorted(SEEDS)),
    edits=st.lists(st.tuples(st.integers(0, 20000), st.integers(0, 255)), max_size=6),
    cut=st.integers(1, 20000),
)
def test_changed_and_cut_files_end_in_a_word(name, edits, cut):
    data = bytearray(SEEDS[name])
    for at, value in edits:
        data[at % len(data)] = value
    exam = scan(name, bytes(data[:cut]))
    assert exam.findings or exam.gaps or exam.claim()


def test_the_seeds_themselves_pass():
    for name, data in SEEDS.items():
        exam = scan(name, data)
        assert (exam.findings, exam.gaps) == ([], []), name
        assert exam.claim(), name


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(max_size=80)
    | st.binary(max_size=300),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=30,
)  # fmt: skip


@QUICK
@given(
    value=st.dictionaries(st.text(max_size=5), VALUES, min_size=1, max_size=5), tail=st.binary(min_size=1, max_size=4)
)
def test_message_packs_end_where_the_library_says(value, tail):
    data = msgpack.packb({**value, "last": 1})
    whole = scan("m.msgpack", data)
    assert not whole.gaps
    assert not any("follow" in finding.message for finding in whole.findings)
    longer = scan("m.msgpack", data + tail)
    assert any(finding.offset == len(data) for finding in longer.findings)


@QUICK
@given(
    count=st.integers(9000, 9200), kind=st.sampled_from([7, 200, 70000, 2**40, -200, 1.5]), more=st.text(max_size=70)
)
def test_long_lists_across_the_window(count, kind, more):
    exam = scan("m.msgpack", msgpack.packb({"a": [kind] * count, "b": more, "c": [None] * count}))
    assert exam.claim()


PATHS = st.lists(st.text("abcxyz_", min_size=1, max_size=6), min_size=1, max_size=4, unique=True)


@QUICK
@given(
    names=PATHS, libver=st.sampled_from(["earliest", "latest"]), text=st.text(st.characters(exclude_characters="\0"))
)
def test_hdf5_objects_are_those_that_h5py_sees(names, libver, text):
    tree = {f"g{index % 2}/{name}": [index] for index, name in enumerate(names)}
    data = h5_bytes(tree, {"text": text.encode("utf-8", "ignore").decode()}, libver)
    theirs = {"/"}
    with h5py.File(io.BytesIO(data)) as file:
        file.visit(lambda name: theirs.add("/" + name))
        value = file.attrs["text"]
    objects = {item.path or "/": item for item in Hdf5File(MemorySource("m.h5", "", data)).walk()}
    assert set(objects) == theirs
    assert objects["/"].attributes["text"] == value.encode()


NAMES = st.lists(st.text("abc/é", min_size=1, max_size=130), min_size=1, max_size=4, unique=True)


@QUICK
@given(names=NAMES, style=st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]))
def test_tar_members_are_those_that_tarfile_sees(names, style):
    data = tar_bytes(names, style)
    seen = []
    source = MemorySource("m.tar", "", data)
    exam = Examination("m.tar", len(data))
    piece = Input(source, exam, Head.of(source), lambda inner: seen.append(inner.source.read_at(0, inner.source.size)))
    from zt_gate.scan.artifacts.archives.tar_archive import TAR_ARCHIVE

    TAR_ARCHIVE.examine(piece)
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        theirs = [archive.extractfile(info).read() for info in archive if info.isreg()]
    assert seen == theirs or exam.findings
