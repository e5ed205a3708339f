"""Which requests would touch sealed copies, or set what no store method sees. Pure: a request in, a reason out.

A path is decoded until nothing is left to decode, since the server decodes more than once. What writes and names the
sealed folder anywhere, in its path or in any text of its body, is refused, whatever route it is for: no honest request
does.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import unquote

from zt_gate.policy.registry import fold
from zt_gate.registry.artifacts import SEALED
from zt_gate.registry.protected import Protected

READS = frozenset({"GET", "HEAD", "OPTIONS"})
_ALIASES = re.compile(r"/(?:mcp-servers|skills)/.+/aliases/?$", re.DOTALL)
_UPLOAD = re.compile(r"/(?:ajax-)?api/2\.0/mlflow-artifacts/artifacts/")
_NESTED = re.compile(r"%(?:25)+")
_UNSEEN = re.compile(r"[\x00-\x20]")
"""What Python's urlparse takes out of an address, or strips from its ends."""
MAX_BODY = 64 << 20
"""Bytes of a body that is looked at; a larger one is refused. Uploads are not looked at, and have no limit here."""


def decoded(path: str) -> str:
    """Return a path with nothing left to decode, single slashes, and no dots that mean nothing."""
    # Each round makes it shorter, so this ends; a limit would be one encoding too few for somebody. Many encodings of
    # one percent sign are taken together: one by one, a long text would take a round for every two letters.
    while (once := unquote(_NESTED.sub("%", path))) != path:
        path = once
    return re.sub(r"(?:/\.?)+(?=/|$)", "", path.replace("\\", "/")) or "/"


def frozen_reason(method: str, path: str, query: str) -> str:
    """Say why a request may not pass; empty when it may."""
    if method in READS:
        return ""
    plain = decoded(path)
    if names_sealed(plain) or names_sealed(query):
        return "sealed copies are never written to or deleted: register a new version"
    return ""


def spelt_out(text: str) -> str:
    """Return a text as `decoded` does, without what a parser of addresses takes out."""
    while (once := decoded(_UNSEEN.sub("", text))) != text:
        text = once
    return text


def names_sealed(text: str) -> bool:
    """Whether a text names the folder of sealed copies, in any spelling."""
    return SEALED in fold(text) or SEALED in fold(spelt_out(text))


def is_upload(method: str, path: str) -> bool:
    """Whether the body of a request is a file, which names nothing."""
    plain = decoded(path)
    if method == "PUT":
        return _UPLOAD.search(plain) is not None
    return method == "POST" and plain.endswith("/upload-artifact") and "/mlflow-artifacts/" not in plain


def body_reason(body: bytes, leads: Callable[[str], bool] = names_sealed) -> str:
    """Say why the places that a body names may not be written to; empty when they may.

    Args:
        body: as it was sent. What is no JSON is looked at as text.
        leads: whether a text leads to the sealed copies.
    """
    try:
        found = any(leads(text) for text in set(_texts(body)))
    except RecursionError:
        return "its body is nested too deeply to be looked at"
    return "it names the place of sealed copies, which nobody writes to: choose another place" if found else ""


def _texts(body: bytes) -> Iterator[str]:
    """Yield every text of a body, names of fields included. MLflow also reads JSON that is a text inside JSON."""
    left: list[Any] = [body]
    while left:
        value = left.pop()
        if isinstance(value, (list, tuple)):
            left += value
            continue
        if not isinstance(value, (str, bytes)):
            continue
        try:
            # All of the pairs: of two equal names, the server might read the one or the other.
            inner = json.loads(value, object_pairs_hook=list) if _is_json(value) else None
        except ValueError:
            inner = None
        if inner is not None:
            left.append(inner)
        yield value if isinstance(value, str) else value.decode("utf-8", "replace") if inner is None else ""


def _is_json(value: str | bytes) -> bool:
    # Bytes are always tried: json.loads also reads UTF-16 and UTF-32, which start with none of these letters.
    return isinstance(value, bytes) or value.lstrip()[:1] in ("{", "[", '"')


def sets_alias(method: str, path: str) -> bool:
    """Whether a request sets an alias that no store method of the model registry sees."""
    return method == "POST" and _ALIASES.search(decoded(path)) is not None


def alias_reason(body: bytes, protected: Protected) -> str:
    """Say why the alias in a body may not be set; empty when it may.

    The body is read as the server reads it. What it cannot read it refuses itself.
    """
    try:
        value: Any = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    alias = value.get("alias") if isinstance(value, dict) else None
    if isinstance(alias, str) and protected.demanded("aliases", alias):
        return f"@{alias} is protected, and no verdict is about an MCP server or a skill"
    return ""
