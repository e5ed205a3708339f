"""What looks like a secret and is none: placeholders, examples, hashes, identifiers."""

from __future__ import annotations

import math
import re
from collections import Counter

_WORDS = re.compile(
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
    return _WORDS.search(value) is not None or entropy(value) < 2.5


def is_sample_password(value: bytes) -> bool:
    """Whether a password in an address is one of those that documentation uses."""
    return value.lower().decode("ascii", "replace") in _PASSWORDS or _WORDS.search(value) is not None


def is_random(value: bytes) -> bool:
    """Whether a value beside a telling word is likely a secret: letters and digits, mixed well, no hash or UUID."""
    kinds = [re.search(group, value) is not None for group in (rb"[0-9]", rb"[a-z]", rb"[A-Z]", rb"[^A-Za-z0-9_.-]")]
    if not kinds[0] or sum(kinds) < 2 or _UUID.fullmatch(value) or _HASH.fullmatch(value):
        return False
    return _NAME.fullmatch(value) is None and entropy(value) >= 3.2 and not is_placeholder(value)
