"""What other tools read: anchors and merge keys yes, ambiguity no, and bounds on everything that is built."""

import contextlib
import string

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from zt_gate.codecs.strict_yaml import YamlReference, load, load_one, walk
from zt_gate.codecs.yaml_events import TIMESTAMP, Bounds, Odd, Oddity
from zt_gate.codecs.yaml_survey import SurveyedEntry, survey
from zt_gate.errors import ParseError

LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{previous}'] * 10)}]\n"
    for previous, name in zip("abcdefgh", "bcdefghi", strict=True)
)
GITLAB = """
.base: &base
  image: python:3.11
  script: &script [make, make test]
test:
  <<: *base
  stage: test
deploy:
  <<: [*base, {image: other, tags: [a]}]
  script: !reference [.base, script]
"""
texts = st.text(string.ascii_letters + string.digits + " :#-'\"\n\té€😀", max_size=8)
values = st.recursive(
    st.none() | st.booleans() | st.integers() | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)


def as_text(value, path=""):
    """Give a value the form that `load` gives it: PyYAML writes `true`, `null` and integers so."""
    if isinstance(value, dict):
        return {key: as_text(item) for key, item in value.items()}
    if isinstance(value, list):
        return [as_text(item) for item in value]
    if value is None or isinstance(value, str):
        return value
    return str(value).lower()


@given(values, st.booleans())
def test_what_pyyaml_writes_is_read_as_pyyaml_reads_it(value, flow):
    text = yaml.safe_dump(value, allow_unicode=True, default_flow_style=flow)
    assert yaml.safe_load(text) == value
    assert load_one(text.encode()) == as_text(value)


@given(values)
def test_every_entry_is_surveyed_once(value):
    entries = [item for item in survey(yaml.safe_dump(value).encode()) if isinstance(item, SurveyedEntry)]
    expected = [key for inner in walk(load_one(yaml.safe_dump(value).encode())) for key in inner]
    assert sorted(entry.key for entry in entries) == sorted(expected)


@given(values)
def test_a_shared_value_is_repeated_where_its_alias_stands(value):
    text = yaml.dump({"one": value, "more": [value, {"two": value}]}, Dumper=yaml.CSafeDumper)
    read = load_one(text.encode())
    assert read["more"] == [read["one"], {"two": read["one"]}] == [as_text(value), {"two": as_text(value)}]


@given(st.binary(max_size=200) | st.text("-?:,[]{}#&*!|>'\"%@` \nab<~\t", max_size=60).map(str.encode))
@example(b"a: &a [*a]")
@example(b"\xff\xfea")
@example(b"<<: {<<: 1}")
@example(b"? [a]\n: b")
@example(b"\xef\xbb\xbf\xef\xbb\xbfa: 1")
def test_bytes_are_documents_or_the_one_error(data):
    for read in (load, lambda data: list(survey(data)), lambda data: load(data, references=True, oddities=[])):
        with contextlib.suppress(ParseError):
            read(data)


@given(st.data())
def test_a_damaged_file_is_documents_or_the_one_error(data):
    text = data.draw(st.sampled_from([GITLAB, LAUGHS])).encode()
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 9)))
    damaged = text[:start] + data.draw(st.binary(max_size=6)) + text[end:]
    with contextlib.suppress(ParseError):
        load(damaged, references=True)


def test_honest_anchors_and_merge_keys_are_read():
    read = load_one(GITLAB.replace("!reference ", "").encode())
    assert read["test"] == {"image": "python:3.11", "script": ["make", "make test"], "stage": "test"}
    assert read["deploy"] == {"image": "python:3.11", "script": [".base", "script"], "tags": ["a"]}
    assert (read["test"].at("stage"), read["test"].at("image")) == (7, 3)


def test_a_reference_is_kept_where_it_is_asked_for():
    (read,) = load(GITLAB.encode(), references=True)
    assert isinstance(read["deploy"]["script"], YamlReference)
    assert not isinstance(read[".base"]["script"], YamlReference)
    for text in (GITLAB, "a: !reference b\n", "a: !reference {b: c}\n"):
        with pytest.raises(ParseError, match="!reference means different things"):
            load(text.encode(), references=text != GITLAB)


def test_merge_keys_follow_their_specification():
    text = b"base: &b {x: 1, y: 2}\nmore: &m {y: 3, z: 4}\nall: {y: 0, <<: [*b, *m]}\n"
    assert load(text)[0]["all"] == {"y": "0", "x": "1", "z": "4"}


def test_two_merge_keys_must_agree():
    head = b"one: &a {x: 1, y: 2}\ntwo: &b {x: 1, y: 3}\n"
    with pytest.raises(ParseError, match="two merge keys bring y"):
        load(head + b"all:\n  <<: *a\n  <<: *b\n")
    assert load(head + b"all:\n  <<: *a\n  <<: *b\n  y: 0\n")[0]["all"] == {"x": "1", "y": "0"}
    assert load(b"a: &a {x: 1}\nb: &b {y: 1}\nc: {<<: *a, <<: *b}\n")[0]["c"] == {"x": "1", "y": "1"}


def test_scalars_stay_text_and_only_plain_nulls_are_none():
    assert load(b"a: no\nb: 0755\nc: ~\nd: '~'\ne:\nf: 2026-01-01\n") == [
        {"a": "no", "b": "0755", "c": None, "d": "~", "e": None, "f": "2026-01-01"}
    ]


@pytest.mark.parametrize(
    ("text", "problem", "place"),
    [
        ("a: 1\nb: 2\n\na: 3\n", "the key a appears twice", (4, 1)),
        ("b:\n  - {a: 1, 'a': 2}\n", "the key a appears twice", (2, 12)),
        ("a: !!python/name:os.system ''\n", "the tag tag:yaml.org,2002:python/name:os.system means", (1, 4)),
        ("%TAG !p! tag:yaml.org,2002:python/\n---\na: !p!tuple []\n", "the tag tag:yaml.org,2002:python/tuple", (3, 4)),
        ("a: !!timestamp 2026-01-01\n", "the tag tag:yaml.org,2002:timestamp", (1, 4)),
        ("a: *b\n", "the alias b has no anchor before it", (1, 4)),
        ("a: &b x\n---\na: *b\n", "the alias b has no anchor before it", (3, 4)),
        ("a: &a [*a]\n", "the alias a has no anchor before it", (1, 8)),
        ("a: &a x\nb: &a [*a]\n", "the alias a has no anchor before it", (2, 8)),
        ("a: b: c\n", "not YAML: mapping values are not allowed", (1, 5)),
        ("a: 1\nb: \x07\n", "not YAML: control characters are not allowed", (2, 4)),
        ("é: €\nb: 😀\x07\n", "not YAML: control characters are not allowed", (2, 5)),
        ("? [a]\n: b\n", "a key that is no text", (1, 5)),
        ("~: b\n", "a key that is no text", (1, 1)),
        ("<<: text\n", "a merge key that names no mapping", (2, 1)),
    ],
)
def test_an_error_has_its_place(text, problem, place):
    with pytest.raises(ParseError) as caught:
        load(text.encode())
    assert caught.value.problem.startswith(problem)
    assert (caught.value.line, caught.value.column) == place
    assert caught.value.message.startswith(f"line {place[0]}: ")


def test_bytes_that_are_no_text_are_refused():
    with pytest.raises(ParseError, match="not UTF-8 at byte 3"):
        load(b"a: \xff")


def test_one_document_is_one():
    assert load_one(b"") is None
    with pytest.raises(ParseError, match="more than one"):
        load_one(b"a\n---\nb\n")


def test_oddities_are_noted_and_the_last_of_two_keys_counts():
    oddities = []
    read = load_one(b"a: 1\na: 2\nb: &b !x y\nc: *b\n", oddities=oddities)
    assert read == {"a": "2", "b": "y", "c": "y"}
    assert oddities == [Odd(Oddity.DUPLICATE, "a", 2), Odd(Oddity.TAG, "!x", 3), Odd(Oddity.ALIAS, "b", 4)]


def test_a_tag_that_is_known_is_accepted():
    assert load_one(b"a: !!timestamp 2026-01-01", tags=frozenset({TIMESTAMP})) == {"a": "2026-01-01"}


# --- bounds ------------------------------------------------------------------------------------------------------

SMALL = Bounds(size=1000, depth=4, nodes=50)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("#" * 1001, "more than 1000 bytes"),
        ("[[[[[a]]]]]", "nested deeper than 4"),
        ("- - - - - a", "nested deeper than 4"),
        ("{a: {a: {a: {a: {}}}}}", "nested deeper than 4"),
        ("- a\n" * 50, "more than 50 values"),
        ("--- a\n" * 51, "more than 50 values"),
        ("a: &a [x, x, x, x]\nb: [*a, *a, *a, *a, *a, *a, *a, *a, *a]\n", "aliases that grow to as many"),
        (f"a: &a {'x' * 700}\nb: [*a, *a, *a, *a, *a, *a]\n", "aliases that grow to as many"),
        ("a: &a {b: c, d: e, f: g, h: i}\nb:\n" + "- <<: *a\n" * 3, "aliases that grow to as many"),
        ("<<: {<<: {<<: {" + ", ".join(f"k{number}: v" for number in range(16)) + "}}}", "aliases that grow"),
        ("a: &a {b: c, d: e, f: g}\nb: [*a, *a]\n---\n" * 3, "aliases that grow to as many"),
    ],
)
def test_the_bounds_hold(text, problem):
    with pytest.raises(ParseError, match=problem):
        load(text.encode(), bounds=SMALL)


def test_what_is_just_within_the_bounds_is_read():
    assert load(b"- a\n" * 48, bounds=SMALL) == [["a"] * 48]
    assert load(b"[[[[a]]]]", bounds=SMALL) == [[[[["a"]]]]]


def test_aliases_that_explode_end_early():
    with pytest.raises(ParseError, match="aliases that grow"):
        load(LAUGHS.encode())
    assert sum(isinstance(item, Odd) for item in survey(LAUGHS.encode())) == 80


def test_directives_without_number_are_refused():
    with pytest.raises(ParseError, match="%TAG directives"):
        load("".join(f"%TAG !a{number}! x:\n" for number in range(101)).encode() + b"--- a\n")
    assert load("".join(f"%TAG !a{number}! x:\n" for number in range(9)).encode() + b"--- a\n") == ["a"]
    assert load(b"- 100%TAGS\n" * 200) == [["100%TAGS"] * 200]


# --- every key, and nothing built --------------------------------------------------------------------------------


def surveyed(text):
    return list(survey(text.encode()))


def test_entries_say_what_their_values_are():
    assert surveyed("a: text\nb: {c: ''}\nd: {}\ne: []\nf: [g: h]\n") == [
        SurveyedEntry("a", "text", 1),
        SurveyedEntry("c", "", 2),
        SurveyedEntry("b", "…", 2),
        SurveyedEntry("d", "", 3),
        SurveyedEntry("e", "", 4),
        SurveyedEntry("g", "h", 5),
        SurveyedEntry("f", "…", 5),
    ]


def test_aliases_are_followed_for_keys_and_values():
    assert surveyed("a: &x auto_map\nb: &y {c: d}\n*x : *y\n? *y\n: z\n") == [
        SurveyedEntry("a", "auto_map", 1),
        SurveyedEntry("c", "d", 2),
        SurveyedEntry("b", "…", 2),
        Odd(Oddity.ALIAS, "x", 3),
        Odd(Oddity.ALIAS, "y", 3),
        SurveyedEntry("auto_map", "…", 3),
        Odd(Oddity.ALIAS, "y", 4),
        SurveyedEntry("", "z", 4),
    ]


def test_duplicates_and_tags_are_seen_in_every_document():
    found = surveyed("a: 1\na: 2\n---\na: !!python/name:os.system ''\nb: {c: 1, 'c': 2}\n")
    assert [item for item in found if isinstance(item, Odd)] == [
        Odd(Oddity.DUPLICATE, "a", 2),
        Odd(Oddity.TAG, "tag:yaml.org,2002:python/name:os.system", 4),
        Odd(Oddity.DUPLICATE, "c", 5),
    ]


def test_a_value_is_cut_and_a_key_is_not():
    (entry,) = surveyed(f"{'k' * 900}: {'v' * 900}\n")
    assert (len(entry.key), len(entry.value)) == (900, 256)
