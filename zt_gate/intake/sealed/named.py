"""Sealed places by the name that an operator gives: a folder, or `s3://BUCKET/PREFIX`."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

from zt_gate.domain import printable
from zt_gate.errors import UsageError
from zt_gate.intake.sealed.folder import SealedFolder
from zt_gate.intake.sealed.place import Retention, SealedPlace


# One place per name: a bucket keeps its connections.
@lru_cache(maxsize=16)
def sealed_place(root: str, retention: Retention | None = None) -> SealedPlace:
    """Return the place of a name, which need not exist yet.

    Args:
        root: an absolute path, or `s3://BUCKET/PREFIX`.
        retention: how long a bucket keeps each copy, whoever wants to delete it.

    Raises:
        UsageError: it is neither.
        ZtGateError: what such a place needs is not installed or set.
    """
    if root.startswith("s3://"):
        from zt_gate.intake.sealed.object_store import SealedBucket

        return SealedBucket(root, retention)
    if not os.path.isabs(root):
        advice = "name an absolute path or s3://BUCKET/PREFIX"
        raise UsageError(f"{printable(root, 60)} is no place for sealed copies", advice)
    return SealedFolder(Path(root))
