"""Our rules for plain bandit: one test for each rule, by the id that bandit's options and `# nosec` understand.

The gate does not use this file; it runs bandit with bandit's own tests, and its rules beside it. A file is examined
once, when bandit first asks about one of its nodes; each finding is handed out at a node of its line.
"""

from __future__ import annotations

import ast
import importlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from zt_gate.domain.finding import Severity, rule_severity
from zt_gate.scan.code.call_sites import Hit
from zt_gate.scan.code.rules import RULES, apply_rules

_NODES = ("Call", "Dict", "Assign", "AnnAssign", "AugAssign", "Name", "Attribute")
# bandit's words as text: while bandit loads this file it is itself not loaded to the end.
_SEVERITIES = {Severity.LOW: "LOW", Severity.MEDIUM: "MEDIUM", Severity.HIGH: "HIGH", Severity.CRITICAL: "HIGH"}


def bandit_id(rule: str) -> str:
    """Return the id under which bandit knows a rule: COD-118 is B918; bandit's own ids end below B800."""
    return "B9" + rule.removeprefix("COD-1")


@dataclass(slots=True)
class _ExaminedFile:
    """The file that bandit is at, and what has not been told about it yet."""

    stream: Any = None
    pending: dict[tuple[str, int], Hit] = field(default_factory=dict)


_current = _ExaminedFile()


def _pending(stream: Any) -> dict[tuple[str, int], Hit]:
    """Return what is left to tell about the file that bandit reads from a stream."""
    if _current.stream is not stream:
        _current.stream, _current.pending = stream, {}
        place = stream.tell()
        stream.seek(0)
        data = bytes(stream.read())
        stream.seek(place)
        _current.pending = {(hit.rule, hit.line): hit for hit in apply_rules(ast.parse(data))}
    return _current.pending


def _test(rule: str) -> Callable[[Any], Any]:
    """Return the function that bandit calls for one rule."""

    def test(context: Any) -> Any:
        hit = _pending(context.file_data).pop((rule, context.node.lineno), None)
        if hit is None:
            return None
        severity, text = _SEVERITIES[rule_severity(hit.rule)], f"{hit.rule}: {hit.message}"
        return importlib.import_module("bandit").Issue(
            severity=severity, confidence="MEDIUM", text=text, lineno=hit.line
        )

    test.__name__ = f"zt_gate_{rule.replace('-', '_').lower()}"
    properties = importlib.import_module("bandit.core.test_properties")
    tested: Callable[[Any], Any] = properties.checks(*_NODES)(properties.test_id(bandit_id(rule))(test))
    return tested


_TESTS = {rule.id.replace("-", "_").lower(): _test(rule.id) for rule in RULES}


def __getattr__(name: str) -> Callable[[Any], Any]:
    """Return bandit's test of a rule: `cod_118` for COD-118, as the entry points name it."""
    if name in _TESTS:
        return _TESTS[name]
    raise AttributeError(name)
