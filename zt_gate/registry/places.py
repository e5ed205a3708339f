"""Whether a place that a request names leads to the sealed copies, links of this machine included."""

from __future__ import annotations

import os
import re
import urllib.parse
from collections.abc import Iterator

from zt_gate.intake.sealed import SealedPlace
from zt_gate.registry.artifacts import API, Destination
from zt_gate.registry.freezing import names_sealed, spelt_out

_LONGEST = 4096
"""Letters of a path on Linux; a longer text leads nowhere."""
_CHILD = ".zt-gate-child"
_SERVED = ("", "mlflow-artifacts", "http", "https")
"""The schemes of addresses whose path may be relative to the artifact destination."""
_STRIPPED = "".join(map(chr, range(33)))


def leads_to_sealed(text: str, destination: Destination, place: SealedPlace | None) -> bool:
    """Whether a text names the sealed copies, or a place that is their root or lies below it.

    Args:
        text: any text of a request.
        destination: what paths of artifacts are relative to.
        place: of the sealed copies; None where none is set.
    """
    if names_sealed(text):
        return True
    if place is None or len(text) > _LONGEST:
        return False
    # What would lie inside the named place is what matters: the folder above the root is a fine place for others.
    return any(place.contains(f"{named}/{_CHILD}") for named in _named(text, destination))


def overlaps_sealed(path: str, destination: Destination, place: SealedPlace | None) -> bool:
    """Whether a path of an artifact is the root of the sealed copies, or lies below or above it."""
    return place is not None and any(place.contains(destination.below(one)) for one in {path, spelt_out(path)})


def _named(text: str, destination: Destination) -> Iterator[str]:
    """Yield the places that a text may mean: as a path, as an address, below the destination."""
    for spelling in {text, _parsed(text), spelt_out(text)} - {""}:
        scheme, path = _parted(spelling)
        if "/" in spelling or os.path.lexists(_safe(spelling)):
            yield spelling
        inside = path.split(API, 1)[1] if API in path else path.lstrip("/")
        below = destination.below(inside)
        if scheme in _SERVED and destination.root and (scheme or "/" in spelling or os.path.lexists(_safe(below))):
            yield below


def _parted(text: str) -> tuple[str, str]:
    try:
        parsed = urllib.parse.urlparse(text)
    except ValueError:
        return "", text
    return parsed.scheme, parsed.path if parsed.scheme else text


def _parsed(text: str) -> str:
    """Return a text as Python's urlparse takes it, spaces inside left alone."""
    return re.sub("[\t\r\n]", "", text).strip(_STRIPPED)


def _safe(path: str) -> str:
    # lexists raises for NUL, which no path contains.
    return path.replace("\0", "")
