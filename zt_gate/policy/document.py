"""Strict YAML: what a policy author wrote is what the gate reads, or it is an error with line and column.

PyYAML's `safe_load` lets the last of two equal keys win, reads `off` as False, an unquoted date as a date and `0755`
as 493, and lets aliases explode. Here keys are unique text, anchors, aliases, tags and merge keys are refused, and
scalars follow the YAML 1.2 core schema (https://yaml.org/spec/1.2.2/#103-core-schema) without octal and hexadecimal
forms.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
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
class Document:
    """A parsed YAML file that still knows where everything stood."""

    file: str
    """As the user named it."""
    lines: tuple[str, ...]
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
        return _error(self.file, self.lines, line, column, message, advice)


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
    lines = tuple(printable(line, 400) for line in decoded.splitlines())
    try:
        _refuse_ambiguity(decoded, file, lines)
        root = yaml.compose(decoded, _CoreLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = printable(getattr(error, "problem", None) or str(error))
        raise _error(
            file, lines, mark.line if mark else 0, mark.column if mark else 0, problem, "mend the YAML"
        ) from None
    document = Document(file=file, lines=lines, data=None)
    data = None if root is None else _construct(root, (), document)
    return Document(file=file, lines=lines, data=data, keys=document.keys, values=document.values)


def _refuse_ambiguity(text: str, file: str, lines: tuple[str, ...]) -> None:
    """Walk the events, which alone still show aliases, anchors and tags; stop before anything is built."""
    depth = 0
    for event in yaml.parse(text, _CoreLoader):
        mark = event.start_mark
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
            raise _error(
                file, lines, mark.line, mark.column, "anchors and aliases are not allowed", "write the value out"
            )
        if getattr(event, "tag", None):
            raise _error(
                file, lines, mark.line, mark.column, f"tag {printable(event.tag)} is not allowed", "remove the tag"
            )
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > MAX_DEPTH:
            raise _error(file, lines, mark.line, mark.column, f"nested deeper than {MAX_DEPTH}", "flatten it")


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
        line, column = key.start_mark.line, key.start_mark.column
        if not isinstance(key, yaml.ScalarNode) or key.tag != _STRING:
            shown = printable(str(getattr(key, "value", "")), 60)
            raise _error(document.file, document.lines, line, column, f"key {shown!r} is not text", "put it in quotes")
        if key.value in mapping:
            message = f"key {printable(key.value, 60)!r} appears twice"
            raise _error(document.file, document.lines, line, column, message, "remove one of the two")
        document.keys[(*path, key.value)] = (line, column)
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


def _error(file: str, lines: tuple[str, ...], line: int, column: int, message: str, advice: str) -> PolicyError:
    shown = lines[line] if line < len(lines) else ""
    return PolicyError(message, advice, file=file, line=line + 1, column=column + 1, source_line=shown)
