"""Binary messages by hand: protobuf fields, GGUF, msgpack, flatbuffers, HDF5. Only as much as the constructs need."""

from __future__ import annotations

import struct

_UNDEFINED = 0xFFFFFFFFFFFFFFFF


def varint(value: int) -> bytes:
    """Write a protobuf varint."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def field(number: int, value: int | str | bytes) -> bytes:
    """Write one protobuf field: a varint, or anything with a length."""
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def _gguf_string(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def gguf(values: dict[str, str], *, tail: bytes = b"", tensors: int = 0, version: int = 3) -> bytes:
    """Write a GGUF file without tensor data whose metadata are strings."""
    pairs = b"".join(_gguf_string(key) + struct.pack("<I", 8) + _gguf_string(text) for key, text in values.items())
    return b"GGUF" + struct.pack("<IQQ", version, tensors, len(values)) + pairs + tail


def msgpack_map(pairs: dict[str, bytes]) -> bytes:
    """Write a msgpack map with ready-made values."""
    return bytes([0x80 | len(pairs)]) + b"".join(
        bytes([0xA0 | len(key)]) + key.encode() + v for key, v in pairs.items()
    )


def msgpack_ext(kind: int, data: bytes) -> bytes:
    """Write a msgpack extension."""
    return b"\xc7" + bytes([len(data), kind & 0xFF]) + data


def tflite(custom: str) -> bytes:
    """Write a TensorFlow Lite flatbuffer whose single operator code is a custom operator.

    Laid out from the front: header, root table with its vtable, the vector of operator codes, the operator code, its
    name. Offsets in flatbuffers are relative to where they stand.
    """
    root_vtable = struct.pack("<4H", 8, 12, 4, 8)  # version, operator_codes
    root = struct.pack("<iII", 8, 3, 4)
    codes = struct.pack("<II", 1, 12)
    code_vtable = struct.pack("<4H", 8, 12, 4, 8)  # deprecated_builtin_code, custom_code
    code = struct.pack("<iB3xI", 8, 32, 4)
    data = custom.encode()
    return struct.pack("<I4s", 16, b"TFL3") + root_vtable + root + codes + code_vtable + code + struct.pack(
        "<I", len(data)) + data + bytes(4 - len(data) % 4)  # fmt: skip


def _hdf5_message(kind: int, body: bytes) -> bytes:
    body += bytes(-len(body) % 8)
    return struct.pack("<HHB3x", kind, len(body), 0) + body


def hdf5_attribute(name: str, value: str) -> bytes:
    """Write an attribute message (version 1) holding one fixed-length string."""
    label, data = name.encode() + b"\0", value.encode() + b"\0"
    # Version 1 in the upper half, class 3 (text) in the lower.
    datatype = struct.pack("<B3BI", 0x13, 0, 0, 0, len(data))
    dataspace = struct.pack("<4B4x", 1, 0, 0, 0)
    head = struct.pack("<BxHHH", 1, len(label), len(datatype), len(dataspace))
    padded = [part + bytes(-len(part) % 8) for part in (label, datatype, dataspace)]
    return _hdf5_message(0x000C, head + b"".join(padded) + data)


def hdf5_link(name: str, kind: int, target: bytes) -> bytes:
    """Write a link message: kind 1 is soft, 64 external."""
    label = name.encode()
    return _hdf5_message(0x0006, struct.pack("<BBBB", 1, 0x08, kind, len(label)) + label
                         + struct.pack("<H", len(target)) + target)  # fmt: skip


def hdf5_external_target(file: str, path: str) -> bytes:
    """Write the value of an external link."""
    return b"\0" + file.encode() + b"\0" + path.encode() + b"\0"


def hdf5(messages: list[bytes], *, tail: bytes = b"", filler: bytes = b"") -> bytes:
    """Write an HDF5 file (superblock 2) whose root group has exactly these header messages."""
    link_info = _hdf5_message(0x0002, struct.pack("<BBQQ", 0, 0, _UNDEFINED, _UNDEFINED))
    group_info = _hdf5_message(0x000A, b"\0\0")
    body = b"".join([link_info, group_info, *messages])
    header = struct.pack("<BxHII4x", 1, 2 + len(messages), 1, len(body)) + body + filler
    end = 48 + len(header)
    superblock = b"\x89HDF\r\n\x1a\n" + struct.pack("<BBBBQQQQ", 2, 8, 8, 0, 0, _UNDEFINED, end, 48)
    return superblock + _lookup3(superblock).to_bytes(4, "little") + header + tail


def _rotate(value: int, by: int) -> int:
    return (value << by | value >> 32 - by) & 0xFFFFFFFF


def _lookup3(data: bytes) -> int:
    """Jenkins' lookup3 hash, which HDF5 uses as a checksum (Metadata checksum, HDF5 file format, section IV)."""
    a: int
    b: int
    c: int
    a = b = c = 0xDEADBEEF + len(data) & 0xFFFFFFFF
    while len(data) > 12:
        x, y, z = struct.unpack_from("<3I", data)
        a, b, c = (a + x) & 0xFFFFFFFF, (b + y) & 0xFFFFFFFF, (c + z) & 0xFFFFFFFF
        for shift in ((4, 6, 8), (16, 19, 4)):
            a = (a - c) & 0xFFFFFFFF ^ _rotate(c, shift[0])
            c = (c + b) & 0xFFFFFFFF
            b = (b - a) & 0xFFFFFFFF ^ _rotate(a, shift[1])
            a = (a + c) & 0xFFFFFFFF
            c = (c - b) & 0xFFFFFFFF ^ _rotate(b, shift[2])
            b = (b + a) & 0xFFFFFFFF
        data = data[12:]
    x, y, z = struct.unpack("<3I", data.ljust(12, b"\0"))
    a, b, c = (a + x) & 0xFFFFFFFF, (b + y) & 0xFFFFFFFF, (c + z) & 0xFFFFFFFF
    # Each round mixes one word into the next: c by b, a by c, b by a, and so on.
    for by in (14, 11, 25, 16, 4, 14, 24):
        c, a, b = a, b, ((c ^ b) - _rotate(b, by)) & 0xFFFFFFFF
    return b
