"""Inert text: JSON, YAML and plain text, after a look at what loaders do with some of their keys."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from zt_gate.codecs.strict_json import DuplicateKeyError, parse_json
from zt_gate.codecs.yaml_events import TIMESTAMP, Oddity
from zt_gate.codecs.yaml_survey import SURVEYED, SurveyedEntry, survey
from zt_gate.domain import printable
from zt_gate.scan.artifacts.format import Format, Input
from zt_gate.scan.artifacts.hdf5.keras_config import is_keras_object, judge_config
from zt_gate.scan.artifacts.releases.skops_schema import is_schema, judge_schema
from zt_gate.scan.artifacts.tensors.trees import note_trees, problems_of_catboost, problems_of_xgboost
from zt_gate.scan.artifacts.texts.jinja_template import examine_templates
from zt_gate.scan.artifacts.texts.loader_keys import demand_of, demands_of
from zt_gate.scan.artifacts.texts.odd_values import odd_values
from zt_gate.scan.artifacts.texts.project_files import fetched_by_build, started_by_document
from zt_gate.scan.interface import Head


def judge_json(piece: Input, root: Any) -> None:
    """Look for Keras objects, skops nodes and trees, and judge the document as what it is.

    Raises:
        ValueError: more values than the limit.
    """
    keras = skops = False
    stack = [root]
    while stack and not (keras and skops):
        value = stack.pop()
        if isinstance(value, dict):
            keras = keras or is_keras_object(value)
            skops = skops or is_schema(value)
            stack.extend(value.values())
        elif isinstance(value, list):
            stack.extend(value)
    note_trees(piece, problems_of_xgboost(root) + problems_of_catboost(root))
    if keras:
        judge_config(piece, root)
    if skops:
        judge_schema(piece, root)


_MAX_TEXT = 256 << 20
_MAX_SNIFFED = 16 << 20
_FREE_LINES, _BYTES_A_LINE = 250_000, 16
"""Lines of JSON: so many in any file, and one more for so many bytes of it."""
_PLAIN_SUFFIXES = frozenset(
    {".txt", ".md", ".rst", ".csv", ".tsv", ".lock", ".toml", ".cfg", ".ini", ".gitkeep", ".vocab", ".merges", ".model"}
)
_PLAIN_NAMES = frozenset(
    {"license", "notice", "readme", "authors", "changelog", "copying", ".gitattributes", ".gitignore", "dockerfile",
     "py.typed", "makefile", ".gitkeep", "version"}
)  # fmt: skip
_YAML_NAMES = frozenset({"mlmodel", "registered_model_meta"})
_BREAKS = re.compile(rb"[\x00-\x08\x0b\x0e-\x1f\x7f]")


def _read(piece: Input) -> bytes:
    if piece.source.size > _MAX_TEXT:
        raise ValueError(f"a text of more than {_MAX_TEXT} bytes")
    return piece.source.read_at(0, piece.source.size)


def _find(piece: Input, rule: str, message: str, symbol: str, line: int | None = None) -> None:
    piece.exam.finding(rule, message, member=piece.source.member, line=line, symbol=printable(symbol, 120))


# --- JSON --------------------------------------------------------------------------------------------------------


def _templates(value: Any) -> Iterator[Any]:
    """Yield what stands under `chat_template`, anywhere."""
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, dict):
            if "chat_template" in item:
                yield item["chat_template"]
            stack.extend(item.values())
        elif isinstance(item, list):
            stack.extend(item)


def _examine_json(piece: Input) -> None:
    data = _read(piece)
    piece.exam.cover_all()
    documents = data.splitlines() if piece.head.suffix == ".jsonl" else [data]
    if len(documents) > _FREE_LINES + len(data) // _BYTES_A_LINE:
        raise ValueError("more lines of JSON than a file of this size is read for")
    for document in documents:
        if not document.strip() and len(documents) > 1:
            continue
        try:
            value = parse_json(document, constants=True)
        except DuplicateKeyError as error:
            _find(piece, "ART-307", f"{error}; two readers see two values", "duplicate key")
            continue
        judge_json(piece, value)
        for _, symbol, message in started_by_document(piece.head.name, value):
            _find(piece, "ART-315", message, symbol)
        for template in _templates(value):
            examine_templates(piece, template, "chat_template")
        for demand in demands_of(value):
            _find(piece, demand.rule, demand.message, demand.symbol)
        for demand in odd_values(piece.head.name, value):
            _find(piece, demand.rule, demand.message, demand.symbol)


def _is_json(head: Head) -> bool:
    if head.suffix in (".json", ".jsonl"):
        return _looks_text(head)
    start = head.start.lstrip()
    return head.suffix not in _PLAIN_SUFFIXES | {".yaml", ".yml"} and start[:1] in (b"{", b"[") and _is_whole_json(head)


def _is_whole_json(head: Head) -> bool:
    if head.source.size > _MAX_SNIFFED or not _looks_text(head):
        return False
    try:
        parse_json(head.source.read_at(0, head.source.size), constants=True)
    except DuplicateKeyError:
        return True
    except (ValueError, RecursionError):
        return False
    return True


# --- YAML --------------------------------------------------------------------------------------------------------


def _is_yaml(head: Head) -> bool:
    return (head.suffix in (".yaml", ".yml") or head.name in _YAML_NAMES) and _looks_text(head)


def _examine_yaml(piece: Input) -> None:
    if piece.source.size > SURVEYED.size:
        raise ValueError(f"a YAML file of more than {SURVEYED.size} bytes")
    data = _read(piece)
    piece.exam.cover_all()
    for item in survey(data, tags=frozenset({TIMESTAMP})):
        if isinstance(item, SurveyedEntry):
            _judge_entry(piece, item)
        elif item.kind is Oddity.TAG:
            shown = printable(item.detail, 80)
            _find(piece, "ART-302", f"the tag {shown} makes a YAML loader build an object", item.detail, item.line)
        elif item.kind is Oddity.DUPLICATE:
            _find(piece, "ART-307", f"the key {printable(item.detail, 80)} appears twice", item.detail, item.line)


def _judge_entry(piece: Input, entry: SurveyedEntry) -> None:
    value = None if entry.value.lower() in ("false", "null", "~", "{}", "[]") else entry.value
    if (demand := demand_of(entry.key, value)) is not None:
        _find(piece, demand.rule, demand.message, demand.symbol, entry.line)


# --- plain text --------------------------------------------------------------------------------------------------


def _looks_text(head: Head) -> bool:
    return _BREAKS.search(head.start) is None


def _is_plain(head: Head) -> bool:
    known = head.suffix in _PLAIN_SUFFIXES or head.name.split(".")[0] in _PLAIN_NAMES or head.name in _PLAIN_NAMES
    return known and _looks_text(head)


def _examine_plain(piece: Input) -> None:
    data = _read(piece)
    found = _BREAKS.search(data)
    if found:
        raise ValueError(f"a control character at offset {found.start()} in what should be text")
    text = data.decode("utf-8")
    piece.exam.cover_all()
    for line, symbol, message in fetched_by_build(piece.head.name, text):
        _find(piece, "ART-315", message, symbol, line)


JSON = Format("json", _is_json, _examine_json)
YAML = Format("yaml", _is_yaml, _examine_yaml)
PLAIN = Format("text", _is_plain, _examine_plain)
