"""The fast digest: a manifest with BLAKE3 per file, for deployments that have to verify large files quickly.

It binds what the subject's own digest binds: names, sizes, modes and bytes. A signed summary may carry it beside the
subject digest; alone it identifies no subject, since signatures and policies name SHA-256.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from zt_gate.domain import Digest, Entry, canonical_json

SCHEMA = "zt-gate/manifest-blake3/v1"
_HEX = re.compile(r"[0-9a-f]{64}\Z")


@dataclass(frozen=True, slots=True)
class FastDigest:
    """A fast digest as a value that cannot be mistaken for a subject's.

    Raises:
        ValueError: `hex` is not 64 lower-case hexadecimal digits.
    """

    hex: str
    """SHA-256 over the canonical manifest whose files carry BLAKE3 (256 bits)."""

    def __post_init__(self) -> None:
        if not _HEX.match(self.hex):
            raise ValueError("not a blake3-manifest digest")

    def __str__(self) -> str:
        return f"blake3-manifest:{self.hex}"


def fast_digest(entries: Iterable[Entry], contents: Mapping[str, str]) -> FastDigest:
    """Return the fast digest of manifest entries.

    Args:
        entries: in any order; their own `sha256` counts only where there is no content.
        contents: hexadecimal BLAKE3 of every file, by manifest path.

    Raises:
        KeyError: a file has no BLAKE3.
    """
    lines = []
    for entry in sorted(entries, key=lambda entry: entry.path):
        line = entry.to_json()
        if entry.is_content:
            del line["sha256"]
            line["blake3"] = contents[entry.path]
        lines.append(line)
    return FastDigest(Digest.of(canonical_json({"schema": SCHEMA, "files": lines})).hex)
