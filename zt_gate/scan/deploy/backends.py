"""Triton model repositories: which of their models are Python programs."""

from __future__ import annotations

import re
from collections.abc import Iterator

from zt_gate.intake import Source

NAME = "config.pbtxt"
_LARGEST = 1 << 20
# The text format of protocol buffers: literals, comments, names, and single characters (protobuf.dev, "Text Format").
_TOKEN = re.compile(r""" "(?:[^"\\\n]|\\.)*" | '(?:[^'\\\n]|\\.)*' | \#[^\n]* | [A-Za-z_]\w* | \S """, re.VERBOSE)


def is_configuration(source: Source) -> bool:
    """Whether a file configures a model of a Triton model repository."""
    return source.path.rsplit("/", 1)[-1] == NAME


def runs_python(data: bytes) -> int:
    """Return the 1-based line on which a configuration chooses the Python backend; 0 where it does not.

    An escape in the backend's name counts as Python: nobody needs one to write the name of a backend.

    Raises:
        ValueError: it is not UTF-8, or too large to be a configuration.
    """
    if len(data) > _LARGEST:
        raise ValueError(f"a {NAME} of more than {_LARGEST} bytes")
    text = data.decode("utf-8")
    for field, position, value in _literals(text):
        if field in ("backend", "platform") and ("\\" in value or value.startswith("python")):
            return text.count("\n", 0, position) + 1
    return 0


def _literals(text: str) -> Iterator[tuple[str, int, str]]:
    """Yield each field with a literal, its place, and the literal; neighbours are joined, as the format has it."""
    field, place, value = "", 0, ""
    for match in _TOKEN.finditer(text):
        word = match[0]
        if word[0] in "#:":
            continue
        if word[0] in "\"'":
            value += word[1:-1]
            continue
        if value:
            yield field, place, value
        field, place, value = word, match.start(), ""
    if value:
        yield field, place, value
