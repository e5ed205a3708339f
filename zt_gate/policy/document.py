"""Strict YAML: what a policy author wrote is what the gate reads, or it is an error with line and column.

PyYAML's `safe_load` lets the last of two equal keys win, reads `off` as False, an unquoted date as a date and `0755`
as 493, and lets aliases explode. Here keys are unique text, anchors, aliases, tags and merge keys are refused, and
scalars follow the YAML 1.2 core schema (https://yaml.org/spec/1.2.2/#103-core-schema) without octal and hexadecimal
forms.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Any

import yaml

from zt_gate.domain import printable
from zt_gate.errors import PolicyError

MAX_BYTES = 1 << 20
MAX_DEPTH = 32
_STRING = "tag:yaml.org,2002:str"

Path = tuple[str | int, ...]
"""Where a value stands in a document: keys and list positions from the root."""


class _CoreLoader(yaml.CSafeLoader):
    """The C parser with the scalars of YAML 1.2 and nothing else."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - PyYAML's own way to declare resolvers


for _name, _pattern, _first in (
    ("bool", r"true|false", "tf"),
    ("null", r"null|~|", ["n", "~", ""]),
    ("int", r"-?(?:0|[1-9][0-9]*)", "-0123456789"),
    ("float", r"-?(?:0|[1-9][0-9]*)\.[0-9]+(?:[eE][-+]?[0-9]+)?", "-0123456789"),
):
    _CoreLoader.add_implicit_resolver(f"tag:yaml.org,2002:{_name}", re.compile(rf"(?:{_pattern})\Z"), list(_first))


@dataclass(frozen=True)
class _Place:
    """A file that errors point into."""

    file: str
    lines: tuple[str, ...]

    def at(self, line: int, column: int, message: str, advice: str) -> PolicyError:
        shown = self.lines[line] if line < len(self.lines) else ""
        return PolicyError(message, advice, file=self.file, line=line + 1, column=column + 1, source_line=shown)

    def error(self, mark: Any, message: str, advice: str) -> PolicyError:
        return self.at(mark.line if mark else 0, mark.column if mark else 0, message, advice)


@dataclass(frozen=True)
class Document:
    """A parsed YAML file that still knows where everything stood."""

    place: _Place
    data: Any
    keys: dict[Path, tuple[int, int]] = field(default_factory=dict)
    """0-based line and column of each key or list item."""
    values: dict[Path, tuple[int, int]] = field(default_factory=dict)
    """0-based line and column of each value."""

    def error(self, path: Path, message: str, advice: str = "", *, at_key: bool = False) -> PolicyError:
        """Build an error that points at a place; the nearest enclosing one when `path` itself does not exist."""
        marks = self.keys if at_key else self.values
        while path and path not in marks:
            path = path[:-1]
        line, column = marks.get(path, (0, 0))
        return self.place.at(line, column, message, advice)


def parse(text: bytes, file: str) -> Document:
    """Parse one YAML document.

    Raises:
        PolicyError: the text is not UTF-8, too large, not YAML, or ambiguous.
    """
    if len(text) > MAX_BYTES:
        raise PolicyError(f"larger than {MAX_BYTES} bytes", "split the file", file=file)
    try:
        decoded = text.decode("utf-8")
    except UnicodeDecodeError as error:
        raise PolicyError(f"not UTF-8 at byte {error.start}", "save the file as UTF-8", file=file) from None
    place = _Place(file, tuple(printable(line, 400) for line in decoded.splitlines()))
    try:
        _refuse_ambiguity(decoded, place)
        root = yaml.compose(decoded, _CoreLoader)
    except yaml.YAMLError as error:
        problem = printable(getattr(error, "problem", None) or str(error))
        mark = getattr(error, "problem_mark", None)
        tabbed = (
            mark is not None and mark.line < len(place.lines) and place.lines[mark.line].lstrip(" ").startswith("\\t")
        )
        raise place.error(mark, problem, "indent with spaces, not tabs" if tabbed else "fix the YAML") from None
    document = Document(place, None)
    return replace(document, data=None if root is None else _construct(root, (), document))


def _refuse_ambiguity(text: str, place: _Place) -> None:
    """Walk the events, which alone still show aliases, anchors and tags; stop before anything is built."""
    depth = 0
    for event in yaml.parse(text, _CoreLoader):
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise place.error(event.start_mark, "anchors and aliases are not allowed", "write the value out")
        if tag := getattr(event, "tag", None):
            raise place.error(event.start_mark, f"tag {printable(tag)} is not allowed", "remove the tag")
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise place.error(event.start_mark, f"nested deeper than {MAX_DEPTH}", "flatten it")


def _construct(node: yaml.Node, path: Path, document: Document) -> Any:
    document.values[path] = (node.start_mark.line, node.start_mark.column)
    document.keys.setdefault(path, document.values[path])
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, path, document)
    if isinstance(node, yaml.SequenceNode):
        return [_construct(item, (*path, index), document) for index, item in enumerate(node.value)]
    return _scalar(node)


def _mapping(node: yaml.MappingNode, path: Path, document: Document) -> dict[str, Any]:
    mapping: dict[str, Any] = {}
    for key, value in node.value:
        mark = key.start_mark
        if not isinstance(key, yaml.ScalarNode) or key.tag != _STRING:
            shown = printable(str(getattr(key, "value", "")), 60)
            raise document.place.error(mark, f"key {shown!r} is not text", "put it in quotes")
        if key.value in mapping:
            message = f"key {printable(key.value, 60)!r} appears twice"
            raise document.place.error(mark, message, "remove one of the two")
        document.keys[(*path, key.value)] = (mark.line, mark.column)
        mapping[key.value] = _construct(value, (*path, key.value), document)
    return mapping


def _scalar(node: yaml.Node) -> Any:
    kind = node.tag.rsplit(":", 1)[-1]
    text: str = node.value
    if kind == "bool":
        return text == "true"
    if kind == "null":
        return None
    if kind == "int":
        # int() of a huge literal is quadratic; no setting of a policy has 20 digits.
        return int(text) if len(text) < 20 else text
    return float(text) if kind == "float" else text
