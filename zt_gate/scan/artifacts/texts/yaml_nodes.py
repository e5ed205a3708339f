"""YAML as a graph of nodes: tags are seen and nothing is built from them."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum, auto
from typing import Any

_MAX_NODES = 2_000_000
_PLAIN_TAGS = frozenset(
    {"!"} | {f"tag:yaml.org,2002:{kind}" for kind in ("str", "int", "float", "bool", "null", "map", "seq", "timestamp")}
)


class Oddity(Enum):
    """What strict readers refuse."""

    TAG = auto()
    DUPLICATE = auto()
    ALIAS = auto()


def compose(data: bytes) -> tuple[Any, list[tuple[Oddity, str, int]]]:
    """Parse one document.

    Returns:
        The root node, None when the document is empty, and what is odd about it: kind, detail, 1-based line.

    Raises:
        ValueError: it is not UTF-8 or not YAML, or there is more than one document.
    """
    roots, oddities = compose_all(data)
    if len(roots) > 1:
        raise ValueError("not YAML: expected a single document, and there is more than one")
    return roots[0] if roots else None, oddities


def compose_all(data: bytes) -> tuple[list[Any], list[tuple[Oddity, str, int]]]:
    """Parse every document of a stream.

    Returns:
        The root nodes, and what is odd about them, as for `compose`.

    Raises:
        ValueError: it is not UTF-8 or not YAML.
    """
    import yaml  # imported here: a target without YAML does not pay for it

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    oddities: list[tuple[Oddity, str, int]] = []
    event: Any
    text = data.decode("utf-8")
    try:
        events: Iterator[Any] = yaml.parse(text, Loader=loader)
        for event in events:
            if isinstance(event, yaml.AliasEvent):
                oddities.append((Oddity.ALIAS, str(event.anchor), _line(event)))
            tag = getattr(event, "tag", None)
            if tag and str(tag) not in _PLAIN_TAGS:
                oddities.append((Oddity.TAG, str(tag), _line(event)))
        roots = list(yaml.compose_all(text, Loader=loader))
    except yaml.YAMLError as error:
        raise ValueError(f"not YAML: {' '.join(str(error).split())[:160]}") from error
    for node in (node for root in roots for node in _nodes(root)):
        if isinstance(node, yaml.MappingNode):
            seen: set[str] = set()
            for key, _ in node.value:
                if str(key.value) in seen:
                    oddities.append((Oddity.DUPLICATE, str(key.value), _line(key)))
                seen.add(str(key.value))
    return roots, oddities


def _line(node: Any) -> int:
    return int(node.start_mark.line) + 1


def _nodes(root: Any) -> Iterator[Any]:
    stack, seen = [root] if root is not None else [], set[int]()
    while stack:
        node = stack.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if len(seen) > _MAX_NODES:
            raise ValueError("more YAML nodes than the limit")
        yield node
        if isinstance(node.value, list):
            for item in node.value:
                stack.extend(item if isinstance(item, tuple) else (item,))


def mapping_keys(root: Any) -> Iterator[tuple[str, str, int]]:
    """Yield key, scalar value (a placeholder for nested ones) and line of every mapping entry in the document."""
    for node in _nodes(root):
        if isinstance(node.value, list) and node.id == "mapping":
            for key, value in node.value:
                text = value.value if isinstance(value.value, str) else ("…" if value.value else "")
                yield str(key.value), text, _line(key)


def plain(node: Any, depth: int = 0) -> Any:
    """Turn nodes into dicts, lists and text; every scalar stays text, so that nothing is interpreted.

    Raises:
        ValueError: nested too deeply.
    """
    if depth > 64:
        raise ValueError("YAML nested too deeply")
    if node is None or isinstance(node.value, str):
        return None if node is None or node.tag.endswith(":null") else node.value
    if node.id == "mapping":
        return {str(key.value): plain(value, depth + 1) for key, value in node.value}
    return [plain(item, depth + 1) for item in node.value]
