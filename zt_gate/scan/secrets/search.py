"""Finds secrets in bytes and says where and of what kind; the value itself never leaves this module."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

from zt_gate.domain import Severity
from zt_gate.domain.secret_shapes import ADDRESS, JWT, PRIVATE_KEY, TOKENS, Shape
from zt_gate.domain.strict_json import parse_json
from zt_gate.errors import TargetError
from zt_gate.scan.secrets.lookalikes import is_placeholder, is_random, is_sample_password


@dataclass(frozen=True, slots=True)
class Hit:
    """One secret, without its value."""

    start: int
    """Offset of the secret in the searched bytes."""
    end: int
    rule: str
    severity: Severity
    kind: str
    """Such as `huggingface-token`."""


@dataclass(frozen=True, slots=True)
class _Search:
    rule: str
    severity: Severity
    kind: str
    anchors: tuple[bytes, ...]
    pattern: re.Pattern[bytes]
    alone: bool
    """Whether a word character before it, in a text, makes it part of something longer."""
    honest: Callable[[bytes], bool]
    """Whether a value is a look-alike."""


def find_secrets(data: bytes, *, text: bool, unquoted: bool = False) -> list[Hit]:
    """Return the secrets in these bytes, in order, none inside another.

    Raises:
        TargetError: more values stand beside telling words than are looked at.

    Args:
        data: what to search.
        text: whether it is text. In other bytes a token may stand behind any byte, and words beside a value say little.
        unquoted: whether values stand without quotes, as in `.env` and INI files.
    """
    hits = list(_by_shape(data, text=text))
    if text:
        hits += _by_word(data, unquoted=unquoted)
    kept: list[Hit] = []
    # The first search that names a place knows most about it.
    for hit in sorted(hits, key=lambda hit: (hit.start, -hit.severity, -hit.end)):
        if not kept or hit.start >= kept[-1].end:
            kept.append(hit)
    return kept


def _by_shape(data: bytes, *, text: bool) -> Iterator[Hit]:
    for search in _searches():
        if any(anchor in data for anchor in search.anchors):
            group = "value" if "value" in search.pattern.groupindex else 0
            for found in search.pattern.finditer(data):
                if search.alone and _is_inside(data, found.start(), found.end(), text=text):
                    continue
                if not search.honest(found[group]):
                    severity = Severity.MEDIUM if _WORD.fullmatch(found[group]) else search.severity
                    yield Hit(found.start(group), found.end(group), search.rule, severity, search.kind)


def _is_inside(data: bytes, start: int, end: int, *, text: bool) -> bool:
    """Whether what stands before a token makes it part of something longer."""
    before = data[max(0, start - 2) : start]
    if text:
        return _JOINED.search(before) is not None
    # In other bytes the last one may be the token's length; two word characters are a name, such as a mangled one.
    return _GLUED.fullmatch(before) is not None and before[-1] != end - start


_GLUED = re.compile(rb"[A-Za-z0-9_]{2}")
_JOINED = re.compile(rb"(?<!\\)[A-Za-z0-9_]\Z|\\[A-Zac-mo-qsu-z0-9_]\Z")
"""What a token cannot follow. The n of an escaped line break, in a JSON text, is no letter."""

_WORD = re.compile(rb"[a-z]+|[0-9]+,.*")
"""A password that may as well be an ordinary word: an address of two names, such as `scope:prefix@host`."""


@cache
def _searches() -> tuple[_Search, ...]:
    return (
        *(_search("SEC-101", Severity.HIGH, shape, is_placeholder) for shape in TOKENS),
        _search("SEC-102", Severity.HIGH, PRIVATE_KEY, _is_sample_key),
        _search("SEC-103", Severity.HIGH, ADDRESS, is_sample_password),
        _search("SEC-106", Severity.MEDIUM, JWT, _is_no_jwt),
    )


def _search(rule: str, severity: Severity, shape: Shape, honest: Callable[[bytes], bool]) -> _Search:
    alone = shape not in (ADDRESS, PRIVATE_KEY)
    pattern = rf"{shape.pattern}(?![A-Za-z0-9])" if alone else shape.pattern
    anchors = tuple(anchor.encode() for anchor in shape.anchors)
    return _Search(rule, severity, shape.kind, anchors, re.compile(pattern.encode()), alone, honest)


def _is_sample_key(body: bytes) -> bool:
    return is_placeholder(body[:400]) and not body.startswith((b"MII", b"b3Bl"))


def _is_no_jwt(token: bytes) -> bool:
    """Whether the first part is no JOSE header (RFC 7515), or says that nothing is signed."""
    try:
        header = token.split(b".")[0]
        value = parse_json(base64.urlsafe_b64decode(header + b"=" * (-len(header) % 4)))
    except ValueError:
        return True
    return not isinstance(value, dict) or value.get("alg", "none") == "none"


# --- by the word beside it ---------------------------------------------------------------------------------------

_VENDOR = re.compile(
    rb"wandb|aws|openai|anthropic|cohere|\bco_api|mistral|pinecone|together|azure|kaggle|comet|neptune|mlflow|databricks|"
    rb"hugging_?face|deepseek|voyage|elevenlabs|qdrant|weaviate|milvus|snowflake|roboflow|clearml"
)
_WORDS = (
    b"passw",
    b"passphrase",
    b"secret",
    b"_pwd",
    b"credential",
    b"apikey",
    b"accesskey",
    b"accountkey",
    b"apitoken",
)
_QUALIFIED = (b"_key", b"-key", b"_token", b"-token")
"""Words that mean a secret only behind the name of a vendor or one of `_QUALIFIER`."""
_QUALIFIER = re.compile(rb"(?:api|access|account|auth|bearer|encryption|signing)$")
_REST = rb"[A-Za-z0-9_-]{0,24}"
_ASSIGNED = re.compile(
    _REST + rb"""\\?["']?\]?\s{0,4}(?:=|:|:=|=>|,)\s{0,4}[bru]?\\?["'](?P<value>[^\s"'\\]{8,200})\\?["']"""
)
_UNQUOTED = re.compile(_REST + rb"""["']?[ \t]*[=:][ \t]*["']?(?P<value>[^\s"'\\#;]{8,200})""")
_WANDB = re.compile(rb"(?i:wandb)[^\n/]{0,60}?(?<![0-9a-f])(?P<value>[0-9a-f]{40})(?![0-9a-f])")
_NETRC = re.compile(rb"machine\s+\S{3,100}\s+login\s+\S{1,100}\s+password\s+(?P<value>\S{8,200})")
_MOST_ASSIGNED = 20_000
"""Values beside telling words that are looked at in 4 MB of text; each costs as much as ten thousand other bytes."""
_EXPRESSION = re.compile(rb"[({<$\[]|\)$|^(?:https?|file|s3|gs)://|^/|^urn:|^\.|environ|getenv|::|%s")


def _by_word(data: bytes, *, unquoted: bool) -> Iterator[Hit]:
    for pattern, kind, anchor in ((_WANDB, "wandb-key", b"andb"), (_NETRC, "netrc-password", b"machine")):
        for found in pattern.finditer(data) if anchor in data or anchor.upper() in data else ():
            if not is_placeholder(found["value"]):
                yield _hit(found, "SEC-104", Severity.HIGH, kind)
    lower, candidates = data.lower(), 0
    for begin, end in _names(lower):
        assigned = _ASSIGNED.match(data, end) or (_UNQUOTED.match(data, end) if unquoted else None)
        value = assigned["value"] if assigned else b""
        if assigned is None or _EXPRESSION.search(value):
            continue
        candidates += 1
        if candidates > _MOST_ASSIGNED:
            raise TargetError(f"more than {_MOST_ASSIGNED} values stand beside words such as password",
                              "split the file, or remove them")  # fmt: skip
        if not is_random(value):
            continue
        if _VENDOR.search(lower[max(0, begin - 24) : end + 16].rsplit(b"\n", 1)[-1]) and len(value) >= 16:
            yield _hit(assigned, "SEC-104", Severity.HIGH, "vendor-credential")
        else:
            yield _hit(assigned, "SEC-105", Severity.MEDIUM, "assigned-secret")


def _names(lower: bytes) -> Iterator[tuple[int, int]]:
    """Yield begin and end of every word that makes what is assigned to it a secret."""
    for word in (*_WORDS, *_QUALIFIED):
        at = lower.find(word)
        while at >= 0:
            before = lower[max(0, at - 16) : at]
            if word not in _QUALIFIED or _QUALIFIER.search(before) or _VENDOR.search(before):
                yield at, at + len(word)
            at = lower.find(word, at + len(word))


def _hit(found: re.Match[bytes], rule: str, severity: Severity, kind: str) -> Hit:
    return Hit(found.start("value"), found.end("value"), rule, severity, kind)
