"""Whatever bytes come, the readers of LZ4, Zstandard, CatBoost, CRFsuite, Parquet and others end in a word."""

import contextlib

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from zstandard import ZstdCompressor, ZstdDecompressor, ZstdError

from zt_gate.corpus.records import arrow, catboost, crfsuite, executorch, lz4, parquet, zstd
from zt_gate.errors import TargetError
from zt_gate.intake import MemorySource
from zt_gate.scan.artifacts.archives.lz4_frame import Lz4Decoder, decode_block
from zt_gate.scan.artifacts.archives.zstd_frame import ZstdDecoder
from zt_gate.scan.artifacts.encodings.thrift_compact import BadThriftError, CompactReader
from zt_gate.scan.artifacts.format import Input
from zt_gate.scan.artifacts.registry import examine
from zt_gate.scan.interface import Examination, Head

QUICK = settings(
    max_examples=max(100, settings().max_examples), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
COLUMN = {2: 4, 3: {1: 1, 4: 0, 5: 1, 6: 8, 7: 8, 9: 4}}
SEEDS = {
    "m.cbm": catboost('{"loss": 1}'),
    "m.crfsuite": crfsuite(),
    "m.pte": executorch(["aten::add"], ["XnnpackBackend"]),
    "t.parquet": parquet([COLUMN], [{1: b"pandas", 2: b"{}"}], body=b"8 bytes."),
    "t.arrow": arrow(b"schema"),
    "m.joblib": lz4(b"\x80\x04](" + b"K\x01" * 40 + b"e."),
    "m.zst": zstd(b"\x80\x04](" + b"K\x01" * 40 + b"e."),
    "m.pkl.zst": ZstdCompressor(write_checksum=True).compress(b"\x80\x04](" + b"K\x01" * 40 + b"e."),
    "m.7z": b"7z\xbc\xaf\x27\x1c\0\x04" + bytes(60),
    "card.svg": b"<svg></svg>",
    "m.pbtxt": b'node { op: "Add" }',
}


def scan(name, data):
    source = MemorySource(name, "", data)
    exam = Examination(name, len(data))
    with exam.guarded(name):
        examine(Input(source, exam, Head.of(source), examine))
    return exam


@QUICK
@given(
    name=st.sampled_from(sorted(SEEDS)),
    edits=st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 255)), max_size=6),
    cut=st.integers(1, 5000),
)
def test_changed_and_cut_files_end_in_a_word(name, edits, cut):
    data = bytearray(SEEDS[name])
    for at, value in edits:
        data[at % len(data)] = value
    exam = scan(name, bytes(data[:cut]))
    assert exam.findings or exam.gaps or exam.claim()
    slips = ("IndexError", "KeyError", "TypeError", "struct.error")
    assert not any(slip in gap.reason for gap in exam.gaps for slip in slips)


def test_what_follows_is_never_accounted_for_silently():
    for name, data in SEEDS.items():
        if name.endswith((".svg", ".pbtxt", ".7z")):
            continue
        assert scan(name, data).claim(), name
        assert scan(name, data + b"\x80\x04N.").findings, name


@QUICK
@given(st.binary(max_size=200), st.binary(max_size=40), st.integers(0, 400))
@example(b"\x1fa\x01\x00" + b"\xff" * 100 + b"\0", b"", 400)
def test_a_block_never_becomes_more_than_it_may(data, history, limit):
    with contextlib.suppress(ValueError):
        assert len(decode_block(data, history, limit)) <= limit


@QUICK
@given(st.binary(max_size=200))
def test_a_frame_is_decoded_or_refused(data):
    decoder, out = Lz4Decoder(), b""
    with contextlib.suppress(ValueError):
        out = decoder.decompress(b"\x04\x22\x4d\x18\x60\x40\x82" + data)
    assert len(out) <= 256 * len(data)  # a byte of LZ4 stands for 255 at most


@QUICK
@given(st.binary(max_size=200))
@example(b"\x1c" * 200)
@example(b"\x19\xf1\xff\xff\xff\xff\x0f")
def test_compact_structs_are_read_or_refused(data):
    with contextlib.suppress(BadThriftError):
        assert isinstance(CompactReader(data).read(), dict)


@QUICK
@given(st.binary(max_size=200), st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), max_size=4))
def test_what_is_decoded_of_a_bent_zstd_frame_is_what_the_library_decodes(data, edits):
    frame = bytearray(ZstdCompressor(write_checksum=True).compress(data * 3))
    for at, value in edits:
        frame[at % len(frame)] = value
    decoder, out = ZstdDecoder(), b""
    try:
        out = decoder.decompress(bytes(frame)) + decoder.decompress(b"")
    except TargetError:
        return
    if decoder.eof and not decoder.unused_data and frame.startswith(b"\x28\xb5\x2f\xfd"):
        with contextlib.suppress(ZstdError):
            assert ZstdDecompressor().stream_reader(bytes(frame), read_across_frames=True).read() == out
