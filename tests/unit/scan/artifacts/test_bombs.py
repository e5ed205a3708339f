"""Small files that would take minutes or gigabytes are refused, or passed, within seconds and megabytes.

Each runs in a worker with the limits of the resource under test, so that a machine under load does not fail them. All
took from half a minute to hours, or gigabytes, before what they repeat was walked once.
"""

import gzip
import io
import struct
import zipfile

import pytest

from zt_gate.intake import Freeze, freeze
from zt_gate.isolation.limits import WorkerLimits
from zt_gate.scan.artifacts import ArtifactCheck
from zt_gate.scan.secrets.check import SecretsCheck

CPU_SECONDS, MEMORY = 10, 448 << 20
UNFINISHED = ("processor time", "ended by", "longer than the limit")
ORDERED = b"ccollections\nOrderedDict\n"
DTYPE = b"cnumpy\ndtype\n"


def get(index):
    return b"j" + struct.pack("<I", index)


def text(value):
    return b"\x8c" + bytes([len(value)]) + value


def shared_tuple_calls():
    chain = b")\x94" + b"\x85\x94" * 50_000
    return b"\x80\x04" + chain + ORDERED + b"\x94" + (get(50_001) + get(50_000) + b"R0") * 20_000 + b"N."


def shared_tuple_states():
    chain = b")\x94" + b"\x85\x94" * 50_000
    return b"\x80\x04" + chain + b"0" + ORDERED + b")R" + (get(50_000) + b"b") * 20_000 + b"."


def data_types(depth, width):
    """Data types whose fields are all of the one before."""
    out, memo = DTYPE + b"\x94" + text(b"f8") + b"\x85R\x94", 1
    for _ in range(depth):
        size = b"K\x08"
        names = b"(" + b"".join(text(b"n%d" % i) for i in range(width)) + b"t"
        fields = b"}(" + b"".join(text(b"n%d" % i) + get(memo) + b"K\x00\x86" for i in range(width)) + b"u"
        state = b"(K\x03" + text(b"|") + b"N" + names + fields + size + b"K\x01K\x00t"
        out += b"h\x00" + text(b"V8") + b"\x85R\x94" + state + b"b"
        memo += 1
    return out, memo


def data_types_in_fields():
    types, last = data_types(8, 40)
    header = b"}(" + text(b"dtype") + get(last) + text(b"shape") + b"K\x00\x85u"
    return b"\x80\x04" + types + b"cjoblib.numpy_pickle\nNumpyArrayWrapper\n)\x81" + header + b"b."


def zipped(members):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return out.getvalue()


def many_dimensions():
    header = b'{"a":{"dtype":"F32","shape":[' + b"1099511627776," * 150_000 + b'1],"data_offsets":[0,0]}}'
    return struct.pack("<Q", len(header)) + header


MACRO = b"{%% macro m%d() %%}{{ x.m%d() }}{%% endmacro %%}"
SETS = b"".join(b"{%% set a%d = a%d %%}" % (i, i + 1) for i in range(10_000))
BOMBS = {
    "subscripts.jinja": lambda: b"{{ " + b"x[" * 100_000 + b"1" + b"]" * 100_000 + b" }}",
    "slices.jinja": lambda: b"{{ " + b"x[1:" * 60_000 + b"1" + b"]" * 60_000 + b" }}",
    "filters.jinja": lambda: b"{{ x" + b"|sort(a," * 60_000 + b"1" + b")" * 60_000 + b" }}",
    "attributes.jinja": lambda: b"{{ x" + b"|map(" * 40_000 + b"attribute=1," * 20_000 + b")" * 40_000 + b" }}",
    "sets.jinja": lambda: SETS + b'{% set a10000 = "a" ~ b %}',
    "macros.jinja": lambda: b"".join(MACRO % (i, i) for i in range(15_000)),
    "phrase.jinja": lambda: b'{% if content == "' + b"a" * 400_000 + b'<" %}{% endif %}',
    "escapes.jinja": lambda: b'{{ "' + b"\\N{" * 200_000 + b'" }}',
    "calls.pkl": shared_tuple_calls,
    "states.pkl": shared_tuple_states,
    "types.pkl": data_types_in_fields,
    "dots.pkl": lambda: b"\x80\x02c" + b"a." * 1_000_000 + b"b\nf\n.",
    "payload.pkl": lambda: b"\x80\x04cevil\nf\n\x94B" + struct.pack("<I", 500_003) + b"\x80\x04" + b"N0" * 250_000
    + b"." + b"\x85\x940" + b"h\x00h\x01R0" * 30_000 + b"N.",
    "targets.json": lambda: b'{"_target_":' * 300 + b"[" + b"1," * 500_000 + b"1]" + b"}" * 300,
    "remote.json": lambda: b'{"auto_map":' * 300 + b"[" + b"1," * 500_000 + b"1]" + b"}" * 300,
    "page.html": lambda: b"<meta " * 500_000,
    "shape.safetensors": many_dimensions,
    "header.txt": lambda: b"eyJ" * 3_000_000,
    "headers.txt": lambda: (b"eyJ" * 333 + b".eyJ" + b"a" * 9 + b".") * 9_000,
    "parts.txt": lambda: b".eyJaaaaaaaaaaaa" * 500_000,
    "graph.pb": lambda: b"\x0a\x00" * 3_000_000,
    "zeros.pkl": lambda: gzip.compress(bytes(900 << 20), 1),
    "zeros.zip": lambda: zipped({"a.bin": bytes(600 << 20)}),
    "lists.zip": lambda: zipped({"a.json": b"[" + b"[]," * (30 << 20) + b"1]"}),
}  # fmt: skip


@pytest.mark.parametrize("name", BOMBS)
@pytest.mark.parametrize("check", [ArtifactCheck, SecretsCheck])
def test_a_small_file_costs_little(name, check, tmp_path):
    (tmp_path / name).write_bytes(BOMBS[name]())
    with freeze([tmp_path], Freeze.HOLD) as frozen:
        evidence = check(limits=WorkerLimits(cpu_seconds=CPU_SECONDS, memory=MEMORY)).run(frozen)
    reasons = [gap.reason for gap in evidence.gaps]
    assert not any(word in reason for reason in reasons for word in UNFINISHED), reasons[:3]
    # A list of lists is as large in memory as it is: it may end at the limit, and then blocks.
    assert name == "lists.zip" or not any("more memory" in reason for reason in reasons), reasons[:3]


def test_what_shares_a_walk_is_still_found(rules):
    hidden = b"}" + text(b"__class__") + b"N\x86"[:1] + b"s"
    call = ORDERED + b"\x94"
    later = b"\x80\x04" + call + b"0}\x94\x85\x94" + b"0h\x00h\x02R0" + b"h\x01" + text(b"__class__") + b"Ns0"
    assert "ART-105" in rules("m.pkl", b"\x80\x04" + call + hidden + b"\x85R.")
    assert "ART-105" in rules("m.pkl", later + b"h\x00h\x02R.")
    state = b"\x80\x04" + call + b")R}\x94b0h\x01" + text(b"__class__") + b"Ns."
    assert "ART-105" in rules("m.pkl", state)
    twice = b"\x80\x04" + call + b"0C\x04\x80\x04N.\x85\x94" + b"0h\x00h\x01R0cevil\nf\nh\x01R."
    assert "ART-110" in rules("m.pkl", twice)


def test_small_files_are_examined_under_small_limits():
    assert WorkerLimits.of(9_999_999).memory < 500_000_000
    assert WorkerLimits.of(10_000_000) == WorkerLimits()
