"""The keys of a copy, and whether a URI, however it is spelled, leads to them or above them.

One object has many names: `s3`, `s3a`, the https address of its endpoint, percent-encoding, doubled slashes, dots,
the API of another cloud over the same bucket. Libraries differ in what they make of them. So every reading is tried,
and one that leads there is enough: a place is refused too often rather than once too seldom.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from urllib.parse import unquote

from zt_gate.domain import Digest
from zt_gate.intake.places.s3_client import Location
from zt_gate.intake.sealed.place import PREFIX

_SCHEME = re.compile(r"\s*([A-Za-z][A-Za-z0-9+.-]*):")
_DECODINGS = 8
# Names of access points stand for a bucket that only AWS can tell.
_ACCESS_POINT = re.compile(r"arn:|\S*(s3-accesspoint|-s3alias|--ol-s3|s3-object-lambda|s3-outposts)")
_NEVER_A_BUCKET = ("file", "mlflow-artifacts", "models", "runs")
"""What MLflow itself gives a meaning to; all other schemes may be another API over the same bucket."""


def copy_prefix(location: Location, digest: Digest) -> str:
    """Return what the keys of a copy begin with; a slash and the path of a file follow."""
    return location.key(f"{PREFIX}{digest.hex}")


def commit_key(location: Location, digest: Digest) -> str:
    """Return the key of the commit object of a copy."""
    return f"{copy_prefix(location, digest)}.json"


def is_access_point(bucket: str) -> bool:
    """Whether a name stands for a bucket of another name, which would be a second road to the same objects."""
    return _ACCESS_POINT.match(_folded(bucket)) is not None


def leads_to(location: Location, place: str) -> bool:
    """Whether a path or URI names the prefix itself, anything below it, or anything above it."""
    root = [_folded(location.bucket), *_segments(_folded(location.prefix))]
    for _ in range(_DECODINGS):
        if _reads_as(root, _folded(place)):
            return True
        decoded = unquote(place)
        if decoded == place:
            return False
        place = decoded
    # Nobody encodes a honest URI that often.
    return _SCHEME.match(place) is not None


def _folded(text: str) -> str:
    # urllib drops tabs and line breaks anywhere in a URI; Windows paths and some loaders take \ for /.
    plain = re.sub(r"[\t\r\n]", "", text).replace("\\", "/").strip()
    return unicodedata.normalize("NFC", plain.casefold())


def _reads_as(root: list[str], text: str) -> bool:
    """Whether some reader takes a text, which is not decoded further, for a URI that leads to a root."""
    found = _SCHEME.match(text)
    if found is None or found.group(1) in _NEVER_A_BUCKET:
        return False
    rest = text[found.end() :].lstrip("/")
    # Some readers end a key at ? or #, others take them as part of it; a bucket name holds neither.
    for whole in (rest, re.split(r"[?#]", rest, maxsplit=1)[0]):
        host, _, path = whole.partition("/")
        host = re.split(r"[?#]", host, maxsplit=1)[0]
        # Path style: the first segment behind the endpoint is the bucket.
        readings = [_segments(whole), _segments(path)]
        if _is_bucket(root[0], host):
            readings.append([root[0], *_segments(path)])
        if _ACCESS_POINT.match(host) or any(
            _meets(root, names) for reading in readings for names in _resolved(reading)
        ):
            return True
    return False


def _is_bucket(bucket: str, host: str) -> bool:
    """Whether an authority names a bucket: before or behind an @, before a port, or first in the name of a host."""
    names = [part.split(":")[0] for part in (host, *host.split("@"))]
    return any(name == bucket or name.startswith(f"{bucket}.") for name in names)


def _segments(path: str) -> list[str]:
    return [segment for segment in path.split("/") if segment not in ("", ".")]


def _resolved(names: list[str]) -> Iterator[list[str]]:
    """Yield segments as they stand, without `..` that climb above the bucket, and with them."""
    yield names
    if ".." not in names:
        return
    for floor in (0, 1):
        resolved: list[str] = []
        for name in names:
            if name != "..":
                resolved.append(name)
            elif len(resolved) > floor:
                resolved.pop()
        yield resolved


def _meets(root: list[str], names: list[str]) -> bool:
    """Whether one of the two is a beginning of the other."""
    shorter = min(len(root), len(names))
    return shorter > 0 and root[:shorter] == names[:shorter]
