"""What the objects of a skops schema hold, held against the same grammar of uses as the objects of a pickle."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from zt_gate.scan.artifacts.pickles import uses
from zt_gate.scan.artifacts.pickles.globals import load_globals
from zt_gate.scan.artifacts.pickles.values import Slot, is_see_through

_NAMES = frozenset({"FunctionNode", "TypeNode"})
"""Loaders that give back an imported name."""
_OBJECTS = frozenset({"LossNode", "ObjectNode", "QuantileForestNode", "SgdLossNode", "TreeNode"})
"""Loaders of objects whose content is their state."""
_KNOWN = frozenset({"args", "constructor", "content", "key_types"})
_MAX_STEPS = 5_000_000

Node = dict[str, Any]


class SkopsHoldings:
    """Walks a schema and tells every atom that a slot may not hold.

    Nodes are shared by their number (`__id__`): skops gives back the first object that it made under one.
    """

    def __init__(self, root: Any) -> None:
        self._by_number: dict[str, dict[Any, Node]] = {}
        self._objects: list[Node] = []
        self._steps = 0
        stack = [root]
        while stack:
            value = stack.pop()
            if isinstance(value, dict):
                if is_node(value):
                    # Small numbers and None come thousands of times under one number, and are the same each time.
                    same = str(value.get("content")) if value.get("__loader__") == "JsonNode" else id(value)
                    self._by_number.setdefault(str(value.get("__id__")), {})[same] = value
                    self._objects += [value] if value.get("__loader__") in _OBJECTS else []
                stack.extend(value.values())
            elif isinstance(value, list):
                stack.extend(value)

    def wrong(self) -> Iterator[tuple[Slot, str]]:
        """Yield pairs of slot and atom that no library writes.

        Raises:
            ValueError: more values than the limit.
        """
        for node in self._objects:
            owner = name_of(node)
            for attribute, value in _attributes(node):
                slot = (owner, attribute)
                for atom in self._atoms(value, texts=uses.is_dispatching(slot)):
                    if _listed(owner) and _listed(atom) and not uses.permits(slot, atom):
                        yield slot, atom

    def _atoms(self, value: Any, *, texts: bool) -> Iterator[str]:
        waiting, seen = [value], set[int | str]()
        while waiting:
            item = waiting.pop()
            self._steps += 1
            if self._steps > _MAX_STEPS:
                raise ValueError("a skops schema whose objects hold more values than the limit")
            if isinstance(item, list):
                waiting += item
            elif isinstance(item, dict) and id(item) not in seen:
                seen.add(id(item))
                if not is_node(item):
                    waiting += item.values()
                    continue
                number = str(item.get("__id__"))
                if item.get("__id__") is not None and number not in seen:
                    seen.add(number)
                    waiting += self._by_number[number].values()
                yield from _own(item, texts=texts)
                if is_see_through(name_of(item)) or item.get("__loader__") not in _OBJECTS:
                    waiting += [part for key, part in item.items() if key != "key_types"]


def is_node(value: Node) -> bool:
    """Whether a dict of a schema is a node, and not the content of one."""
    return "__loader__" in value or "__class__" in value


def name_of(node: Node) -> str:
    """Return the dotted name of the class or function that a node is about."""
    return f"{node.get('__module__')}.{node.get('__class__')}"


def _listed(name: str) -> bool:
    # Of a name that no list knows, the schema's own finding tells.
    return name[:1] == '"' or load_globals().uses(name.lstrip("="), torch=False) is not None


def _own(node: Node, *, texts: bool) -> Iterator[str]:
    """Yield the atom that a node is by itself."""
    loader = node.get("__loader__")
    if loader in _NAMES:
        yield f"={name_of(node)}"
    elif loader == "JsonNode":
        yield from _texts(node.get("content")) if texts else ()
    elif node.get("__module__") != "builtins":
        yield name_of(node)


def _texts(content: Any) -> Iterator[str]:
    try:
        value = json.loads(content) if isinstance(content, str) else content
    except (ValueError, RecursionError):
        value = content
    if isinstance(value, str):
        yield f'"{value}"'
    elif isinstance(value, (list, dict)):
        yield '"a text within another value"'


def _attributes(node: Node) -> Iterator[tuple[str, Any]]:
    """Yield the attributes that a node sets, by their names."""
    content = node.get("content")
    kind = content.get("__loader__") if isinstance(content, dict) else None
    inner = content.get("content") if isinstance(content, dict) else None
    if kind == "DictNode" and isinstance(inner, dict):
        yield from inner.items()
    elif kind == "TupleNode" and isinstance(inner, list):
        yield from ((f"#{index}", value) for index, value in enumerate(inner))
    else:
        yield "#0", content
    arguments = node.get("args")
    if isinstance(arguments, dict) and isinstance(arguments.get("content"), list):
        yield from ((f"({index})", value) for index, value in enumerate(arguments["content"]))
    constructor = node.get("constructor")
    if not (isinstance(constructor, dict) and name_of(constructor) == name_of(node)):
        yield "constructor", constructor
    yield from ((key, value) for key, value in node.items() if key not in _KNOWN)
