"""What a place of sealed copies has to do, whatever keeps the bytes.

A place has one root, which nothing but the gate writes to. Every copy has its digest as its name, so one copy serves
every version, model and workspace that was admitted with these bytes. Whoever seals keeps the `pin` (in the registry:
the ledger), and shows it again on every use: a place finds by it the very bytes that it sealed, or says why it cannot.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal, Protocol

from zt_gate.domain import Digest

Admit = Callable[[Digest], None]
"""Raises for a digest that has no verdict; then no copy stays."""
PREFIX = "sha256-"
"""What the name of every copy begins with; the digest of its manifest in hexadecimal follows."""
MAX_PIN = 1000
"""Letters of a pin."""
Retention = tuple[Literal["GOVERNANCE", "COMPLIANCE"], int]
"""Mode and days of S3 Object Lock."""


@dataclass(frozen=True, slots=True)
class Sealed:
    """One sealed copy."""

    digest: Digest
    pin: str = ""
    """What its place needs to find these very bytes again; empty where the name is enough, as in a folder."""


@dataclass(frozen=True, slots=True)
class Probe:
    """What a place was seen to do, for `zt-gate doctor`, and how to fix it where that is not enough to seal."""

    ok: bool
    name: str
    fact: str
    fix: str = ""


class SealedPlace(Protocol):
    """Where sealed copies lie.

    Raises:
        ZtGateError: from every method, where the place refuses, does not answer, or cannot be trusted.
    """

    @property
    def root(self) -> str:
        """The root, as an absolute path or a URI without credentials: what the ledger and people call this place."""

    def contains(self, place: str) -> bool:
        """Whether a path or URI leads to the root or below it, links of this machine included, or above it."""

    def seal(self, source: Path, admit: Admit) -> Sealed:
        """Copy a folder or file under its digest, in the pass that hashes it.

        Args:
            source: what is copied; links and the like in it are refused.
            admit: is asked with the digest, before anything is kept.
        """

    def trouble(self, sealed: Sealed) -> str:
        """Say why a copy may not be used now: gone, overwritten, added to; empty when it may. Reads no model bytes."""

    def files(self, sealed: Sealed) -> Mapping[str, int]:
        """Return the size in bytes of each file of a copy, by its path inside the copy, such as `data/model.pkl`."""

    def open(self, sealed: Sealed, path: str) -> AbstractContextManager[Iterator[bytes]]:
        """Open one of `files` for reading, in blocks of at most 1 MiB: the sealed bytes, never what replaced them."""

    def location(self, digest: Digest) -> str:
        """Return where a client reads a copy that does not go through the server: an absolute path or a URI."""

    def probe(self) -> list[Probe]:
        """Try with small objects of its own whether this place can seal, and remove them."""

    def kept(self) -> Iterator[tuple[Digest, datetime]]:
        """Yield every copy, finished or not, with the time of its last change."""

    def remove(self, digest: Digest) -> None:
        """Remove a copy, finished or not; nothing is wrong where there is none."""
