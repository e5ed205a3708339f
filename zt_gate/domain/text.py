"""Text that came from outside, made safe to print.

File names, pickle globals and metadata keys are chosen by whoever made the model. Printed raw they can forge a
line of a CI log, recolour a terminal or reverse the reading direction (CVE-2021-42574).
"""

from __future__ import annotations

import os
import re
import unicodedata

BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
"""Characters that change the direction of the text around them."""

_COMMANDS = re.compile(r"(?m)^([^\S\n]*):(?=:)|#(?=#(?:\[|vso\[|teamcity\[))")
"""What GitHub Actions (which trims lines), Azure Pipelines and TeamCity read as a command in a job's output."""
_LINE_BREAKS = ("Cc", "Cs", "Zl", "Zp")


def fold_name(name: str) -> str:
    """Return what a file name is to the file system that tells the fewest names apart.

    Some fold by upper and some by lower case (a dotless i and an i have one capital), and some compare composed letters
    with decomposed ones.
    """
    if name.isascii():
        return name.casefold()
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", name).upper().casefold())


def is_unsafe(char: str) -> bool:
    """Whether a character may not be printed: controls, surrogates, line separators, direction marks."""
    return char in BIDI or unicodedata.category(char) in _LINE_BREAKS


def printable(value: str | bytes | os.PathLike[str], limit: int = 300) -> str:
    """Return one line of text without escapes, controls or surrogates, at most `limit` characters."""
    text = os.fsdecode(value) if isinstance(value, (bytes, os.PathLike)) else value
    if not (text.isascii() and text.isprintable()):
        text = text.encode("utf-8", "backslashreplace").decode()
        text = "".join(char.encode("unicode_escape").decode() if is_unsafe(char) else char for char in text)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def inert(text: str) -> str:
    """Return text for a screen, of several lines perhaps, in which no CI system finds a command.

    Wrapping can put any word of a message first on a line, and `::error::` there is an annotation that the gate never
    made. A space keeps it legible.
    """
    return _COMMANDS.sub(lambda match: f"{match[1]}: " if match[1] is not None else "# ", text)


def sized(count: float) -> str:
    """Return a number of bytes as people read it: `1.2 GB`."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
