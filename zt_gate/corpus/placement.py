"""Pickles in places where nobody looks: other names, compression, polyglots, pictures, tails."""

from __future__ import annotations

import bz2
import gzip
import lzma
import struct
import zlib

from zt_gate.corpus.archives import HONEST_WEIGHTS, npy, plain_zip, tar, torch_zip
from zt_gate.corpus.construct import Construct, Link, Pipe, Row, table
from zt_gate.corpus.opcodes import HOSTILE, OLD_HOSTILE, SYSTEM, WORD, call, program, stack_name
from zt_gate.corpus.records import lz4, skippable, zstd

_RENAMED = "CVE-2025-10155, CVE-2025-1889: scanners that trust extensions"
_JOBLIB = "joblib compression that picklescan does not open"
_LONG = HOSTILE + bytes(200)


def _renamed(file: str) -> Row:
    return f"as-{file}", f"a pickle named {file}", _RENAMED, {file: HOSTILE}


_NAMES = ("notes.txt", "README.md", "config.json", "settings.yaml", "vocab.csv", "weights.safetensors", "logo.png",
          "model.onnx", "model.gguf", "model.h5", "model.keras", "saved_model.pb", "model.bin", "data", "model.npy",
          "a.b.c.d", "train.py", "tokenizer.model", ".hidden", "optimizer.pt", "model.dat", "MLmodel")  # fmt: skip

_RENAMES = [
    *[_renamed(file) for file in _NAMES],
    ("text-pickle-as-txt", "a pickle of protocol 0 named .txt", _RENAMED, {"notes.txt": OLD_HOSTILE}),
    ("text-pickle-without-suffix", "a pickle of protocol 0 without a suffix", _RENAMED, {"weights": OLD_HOSTILE}),
    ("among-honest-files", "one hostile file among honest ones", "modelscan issue 218",
     {"config.json": b"{}\n", "model.safetensors": HONEST_WEIGHTS, "cache/state.dat": HOSTILE}),
]  # fmt: skip

_COMPRESSED: list[Row] = [
    ("gzip", "a pickle under gzip", _JOBLIB, {"model.joblib": gzip.compress(_LONG, mtime=0)}),
    ("zlib", "a pickle under zlib", _JOBLIB, {"model.joblib": zlib.compress(_LONG)}),
    ("zlib-0", "a pickle under zlib, stored", _JOBLIB, {"model.joblib": zlib.compress(_LONG, 0)}),
    ("bz2", "a pickle under bz2", _JOBLIB, {"model.joblib": bz2.compress(_LONG)}),
    ("xz", "a pickle under xz", _JOBLIB, {"model.joblib": lzma.compress(_LONG)}),
    ("lzma", "a pickle under lzma", _JOBLIB, {"model.joblib": lzma.compress(_LONG, lzma.FORMAT_ALONE)}),
    ("lz4", "a pickle under lz4", _JOBLIB, {"model.joblib": lz4(_LONG)}),
    ("lz4-stored", "a pickle under lz4, stored", _JOBLIB, {"model.joblib": lz4(_LONG, stored=True)}),
    ("lz4-tail", "a pickle behind an lz4 frame", _JOBLIB, {"model.joblib": lz4(bytes(20)) + HOSTILE}),
    ("zstd", "a pickle under zstd", _JOBLIB, {"model.joblib": zstd(_LONG)}),
    ("zstd-second-frame", "the second frame of a zstd file", _JOBLIB,
     {"model.pkl.zst": zstd(b"\x80\x04N.") + zstd(HOSTILE)}),
    ("zstd-frame-border", "a pickle across two zstd frames", _JOBLIB,
     {"model.pkl.zst": zstd(HOSTILE[:9]) + zstd(HOSTILE[9:])}),
    ("zstd-skipped", "a pickle in a frame that zstd skips", _JOBLIB,
     {"model.pkl.zst": skippable(HOSTILE) + zstd(b"\x80\x04N.")}),
    ("zstd-tail", "a pickle behind a zstd frame", _JOBLIB, {"model.pkl.zst": zstd(b"\x80\x04N.") + HOSTILE}),
    ("zstd-dictionary", "a zstd frame that needs a dictionary", "RFC 8878, section 5",
     {"model.pkl.zst": zstd(_LONG, dictionary=True)}),
    ("zstd-bomb", "half a gigabyte of zeros in 16 kilobytes", "CWE-409", {"model.zst": zstd(b"", zeros=4096)}),
    ("zstd-cut", "a zstd frame that is cut off", "CWE-754", {"model.joblib": zstd(_LONG)[:-6]}),
    ("tar-zstd", "a PyTorch archive in a tar under zstd", _JOBLIB,
     {"model.tar.zst": zstd(tar([("model.pt", torch_zip(HOSTILE))]))}),
    ("double-gzip", "a pickle under gzip under gzip", _JOBLIB,
     {"model.pkl.gz": gzip.compress(gzip.compress(_LONG, mtime=0), mtime=0)}),
    ("gzip-two-members", "the second member of a gzip file", _JOBLIB,
     {"model.pkl.gz": gzip.compress(b"\x80\x04N." + bytes(50), mtime=0) + gzip.compress(_LONG, mtime=0)}),
    ("gzip-tail", "a pickle behind a compressed stream", _JOBLIB,
     {"model.joblib": gzip.compress(b"\x80\x04N.", mtime=0) + HOSTILE}),
    ("gzip-bomb", "a gigabyte of zeros in a megabyte",
     "CWE-409", lambda: {"model.joblib": gzip.compress(bytes(96 << 20), 9, mtime=0)}),
    ("gzip-cut", "a compressed stream that is cut off", "CWE-754",
     {"model.joblib": gzip.compress(_LONG, mtime=0)[:-6]}),
]  # fmt: skip


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">L", len(body)) + kind + body + struct.pack(">L", zlib.crc32(kind + body))


_PICTURE = (
    b"\x89PNG\r\n\x1a\n"
    + _chunk(b"IHDR", struct.pack(">LLBBBBB", 1, 1, 8, 0, 0, 0, 0))
    + _chunk(b"IDAT", zlib.compress(b"\0\0"))
    + _chunk(b"IEND", b"")
)
_POLYGLOTS: list[Row] = [
    ("png-then-pickle", "a picture with a pickle behind it", "CWE-434", {"logo.png": _PICTURE + HOSTILE}),
    ("png-then-zip", "a picture with an archive behind it", "CWE-434",
     {"logo.png": _PICTURE + plain_zip({"archive/data.pkl": HOSTILE})}),
    ("json-then-zip", "text with an archive behind it", "CWE-434",
     {"config.json": b"{}" + plain_zip({"archive/data.pkl": HOSTILE})}),
    ("pickle-then-zip", "a harmless pickle with an archive behind it", "CWE-434",
     {"model.pkl": b"\x80\x04N." + plain_zip({"archive/data.pkl": HOSTILE})}),
    ("zip-then-pickle", "an archive with a pickle behind it", "CWE-434",
     {"model.zip": plain_zip({"a.txt": b"hello"}) + HOSTILE}),
    ("pickle-then-bytes", "bytes behind a pickle", "CWE-434", {"model.pkl": b"\x80\x04N." + b"\x00\x01\x02 hidden"}),
    ("gguf-then-zip", "GGUF with an archive behind it", "promptfoo: SFX prefix",
     {"model.gguf": b"GGUF" + struct.pack("<IQQ", 3, 0, 0) + plain_zip({"archive/data.pkl": HOSTILE})}),
    ("numpy-then-pickle", "an array with a pickle behind it", "CWE-434", {"data.npy": npy("<f4") + HOSTILE}),
    ("pdf", "a document that may run scripts", "CWE-434",
     {"card.pdf": b"%PDF-1.4\n1 0 obj\n<</JS (x)>>\nendobj\n%%EOF\n"}),
    ("html", "a page with a script", "CWE-79", {"card.html": b"<script>/* nothing */</script>\n"}),
    ("svg", "a picture with a script", "CWE-79", {"logo.svg": b"<svg><script>/* nothing */</script></svg>\n"}),
]  # fmt: skip

_ARRAYS: list[Row] = [
    ("npy-object", "an array of objects is a pickle", "CVE-2019-6446", {"data.npy": npy("|O", data=HOSTILE)}),
    ("npy-object-field", "an object in a field of a structured array", "CVE-2019-6446",
     {"data.npy": npy([("a", "<f4"), ("b", "|O")], data=HOSTILE)}),
    ("npy-object-nested", "an object in a nested structure", "CVE-2019-6446",
     {"data.npy": npy([("a", [("b", "|O")])], data=HOSTILE)}),
    ("npy-object-v2", "an array of objects, header version 2", "CVE-2019-6446",
     {"data.npy": npy("|O", data=HOSTILE, version=2)}),
    ("npy-header-call", "a header that is no literal", "CWE-94", {"data.npy": npy("x").replace(b"'x'", b"f()")}),
    ("npy-too-long", "more bytes than the shape says", "CWE-434", {"data.npy": npy("<f4", data=bytes(64))}),
    ("npy-huge", "a shape far beyond the file", "CWE-789", {"data.npy": npy("<f4", "(99999999999,)")}),
    ("npz-object", "an array of objects inside .npz", "CVE-2019-6446",
     {"data.npz": plain_zip({"a.npy": npy("<f4"), "b.npy": npy("|O", data=HOSTILE)})}),
    ("npz-pickle", "a pickle inside .npz", "CVE-2019-6446", {"data.npz": plain_zip({"a.npy": HOSTILE})}),
    ("joblib-object-array", "joblib's wrapper around an object array", "CWE-502",
     {"model.joblib": program(
         stack_name("joblib.numpy_pickle", "NumpyArrayWrapper") + b")\x81}(" + b"\x8c\x05dtype"
         + call(stack_name("numpy",
          "dtype"), b"\x8c\x02O8", b"\x89", b"\x88") + b"\x8c\x05shapeK\x01\x85ub" + SYSTEM)}),
    ("recarray-state", "array state that names what to call", "CWE-502",
     {"model.pkl": program(call(stack_name("numpy.core.multiarray",
      "_reconstruct"), stack_name("os", "system"), WORD))}),
]  # fmt: skip

_INTAKE: list[Row] = [
    ("symlink", "a link that leads out of the release", "CWE-59",
     {"config.json": b"{}", "model.safetensors": Link("/etc/hostname")}),
    ("symlink-inside", "a link within the release", "CWE-59", {"a.json": b"{}", "b.json": Link("a.json")}),
    ("pipe", "a named pipe in place of the model", "CWE-400", {"model.safetensors": Pipe()}),
    ("bidi-name", "a file name that reads differently", "CVE-2021-42574", {"model\u202etxt.json": b"{}"}),
    ("control-name", "a file name that forges log lines", "CWE-117", {"model\n::error::.json": b"{}"}),
    ("case-twins", "names that differ in letter case only", "CWE-178", {"Config.json": b"{}", "config.json": b"[]"}),
    ("lfs-pointer", "a pointer in place of the model", "git-lfs",
     {"model.safetensors": b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 9\n"}),
    ("empty-model", "an empty file in place of the model", "CWE-754", {"model.safetensors": b""}),
    ("unknown-bytes", "bytes that no format recognises", "CWE-754", {"model.bin": bytes(range(200, 255))}),
    ("noise-without-suffix", "bytes without a name that says anything", "CWE-754",
     {"blob": bytes(range(128, 240)) * 9}),
]  # fmt: skip

CONSTRUCTS: tuple[Construct, ...] = (
    *table("renamed", _RENAMES),
    *table("compressed", _COMPRESSED),
    *table("polyglot", _POLYGLOTS),
    *table("array", _ARRAYS),
    *table("intake", _INTAKE),
)
