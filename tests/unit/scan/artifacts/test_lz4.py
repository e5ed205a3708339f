"""LZ4 frames become what the library made them from, or a refusal."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zt_gate.corpus.opcodes import HOSTILE
from zt_gate.corpus.records import lz4
from zt_gate.scan.artifacts.archives.lz4_frame import Lz4Decoder, decode_block

MATCHES = b"\x24ab\x02\x00\x50final"  # two literals, eight bytes copied from two bytes back, five literals


def through(data, step=1 << 20):
    decoder, plain, at = Lz4Decoder(), b"", 0
    while at < len(data) and not decoder.eof:
        plain += decoder.decompress(data[at : at + step])
        at += step
    return plain, decoder


@given(data=st.binary(min_size=15, max_size=800), step=st.integers(1, 50), stored=st.booleans())
def test_a_frame_gives_back_what_went_in_whatever_the_pieces(data, step, stored):
    frame = lz4(data, stored=stored)
    plain, decoder = through(frame + b"tail", step)
    assert plain == data
    assert decoder.eof
    assert decoder.unused_data == b"tail"[: -len(frame) % step]


def test_copies_may_overlap_what_they_write():
    assert decode_block(MATCHES, b"", 100) == b"ab" + b"ab" * 4 + b"final"
    assert decode_block(b"\x00\x01\x00\x10x", b"z", 100) == b"zzzzx"


@pytest.mark.parametrize(
    "block",
    [
        b"",
        b"\x10",
        b"\xf0\xff",
        b"\x10a\x00\x00\x00",
        b"\x10a\x05\x00\x00",
        b"\x1fa\x01\x00" + b"\xff" * 30 + b"\x00\x00",
    ],
)
def test_blocks_that_copy_from_nowhere_or_never_end_are_refused(block):
    with pytest.raises(ValueError, match="lz4"):
        decode_block(block, b"", 1000)


@pytest.mark.parametrize(
    ("at", "value"),
    [(4, 0xA0), (4, 0x61), (5, 0x30), (5, 0xF0), (6, 0)],
    ids=["version", "dictionary", "block size", "reserved", "checksum"],
)
def test_headers_that_mean_something_else_are_refused(at, value):
    data = bytearray(lz4(bytes(20)))
    data[at] = value
    with pytest.raises(ValueError, match="lz4"):
        through(bytes(data))


def test_the_library_and_we_agree():
    frames = pytest.importorskip("lz4.frame")
    noise = random.Random(4)
    data = noise.randbytes(90_000) + b"abcabcd" * 30_000 + bytes(70_000)
    for options in ({}, {"block_linked": False}, {"content_checksum": True, "block_checksum": True}, {"block_size": 4}):
        plain, decoder = through(frames.compress(data, **options), 7001)
        assert plain == data
        assert decoder.eof


def test_pickles_in_frames_are_examined(rules):
    assert "ART-101" in rules("m.joblib", lz4(HOSTILE + bytes(20)))
    assert rules("m.joblib", lz4(b"\x80\x04](" + b"K\x01" * 20 + b"e.")) == set()
    assert rules("m.joblib", lz4(bytes(20))[:-6]) == {"ART-310", "gap"}
