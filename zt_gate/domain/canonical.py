"""One way to turn a value into bytes that are hashed or signed.

The output is RFC 8785 (JSON Canonicalization Scheme) restricted to what zt-gate needs: objects with string keys,
arrays, strings, integers, booleans and null. Floating-point numbers are refused, since their text form is where
canonical JSON implementations disagree; a measured rate travels as a string or as integer counts.
"""

from __future__ import annotations

import json
from typing import Any

# RFC 8785 section 3.2.2.3 writes numbers as IEEE doubles; beyond 2**53 - 1 an integer may silently change.
_MAX_SAFE_INTEGER = 2**53 - 1


def canonical_json(value: Any) -> bytes:
    """Return the canonical UTF-8 bytes of `value`.

    Raises:
        TypeError: the value holds a float, a non-string key or a type that JSON does not have.
        ValueError: the value holds an integer beyond 2**53 - 1 or a lone surrogate, which UTF-8 cannot carry.
    """
    return json.dumps(_ordered(value), separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode("utf-8")


def _ordered(value: Any) -> Any:
    if value is None or isinstance(value, (str, bool)):
        return value
    if isinstance(value, int):
        if abs(value) > _MAX_SAFE_INTEGER:
            raise ValueError(f"integer {value} is outside the range of canonical JSON")
        return value
    if isinstance(value, (list, tuple)):
        return [_ordered(item) for item in value]
    if isinstance(value, dict):
        if not all(isinstance(key, str) for key in value):
            raise TypeError("canonical JSON needs string keys")
        # RFC 8785 section 3.2.3 sorts by UTF-16 code units, which differs from code points beyond the BMP.
        return {
            key: _ordered(value[key]) for key in sorted(value, key=lambda k: k.encode("utf-16-be", "surrogatepass"))
        }
    raise TypeError(f"{type(value).__name__} has no canonical JSON form")
