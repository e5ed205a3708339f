"""The files that scan_peers.py gives to every scanner: hostile constructs, and large files for the clock.

They are made in another process: the peak memory of a child begins with that of whoever started it.
"""

from __future__ import annotations

import argparse
import collections
import io
import json
import os
import pickle
import struct
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path


def prepared(kind: str, folder: Path) -> list[tuple[str, Path]]:
    """Have a set written by another process, and return its cases by name."""
    folder.mkdir(parents=True)
    subprocess.run([sys.executable, __file__, kind, str(folder)], check=True)
    return [(name, Path(path)) for name, path in json.loads((folder / "cases.json").read_text())]


def hostile(folder: Path) -> Iterator[tuple[str, Path]]:
    """Write the constructs out and yield them: the file where there is one, else the folder."""
    from zt_gate.corpus.construct import Pipe
    from zt_gate.corpus.registry import all_constructs

    for construct in all_constructs():
        if any(isinstance(content, Pipe) for content in construct.build().values()):
            continue  # a scanner that opens a pipe would wait for ever; this is no contest about that
        place = folder / construct.id
        place.mkdir(parents=True)
        construct.write(place)
        files = [path for path in place.rglob("*") if not path.is_dir()]
        yield construct.id, files[0] if len(files) == 1 else place


def speed(folder: Path) -> Iterator[tuple[str, Path]]:
    """Write the files whose scanning time is compared."""
    folder.mkdir(parents=True, exist_ok=True)
    tiny = folder / "tiny.pkl"
    tiny.write_bytes(pickle.dumps({"a": 1}, 4))
    yield "tiny pickle", tiny
    yield "7 MB pickle, 2.3 M opcodes", _pickle(folder / "small.pkl", 1)
    yield "120 MB pickle, 39 M opcodes", _pickle(folder / "large.pkl", 17)
    behind = folder / "behind.pkl"
    behind.write_bytes(pickle.dumps([collections.OrderedDict(a=1), _rows()], 4))
    yield "6 MB pickle, 3.1 M opcodes behind an import", behind
    path = folder / "big.safetensors"
    write_safetensors(path, 1 << 30)
    yield "1 GB safetensors", path
    block = os.urandom(1 << 20)
    yield "560 MB torch zip", _torch_zip(folder / "model.pt", block, 560)
    yield "500 MB ONNX", _onnx(folder / "model.onnx", block, 500)
    many = folder / "many"
    many.mkdir()
    for number in range(2000):
        (many / f"{number}.json").write_text(f'{{"id": {number}}}\n')
    yield "2,000 small files", many


def write_safetensors(path: Path, size: int) -> None:
    """Write a file of one tensor with random-looking bytes, so that no layer can take a short cut."""
    size = size >> 20 << 20
    header = json.dumps({"weight": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
    _write(path, struct.pack("<Q", len(header)) + header, os.urandom(1 << 20), size >> 20)


def _rows() -> list[dict[str, object]]:
    return [
        {"id": i % 256, "xy": (i % 7, i % 11, i * 0.5), "n": [i % 256] * 6 + [i % 60000], "t": f"t{i}"}
        for i in range(115_000)
    ]


def _pickle(path: Path, times: int) -> Path:
    """Write nested lists, dicts and tuples of small numbers and short texts, 2.3 million opcodes a time."""
    stream = io.BytesIO()
    pickler = pickle.Pickler(stream, 2)
    pickler.dump(_rows())
    body = stream.getvalue()[2:-1]
    path.write_bytes(b"\x80\x02(" + body * times + b"l.")
    return path


def _write(path: Path, head: bytes, block: bytes, megabytes: int) -> None:
    with path.open("wb") as stream:
        stream.write(head)
        for _ in range(megabytes):
            stream.write(block)


def _torch_zip(path: Path, block: bytes, megabytes: int) -> Path:
    from zt_gate.corpus.opcodes import call, name, program, text

    storage = b"(" + text("storage") + name("torch", "FloatStorage") + text("0") + text("cpu")
    size = megabytes << 18
    count = b"J" + struct.pack("<i", size)
    tensor = call(name("torch._utils",
     "_rebuild_tensor_v2"), storage + count + b"tQ", b"K\x00", count + b"\x85", b"K\x01\x85",
                  b"\x89", call(name("collections", "OrderedDict")))  # fmt: skip
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", program(b"}" + text("w") + tensor + b"s", 2))
        archive.writestr("archive/version", b"3\n")
        with archive.open("archive/data/0", "w", force_zip64=True) as stream:
            for _ in range(megabytes):
                stream.write(block)
    return path


def _onnx(path: Path, block: bytes, megabytes: int) -> Path:
    from zt_gate.corpus.messages import field as proto
    from zt_gate.corpus.messages import varint

    size = megabytes << 20
    fields = proto(1, size // 4) + proto(2, 1) + proto(8, "w")
    raw = varint(9 << 3 | 2) + varint(size)
    tensor_size = len(fields) + len(raw) + size
    node = proto(1, proto(1, "x") + proto(1, "w") + proto(2, "y") + proto(4, "Add"))
    start = proto(2, "g") + node + varint(5 << 3 | 2) + varint(tensor_size) + fields + raw
    graph_size = len(start) + size
    head = proto(1, 8) + proto(8, proto(1, "") + proto(2, 17)) + varint(7 << 3 | 2) + varint(graph_size) + start
    _write(path, head, block, megabytes)
    return path


def main() -> None:
    """Write one set, and the list of its cases."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=["hostile", "speed"])
    parser.add_argument("folder", type=Path)
    args = parser.parse_args()
    maker = {"hostile": hostile, "speed": speed}[args.kind]
    cases = [(name, str(path)) for name, path in maker(args.folder)]
    (args.folder / "cases.json").write_text(json.dumps(cases))


if __name__ == "__main__":
    main()
