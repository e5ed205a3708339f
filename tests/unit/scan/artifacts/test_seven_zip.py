"""7z archives: what 7-Zip writes is unpacked and examined, and what two readers could see differently is named."""

import bz2
import lzma
import random
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.seven_zip_files import WRITTEN

from zt_gate.corpus.opcodes import HOSTILE
from zt_gate.corpus.seven_zip import ENCRYPTED, lzma2, seven_zip
from zt_gate.scan.artifacts.archives.seven_zip_header import Reader
from zt_gate.scan.interface import BrokenFileError

HONEST = b"\x80\x04](" + b"K\x01" * 20 + b"e."
COPY = b"\x01\0"
REFUSED = ("ppmd", "bcj2", "encrypted", "encrypted header")
PAIR = [("m/a.pkl", HONEST), ("m/b.pkl", HONEST)]


def raw_deflate(data):
    packer = zlib.compressobj(wbits=-15)
    return packer.compress(data) + packer.flush()


@pytest.mark.parametrize("name", [name for name in WRITTEN if name not in REFUSED])
def test_what_seven_zip_writes_is_unpacked_and_examined(name, scan, tmp_path):
    (tmp_path / "o.7z").write_bytes(WRITTEN[name])
    evidence = scan(tmp_path)
    assert {finding.rule for finding in evidence.findings} == {"ART-101", "ART-213"}
    assert {finding.member for finding in evidence.findings if finding.rule == "ART-101"} == {"b.pkl"}
    assert evidence.gaps == ()


@pytest.mark.parametrize(
    ("name", "found", "reason"),
    [
        ("ppmd", {"ART-213"}, "method 030401"),
        ("bcj2", {"ART-213"}, "method 0303011b of several streams"),
        ("encrypted", {"ART-206", "ART-213"}, "encrypted"),
        ("encrypted header", {"ART-206", "ART-213"}, "encrypted"),
    ],
)
def test_what_is_not_unpacked_is_a_gap_that_says_so(name, found, reason, scan, tmp_path):
    (tmp_path / "o.7z").write_bytes(WRITTEN[name])
    evidence = scan(tmp_path)
    assert {finding.rule for finding in evidence.findings} == found
    assert reason in evidence.gaps[0].reason


@pytest.mark.parametrize("options", [{}, {"coder": COPY}, {"packed_header": True}], ids=["lzma2", "copy", "header"])
def test_honest_members_leave_only_the_archive_itself_to_name(options, rules):
    assert rules("m.7z", seven_zip(PAIR, **options)) == {"ART-213"}
    assert "ART-101" in rules("m.7z", seven_zip([*PAIR, ("c", HOSTILE)], **options))
    assert "ART-306" in rules("m.pt", seven_zip(PAIR, **options))


@pytest.mark.parametrize(
    ("members", "options", "rule"),
    [
        ([("a.pkl", HONEST), ("a.pkl", HONEST)], {}, "ART-202"),
        ([("a.pkl", HONEST), ("A.pkl", HONEST)], {}, "ART-203"),
        ([("../a.pkl", HONEST)], {}, "ART-207"),
        ([("/a.pkl", HONEST)], {}, "ART-207"),
        ([("C:/a.pkl", HONEST)], {}, "ART-207"),
        ([("a\ud800.pkl", HONEST)], {}, "ART-207"),
        ([("a.pkl", HONEST)], {"attributes": 0xA1FF8000}, "ART-207"),
        ([("a.pkl", HONEST)], {"attributes": 0x400}, "ART-207"),
        (PAIR, {"crc": 1}, "ART-210"),
        (PAIR, {"gap": HOSTILE}, "ART-205"),
        (PAIR, {"packed": lzma2(HONEST * 2) + HOSTILE}, "ART-205"),
        (PAIR, {"packed": lzma2(HONEST * 2 + HOSTILE)}, "ART-205"),
        (PAIR, {"coder": COPY, "packed": HONEST * 2 + HOSTILE}, "ART-310"),
        (PAIR, {"packed": lzma2(HONEST)}, "ART-310"),
        (PAIR, {"packed": b"\x99" * 30}, "ART-310"),
        (PAIR, {"coder": ENCRYPTED}, "ART-206"),
        ([("a.pkl", b"")], {}, "ART-305"),
    ],
    ids=["twice", "case", "slip", "absolute", "drive", "surrogate", "link", "reparse", "checksum", "gap", "tail",
         "longer", "copied tail", "shorter", "noise", "encrypted", "empty"],
)  # fmt: skip
def test_what_two_readers_could_see_differently_is_named(members, options, rule, rules):
    assert rule in rules("m.7z", seven_zip(members, **options))


def test_bytes_outside_of_everything_are_named(rules):
    data = seven_zip(PAIR)
    assert rules("m.7z", data + HOSTILE) == {"ART-208", "ART-213"}
    assert rules("m.7z", data[:-1]) == {"ART-213", "ART-310", "gap"}
    assert rules("m.7z", data[:12] + bytes([data[12] ^ 1]) + data[13:]) == {"ART-213", "ART-310", "gap"}
    assert rules("m.7z", data[:-2] + b"??") == {"ART-213", "ART-310", "gap"}


@pytest.mark.parametrize(
    ("coder", "pack"),
    [(b"\x03\x04\x01\x08", raw_deflate), (b"\x03\x04\x02\x02", bz2.compress)],
    ids=["deflate", "bzip2"],
)
def test_other_methods_are_unpacked(coder, pack, rules):
    assert rules("m.7z", seven_zip(PAIR, coder=coder, packed=pack(HONEST * 2))) == {"ART-213"}
    assert "ART-205" in rules("m.7z", seven_zip(PAIR, coder=coder, packed=pack(HONEST * 2) + b"more"))
    assert "ART-101" in rules("m.7z", seven_zip([("a", HOSTILE)], coder=coder, packed=pack(HOSTILE)))


@pytest.mark.parametrize(
    ("kind", "coder", "spec"),
    [
        ("x86", b"\x01\x04", {"id": lzma.FILTER_X86}),
        ("delta", b"\x21\x03\x01\x03", {"id": lzma.FILTER_DELTA, "dist": 4}),
    ],
)
def test_filters_are_undone(kind, coder, spec, rules):
    """A filter alone, over bytes that it changes: liblzma gives them back when asked to compress and not to filter."""
    plain = HONEST * 3 + b"\xe8\x10\0\0\0" * 20_000
    chain = [spec, {"id": lzma.FILTER_LZMA2}]
    changed = lzma.decompress(
        lzma.compress(plain, lzma.FORMAT_RAW, filters=chain), lzma.FORMAT_RAW, filters=[{"id": lzma.FILTER_LZMA2}]
    )
    assert changed != plain
    found = rules("m.7z", seven_zip([("a.bin", plain)], coder=coder, packed=changed))
    assert "ART-210" not in found
    assert "ART-310" not in found
    assert "ART-210" in rules("m.7z", seven_zip([("a.bin", plain)], coder=coder, packed=plain))


def test_a_dictionary_out_of_reason_is_a_gap(rules):
    assert rules("m.7z", seven_zip(PAIR, coder=b"\x21\x21\x01\x28", packed=lzma2(HONEST * 2))) == {"ART-213", "gap"}


def test_bombs_are_named(rules):
    assert {"ART-209", "gap"} <= rules("m.7z", seven_zip([("a.bin", bytes(17 << 20))]))


def test_archives_in_archives_are_examined_until_they_are_too_deep(rules):
    data = HOSTILE
    for _ in range(3):
        data = seven_zip([("a.7z", data)])
    assert "ART-101" in rules("m.7z", data)
    for _ in range(5):
        data = seven_zip([("a.7z", data)])
    assert {"ART-212", "gap"} <= rules("m.7z", data)


@given(st.integers(0, (1 << 64) - 1))
def test_numbers_are_read_as_seven_zip_writes_them(value):
    extra = next(count for count in range(9) if count == 8 or value < 1 << 7 * count + 7)
    high = value >> 8 * extra if extra < 8 else 0
    first = (0xFF << 8 - extra & 0xFF) | high
    reader = Reader(bytes([first]) + (value & (1 << 8 * extra) - 1).to_bytes(extra, "little"))
    assert reader.number() == value
    assert reader.left == 0


def test_what_is_cut_off_is_broken():
    for data in (b"", b"\xff\0", b"\x81"):
        with pytest.raises(BrokenFileError, match="cut off"):
            Reader(data).number()


def test_every_bit_of_a_header_matters_or_is_named(rules):
    """A checksum guards the header; without it, every change has to end in a word as well."""
    data = bytearray(seven_zip(PAIR))
    at = 32 + int.from_bytes(data[12:20], "little")
    noise = random.Random(7)
    for _ in range(60):
        bent = bytearray(data)
        bent[noise.randrange(at, len(bent))] ^= 1 << noise.randrange(8)
        bent[28:32] = zlib.crc32(bent[at:]).to_bytes(4, "little")
        bent[8:12] = zlib.crc32(bent[12:32]).to_bytes(4, "little")
        assert "ART-213" in rules("m.7z", bytes(bent))
