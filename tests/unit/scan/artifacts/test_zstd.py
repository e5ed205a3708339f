"""Zstandard streams become what the library made them from, or a refusal that says why."""

import io
import random
import tarfile

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from zt_gate.corpus.opcodes import HOSTILE
from zt_gate.corpus.records import skippable, zstd
from zt_gate.errors import TargetError
from zt_gate.scan.artifacts.archives.zstd_frame import MAX_WINDOW, ZstdDecoder, is_zstd
from zt_gate.scan.interface import BrokenFileError

HONEST = b"\x80\x04](" + b"K\x01" * 20 + b"e."


def compressed(data, **options):
    return zstandard.ZstdCompressor(**options).compress(data)


def through(data, step=1 << 20, limit=-1):
    """Decode as the scanner does: what was not used is given again, and nothing means the end."""
    decoder, plain, at, tail = ZstdDecoder(), [], 0, b""
    while not decoder.eof:
        if not tail:
            tail = data[at : at + step]
            at += len(tail)
        given = tail
        plain.append(decoder.decompress(given, limit))
        tail = decoder.unconsumed_tail
        if not given and not decoder.eof:
            break
    return b"".join(plain), decoder, max(map(len, plain))


@given(
    parts=st.lists(st.binary(max_size=400), min_size=1, max_size=4),
    step=st.integers(1, 50),
    checksum=st.booleans(),
    sized=st.booleans(),
)
def test_frames_give_back_what_went_in_whatever_the_pieces(parts, step, checksum, sized):
    frames = [compressed(part, write_checksum=checksum, write_content_size=sized) for part in parts]
    plain, decoder, _ = through(b"".join(frames) + b"the tail", step)
    assert plain == b"".join(parts)
    assert decoder.eof
    assert b"the tail".startswith(decoder.unused_data)
    assert decoder.skipped == 0


@pytest.mark.parametrize("options", [{}, {"level": 19}, {"write_checksum": True}, {"threads": 2}])
def test_the_library_and_we_agree(options):
    noise = random.Random(4)
    data = noise.randbytes(300_000) + b"abcabcd" * 90_000 + bytes(500_000)
    plain, decoder, largest = through(compressed(data, **options), 7001, 1 << 16)
    assert plain == data
    assert decoder.eof
    assert decoder.unused_data == b""
    assert largest < (1 << 16) + (128 << 10)


def test_a_dense_stream_is_decoded_no_further_than_asked_for():
    decoder = ZstdDecoder()
    out = decoder.decompress(zstd(b"", zeros=10_000), 1 << 20)
    assert len(out) == 1 << 20
    assert len(decoder.unconsumed_tail) > 30_000


def test_frames_to_skip_are_counted_but_for_the_sizes_that_pzstd_writes():
    frame = compressed(HONEST)
    size = len(frame).to_bytes(4, "little")
    assert through(skippable(size) + frame)[1].skipped == 0
    assert through(skippable(b"\0\0\0\x09") + frame)[1].skipped == 4
    assert through(frame + skippable(size))[1].skipped == 4
    assert through(skippable(size) + skippable(size) + frame)[1].skipped == 4
    assert through(frame + skippable(b"") + skippable(bytes(70)) + frame, 3)[1].skipped == 70


@pytest.mark.parametrize(
    "data",
    [
        zstd(b"x")[:4] + b"\x08\x58" + zstd(b"x")[6:],
        zstd(b"x")[:6] + b"\x07\0\0",
        zstd(b"x")[:6] + b"\xff\xff\xff" + bytes(10),
        zstd(b"x")[:6] + b"\x2d\0\0" + b"wrong",
        compressed(b"some words" * 9, write_checksum=True)[:-1] + b"?",
        b"\x28\xb5\x2f\xfd\x20\x09" + zstd(b"x")[6:],
    ],
    ids=["reserved bit", "reserved block", "large block", "bad block", "checksum", "content size"],
)
def test_frames_that_break_the_format_are_refused(data, rules):
    with pytest.raises(BrokenFileError, match="zstd"):
        through(data)
    assert rules("m.pkl.zst", data) == {"ART-310", "gap"}


def test_frames_that_need_a_dictionary_or_much_memory_are_incomplete(rules):
    samples = [HONEST * 9 + bytes([n]) * 40 for n in range(200)]
    dictionary = zstandard.train_dictionary(2000, samples)
    with pytest.raises(TargetError, match="dictionary"):
        through(compressed(samples[0], dict_data=dictionary))
    assert rules("m.zst", compressed(samples[0], dict_data=dictionary)) == {"gap"}
    wide = b"\x28\xb5\x2f\xfd\0\x89" + zstd(HONEST)[6:]
    with pytest.raises(TargetError, match=f"window of 150994944 bytes, more than {MAX_WINDOW}"):
        through(wide)
    assert rules("m.zst", wide) == {"gap"}
    assert rules("m.zst", wide[:5] + b"\x88" + wide[6:]) == set()


def test_pickles_in_frames_are_examined(rules):
    assert "ART-101" in rules("m.joblib", compressed(HOSTILE + bytes(20)))
    assert "ART-101" in rules("m.pkl.zst", compressed(HONEST) + compressed(HOSTILE))
    assert "ART-101" in rules("m.pkl.zst", compressed(HOSTILE[:7]) + compressed(HOSTILE[7:]))
    assert "ART-101" in rules("m.zst", compressed(compressed(HOSTILE)))
    assert rules("m.joblib", compressed(HONEST)) == set()
    assert rules("m.zst", compressed(compressed(HONEST))) == set()


def test_what_frames_leave_over_is_named(rules):
    frame = compressed(HONEST)
    assert rules("m.pkl.zst", frame + HOSTILE) == {"ART-112"}
    assert rules("m.pkl.zst", frame + b"\0") == {"ART-112"}
    assert rules("m.pkl.zst", skippable(HOSTILE) + frame) == {"ART-112"}
    assert rules("m.pkl.zst", skippable(len(frame).to_bytes(4, "little")) + frame) == set()
    for cut in range(1, len(frame)):
        assert rules("m.pkl.zst", frame[:-cut]) & {"ART-310", "gap"}


def test_members_of_a_tar_under_zstd_are_examined(rules):
    def packed(data):
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            entry = tarfile.TarInfo("weights/m.pkl")
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
        return compressed(buffer.getvalue())

    assert "ART-101" in rules("m.tar.zst", packed(HOSTILE))
    assert rules("m.tar.zst", packed(HONEST)) == set()


def test_bombs_end_in_a_word(rules):
    assert "gap" in rules("m.zst", zstd(b"", zeros=4096))
    assert "gap" in rules("m.zst", zstd(b"", zeros=4))


def test_frames_to_skip_alone_are_no_stream():
    assert is_zstd(skippable(b"abcd") + zstd(b""))
    assert not is_zstd(skippable(b"abcd") + b"\x04\x22\x4d\x18")
    assert not is_zstd(skippable(b"abcd"))
    assert not is_zstd(b"\x27\xb5\x2f\xfd")
