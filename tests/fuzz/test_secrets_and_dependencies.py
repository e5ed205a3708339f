"""Whatever bytes come, the search for secrets and the readers of dependency files end in findings or gaps."""

import json
import zipfile

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.secret_values import tokens
from zt_gate.errors import UsageError
from zt_gate.intake import MemorySource
from zt_gate.scan.dependencies.check import judge_stated, reader_of
from zt_gate.scan.dependencies.osv import load_database
from zt_gate.scan.interface import Examination
from zt_gate.scan.secrets.check import search_file

NAMES = ["requirements.txt", "conda.yaml", "python_env.yaml", "MLmodel", "pyproject.toml", "poetry.lock", "uv.lock",
         "pdm.lock", "Pipfile.lock"]  # fmt: skip
PIECES = [
    "numpy==1.2", "-r x", "-e .", "--hash=sha256:0", "git+https://a/b@c", "x @ file:///a", "\\\n", ";", "[", "]", "{",
    "}", "dependencies:", "- pip:", "channels: ", "  - a::b=1=2", "[[package]]", 'name = "x"', "version = '1'",
    "source = ", '"default"', '"_meta"', ":", ",", "\n", " ", "flavors: ", "pytorch_version: 1.!x", "#", "\ufeff", "\0",
    "==", "=",
]  # fmt: skip
TEXT = st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=8)), max_size=25).map("".join)


def judge(name, data):
    exam = Examination(name, len(data))
    with exam.guarded("dependencies"):
        judge_stated(exam, reader_of(name)(data), frozenset({"m.pth"}))
    # What `guarded` turns into a gap is a plain refusal, never a programming error that happens to be caught.
    bad = ("AttributeError", "TypeError", "KeyError", "IndexError", "AssertionError")
    assert [gap.reason for gap in exam.gaps if any(word in gap.reason for word in bad)] == []
    return exam


@pytest.mark.parametrize("name", NAMES)
@given(data=st.one_of(TEXT.map(str.encode), st.binary(max_size=200)))
def test_a_dependency_file_of_any_bytes_ends_in_a_word(name, data):
    judge(name, data)


@pytest.mark.parametrize("name", NAMES)
@given(value=st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=6)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(
        st.sampled_from(["dependencies", "pip", "channels", "flavors", "package", "name", "version", "source",
                         "default", "_meta", "sources", "url", "git", "project", "tool", "poetry", "sklearn_version"]),
        inner, max_size=4)),
    max_leaves=12,
))  # fmt: skip
def test_a_dependency_file_of_any_shape_ends_in_a_word(name, value):
    judge(name, json.dumps(value).encode())


@given(st.text(max_size=60), st.integers(0, 10**6), st.text(max_size=60))
def test_a_token_in_any_text_is_found(before, seed, after):
    for kind, value in tokens(seed).items():
        data = f"{before}\n{value}\n{after}".encode("utf-8", "replace")
        exam = search_file(MemorySource("a.txt", "", data))
        assert any(finding.rule == "SEC-101" for finding in exam.findings) or exam.gaps, kind


@given(st.binary(max_size=400), st.sampled_from(["a.txt", "a.zip", ".env", "m.gguf", "a.py"]))
def test_any_bytes_can_be_searched(data, name):
    for front in (b"", b"PK\x03\x04", b"\x1f\x8b", b"GGUF", b"\x10\0\0\0\0\0\0\0{", b"BZh9"):
        search_file(MemorySource(name, "", front + data))


@given(st.recursive(
    st.one_of(st.none(), st.integers(), st.text(max_size=6)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(
        st.sampled_from(["id", "modified", "affected", "package", "name", "ecosystem", "ranges", "events", "type"]),
        inner, max_size=5)),
    max_leaves=15,
))  # fmt: skip
def test_a_database_of_any_shape_is_read_or_refused(tmp_path_factory, value):
    path = tmp_path_factory.mktemp("osv") / "a.json"
    record = value | {"id": "X", "modified": "2026-01-01T00:00:00Z"} if isinstance(value, dict) else value
    path.write_text(json.dumps(record))
    try:
        load_database(path)
    except UsageError:
        return


@given(st.binary(max_size=200))
def test_a_database_of_any_bytes_is_read_or_refused(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("osv") / "all.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.json", data)
    for content in (path.read_bytes(), path.read_bytes()[:-5], data):
        path.write_bytes(content)
        with pytest.raises(UsageError):
            load_database(path)
