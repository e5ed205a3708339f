"""Every format in the registry, from files that it really reads, bent where parsers break: each ends in a word of ours.

A parser that raises something nobody meant is caught by `Examination.guarded` and becomes a gap, so that nothing gets
past the gate; here it is a defect all the same.
"""

import gzip
import io
import re
import resource
import tarfile
import time
import zipfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.seeds import head_of, seeds
from zt_gate.scan.artifacts.format import Input
from zt_gate.scan.artifacts.registry import FORMATS, examine
from zt_gate.scan.interface import Examination

EXAMPLES = settings(
    max_examples=max(20, settings().max_examples // 5), deadline=None, suppress_health_check=list(HealthCheck)
)
SECONDS, KILOBYTES = 10.0, 400 << 10
SLIP = re.compile(r": (AttributeError|TypeError|NameError|UnboundLocalError|AssertionError|IndexError|KeyError"
                  r"|ZeroDivisionError|StopIteration|NotImplementedError):")  # fmt: skip
EDGES = (0, 1, 0x7F, 0x80, 0xFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 0x7FFFFFFFFFFFFFFF, 0xFFFFFFFFFFFFFFFF)
NAMES = [f"{place:02}-{form.name}" for place, form in enumerate(FORMATS)]


def scan(name, data):
    """Examine bytes as a file of the release is examined."""
    head = head_of(name, data)
    exam = Examination(head.source.path, len(data))
    with exam.guarded(name):
        examine(Input(head.source, exam, head, examine))
    return exam


def ends_in_a_word(name, data):
    """Examine bytes, and hold the parser to its time, its memory and its manners."""
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    exam = scan(name, data)
    assert time.process_time() - start < SECONDS
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < KILOBYTES
    # A byte that nobody accounted for becomes a gap of the check, so a hole is a word too; silence is not.
    assert exam.findings or exam.gaps or exam.claim() or next(exam.holes(), None)
    assert exam.formats or exam.gaps
    assert [gap.reason for gap in exam.gaps if SLIP.search(gap.reason)] == []


@st.composite
def bent(draw, data):
    """Return the bytes after a few edits of the kinds that break parsers: lengths, counts, order, ends, repetition."""
    out = bytearray(data)
    for _ in range(draw(st.integers(1, 4))):
        at, size = draw(st.integers(0, max(0, len(out) - 1))), draw(st.integers(1, 64))
        match draw(st.sampled_from(["number", "byte", "cut", "drop", "repeat", "move", "insert", "text"])):
            case "number":
                width = draw(st.sampled_from([1, 2, 4, 8]))
                value = draw(st.sampled_from(EDGES)) & (1 << 8 * width) - 1
                out[at : at + width] = value.to_bytes(width, draw(st.sampled_from(["little", "big"])))
            case "byte":
                out[at : at + 1] = bytes([draw(st.integers(0, 255))])
            case "cut":
                del out[max(1, at) :]
            case "drop":
                del out[at : at + size]
            case "repeat":
                out[at:at] = out[at : at + size] * draw(st.sampled_from([1, 2, 50]))
            case "move":
                taken = out[at : at + size]
                del out[at : at + size]
                to = draw(st.integers(0, len(out)))
                out[to:to] = taken
            case "insert":
                out[at:at] = draw(st.binary(min_size=1, max_size=8))
            case "text":
                out[at:at] = draw(
                    st.sampled_from([b'"', b"{", b"[" * 200, b"<!", b"\n", b"\0", b"..", b"/", b"\xed\xa0\x80"])
                )
    return bytes(out[:60_000]) or b"\0"


def wrapped(kind, name, data):
    """Return bytes as a member of an archive, where most parsers also get their input from."""
    buffer = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr(zipfile.ZipInfo(name), data)
    elif kind == "tar":
        with tarfile.open(fileobj=buffer, mode="w") as archive:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    else:
        buffer.write(gzip.compress(data, mtime=0))
    return buffer.getvalue()


@pytest.mark.parametrize("place", range(len(FORMATS)), ids=NAMES)
def test_every_format_has_a_seed_that_reaches_it(place):
    assert seeds().get(place), f"{FORMATS[place].name}: add a file that it examines to tests/fuzz/seeds.py"


@pytest.mark.parametrize("place", range(len(FORMATS)), ids=NAMES)
def test_the_seeds_themselves_end_in_a_word(place):
    for name, data in seeds().get(place, ()):
        ends_in_a_word(name, data)


@pytest.mark.parametrize("place", range(len(FORMATS)), ids=NAMES)
@EXAMPLES
@given(data=st.data())
def test_bent_files_end_in_a_word(place, data):
    name, seed = data.draw(st.sampled_from(seeds()[place]))
    content = data.draw(bent(seed))
    kind = data.draw(st.sampled_from(["plain", "plain", "zip", "tar", "gzip"]))
    if kind == "plain":
        ends_in_a_word(name, content)
    else:
        ends_in_a_word(f"m.{kind}", wrapped(kind, name.replace("!", "/").lstrip("/"), content))


@pytest.mark.parametrize("place", range(len(FORMATS)), ids=NAMES)
@EXAMPLES
@given(data=st.data())
def test_halves_of_two_files_of_a_format_end_in_a_word(place, data):
    (name, one), (_, two) = (data.draw(st.sampled_from(seeds()[place])) for _ in range(2))
    ends_in_a_word(
        name, one[: data.draw(st.integers(0, len(one)))] + two[data.draw(st.integers(0, len(two))) :] or b"\0"
    )
