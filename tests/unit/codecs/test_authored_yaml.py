"""What a person wrote for the gate is what the gate reads, or it is an error with line and column."""

import contextlib
import string

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from zt_gate.codecs.authored_yaml import AUTHORED, parse
from zt_gate.errors import PolicyError

texts = st.text(string.ascii_letters + string.digits + " :#-'\"\n\té€😀", max_size=8)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**17), 10**17) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)


@given(values, st.booleans())
def test_what_pyyaml_writes_is_read_as_pyyaml_reads_it(value, flow):
    text = yaml.safe_dump(value, allow_unicode=True, default_flow_style=flow)
    assert parse(text.encode(), "p.yaml").data == value


@given(values)
def test_every_value_has_a_place(value):
    document = parse(yaml.safe_dump(value).encode(), "p.yaml")
    stack = [((), value)]
    while stack:
        path, item = stack.pop()
        assert path in document.keys
        assert path in document.values
        pairs = item.items() if isinstance(item, dict) else enumerate(item) if isinstance(item, list) else ()
        stack += [((*path, key), inner) for key, inner in pairs]


@given(st.data())
def test_a_damaged_file_is_a_value_or_the_one_error(data):
    text = b"a: 1\nb: [x, 'y', {c: d}]\ne: |\n  text\n"
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 5)))
    with contextlib.suppress(PolicyError):
        parse(text[:start] + data.draw(st.binary(max_size=4)) + text[end:], "p.yaml")


def test_scalars_are_those_of_yaml_1_2():
    text = b"[true, off, ~, null, 0755, 0x1f, 12, -3.5e2, 1.0e999, 2026-01-01, 'true', 99999999999999999999, '']"
    assert parse(text, "p").data == [
        True, "off", None, None, "0755", "0x1f", 12, -350.0, "1.0e999", "2026-01-01", "true", "9" * 20, "",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "problem", "place"),
    [
        (b"a: &b c\n", "anchors and aliases", (1, 4)),
        (b"? &b c\n: d\n", "anchors and aliases", (1, 3)),
        (b"a: *b\n", "anchors and aliases", (1, 4)),
        (b"a: !!str c\n", "tag tag:yaml.org,2002:str is not allowed", (1, 4)),
        (b"a: 1\nb: {c: 1, c: 2}\n", "key 'c' appears twice", (2, 11)),
        (b"a: 1\n2: b\n", "key '2' is not text", (2, 1)),
        (b"[a]: b\n", "key '' is not text", (1, 1)),
        (b"<<: {a: b}\nc: [\n", "did not find expected node content", (3, 1)),
        (b"a\n---\nb\n", "but found another document", (2, 1)),
        (b"[" * 33 + b"]" * 33, "nested deeper than 32", (1, 33)),
        (b"a: \xff\n", "not UTF-8 at byte 3", (0, 0)),
        (b"a: \x07\n", "control characters are not allowed", (1, 4)),
        (b"[" + b"a," * AUTHORED.nodes + b"]", "more than 100000 values", (1, 199_998)),
        (b"#" * (AUTHORED.size + 1), "larger than 1048576 bytes", (0, 0)),
    ],
)
def test_what_is_ambiguous_or_too_large_is_refused_at_its_place(text, problem, place):
    with pytest.raises(PolicyError) as caught:
        parse(text, "p.yaml")
    assert caught.value.message.startswith(problem)
    assert (caught.value.line, caught.value.column) == place
    assert caught.value.advice
    assert caught.value.file == "p.yaml"


def test_an_error_points_at_the_nearest_place_that_exists():
    document = parse(b"a:\n  - b: c\n", "p.yaml")
    error = document.error(("a", 0, "b", "missing"), "no")
    assert (error.line, error.column, error.source_line) == (2, 8, "  - b: c")
    assert document.error(("a", 0, "b"), "no", at_key=True).column == 5


def test_an_empty_file_holds_nothing():
    assert parse(b"# nothing\n", "p.yaml").data is None
