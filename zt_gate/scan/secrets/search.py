"""Finds secrets in bytes and says where and of what kind; the value itself never leaves this module."""

from __future__ import annotations

import base64
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

from zt_gate.codecs.strict_json import parse_json
from zt_gate.domain import Severity, rule_severity
from zt_gate.domain.secret_shapes import ADDRESS, JWT, PRIVATE_KEY, TOKENS, SecretShape
from zt_gate.errors import TargetError

_PLACEHOLDER_WORDS = re.compile(
    rb"example|placeholder|changeme|change_me|change-me|redacted|dummy|your[-_ ]|yourp|yourt|insert|notreal|sample|"
    rb"xxxxx|\*\*\*|\.\.\.|00000000|11111111|aaaaaaaa|12345678|abcdefgh|deadbeef|foobar|secret_?key|test[-_]|fake[-_]|mock",
    re.IGNORECASE,
)
_PASSWORDS = frozenset(
    {"admin", "bar", "baz", "false", "foo", "guest", "host", "hunter2", "key", "minio", "minioadmin", "mlflow",
     "mypass", "mypassword", "mysecret", "mysql", "none", "null", "pass", "pass123", "passw0rd", "passwd", "password",
     "password123", "port", "postgres", "pwd", "redis", "root", "secret", "test", "testing", "token", "true",
     "user", "username"}
)  # fmt: skip
_UUID = re.compile(rb"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_HASH = re.compile(
    rb"(?:sha\d+[-:]?)?(?:[0-9a-f]{32}|[0-9a-f]{40}|[0-9a-f]{56}|[0-9a-f]{64}|[0-9a-f]{96}|[0-9a-f]{128})"
)
_NAME = re.compile(rb"[A-Za-z]+\d{0,4}(?:[_./:-][A-Za-z]+\d{0,4}|[_./:-]\d{1,4})*")
"""Words, dotted or joined, some with a number behind them: identifiers, hosts, versions."""


def entropy(value: bytes) -> float:
    """Return the Shannon entropy of the characters, in bits per character."""
    counts = Counter(value).values()
    return -sum(count / len(value) * math.log2(count / len(value)) for count in counts)


def is_placeholder(value: bytes) -> bool:
    """Whether a token was written to show where a real one goes, or counts up instead of being random."""
    return _PLACEHOLDER_WORDS.search(value) is not None or entropy(value) < 2.5


def is_sample_password(value: bytes) -> bool:
    """Whether a password in an address is one of those that documentation uses."""
    return value.lower().decode("ascii", "replace") in _PASSWORDS or _PLACEHOLDER_WORDS.search(value) is not None


def is_random(value: bytes) -> bool:
    """Whether a value beside a telling word is likely a secret: letters and digits, mixed well, no hash or UUID."""
    kinds = [re.search(group, value) is not None for group in (rb"[0-9]", rb"[a-z]", rb"[A-Z]", rb"[^A-Za-z0-9_.-]")]
    if not kinds[0] or sum(kinds) < 2 or _UUID.fullmatch(value) or _HASH.fullmatch(value):
        return False
    return _NAME.fullmatch(value) is None and entropy(value) >= 3.2 and not is_placeholder(value)


@dataclass(frozen=True, slots=True)
class SecretSpan:
    """Where one secret is, and of what kind; never its value."""

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
    kind: str
    anchors: tuple[bytes, ...]
    pattern: re.Pattern[bytes]
    alone: bool
    """Whether a word character before it, in a text, makes it part of something longer."""
    honest: Callable[[bytes], bool]
    """Whether a value is a look-alike."""


def find_secrets(data: bytes, *, text: bool, unquoted: bool = False) -> list[SecretSpan]:
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
    kept: list[SecretSpan] = []
    # The first search that names a place knows most about it.
    for hit in sorted(hits, key=lambda hit: (hit.start, -hit.severity, -hit.end)):
        if not kept or hit.start >= kept[-1].end:
            kept.append(hit)
    return kept


def _by_shape(data: bytes, *, text: bool) -> Iterator[SecretSpan]:
    for search in _searches():
        if any(anchor in data for anchor in search.anchors):
            group = "value" if "value" in search.pattern.groupindex else 0
            for found in _places(search, data):
                if search.alone and _is_inside(data, found.start(), found.end(), text=text):
                    continue
                if not search.honest(found[group]):
                    if search.rule == "SEC-103" and _WORD.fullmatch(found[group]):
                        yield _span(found, "SEC-103", search.kind, group, Severity.MEDIUM)
                    else:
                        yield _span(found, search.rule, search.kind, group)


_SECOND_PART = re.compile(rb"\.(?=eyJ[A-Za-z0-9_-]{10,4000}\.)")
_PART_BACKWARDS = re.compile(rb"[A-Za-z0-9_-]{13,1003}")


def _places(search: _Search, data: bytes) -> Iterator[re.Match[bytes]]:
    """Yield where a shape is. A token of dotted parts is sought from its dot.

    Sought from its beginning, `eyJeyJeyJ` would be read a thousand bytes ahead at each third byte; the parts between
    dots do not overlap, so that nothing is read twice.
    """
    if search.rule != "SEC-106":
        yield from search.pattern.finditer(data)
        return
    for dot in (found.start() for found in _SECOND_PART.finditer(data)):
        if part := _PART_BACKWARDS.match(data[max(0, dot - 1003) : dot][::-1]):
            first = data.find(b"eyJ", dot - part.end(), dot)
            if first >= 0 and (found := search.pattern.match(data, first)):
                yield found


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
        *(_search("SEC-101", shape, is_placeholder) for shape in TOKENS),
        _search("SEC-102", PRIVATE_KEY, _is_sample_key),
        _search("SEC-103", ADDRESS, is_sample_password),
        _search("SEC-106", JWT, _is_no_jwt),
    )


def _search(rule: str, shape: SecretShape, honest: Callable[[bytes], bool]) -> _Search:
    alone = shape not in (ADDRESS, PRIVATE_KEY)
    pattern = rf"{shape.pattern}(?![A-Za-z0-9])" if alone else shape.pattern
    anchors = tuple(anchor.encode() for anchor in shape.anchors)
    return _Search(rule, shape.kind, anchors, re.compile(pattern.encode()), alone, honest)


def _is_sample_key(body: bytes) -> bool:
    # MII begins any key in DER of more than 255 bytes, b3Bl one of OpenSSH: neither is an example, whatever words are
    # in it.
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


def _by_word(data: bytes, *, unquoted: bool) -> Iterator[SecretSpan]:
    for pattern, kind, anchor in ((_WANDB, "wandb-key", b"andb"), (_NETRC, "netrc-password", b"machine")):
        for found in pattern.finditer(data) if anchor in data or anchor.upper() in data else ():
            if not is_placeholder(found["value"]):
                yield _span(found, "SEC-104", kind)
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
            yield _span(assigned, "SEC-104", "vendor-credential")
        else:
            yield _span(assigned, "SEC-105", "assigned-secret")


def _names(lower: bytes) -> Iterator[tuple[int, int]]:
    """Yield begin and end of every word that makes what is assigned to it a secret."""
    for word in (*_WORDS, *_QUALIFIED):
        at = lower.find(word)
        while at >= 0:
            before = lower[max(0, at - 16) : at]
            if word not in _QUALIFIED or _QUALIFIER.search(before) or _VENDOR.search(before):
                yield at, at + len(word)
            at = lower.find(word, at + len(word))


def _span(
    found: re.Match[bytes], rule: str, kind: str, group: str | int = "value", severity: Severity | None = None
) -> SecretSpan:
    return SecretSpan(found.start(group), found.end(group), rule, rule_severity(rule, severity), kind)
