"""Records of binary model formats, written field by field: flatbuffers, Thrift, LZ4, Zstandard, CRFsuite chunks."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from typing import Any


def flatbuffer(fields: Mapping[int, Any], identifier: bytes = b"") -> bytes:
    """Write a flatbuffer.

    Args:
        fields: of the root table, by number: whole numbers, texts, tables as mappings, and sequences of the latter two.
        identifier: four bytes behind the root offset, for formats that have one.
    """
    start = 4 + len(identifier)
    body, root = _table(fields, start)
    return struct.pack("<L", root) + identifier + body


def _table(fields: Mapping[int, Any], at: int) -> tuple[bytes, int]:
    """Write a table whose virtual table begins at an offset; return the bytes and where the table itself begins."""
    count = max(fields, default=-1) + 1
    slots = [4 + 8 * number if number in fields else 0 for number in range(count)]
    virtual = struct.pack(f"<HH{count}H", 4 + 2 * count, 4 + 8 * count, *slots)
    start = at + len(virtual)
    body, tail = bytearray(struct.pack("<l", len(virtual)) + bytes(8 * count)), b""
    for number, value in fields.items():
        slot = slots[number]
        if isinstance(value, int):
            struct.pack_into("<Q", body, slot, value)
            continue
        data, target = _value(value, start + len(body) + len(tail))
        struct.pack_into("<L", body, slot, target - start - slot)
        tail += data
    return virtual + bytes(body) + tail, start


def _value(value: Any, at: int) -> tuple[bytes, int]:
    if isinstance(value, Mapping):
        return _table(value, at)
    if isinstance(value, (str, bytes)):
        data = value.encode() if isinstance(value, str) else value
        return struct.pack("<L", len(data)) + data, at
    offsets, tail = b"", b""
    for index, item in enumerate(value):
        slot = at + 4 + 4 * index
        data, target = _value(item, at + 4 + 4 * len(value) + len(tail))
        offsets += struct.pack("<L", target - slot)
        tail += data
    return struct.pack("<L", len(value)) + offsets + tail, at


def thrift(fields: Mapping[int, Any]) -> bytes:
    """Write a struct of Thrift's compact protocol: whole numbers, bytes, structs as mappings, sequences of structs."""
    data, last = b"", 0
    for number, value in fields.items():
        kind = (
            6 if isinstance(value, int) else 8 if isinstance(value, bytes) else 12 if isinstance(value, Mapping) else 9
        )
        data += bytes([(number - last) << 4 | kind]) + _thrift_value(value)
        last = number
    return data + b"\0"


def _thrift_value(value: Any) -> bytes:
    if isinstance(value, int):
        return _varint(value << 1 if value >= 0 else ~(value << 1))
    if isinstance(value, bytes):
        return _varint(len(value)) + value
    if isinstance(value, Mapping):
        return thrift(value)
    # 15 in the upper half: the length follows; 12 in the lower: a list of structs.
    return bytes([0xFC]) + _varint(len(value)) + b"".join(map(thrift, value))


def _varint(value: int) -> bytes:
    data = bytearray()
    while value > 127:
        data.append(value & 127 | 128)
        value >>= 7
    return bytes(data) + bytes([value])


def parquet(
    columns: Sequence[Mapping[int, Any]] = (), notes: Sequence[Mapping[int, Any]] = (), body: bytes = b""
) -> bytes:
    """Write a Parquet file: column chunks as `parquet.thrift` numbers their fields, key-value notes, and the pages."""
    footer = thrift({1: 2, 2: [{4: b"schema"}], 3: 1, 4: [{1: columns, 2: 1, 3: 1}], 5: notes})
    return b"PAR1" + body + footer + struct.pack("<L", len(footer)) + b"PAR1"


def arrow(schema: bytes, *, gap: bytes = b"") -> bytes:
    """Write an Arrow file without batches, whose schema message is given as bytes."""
    footer = flatbuffer({0: 4})
    head = b"ARROW1\0\0\xff\xff\xff\xff" + struct.pack("<L", len(schema)) + schema
    return head + gap + footer + struct.pack("<L", len(footer)) + b"ARROW1"


def lz4(data: bytes, *, stored: bool = False) -> bytes:
    """Write an LZ4 frame of one block: stored, or as literals of a compressed block."""
    extra = len(data) - 15
    block = data if stored else b"\xf0" + b"\xff" * (extra // 255) + bytes([extra % 255]) + data
    size = struct.pack("<L", len(block) | (1 << 31 if stored else 0))
    # Version 1, independent blocks of up to 4 MiB, and the checksum of just that header.
    return b"\x04\x22\x4d\x18\x60\x70\x73" + size + block + bytes(4)


def zstd(data: bytes, *, zeros: int = 0, dictionary: bool = False) -> bytes:
    """Write a Zstandard frame with a window of 2 MiB: up to 128 KiB as they are, then 128 KiB of zeros each."""
    head = b"\x28\xb5\x2f\xfd" + (b"\x01\x58\x07" if dictionary else b"\0\x58")
    last = struct.pack("<L", len(data) << 3 | (zeros == 0))[:3]
    runs = [struct.pack("<L", (128 << 10) << 3 | 2 | (index == zeros - 1))[:3] + b"\0" for index in range(zeros)]
    return head + last + data + b"".join(runs)


def skippable(data: bytes) -> bytes:
    """Write a frame that decoders of Zstandard and LZ4 skip."""
    return struct.pack("<LL", 0x184D2A50, len(data)) + data


def catboost(description: str = "{}", *, parts: Sequence[str] = (), tail: bytes = b"") -> bytes:
    """Write a CatBoost model without trees."""
    core = flatbuffer({0: "FlabuffersModel_v1", 2: [{0: "params", 1: description}], 3: list(parts)})
    return b"CBM1" + struct.pack("<L", len(core)) + core + tail


def crfsuite(*, reference: int = 0, tail: bytes = b"") -> bytes:
    """Write a CRFsuite model without features, in which one list of features may lie anywhere."""
    names = struct.pack("<4s5L", b"CQDB", 2072, 0, 0x62445371, 0, 0) + bytes(2048)
    refs = struct.pack("<4s3L", b"AFRF", 16, 1, reference)
    chunks = [struct.pack("<4s2L", b"FEAT", 12, 0), names, names, struct.pack("<4s2L", b"LFRF", 12, 0), refs]
    starts = [48 + sum(map(len, chunks[:index])) for index in range(5)]
    size = 48 + sum(map(len, chunks))
    return struct.pack("<4sL4s9L", b"lCRF", size, b"FOMC", 100, 0, 0, 0, *starts) + b"".join(chunks) + tail


def executorch(operators: Sequence[str] = (), delegates: Sequence[str] = (), *, tail: bytes = b"") -> bytes:
    """Write an ExecuTorch program that executes nothing, with an extended header."""
    plan = {0: "forward", 6: [{0: name, 1: ""} for name in operators], 7: [{0: name} for name in delegates]}
    body = flatbuffer({0: 0, 1: [plan]}, b"ET12" + bytes(24))
    header = b"eh00" + struct.pack("<LQQ", 24, len(body), len(body))
    return body[:8] + header + body[32:] + tail
