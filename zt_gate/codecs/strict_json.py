"""JSON that means the same to every reader.

RFC 8259 leaves duplicate keys to the implementation, and Python keeps the last one where other parsers keep the
first: two programs read one signed text differently. Such text is refused, never repaired. Depth and the number of
objects and arrays are counted before anything is built, so that neither depends on the stack of the caller.
"""

from __future__ import annotations

import json
import re
from itertools import accumulate
from typing import Any, NoReturn

from zt_gate.domain.text import printable
from zt_gate.errors import EvidenceError, ParseError

MAX_BYTES = 256 << 20
MAX_DEPTH = 500
"""Python's own parser gives up at about 900, and where exactly depends on who calls it."""
MAX_CONTAINERS = 2_000_000
"""Objects and arrays. The vocabulary of a large tokenizer has half a million; two million empty ones take 500 MB."""
_BLOCK = 1 << 16
_NOT_BRACKETS = bytes(sorted(set(range(256)) - set(b"[]{}")))
_STEPS = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
_SURROGATE = re.compile("[\ud800-\udfff]")


class DuplicateKeyError(ParseError):
    """Two readers of the same object may see different values."""


def parse_json(data: bytes, *, constants: bool = False, surrogates: bool = True, limit: int = MAX_BYTES) -> Any:
    r"""Parse UTF-8 JSON.

    Args:
        data: the text.
        constants: whether NaN and Infinity are let through, as Python's own writer produces them.
        surrogates: whether half of a pair (`"\ud800"`) is let through: real vocabularies hold some, and no UTF-8 text
            can carry one.
        limit: most bytes that are accepted.

    Raises:
        DuplicateKeyError: an object names a key twice.
        ParseError: it is too large, not UTF-8, not JSON, or nested too deeply; or a number or a character in it is one
            that readers disagree about.
    """
    if len(data) > limit:
        raise ParseError(f"more than {limit} bytes of JSON")
    _check_nesting(data)
    try:
        value = json.loads(
            data.decode("utf-8"),
            # RFC 8259 leaves open which of two equal keys counts, and parsers differ.
            object_pairs_hook=_unique,
            parse_constant=None if constants else _no_constant,
            parse_float=None if constants else _finite,
        )
    except ParseError:
        raise
    except UnicodeDecodeError as error:
        raise ParseError(f"not UTF-8 at byte {error.start}", "save the file as UTF-8") from None
    except json.JSONDecodeError as error:
        # json's own message says the place already.
        raise ParseError(str(error), placed=(error.lineno, error.colno)) from None
    except ValueError:  # int() of a huge literal is quadratic, and Python refuses it
        raise ParseError("an integer has thousands of digits") from None
    except RecursionError:
        raise ParseError("it is nested too deeply") from None
    if not surrogates and b"\\u" in data:
        _refuse_surrogates(value)
    return value


def parse_object(data: bytes, what: str, limit: int) -> dict[str, Any]:
    """Parse a statement, an envelope or a bundle strictly and demand an object.

    Args:
        data: UTF-8 text.
        what: how messages name the thing.
        limit: most bytes that are accepted.

    Raises:
        EvidenceError: too large, not strict JSON, or no object.
    """
    if len(data) > limit:
        raise EvidenceError(f"{what} has {len(data)} bytes, more than the {limit} that are accepted")
    try:
        value = parse_json(data, surrogates=False)
    except ParseError as error:
        raise EvidenceError(f"{what} is not strict JSON: {printable(error.message, 120)}") from None
    if not isinstance(value, dict):
        raise EvidenceError(f"{what} is not a JSON object")
    return value


def _check_nesting(data: bytes) -> None:
    opened = data.count(b"[") + data.count(b"{")
    # Brackets inside strings count here as well, so that few of them settle it without a closer look.
    if opened <= MAX_DEPTH:
        return
    brackets = _brackets(data)
    if brackets.count(b"[") + brackets.count(b"{") > MAX_CONTAINERS:
        raise ParseError(f"more than {MAX_CONTAINERS} JSON objects and arrays")
    if max(accumulate(map(_STEPS.__getitem__, brackets)), default=0) > MAX_DEPTH:
        raise ParseError("it is nested too deeply")


def _brackets(data: bytes) -> bytes:
    """Return the brackets outside of strings. Read in blocks, for each piece of a split text costs 40 bytes."""
    # Without escapes a string ends at the next quote. Outside of strings a backslash is an error anyway.
    plain = data.replace(rb"\\", b"").replace(rb"\"", b"") if b"\\" in data else data
    inside, found = 0, []
    for start in range(0, len(plain), _BLOCK):
        pieces = plain[start : start + _BLOCK].split(b'"')
        found.append(b"".join(pieces[inside::2]).translate(None, _NOT_BRACKETS))
        inside = (inside + len(pieces) - 1) % 2
    return b"".join(found)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise DuplicateKeyError(f"the key {printable(key, 60)!r} stands twice in one object")
            seen.add(key)
    return value


def _no_constant(text: str) -> NoReturn:
    raise ParseError(f"{text} is not JSON")


def _finite(text: str) -> float:
    # Python reads 1e999 as infinity, where others refuse the number.
    value = float(text)
    if value in (float("inf"), float("-inf")):
        raise ParseError(f"the number {printable(text, 40)} is too large for a double")
    return value


def _refuse_surrogates(value: Any) -> None:
    stack = [value]
    while stack:
        item = stack.pop()
        if isinstance(item, str):
            if _SURROGATE.search(item):
                raise ParseError("a string holds half of a surrogate pair, which UTF-8 cannot carry")
        elif isinstance(item, dict):
            stack += [*item, *item.values()]
        elif isinstance(item, list):
            stack += item
