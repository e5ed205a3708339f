"""Garbage collection of sealed copies: what no version, alias or verdict in force needs any more.

An alias leads to a version, so the versions that exist cover both. A promotion needs a verdict before it seals, so a
verdict in force keeps a copy as well. The ledger is asked again right before each removal, and once more after it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from zt_gate.domain import Digest
from zt_gate.errors import ZtGateError
from zt_gate.intake.sealed.place import SealedPlace
from zt_gate.registry.ledger import Ledger
from zt_gate.registry.tables import MODEL_VERSIONS, SEALED, SUMMARIES, VERSIONS
from zt_gate.trust.statements.summary import stated_expiry

DELETED = "Deleted_Internal"
"""The stage in which MLflow keeps the row of a deleted version."""
LEAST_AGE = timedelta(days=1)
"""A younger copy may be one that is being sealed, by any worker of any server."""


@dataclass(frozen=True, slots=True)
class Unneeded:
    """A sealed copy that nothing needs."""

    digest: Digest
    changed: datetime
    """When it was last changed."""


def need(ledger: Ledger, digest: Digest, now: datetime) -> str:
    """Return what needs a sealed copy; empty where nothing does.

    Args:
        ledger: of the registry.
        digest: of the copy.
        now: the time in UTC.
    """
    verdicts = sa.select(SUMMARIES.c.passed, SUMMARIES.c.data).where(SUMMARIES.c.digest == digest.hex)
    with ledger.database.engine.connect() as connection:
        found = connection.execute(_live_version(digest)).first()
        if found is not None:
            return f"models:/{found.name}/{found.version}"
        rows = connection.execute(verdicts).all()
    if not rows and not _has_pin(ledger, digest):
        return "another registry: this one never had a verdict about it"
    ends = [stated_expiry(str(row.data).encode()) for row in rows if row.passed]
    # One that does not say when it ends cannot be shown to be over.
    return "a verdict in force" if any(end is None or end > now for end in ends) else ""


def unneeded(ledger: Ledger, place: SealedPlace, older: timedelta, now: datetime) -> Iterator[Unneeded]:
    """Yield the copies that nothing needs and that have not changed for a while.

    Args:
        ledger: of the registry.
        place: where the copies lie.
        older: how long ago a copy was last changed, at least; `LEAST_AGE` or more.
        now: the time in UTC.

    Raises:
        ZtGateError: the place does not answer.
    """
    if older < LEAST_AGE:
        raise ValueError("a copy that is being sealed could be taken for garbage")
    for digest, changed in place.kept():
        if changed <= now - older and not need(ledger, digest, now):
            yield Unneeded(digest, changed)


def remove(ledger: Ledger, place: SealedPlace, copy: Unneeded, now: datetime) -> str:
    """Remove a copy, and return why it was kept or what is wrong; empty when it is gone and nobody misses it.

    Args:
        ledger: of the registry.
        place: where the copy lies.
        copy: what `unneeded` yielded.
        now: the time in UTC.
    """
    if by := need(ledger, copy.digest, now):
        return f"kept: needed meanwhile by {by}"
    try:
        place.remove(copy.digest)
    except ZtGateError as error:
        return f"not removed: {error.message}"
    if by := need(ledger, copy.digest, now):
        return f"removed, and needed in the same moment by {by}: promote it again"
    with ledger.database.engine.begin() as connection:
        connection.execute(SEALED.delete().where(SEALED.c.root == place.root, SEALED.c.digest == copy.digest.hex))
    return ""


def _live_version(digest: Digest) -> sa.Select[tuple[str, int]]:
    """Return the query for a version that exists now and is sealed under a digest, in any workspace."""
    known = MODEL_VERSIONS.c
    # A model that was deleted and made again has a version 1 again, with another time of creation. Workspaces are not
    # compared, since old databases have none: at worst a copy is kept for a version of the same name and second.
    same = (
        known.name == VERSIONS.c.name,
        known.version == VERSIONS.c.version,
        known.creation_time == VERSIONS.c.created,
    )
    alive = sa.func.coalesce(known.current_stage, "") != DELETED
    joined = VERSIONS.join(MODEL_VERSIONS, sa.and_(*same, alive))
    return (
        sa.select(VERSIONS.c.name, VERSIONS.c.version)
        .select_from(joined)
        .where(VERSIONS.c.digest == digest.hex)
        .limit(1)
    )


def _has_pin(ledger: Ledger, digest: Digest) -> bool:
    query = sa.select(SEALED.c.digest).where(SEALED.c.digest == digest.hex).limit(1)
    with ledger.database.engine.connect() as connection:
        return connection.execute(query).first() is not None
