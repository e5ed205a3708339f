"""Whether a place that a request names leads to the sealed copies, links of this machine included."""

from __future__ import annotations

import os
import urllib.parse
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from zt_gate.errors import TargetError
from zt_gate.policy.registry import fold
from zt_gate.registry.artifacts import SEALED, Destination
from zt_gate.registry.freezing import names_sealed, spelt_out

_LONGEST = 4096
"""Letters of a path on Linux; a longer text leads nowhere."""
_API = "/mlflow-artifacts/artifacts/"


def leads_to_sealed(text: str, destination: Destination) -> bool:
    """Whether a text names the folder of sealed copies, or a path that ends up in it."""
    if names_sealed(text):
        return True
    if len(text) > _LONGEST:
        return False
    return any(SEALED in fold(real) for path in _paths(text) for real in _real(path, destination))


def _paths(text: str) -> Iterator[str]:
    """Yield the paths that a text may mean: itself, and what stands in it as an address."""
    yield text
    plain = spelt_out(text)
    path = urllib.parse.urlparse(plain).path if ":" in plain else plain
    yield path.split(_API, 1)[1] if _API in path else path


def _real(path: str, destination: Destination) -> Iterator[str]:
    """Yield where a path leads, from the server's folder and from its artifact destination."""
    bases = [Path.cwd()]
    with suppress(TargetError):  # it may be no folder of this machine, and then has no links in it
        bases.append(destination.folder())
    for base in bases:
        for inside in {path, path.lstrip("/")}:
            place = os.path.join(base, inside)
            # A name alone is nearly always none of a file; only a link may lead elsewhere.
            try:
                if "/" in inside or os.path.islink(place):
                    yield os.path.realpath(place)
            except (OSError, ValueError):
                continue
