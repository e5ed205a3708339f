"""Reading and writing the gate's own tables. Every method is one short transaction on the primary database."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from zt_gate.domain import Digest
from zt_gate.registry.database import Database
from zt_gate.registry.protected import Protected
from zt_gate.registry.sql_triggers import install
from zt_gate.registry.tables import (
    BOUND,
    FREE,
    HISTORY,
    MODEL_VERSIONS,
    NAMES,
    SEALED,
    SUMMARIES,
    VERSIONS,
)

_MOST = 200
_NEWEST = (SUMMARIES.c.verified.desc(), SUMMARIES.c.passed, SUMMARIES.c.id)
"""The newest verdict first; of two of the same second the one that blocks."""


@dataclass(frozen=True, slots=True)
class Kept:
    """A summary as it was submitted, with what was read from it."""

    id: str
    digest: str
    stage: str
    verified: str
    passed: bool
    data: str
    brought_by: str = "unknown"


@dataclass(frozen=True, slots=True)
class VersionStanding:
    """The sealed digest, the newest verdict and the origin of a version, for one stage."""

    digest: str
    newest: str | None
    """The id of the newest verdict about the digest; None where there is none."""
    unchanged: bool
    """Whether its files come from where they came from when the gate saw it created or promoted."""


@dataclass(frozen=True, slots=True)
class VersionEvent:
    """A line of a version's history."""

    name: str
    version: int
    act: str
    digest: str
    who: str
    time: str
    outcome: str


def facts(source: str | None, location: str | None, run: str | None) -> str:
    """Return a hash of what says where a version's files come from."""
    return Digest.of(json.dumps([source, location, run]).encode()).hex


class Ledger:
    """The gate's tables in one database.

    Args:
        engine: MLflow's own engine.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: from every method, where the database refuses.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self.database = Database(engine)

    def add_summary(self, workspace: str, kept: Kept) -> None:
        """Store a summary; an existing one is left unchanged."""
        row = {"workspace": workspace, "id": kept.id, "digest": kept.digest, "stage": kept.stage}
        row |= {"verified": kept.verified, "data": kept.data, "brought_by": kept.brought_by[:256]}
        where = sa.and_(SUMMARIES.c.workspace == workspace, SUMMARIES.c.id == kept.id)
        with self.database.writing() as connection:
            if connection.execute(sa.select(SUMMARIES.c.id).where(where)).first() is None:
                connection.execute(SUMMARIES.insert().values(**row, passed=int(kept.passed)))

    def newest(self, workspace: str, digest: str, stage: str) -> str | None:
        """Return the id of the newest verdict about a digest; of two of the same second the one that blocks."""
        query = (
            sa.select(SUMMARIES.c.id)
            .where(SUMMARIES.c.workspace == workspace, SUMMARIES.c.digest == digest, SUMMARIES.c.stage == stage)
            .order_by(*_NEWEST)
            .limit(1)
        )
        with self.database.reading() as connection:
            return connection.execute(query).scalar()

    def standing(self, workspace: str, name: str, version: int, stages: Iterable[str]) -> dict[str, VersionStanding]:
        """Return by stage the digest, verdict and origin of a version that exists now: all that a read needs."""
        verdict = sa.and_(
            SUMMARIES.c.workspace == VERSIONS.c.workspace,
            SUMMARIES.c.digest == VERSIONS.c.digest,
            SUMMARIES.c.stage == VERSIONS.c.stage,
        )
        seen = sa.and_(*(BOUND.c[part] == VERSIONS.c[part] for part in ("workspace", "name", "version", "created")))
        tables = VERSIONS.join(MODEL_VERSIONS, self._same()).outerjoin(BOUND, seen).outerjoin(SUMMARIES, verdict)
        now = (MODEL_VERSIONS.c.source, MODEL_VERSIONS.c.storage_location, MODEL_VERSIONS.c.run_id)
        query = (
            sa.select(VERSIONS.c.digest, SUMMARIES.c.id, BOUND.c.facts, *now)
            .select_from(tables)
            .where(VERSIONS.c.workspace == workspace, VERSIONS.c.name == name, VERSIONS.c.version == version)
            # Said once more of MLflow's own table: MySQL uses no index between columns that it has to convert.
            .where(*self.database.of(MODEL_VERSIONS, workspace, name), MODEL_VERSIONS.c.version == version)
            .order_by(*_NEWEST)
            .limit(1)
        )
        found = {}
        with self.database.reading() as connection:
            for stage in stages:
                row = connection.execute(query.where(VERSIONS.c.stage == stage)).first()
                if row is not None:
                    same = row.facts == facts(row.source, row.storage_location, row.run_id)
                    found[stage] = VersionStanding(str(row.digest), row.id, same)
        return found

    def summary(self, workspace: str, name: str) -> Kept | None:
        """Return a summary by its id."""
        where = sa.and_(SUMMARIES.c.workspace == workspace, SUMMARIES.c.id == name)
        with self.database.reading() as connection:
            row = connection.execute(sa.select(SUMMARIES).where(where)).mappings().first()
        return _kept(row) if row is not None else None

    def summaries(self, workspace: str, digest: str) -> list[Kept]:
        """Return the verdicts about a digest, the newest first."""
        query = (
            sa.select(SUMMARIES)
            .where(SUMMARIES.c.workspace == workspace, SUMMARIES.c.digest == digest)
            .order_by(SUMMARIES.c.verified.desc(), SUMMARIES.c.passed)
            .limit(_MOST)
        )
        with self.database.reading() as connection:
            return [_kept(row) for row in connection.execute(query).mappings()]

    def seals(self, workspace: str, name: str, version: int) -> dict[str, str]:
        """Return the digest by stage of a version that exists now, and not of one that had its number before."""
        query = (
            sa.select(VERSIONS.c.stage, VERSIONS.c.digest)
            .select_from(VERSIONS.join(MODEL_VERSIONS, self._same()))
            .where(VERSIONS.c.workspace == workspace, VERSIONS.c.name == name, VERSIONS.c.version == version)
        )
        with self.database.reading() as connection:
            return {row.stage: row.digest for row in connection.execute(query)}

    def holders(self, workspace: str, digest: str) -> list[tuple[str, int]]:
        """Return the models of a workspace with a version that is sealed under a digest, each with such a version."""
        query = (
            sa.select(VERSIONS.c.name, sa.func.min(VERSIONS.c.version))
            .select_from(VERSIONS.join(MODEL_VERSIONS, self._same()))
            .where(VERSIONS.c.workspace == workspace, VERSIONS.c.digest == digest)
            .group_by(VERSIONS.c.name)
            .order_by(VERSIONS.c.name)
        )
        with self.database.reading() as connection:
            return [(str(name), int(version)) for name, version in connection.execute(query)]

    def _same(self) -> sa.ColumnElement[bool]:
        """Whether a row is about MLflow's version, and not about one that had its number before."""
        known = MODEL_VERSIONS.c
        same = sa.and_(
            known.name == VERSIONS.c.name,
            known.version == VERSIONS.c.version,
            known.creation_time == VERSIONS.c.created,
        )
        return sa.and_(same, known.workspace == VERSIONS.c.workspace) if self.database.has_workspaces() else same

    def seal(self, workspace: str, name: str, version: int, created: int, digest: str, stages: Iterable[str]) -> None:
        """Record the digest under which a version is sealed, for each stage."""
        with self.database.writing() as connection:
            for stage in sorted(stages):
                key = {"workspace": workspace, "name": name, "version": version, "stage": stage}
                self.database.put(connection, VERSIONS, key, {"created": created, "digest": digest})

    def pin(self, root: str, digest: str) -> str:
        """Return the pin of a sealed copy; empty where there is none."""
        query = sa.select(SEALED.c.pin).where(SEALED.c.root == root, SEALED.c.digest == digest)
        with self.database.reading() as connection:
            return str(connection.execute(query).scalar() or "")

    def keep_pin(self, root: str, digest: str, pin: str) -> None:
        """Record how to find a sealed copy again; what was recorded before no longer counts."""
        with self.database.writing() as connection:
            self.database.put(connection, SEALED, {"root": root, "digest": digest}, {"pin": pin})

    def rename(self, workspace: str, name: str, new_name: str) -> None:
        """Move the rows of a model to its new name; rows of an earlier model of that name are deleted."""
        if name == new_name:
            return
        with self.database.writing() as connection:
            old = sa.and_(VERSIONS.c.workspace == workspace, VERSIONS.c.name == new_name)
            connection.execute(VERSIONS.delete().where(old))
            for table in (VERSIONS, HISTORY):
                where = sa.and_(table.c.workspace == workspace, table.c.name == name)
                connection.execute(table.update().where(where).values(name=new_name))

    def record(self, workspace: str, act: VersionEvent) -> None:
        """Add a line to a version's history."""
        # PostgreSQL refuses a text that is longer than its column; sqlite takes it.
        row = {"workspace": workspace, "name": act.name[:256], "version": act.version, "act": act.act[:400]}
        row |= {"digest": act.digest, "who": act.who[:256], "time": act.time, "outcome": act.outcome[:400]}
        with self.database.writing() as connection:
            connection.execute(HISTORY.insert().values(**row))

    def history(self, workspace: str, name: str, version: int) -> list[VersionEvent]:
        """Return what was done to a version, the newest first."""
        where = (HISTORY.c.workspace == workspace, HISTORY.c.name == name, HISTORY.c.version == version)
        query = sa.select(HISTORY).where(*where).order_by(HISTORY.c.id.desc()).limit(_MOST)
        fields = VersionEvent.__dataclass_fields__
        with self.database.reading() as connection:
            rows = connection.execute(query).mappings().all()
        return [VersionEvent(**{name: row[name] for name in fields}) for row in rows]

    def names(self) -> str | None:
        """Return what the last readable policy protects, as text."""
        with self.database.reading() as connection:
            return connection.execute(sa.select(NAMES.c.names).where(NAMES.c.id == 1)).scalar()

    def keep_names(self, text: str) -> None:
        """Remember what a policy protects."""
        if text == self.names():
            return  # a database that is read-only keeps them as well
        with self.database.writing() as connection:
            self.database.put(connection, NAMES, {"id": 1}, {"names": text})

    def install_triggers(self, protected: Protected | None) -> None:
        """Let the database refuse by itself what the policy protects; nothing any more without names."""
        with self.database.reading() as connection:
            kept = connection.execute(sa.select(FREE.c.kind, FREE.c.name)).all()
        over = [(kind, name) for kind, name in kept if protected is None or protected.demanded(kind, name)]
        for kind, name in over:
            with self.database.writing() as connection:
                connection.execute(FREE.delete().where(FREE.c.kind == kind, FREE.c.name == name))
        install(self.database.engine, protected, workspaces=self.database.has_workspaces())

    def keep_free(self, kind: str, name: str) -> None:
        """Record a name with letters outside ASCII that is not protected; a trigger lets no other through."""
        with self.database.writing() as connection:
            self.database.put(connection, FREE, {"kind": kind, "name": name}, {})


def _kept(row: Any) -> Kept:
    fields = ("id", "digest", "stage", "verified", "data", "brought_by")
    return Kept(passed=bool(row["passed"]), **{name: row[name] for name in fields})
