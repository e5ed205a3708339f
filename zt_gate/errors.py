"""Every error that zt-gate raises on purpose.

The classes differ by *who can fix it*: the author of a policy, the producer of a target or of evidence, or the owner of
the machine. Each error carries `advice`, one sentence that tells a person what to do next. The command line
catches `ZtGateError` in exactly one place and exits 2: the gate could not decide, so nothing is promoted.
"""

from __future__ import annotations

__all__ = [
    "AuditLogError",
    "EvidenceError",
    "ParseError",
    "PolicyError",
    "TargetError",
    "ToolError",
    "UsageError",
    "ZtGateError",
]


class ZtGateError(Exception):
    """Base of all deliberate errors.

    Args:
        message: what went wrong, naming the thing and the place.
        advice: what a person can do about it; empty when the message already says so.
    """

    def __init__(self, message: str, advice: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.advice = advice


class UsageError(ZtGateError):
    """The command was typed wrongly: an unknown verb, rule, format or a combination that means nothing."""


class PolicyError(ZtGateError):
    """A policy, pack or waiver file cannot be trusted to mean what its author meant.

    Args:
        message: what is wrong.
        advice: how to fix it.
        file: the policy file as the user named it.
        line: 1-based line, 0 when unknown.
        column: 1-based column, 0 when unknown.
        source_line: the text of that line, for the caret display.
    """

    def __init__(
        self,
        message: str,
        advice: str = "",
        *,
        file: str = "",
        line: int = 0,
        column: int = 0,
        source_line: str = "",
    ) -> None:
        super().__init__(message, advice)
        self.file = file
        self.line = line
        self.column = column
        self.source_line = source_line


class ParseError(ZtGateError, ValueError):
    """A text is not what its notation demands, or two readers could read it differently, or it is too large.

    Args:
        problem: what is wrong; the message puts the line in front of it.
        advice: how to fix it.
        line: 1-based line, 0 when unknown.
        column: 1-based column, 0 when unknown.
        placed: line and column where `problem` names the place itself.
    """

    def __init__(
        self,
        problem: str,
        advice: str = "",
        *,
        line: int = 0,
        column: int = 0,
        placed: tuple[int, int] | None = None,
    ) -> None:
        super().__init__(f"line {line}: {problem}" if line else problem, advice)
        self.problem = problem
        self.line, self.column = placed or (line, column)


class TargetError(ZtGateError):
    """The target cannot be read at all: missing, unreadable, or too large for the stated limits."""


class EvidenceError(ZtGateError):
    """A statement, signature or key cannot be parsed or used."""


class ToolError(ZtGateError):
    """This machine lacks something: a package, disk space, a file descriptor, a permission."""


class AuditLogError(ZtGateError):
    """The audit log cannot be written, or its content is inconsistent."""
