"""What every static check is, and what it may say about one file."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

from zt_gate.domain import Claim, Evidence, Finding, Gap, Notes, Severity
from zt_gate.errors import TargetError, ZtGateError
from zt_gate.intake import ByteSource, Frozen


class BrokenFileError(TargetError):
    """The bytes break the rules of the format that they follow up to there: cut off, or at odds with themselves."""


class Check(Protocol):
    """One inspector of a frozen target."""

    id: ClassVar[str]
    """Short name used in policies and reports, such as `artifacts`."""
    version: ClassVar[str]
    """Changes whenever the same bytes may yield other evidence."""

    def run(self, frozen: Frozen) -> Evidence:
        """Inspect the target. Anything that could not be inspected is a gap, never an omission."""


MAX_NOTES = 1_000
"""Findings, and gaps, of one file: hostile ones hold a million reasons, of which the first already blocks."""
_MORE = f"more than {MAX_NOTES} findings; the rest is not listed"


@dataclass(slots=True)
class Examination:
    """The examination of one file: notes about it, and the ledger of claimed bytes.

    Analysers write to it; nobody reads a verdict from it before `claim` has been worked out from the ledger.
    """

    path: str
    size: int
    notes: Notes = field(default_factory=Notes)
    """Where findings and gaps go; examiners of a whole release share one."""
    ranges: list[tuple[int, int]] = field(default_factory=list)
    """Half-open byte ranges of the file that an analyser accounted for."""
    formats: list[str] = field(default_factory=list)
    """Names of the formats that were recognised, outermost first."""
    facts: set[tuple[str, str]] = field(default_factory=set)
    """What the file imports, holds or refers to, as kind and value: compared between releases, never judged."""

    @property
    def findings(self) -> list[Finding]:
        """The findings so far."""
        return self.notes.findings

    @property
    def gaps(self) -> list[Gap]:
        """What could not be examined so far."""
        return self.notes.gaps

    def finding(
        self,
        rule: str,
        message: str,
        *,
        severity: Severity | None = None,
        member: str = "",
        offset: int | None = None,
        line: int | None = None,
        symbol: str = "",
        fix: str = "",
    ) -> None:
        """Note a finding in this file; see `Finding.of` for the severity. One gap stands for all above a thousand."""
        if len(self.findings) >= MAX_NOTES:
            if not any(gap.reason == _MORE for gap in self.gaps[-2:]):
                self.gap(_MORE, "remove what was found, then scan again")
            return
        self.findings.append(
            Finding.of(
                rule,
                message,
                self.path,
                severity=severity,
                member=member,
                offset=offset,
                line=line,
                symbol=symbol,
                fix=fix,
            )
        )

    def gap(self, reason: str, fix: str = "") -> None:
        """Note that something could not be examined; the file is incomplete from here on."""
        if len(self.gaps) < MAX_NOTES:
            self.gaps.append(Gap(reason=reason, path=self.path, fix=fix))

    def absorb(self, inner: Examination) -> None:
        """Take over the findings, gaps and facts of bytes inside this file."""
        room = MAX_NOTES - len(self.findings)
        self.findings.extend(inner.findings[:room])
        if len(inner.findings) > room:
            self.gap(_MORE, "remove what was found, then scan again")
        self.gaps.extend(inner.gaps[: MAX_NOTES - len(self.gaps)])
        self.facts |= inner.facts

    def cover(self, start: int, end: int) -> None:
        """Account for the bytes `[start, end)` of the *file* (never of a member).

        Raises:
            ValueError: the range lies outside the file.
        """
        if not 0 <= start <= end <= self.size:
            raise ValueError(f"{self.path}: range {start}..{end} lies outside the file of {self.size} bytes")
        if start < end:
            self.ranges.append((start, end))

    def cover_all(self) -> None:
        """Account for the whole file."""
        self.cover(0, self.size)

    def holes(self) -> Iterator[tuple[int, int]]:
        """Yield the byte ranges that nobody accounted for."""
        position = 0
        for start, end in sorted(self.ranges):
            if start > position:
                yield position, start
            position = max(position, end)
        if position < self.size:
            yield position, self.size

    def claim(self) -> Claim | None:
        """Return the claim over the whole file, or None where a gap or an unclaimed byte is left."""
        # Fails closed: a claim needs a recognised format, every byte and no doubt.
        if self.gaps or not self.formats or next(self.holes(), None) is not None:
            return None
        return Claim(path=self.path, size=self.size, by="+".join(self.formats))

    @contextmanager
    def guarded(self, what: str) -> Iterator[None]:
        """Turn any exception inside into a gap: a parser that fails has not examined anything."""
        try:
            yield
        except BrokenFileError as error:
            problem = f"{what}: {_without_addresses(error.message)}"
            self.finding("ART-310", problem, symbol="broken", fix=error.advice)
            self.gap(problem, error.advice)
        except ZtGateError as error:
            self.gap(f"{what}: {_without_addresses(error.message)}", error.advice)
        except RecursionError:
            self.gap(f"{what}: nested too deeply to examine")
        except MemoryError:
            self.gap(f"{what}: needs more memory than the limit")
        except Exception as error:  # noqa: BLE001 - whatever a hostile file provokes is an unfinished examination
            self.gap(f"{what}: {type(error).__name__}: {_without_addresses(str(error))[:200]}")


def _without_addresses(text: str) -> str:
    """Return what an error says without where Python kept an object: the same bytes have to yield the same text."""
    return re.sub(r" at 0x[0-9a-fA-F]*", "", text)


@dataclass(frozen=True, slots=True)
class Head:
    """What identification may look at: the first and last bytes and the name, in that order of trust."""

    source: ByteSource
    start: bytes
    """Up to 4,096 bytes from the beginning."""
    end: bytes
    """Up to 1,024 bytes from the end."""

    @classmethod
    def of(cls, source: ByteSource) -> Head:
        """Read the head of a source."""
        return cls(
            source=source,
            start=source.read_at(0, 4096),
            end=source.read_at(max(0, source.size - 1024), 1024),
        )

    @property
    def name(self) -> str:
        """Last component of the member or path, lower case."""
        return (self.source.member.rsplit("!", 1)[-1] or self.source.path).rsplit("/", 1)[-1].lower()

    @property
    def suffix(self) -> str:
        """Last extension with its dot, lower case; empty when there is none."""
        dot = self.name.rfind(".")
        return self.name[dot:] if dot > 0 else ""
