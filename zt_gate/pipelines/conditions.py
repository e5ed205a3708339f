"""Conditions of GitHub jobs: which of the jobs that are waited for must have succeeded where a condition holds.

Grammar: docs.github.com/actions/reference/evaluate-expressions-in-workflows-and-actions. A condition without a status
function has `success() &&` put in front by GitHub.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

ALL = "*"
"""Stands for every job that is waited for."""
_MAX_DEPTH = 50
_STATUS = frozenset({"always", "failure", "cancelled", "success"})
_TOKEN = re.compile(
    r"\s*(?:(?P<string>'(?:[^']|'')*')|(?P<operator>&&|\|\||==|!=|<=|>=|[!<>(),.\[\]*])"
    r"|(?P<word>[A-Za-z0-9_+-][A-Za-z0-9_+-]*))"
)
_RESULT = re.compile(r"needs\.([A-Za-z0-9_-]+)\.(?:result|outputs\.decision)")
_GOOD = frozenset({"'success'", "'allow'"})


@dataclass(frozen=True, slots=True)
class Condition:
    """What follows from a condition that holds."""

    implies: frozenset[str]
    """Names under `needs` that must have succeeded, or `ALL`."""
    status: bool
    """Whether it calls a status function, so that GitHub adds none."""


def waits_for_all(text: str) -> bool:
    """Whether a job or step with this condition runs only after success; raises like `read_condition`."""
    condition = read_condition(text)
    return not condition.status or ALL in condition.implies


def read_condition(text: str) -> Condition:
    """Read the text of an `if`.

    Raises:
        ValueError: it is no expression, or text with expressions inside, which is always true.
    """
    text = text.strip()
    if text.startswith("${{") and text.endswith("}}") and text.count("${{") == 1:
        text = text[3:-2]
    if "${{" in text:
        raise ValueError("text with an expression inside is always true")
    reader = _ConditionParser(_split(text))
    implied = reader.either(0)
    if not reader.ended():
        raise ValueError("something follows the expression")
    return Condition(implied, reader.status)


def _split(text: str) -> list[str]:
    tokens, position = [], 0
    text = text.rstrip()
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise ValueError("no expression")
        tokens.append(match.group().strip())
        position = match.end()
    return tokens


class _ConditionParser:
    """A recursive descent that returns, for each part, what it implies."""

    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens
        self._position = 0
        self.status = False

    def ended(self) -> bool:
        return self._position == len(self._tokens)

    def _peek(self) -> str:
        return self._tokens[self._position] if self._position < len(self._tokens) else ""

    def _next(self) -> str:
        token = self._peek()
        if not token:
            raise ValueError("the expression ends too early")
        self._position += 1
        return token

    def either(self, depth: int) -> frozenset[str]:
        if depth > _MAX_DEPTH:
            raise ValueError("nested too deeply")
        implied = self._both(depth)
        while self._peek() == "||":
            self._next()
            implied = _common(implied, self._both(depth))
        return implied

    def _both(self, depth: int) -> frozenset[str]:
        implied = self._compared(depth)
        while self._peek() == "&&":
            self._next()
            implied |= self._compared(depth)
        return implied

    def _compared(self, depth: int) -> frozenset[str]:
        start = self._position
        implied = self._one(depth)
        if self._peek() not in ("==", "!=", "<", ">", "<=", ">="):
            return implied
        left = "".join(self._tokens[start : self._position])
        operator = self._next()
        start = self._position
        self._one(depth)
        right = "".join(self._tokens[start : self._position])
        # Of comparisons only equality with a good result says that a job succeeded; `!=` 'failure' is true of a skipped
        # one.
        if operator == "==":
            for side, value in ((left, right), (right, left)):
                match = _RESULT.fullmatch(side)
                if match and value in _GOOD:
                    return frozenset({match.group(1)})
        return frozenset()

    def _one(self, depth: int) -> frozenset[str]:
        part = self._next()
        if part == "!":
            if depth > _MAX_DEPTH:
                raise ValueError("nested too deeply")
            self._one(depth + 1)
            return frozenset()
        if part == "(":
            implied = self.either(depth + 1)
            if self._next() != ")":
                raise ValueError("a bracket is left open")
            return implied
        if part in ("&&", "||", "==", "!=", "<", ">", "<=", ">=", ")", "]", ",", "."):
            raise ValueError(f"{part} where a value should stand")
        if self._peek() == "(":
            return self._called(part, depth)
        self._path(depth)
        return frozenset()

    def _called(self, name: str, depth: int) -> frozenset[str]:
        self._next()
        while self._peek() != ")":
            self.either(depth + 1)
            if self._peek() == ",":
                self._next()
            elif self._peek() != ")":
                raise ValueError("a bracket is left open")
        self._next()
        self._path(depth)
        self.status = self.status or name.lower() in _STATUS
        # GitHub compares names of functions without regard to letter case.
        return frozenset({ALL}) if name.lower() == "success" else frozenset()

    def _path(self, depth: int) -> None:
        while self._peek() in (".", "["):
            if self._next() == ".":
                self._next()
                continue
            self.either(depth + 1)
            if self._next() != "]":
                raise ValueError("a bracket is left open")


def _common(one: frozenset[str], other: frozenset[str]) -> frozenset[str]:
    """What both imply; every name is in `ALL`."""
    if ALL in one:
        return other
    return one if ALL in other else one & other
