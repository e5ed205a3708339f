"""Pickle opcodes, assembled by hand: no pickler writes what an attacker writes.

Opcode letters are those of `pickletools`; the words inside are harmless.
"""

from __future__ import annotations

import struct


def text(value: str) -> bytes:
    """Push a string (SHORT_BINUNICODE or BINUNICODE)."""
    data = value.encode()
    return b"\x8c" + bytes([len(data)]) + data if len(data) < 256 else b"X" + struct.pack("<I", len(data)) + data


def blob(data: bytes) -> bytes:
    """Push bytes (SHORT_BINBYTES or BINBYTES)."""
    return (b"C" + bytes([len(data)]) if len(data) < 256 else b"B" + struct.pack("<I", len(data))) + data


def name(module: str, qualname: str) -> bytes:
    """Import with GLOBAL."""
    return f"c{module}\n{qualname}\n".encode()


def stack_name(module: str, qualname: str) -> bytes:
    """Import with STACK_GLOBAL."""
    return text(module) + text(qualname) + b"\x93"


def call(callee: bytes, *args: bytes) -> bytes:
    """Call what `callee` pushes, with REDUCE."""
    return callee + b"(" + b"".join(args) + b"tR"


def program(body: bytes, protocol: int = 4) -> bytes:
    """Wrap a body in PROTO and STOP; protocols 0 and 1 have no PROTO."""
    return (b"\x80" + bytes([protocol]) if protocol >= 2 else b"") + body + b"."


WORD = text("true")
"""What stands where an attack has its command."""
SYSTEM = call(name("os", "system"), WORD)
"""The classic, without PROTO and STOP."""
HOSTILE = program(SYSTEM, 2)
"""The classic as a whole pickle."""
OLD_HOSTILE = b"cos\nsystem\n(S'true'\ntR."
"""The classic in protocol 0, which has no magic number."""
