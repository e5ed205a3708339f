"""Which requests would touch sealed copies, or set what no store method sees. Pure: a request in, a reason out.

A path is decoded until nothing is left to decode, since the server decodes more than once. What writes and names the
sealed folder anywhere is refused, whatever route it is for: no honest request does.
"""

from __future__ import annotations

import json
import re
from typing import Any
from urllib.parse import unquote

from zt_gate.policy.registry import fold
from zt_gate.registry.artifacts import SEALED
from zt_gate.registry.protected import Protected

READS = frozenset({"GET", "HEAD", "OPTIONS"})
_ARTIFACTS = re.compile(r"/mlflow-artifacts/artifacts(?:/(?P<path>.*))?$", re.DOTALL)
_ALIASES = re.compile(r"/mcp-servers/.+/aliases/?$", re.DOTALL)
_WHOLE = re.compile(r"(?:workspaces(?:/[^/]*)?)?")
MAX_BODY = 64 << 10
"""Bytes of a body that sets an alias; a larger one is none."""


def decoded(path: str) -> str:
    """Return a path with nothing left to decode, single slashes, and no dots that mean nothing."""
    # Each round makes it shorter, so this ends; a limit would be one encoding too few for somebody.
    while (once := unquote(path)) != path:
        path = once
    return re.sub(r"(?:/\.?)+(?=/|$)", "", path.replace("\\", "/")) or "/"


def frozen_reason(method: str, path: str, query: str) -> str:
    """Say why a request may not pass; empty when it may."""
    if method in READS:
        return ""
    plain = decoded(path)
    if SEALED in fold(plain) or SEALED in fold(decoded(query)):
        return "sealed copies are never written to or deleted: register a new version"
    found = _ARTIFACTS.search(plain)
    if method == "DELETE" and found is not None and _WHOLE.fullmatch((found.group("path") or "").strip("/")):
        return "sealed copies lie below this folder, and are never deleted"
    return ""


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
        return f"@{alias} is protected, and an MCP server has no files that a gate could look at"
    return ""
