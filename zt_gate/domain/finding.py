"""A finding: one rule, one place, one sentence."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import IntEnum

from zt_gate.domain.rule_severities import RULE_SEVERITIES


class Severity(IntEnum):
    """How bad a finding is. Ordered, so that a policy can say "block at high"."""

    INFO = 0
    LOW = 1
    MEDIUM = 2
    HIGH = 3
    CRITICAL = 4

    @classmethod
    def parse(cls, text: str) -> Severity:
        """Read a lower-case name.

        Raises:
            ValueError: no such severity.
        """
        try:
            return _BY_NAME[text]
        except KeyError:
            raise ValueError(f"{text!r} is not a severity; use one of {', '.join(_BY_NAME)}") from None

    def __str__(self) -> str:
        return self.name.lower()


_BY_NAME = {severity.name.lower(): severity for severity in Severity}


def rule_severity(rule: str, chosen: Severity | None = None) -> Severity:
    """Return the severity of a rule's finding: the usual one, or the chosen one where the catalogue allows it.

    Raises:
        ValueError: the catalogue has no such rule, or does not allow it this severity.
    """
    allowed = RULE_SEVERITIES.get(rule)
    if allowed is None:
        raise ValueError(f"the catalogue has no rule {rule}")
    if chosen is None:
        return _BY_NAME[allowed[0]]
    if str(chosen) not in allowed:
        raise ValueError(f"the catalogue does not allow {rule} to be {chosen}, but {' or '.join(allowed)}")
    return chosen


@dataclass(frozen=True, slots=True)
class Finding:
    """What a rule saw.

    Why it matters, how to fix it and the references are the rule's own and stand in `rules/catalog/`.
    """

    rule: str
    """Rule id, such as `ART-101`; engines use `engine.id`, such as `bandit.B301`."""
    severity: Severity
    message: str
    """One sentence that names the thing."""
    path: str = ""
    """Manifest path; empty when the finding is about the release as a whole."""
    member: str = ""
    """Member inside an archive, `outer.zip!inner` style for nested ones; empty for a plain file."""
    offset: int | None = None
    """Byte offset in the file or member."""
    line: int | None = None
    """1-based line, for text."""
    symbol: str = ""
    """What the finding is about in one token, such as `os.system`; stable across releases, part of the fingerprint."""
    fix: str = ""
    """The fix for this very case; empty means the rule's general one."""

    @classmethod
    def of(
        cls,
        rule: str,
        message: str,
        path: str = "",
        *,
        severity: Severity | None = None,
        member: str = "",
        offset: int | None = None,
        line: int | None = None,
        symbol: str = "",
        fix: str = "",
    ) -> Finding:
        """Make a finding of one of our own rules, with the severity that the catalogue gives the rule.

        Args:
            rule: its id.
            message: one sentence that names the thing.
            path: manifest path.
            severity: one of those that the catalogue allows; None for the usual one.
            member: as for the class, like everything that follows.
            offset: byte offset.
            line: 1-based line.
            symbol: what the finding is about.
            fix: the fix for this very case.

        Raises:
            ValueError: the catalogue has no such rule, or does not allow it this severity.
        """
        return cls(rule, rule_severity(rule, severity), message, path, member, offset, line, symbol, fix)

    @property
    def fingerprint(self) -> str:
        """A stable id: rule, file, member and symbol, never message, line or severity (32 hex digits)."""
        parts = (self.rule, self.path, self.member, self.symbol)
        return hashlib.sha256("\0".join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:32]

    @property
    def where(self) -> str:
        """The place, for people: `model.pt!data.pkl @12` or `train.py:7`."""
        text = self.path + (f"!{self.member}" if self.member else "")
        if self.line is not None:
            return f"{text}:{self.line}"
        return f"{text} @{self.offset}" if self.offset is not None else text

    @property
    def sort_key(self) -> tuple[int, str, str, str, int, int, str, str]:
        """Worst first, then by rule and place: the one order in which findings are shown and hashed."""
        return (
            -int(self.severity),
            self.rule,
            self.path,
            self.member,
            -1 if self.offset is None else self.offset,
            -1 if self.line is None else self.line,
            self.symbol,
            self.message,
        )
