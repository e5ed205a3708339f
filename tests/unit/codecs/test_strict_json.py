"""JSON that means the same to every reader, within bounds that do not depend on who reads."""

import contextlib
import json
import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from zt_gate.codecs import strict_json
from zt_gate.codecs.strict_json import MAX_CONTAINERS, MAX_DEPTH, DuplicateKeyError, parse_json, parse_object
from zt_gate.errors import EvidenceError, ParseError

texts = st.text(st.characters(exclude_categories=()) | st.sampled_from('[]{}"\\,:'), max_size=8)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)


@given(values, st.booleans())
def test_what_is_valid_is_read_as_json_reads_it(value, ascii_only):
    text = json.dumps(value, ensure_ascii=ascii_only).encode("utf-8", "surrogatepass")
    try:
        text.decode()
    except UnicodeDecodeError:
        with pytest.raises(ParseError, match="not UTF-8"):
            parse_json(text)
    else:
        assert parse_json(text) == value


@given(values, st.integers(1, 9))
def test_brackets_are_counted_outside_of_strings(value, block):
    text = json.dumps(value).encode()
    opened = json.dumps(value, default=str)
    stack, count = [value], 0
    while stack:
        item = stack.pop()
        if isinstance(item, (dict, list)):
            count += 1
            stack += item.values() if isinstance(item, dict) else item
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(strict_json, "_BLOCK", block)
        brackets = strict_json._brackets(text)
    assert (brackets.count(b"[") + brackets.count(b"{"), len(brackets)) == (count, 2 * count), opened


@given(st.binary(max_size=80) | st.text('[]{}",:\\u019eE.-+ntf', max_size=60).map(str.encode))
@example(b"\xef\xbb\xbf{}")
@example(b'"\x00"')
@example(b"[1e999]")
def test_bytes_are_a_value_or_the_one_error(data):
    with contextlib.suppress(ParseError):
        parse_json(data)
    with contextlib.suppress(EvidenceError):
        assert isinstance(parse_object(data, "it", 60), dict)


@given(st.data())
def test_a_damaged_text_is_a_value_or_the_one_error(data):
    text = b'{"a": [1, 2.5e3, "x\\u00e9\\ud83d\\ude00"], "b": {"c": null, "d": true}}'
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 5)))
    with contextlib.suppress(ParseError):
        parse_json(text[:start] + data.draw(st.binary(max_size=4)) + text[end:], surrogates=False)


def test_a_key_that_stands_twice_is_refused_at_any_depth():
    for text in (b'{"a": 1, "a": 1}', b'[{"b": {"a": 1, "\\u0061": 2}}]'):
        with pytest.raises(DuplicateKeyError, match="the key 'a' stands twice"):
            parse_json(text)


@pytest.mark.parametrize("text", ["NaN", "[Infinity]", '{"a": -Infinity}'])
def test_constants_are_refused_unless_they_are_asked_for(text):
    with pytest.raises(ParseError, match="is not JSON"):
        parse_json(text.encode())
    parse_json(text.encode(), constants=True)


def test_infinity_has_no_back_door():
    with pytest.raises(ParseError, match="too large for a double"):
        parse_json(b"[1, -1e999]")
    assert parse_json(b"1e999", constants=True) == math.inf


@pytest.mark.parametrize("deep", [MAX_DEPTH - 1, MAX_DEPTH])
def test_depth_within_the_bound_is_read(deep):
    assert parse_json(b"[" * deep + b"]" * deep)
    assert parse_json(b'{"a":' * deep + b"1" + b"}" * deep)


@pytest.mark.parametrize("text", [b"[" * 501 + b"]" * 501, b'{"a":[' * 251 + b"]}" * 251, b"[" * 100_000])
def test_depth_beyond_the_bound_is_refused(text):
    with pytest.raises(ParseError, match="nested too deeply"):
        parse_json(text)


def test_brackets_in_strings_are_no_depth():
    text = json.dumps(["[" * 5000, '\\"{' * 5000, *([] for _ in range(600))]).encode()
    assert parse_json(text)[0] == "[" * 5000


def test_the_number_of_containers_is_bounded():
    with pytest.raises(ParseError, match="objects and arrays"):
        parse_json(b"[" + b"[]," * MAX_CONTAINERS + b"[]]")


def test_bytes_are_bounded():
    with pytest.raises(ParseError, match="more than 4 bytes"):
        parse_json(b"[1,2]", limit=4)
    assert parse_json(b"[12]", limit=4) == [12]


def test_an_integer_of_thousands_of_digits_is_refused():
    with pytest.raises(ParseError, match="thousands of digits"):
        parse_json(b"9" * 5000)
    assert parse_json(b"9" * 1000) == int("9" * 1000)


@pytest.mark.parametrize("text", [b'["\\ud800"]', b'{"\\udc00": 1}', b'{"a": [{"b": "x\\ud83dx"}]}'])
def test_half_a_surrogate_pair_is_for_vocabularies_and_not_for_statements(text):
    assert parse_json(text)
    with pytest.raises(ParseError, match="surrogate"):
        parse_json(text, surrogates=False)
    assert parse_json(b'["\\ud83d\\ude00"]', surrogates=False) == ["😀"]


def test_an_error_has_its_place():
    with pytest.raises(ParseError, match="line 2 column 8") as caught:
        parse_json(b'{"a": 1,\n "b": 01}')
    assert (caught.value.line, caught.value.column) == (2, 8)
    with pytest.raises(ParseError, match="not UTF-8 at byte 2"):
        parse_json(b'["\xff"]')


def test_a_statement_is_an_object_of_bounded_size():
    assert parse_object(b'{"a": 1}', "the statement", 8) == {"a": 1}
    for data, problem in (
        (b'{"a": 10}', "the statement has 9 bytes, more than the 8"),
        (b"[]", "the statement is not a JSON object"),
        (b"{", "the statement is not strict JSON"),
    ):
        with pytest.raises(EvidenceError, match=problem):
            parse_object(data, "the statement", 8)
