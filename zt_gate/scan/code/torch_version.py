"""Which PyTorch a release admits: what `torch.load` does when nothing is said depends on it."""

from __future__ import annotations

import re
from collections.abc import Iterable

_NAMES = re.compile(
    r"(.*/)?(requirements[\w.-]*\.txt|conda\.ya?ml|environment\.ya?ml|pyproject\.toml|python_env\.yaml)"
)
_BOUND = re.compile(
    r"""(?:^|[\s"'\[,])(?:py)?torch(?:\[[\w,]*\])?\s*(?:\(\s*)?(?P<how>==|>=|~=|=|>)\s*["']?v?(?P<version>\d+(?:\.\d+){0,2})""",
    re.MULTILINE,
)
MAX_BYTES = 1 << 20


def says_versions(path: str) -> bool:
    """Whether a path names a file in which a release says what it needs."""
    return _NAMES.fullmatch(path) is not None


def oldest_torch(texts: Iterable[str]) -> tuple[int, ...]:
    """Return the oldest PyTorch that requirements admit, as far as they say; empty where they do not.

    Args:
        texts: contents of requirement files, in pip's, conda's or TOML's notation.
    """
    found = [
        tuple(int(part) for part in match["version"].split("."))
        for text in texts
        for line in text.splitlines()
        # A version in a comment admits nothing.
        for match in _BOUND.finditer(line.split("#", 1)[0])
    ]
    return min(found, default=())
