"""Which operators a graph may use, read from `rules/ops/` when the first graph asks."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache
from typing import Any

from zt_gate.codecs.strict_yaml import load_one
from zt_gate.errors import ParseError, ToolError
from zt_gate.policy.rules_folder import rules_folder


@dataclass(frozen=True, slots=True)
class Operators:
    """The loaded lists. What is in neither is unknown."""

    allowed: frozenset[str]
    dangerous: frozenset[str]


@cache
def load_operators() -> Operators:
    """Read the lists for TensorFlow.

    Raises:
        ToolError: the file is missing or is not what this version expects.
    """
    lists = _read("tensorflow.yaml")
    return _checked(Operators(_words(lists, "allowed"), _words(lists, "dangerous")))


@cache
def load_torch_operators() -> Operators:
    """Read the lists for PyTorch, as `aten.add`.

    Raises:
        ToolError: the file is missing or is not what this version expects.
    """
    lists = _read("torch.yaml")
    names = [f"{space}.{name}" for space in ("aten", "prim") for name in _words(lists, space)]
    return _checked(Operators(frozenset(names), _words(lists, "dangerous")))


def _read(name: str) -> Any:
    try:
        return load_one((rules_folder() / "ops" / name).read_bytes())
    except (OSError, ParseError) as error:
        raise ToolError(f"rules/ops/{name} cannot be read: {error}", "reinstall zt-gate") from error


def _words(content: Any, key: str) -> frozenset[str]:
    text = content.get(key) if isinstance(content, dict) else None
    if not isinstance(text, str) or not text.split():
        raise ToolError(f"the lists of operators lack {key}", "reinstall zt-gate")
    return frozenset(text.split())


def _checked(operators: Operators) -> Operators:
    if operators.allowed & operators.dangerous:
        raise ToolError("the lists of operators contradict each other", "reinstall zt-gate")
    return operators


@cache
def operators_digest() -> str:
    """Return the first digits of the SHA-256 over all lists, for the version of the check."""
    digest = hashlib.sha256()
    for file in sorted((rules_folder() / "ops").glob("*.yaml")):
        digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return digest.hexdigest()[:12]
