"""A SHA-256 digest as a value that cannot be mistaken for other text."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass

_HEX = re.compile(r"[0-9a-f]{64}\Z")


@dataclass(frozen=True, slots=True, order=True)
class Digest:
    """A SHA-256 digest.

    Raises:
        ValueError: `hex` is not 64 lower-case hexadecimal digits.
    """

    hex: str
    """64 lower-case hexadecimal digits."""

    def __post_init__(self) -> None:
        if not _HEX.match(self.hex):
            raise ValueError(f"not a sha256 digest: {self.hex[:80]!r}")

    @classmethod
    def of(cls, data: bytes) -> Digest:
        """Return the digest of `data`."""
        return cls(hashlib.sha256(data).hexdigest())

    @classmethod
    def parse(cls, text: str) -> Digest:
        """Read `sha256:<hex>`.

        Raises:
            ValueError: another algorithm, or malformed text.
        """
        algorithm, _, value = text.partition(":")
        if algorithm != "sha256":
            raise ValueError(f"not a sha256 digest: {text[:80]!r}")
        return cls(value)

    def __str__(self) -> str:
        return f"sha256:{self.hex}"

    @property
    def short(self) -> str:
        """The first 12 digits, for people; never compared."""
        return f"sha256:{self.hex[:12]}"
