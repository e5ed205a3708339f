"""Bytes to start from: for every format at least one file that it examines, honest or hostile, small and inert."""

import bz2
import gzip
import json
import lzma
import pickle
import struct
import zlib
from collections import defaultdict
from functools import cache

import flatbuffers

from tests.support.protobuf import message, varint
from zt_gate.corpus.registry import all_constructs
from zt_gate.intake import MemorySource
from zt_gate.scan.artifacts.registry import FORMATS, identify
from zt_gate.scan.interface import Head

_LARGEST = 32 << 10
"""Larger constructs are about their size; mutating them finds nothing that a small one would not."""


def head_of(name, data):
    """Return what identification sees; a name with `!` is that of a member."""
    path, _, member = name.partition("!")
    return Head.of(MemorySource(path, member, data))


def flat_table(identifier=b"", texts=("a", "b"), numbers=(1, 2)):
    """Return a flatbuffer whose root has a few texts and numbers."""
    builder = flatbuffers.Builder(64)
    made = [builder.CreateString(text) for text in texts]
    builder.StartObject(len(texts) + len(numbers))
    for slot, offset in enumerate(made):
        builder.PrependUOffsetTRelativeSlot(slot, offset, 0)
    for slot, number in enumerate(numbers, len(texts)):
        builder.PrependInt32Slot(slot, number, 0)
    builder.Finish(builder.EndObject(), file_identifier=identifier or None)
    return bytes(builder.Output())


def _core_ml_blob():
    record = struct.pack("<LLQQ", 0xDEADBEEF, 1, 8, 128).ljust(64, b"\0")
    return struct.pack("<LL", 1, 2).ljust(64, b"\0") + record + bytes(8)


def _cat_boost():
    core = flat_table(texts=("FlabuffersModel_v1",), numbers=())
    return b"CBM1" + struct.pack("<L", len(core)) + core


def _crf_suite():
    features = b"FEAT" + struct.pack("<LL", 12, 0)
    quarks = b"CQDB" + struct.pack("<5L", 24 + 2048 + 4, 0, 0x62445371, 1, 24 + 2048) + bytes(2048 + 4)
    references = [kind + struct.pack("<LL", 12, 0) for kind in (b"LFRF", b"AFRF")]
    chunks, places, at = [features, quarks, quarks, *references], [], 48
    for chunk in chunks:
        places.append(at)
        at += len(chunk)
    return struct.pack("<4sL4s9L", b"lCRF", at, b"FOMC", 100, 0, 1, 1, *places) + b"".join(chunks)


def _index():
    """Return a checkpoint's index as TensorFlow writes it: one data block, no compression."""

    def block(*pairs):
        body = b"".join(varint(0) + varint(len(key)) + varint(len(value)) + key + value for key, value in pairs)
        return body + struct.pack("<LL", 0, 1) + bytes(5)

    data = block((b"", message((1, 1), (3, message((1, 1))))), (b"w", message((1, 1), (3, 0), (4, 0), (5, 4))))
    empty = block()
    index = block((b"z", varint(0) + varint(len(data) - 5)))
    footer = varint(len(data)) + varint(len(empty) - 5) + varint(len(data) + len(empty)) + varint(len(index) - 5)
    return data + empty + index + footer.ljust(40, b"\0") + bytes.fromhex("57fb808b247547db")


def _arrow():
    footer = flat_table(numbers=(4, 1))
    return b"ARROW1\0\0" + bytes(16) + footer + struct.pack("<L", len(footer)) + b"ARROW1"


PICKLE = pickle.dumps({"a": [1, 2.5, "x", (None, True)], "b": {1, 2}}, 4)
OWN = {
    "model.txt": b"tree\nversion=v4\nnum_class=1\n\nTree=0\nleaf_value=1 2\n\nend of trees\n\n"
    b"parameters:\nend of parameters\n",
    "variables.index": _index(),
    "m.cbm": _cat_boost(),
    "m.crfsuite": _crf_suite(),
    "m.arrow": _arrow(),
    "weight.bin": _core_ml_blob(),
    "m.pte": flat_table(b"ET12"),
    "m.tflite": flat_table(b"TFL3"),
    "a.jpg": b"\xff\xd8\xff\xe0\x00\x04JF\xff\xda\x00\x02\x01\x02\xff\xd9",
    "a.whl!pkg/mod.py": b"import os\n\ndef f(x):\n    return os.path.join(x, 'y')\n",
    "m.pkl.gz": gzip.compress(PICKLE, mtime=0),
    "m.pkl.z": zlib.compress(PICKLE),
    "m.pkl.bz2": bz2.compress(PICKLE),
    "m.pkl.xz": lzma.compress(PICKLE),
    "m.feather": b"FEA1" + bytes(8),
    "graph.pbtxt": b'node {\n  name: "x"\n  op: "PyFunc"\n}\n',
    "odd.pb": b"\xff\xff",
    "old.t7": b"4\n1\n3\nV 1\n13\nnn.Sequential\n",
    "main.js": b"console.log(1)\n",
    "card.pdf": b"%PDF-1.4\n1 0 obj\n<<>>\nendobj\n",
    "config.json": json.dumps({"a": [1, {"b": None}], "auto_map": {"AutoModel": "m.M"}}).encode(),
}


@cache
def seeds():
    """Return for each format, by its place in the registry, the files that it examines: name and bytes."""
    from tests.fuzz import test_artifacts, test_graphs, test_model_formats

    found = defaultdict(dict)
    files = [item for module in (test_artifacts, test_graphs, test_model_formats) for item in module.SEEDS.items()]
    files += list(OWN.items())
    for construct in all_constructs():
        files += [(name, data) for name, data in construct.build().items() if isinstance(data, bytes)]
    for name, data in files:
        form = identify(head_of(name, data)) if 0 < len(data) <= _LARGEST else None
        if form is not None:
            found[FORMATS.index(form)].setdefault((name, data), None)
    return {place: tuple(items) for place, items in found.items()}
