"""Graph formats under mutation: the check ends with findings, gaps or claims, and never lets a named danger go."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.protobuf import message
from zt_gate.intake import MemorySource
from zt_gate.scan.artifacts.format import Input
from zt_gate.scan.artifacts.registry import examine
from zt_gate.scan.artifacts.texts.jinja_template import problems
from zt_gate.scan.artifacts.texts.jinja_tree import TemplateError
from zt_gate.scan.interface import Examination, Head

QUICK = settings(
    max_examples=max(120, settings().max_examples), deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
NODE = message((1, "x"), (2, "y"), (4, "Relu"))
GGUF = b"GGUF\x03\0\0\0" + bytes(8) + b"\x01" + bytes(7) + b"\x01" + bytes(7) + b"n" + b"\x04\0\0\0\x01\0\0\0"
SEEDS = {
    "m.onnx": message((1, 8), (7, message((1, NODE), (2, "g"))), (8, message((2, 17)))),
    "saved_model.pb": message((1, 1), (2, message((2, message((1, message((1, "a"), (2, "Relu")))))))),
    "m.gguf": GGUF,
    "m.xml": b'<net name="n" version="11"><layers><layer id="0" type="Relu" version="opset1"/></layers></net>',
    "m.mlmodel": message((1, 8), (2, b""), (302, b"\x08\x01")),
    "m.pdmodel": message((1, message((1, 0), (4, message((3, "relu")))))),
    "m.pdiparams": bytes(16) + b"\x04\0\0\0\x08\x05\x10\x02" + bytes(8),
    "m.tflite": bytes.fromhex("1c00000054464c3300000000") + bytes(60),
    "chat_template.jinja": b"{% for m in messages %}{{ m['content'] | trim }}{% endfor %}",
}


def scan(name, data):
    exam = Examination(name, len(data))
    source = MemorySource(name, "", data)
    with exam.guarded(name):
        examine(Input(source, exam, Head.of(source), examine))
    return exam


@pytest.mark.parametrize("name", sorted(set(SEEDS) - {"m.tflite"}))
def test_the_seeds_themselves_pass(name):
    exam = scan(name, SEEDS[name])
    assert exam.claim()
    assert exam.findings == []


@QUICK
@given(
    name=st.sampled_from(sorted(SEEDS)),
    edits=st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), max_size=5),
    cut=st.integers(1, 300),
    tail=st.binary(max_size=20),
)
def test_mutated_files_end_in_findings_gaps_or_claims(name, edits, cut, tail):
    data = bytearray(SEEDS[name] + tail)
    for at, value in edits:
        data[at % len(data)] = value
    exam = scan(name, bytes(data[:cut]))
    assert exam.findings or exam.gaps or exam.claim()


@QUICK
@given(name=st.sampled_from(sorted(SEEDS)), data=st.binary(max_size=200))
def test_any_bytes_under_any_name(name, data):
    exam = scan(name, data)
    assert exam.findings or exam.gaps or exam.claim()


@QUICK
@given(before=st.lists(st.tuples(st.integers(100, 5000), st.binary(max_size=9)), max_size=3), copies=st.integers(1, 4))
def test_a_custom_operator_is_seen_whatever_surrounds_it(before, copies):
    bad = message((4, "Evil"), (7, "my.ops"))
    graph = message(*before, *((1, NODE) for _ in range(copies)), (1, bad), *before)
    exam = scan("m.onnx", message((1, 8), (7, graph), (8, message((2, 17)))))
    assert "ART-503" in {finding.rule for finding in exam.findings}
    assert bool(before) == bool(exam.gaps)


@QUICK
@given(space=st.sampled_from(["", " ", "\n", "\t "]), dash=st.sampled_from(["", "-", "+"]), text=st.text(max_size=20))
def test_spacing_and_text_around_it_hide_no_attribute(space, dash, text):
    if "{" in text:
        return
    template = f"{text}{{{{{dash}{space}x{space}.{space}__class__{space}}}}}{text}"
    assert problems(template)


@QUICK
@given(st.text(alphabet="{}%#'\"|.[]()~_ax \n-", max_size=60))
def test_a_template_is_read_or_refused(template):
    """An answer is a list of sentences, a refusal says why; nothing else comes out."""
    try:
        found = list(problems(template))
    except TemplateError as error:
        found = [error]
    assert all(str(item) for item in found)


@QUICK
@given(st.text(alphabet="{}%#'\"|.[]()~_ax \n-", max_size=40))
def test_what_jinja_finds_in_a_template_is_found_here(template):
    """Jinja's own parser as the oracle: every attribute it sees with two underscores is a problem here."""
    jinja2 = pytest.importorskip("jinja2", reason="Jinja is not installed")
    try:
        tree = jinja2.Environment(autoescape=True).parse(template)
    except jinja2.TemplateError:
        return
    hidden = [node.attr for node in tree.find_all(jinja2.nodes.Getattr) if node.attr.startswith("__")]
    hidden += [node.name for node in tree.find_all(jinja2.nodes.Name) if node.name.startswith("__")]
    try:
        found = problems(template)
    except TemplateError:
        return
    assert bool(found) or not hidden
