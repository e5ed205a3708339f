"""Reading and writing the gate's own tables. Every method is one short transaction on the primary database."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from zt_gate.domain import Digest

METADATA = sa.MetaData()
_WORKSPACE = sa.String(63)
_NAME = sa.String(256)

SUMMARIES = sa.Table(
    "zt_gate_summaries",
    METADATA,
    sa.Column("workspace", _WORKSPACE, primary_key=True),
    sa.Column("id", sa.String(64), primary_key=True),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("stage", sa.String(64), nullable=False),
    sa.Column("verified", sa.String(20), nullable=False),
    sa.Column("passed", sa.Integer, nullable=False),
    sa.Column("brought_by", sa.String(256), nullable=False),
    sa.Column("data", sa.Text, nullable=False),
    sa.Index("zt_gate_by_digest", "workspace", "digest", "stage", "verified"),
)
"""Verdicts as signed summaries, by workspace and by the SHA-256 of the submitted bytes."""

VERSIONS = sa.Table(
    "zt_gate_versions",
    METADATA,
    sa.Column("workspace", _WORKSPACE, primary_key=True),
    sa.Column("name", _NAME, primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("stage", sa.String(64), primary_key=True),
    sa.Column("created", sa.BigInteger, nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
)
"""The digest under which a version is sealed, by the stage that it was admitted to. `created` is the version's own
time of creation: a model that was deleted and made again starts at version 1 again, with other bytes."""

HISTORY = sa.Table(
    "zt_gate_history",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("workspace", _WORKSPACE, nullable=False),
    sa.Column("name", _NAME, nullable=False),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("act", sa.String(400), nullable=False),
    sa.Column("digest", sa.String(64), nullable=False),
    sa.Column("who", sa.String(256), nullable=False),
    sa.Column("time", sa.String(20), nullable=False),
    sa.Column("outcome", sa.String(400), nullable=False),
    sa.Index("zt_gate_by_version", "workspace", "name", "version"),
)
"""What was done to a version, for the page about it. The audit log is the record; this is a convenience."""

NAMES = sa.Table(
    "zt_gate_names",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("names", sa.Text, nullable=False),
)
"""One row: what the last readable policy protects, for the time when it cannot be read."""

PROMPTS = sa.Table(
    "zt_gate_prompts",
    METADATA,
    sa.Column("workspace", _WORKSPACE, primary_key=True),
    sa.Column("name", _NAME, primary_key=True),
    sa.Column("created", sa.BigInteger, nullable=False),
)
"""The registered models that the gate saw created as prompts. `created` is the model's own time of creation."""

BOUND = sa.Table(
    "zt_gate_bound",
    METADATA,
    sa.Column("workspace", _WORKSPACE, primary_key=True),
    sa.Column("name", _NAME, primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("created", sa.BigInteger, nullable=False),
    sa.Column("facts", sa.String(64), nullable=False),
)
"""A hash of where a version's files come from, as the gate saw it when the version was created or first promoted."""

PROMOTED = sa.Table(
    "zt_gate_promoted",
    METADATA,
    sa.Column("workspace", _WORKSPACE, primary_key=True),
    sa.Column("name", _NAME, primary_key=True),
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("stage", sa.String(64), primary_key=True),
    sa.Column("created", sa.BigInteger, primary_key=True, autoincrement=False),
)
"""Every name and number that was ever promoted. A rename or a deletion leaves it: a client that resolved the name
before may ask for the files after."""

MODEL_VERSIONS = sa.table(
    "model_versions",
    *(sa.column(name) for name in ("workspace", "name", "version", "creation_time", "current_stage")),
    *(sa.column(name) for name in ("source", "storage_location", "run_id")),
)
MODELS = sa.table("registered_models", *(sa.column(name) for name in ("workspace", "name", "creation_time")))
ALIASES = sa.table("registered_model_aliases", *(sa.column(name) for name in ("workspace", "name", "alias")))
MODEL_TAGS = sa.table("registered_model_tags", *(sa.column(name) for name in ("workspace", "name", "key", "value")))
VERSION_TAGS = sa.table("model_version_tags", *(sa.column(name) for name in ("workspace", "name", "version", "key")))
"""MLflow's own tables, as far as the gate reads them."""


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
        self.engine = engine
        self._workspaces: bool | None = None

    def create(self) -> None:
        """Create what is missing. Another worker may do the same at the same time."""
        try:
            METADATA.create_all(self.engine)
        except sa.exc.DBAPIError:
            METADATA.create_all(self.engine)

    def has_workspaces(self) -> bool:
        """Whether this MLflow's tables know workspaces (3.x) or not (2.x)."""
        if self._workspaces is None:
            # Asked of the tables and not of MLflow's version, since a database may be older than the server.
            columns = sa.inspect(self.engine).get_columns("model_versions")
            self._workspaces = any(column["name"] == "workspace" for column in columns)
        return self._workspaces

    def add_summary(self, workspace: str, kept: Kept) -> None:
        """Store a summary; an existing one is left unchanged."""
        row = {"workspace": workspace, "id": kept.id, "digest": kept.digest, "stage": kept.stage}
        row |= {"verified": kept.verified, "data": kept.data, "brought_by": kept.brought_by[:256]}
        where = sa.and_(SUMMARIES.c.workspace == workspace, SUMMARIES.c.id == kept.id)
        with self.engine.begin() as connection:
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
        with self.engine.connect() as connection:
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
            .order_by(*_NEWEST)
            .limit(1)
        )
        found = {}
        with self.engine.connect() as connection:
            for stage in stages:
                row = connection.execute(query.where(VERSIONS.c.stage == stage)).first()
                if row is not None:
                    same = row.facts == facts(row.source, row.storage_location, row.run_id)
                    found[stage] = VersionStanding(str(row.digest), row.id, same)
        return found

    def summary(self, workspace: str, name: str) -> Kept | None:
        """Return a summary by its id."""
        where = sa.and_(SUMMARIES.c.workspace == workspace, SUMMARIES.c.id == name)
        with self.engine.connect() as connection:
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
        with self.engine.connect() as connection:
            return [_kept(row) for row in connection.execute(query).mappings()]

    def seals(self, workspace: str, name: str, version: int) -> dict[str, str]:
        """Return the digest by stage of a version that exists now, and not of one that had its number before."""
        query = (
            sa.select(VERSIONS.c.stage, VERSIONS.c.digest)
            .select_from(VERSIONS.join(MODEL_VERSIONS, self._same()))
            .where(VERSIONS.c.workspace == workspace, VERSIONS.c.name == name, VERSIONS.c.version == version)
        )
        with self.engine.connect() as connection:
            return {row.stage: row.digest for row in connection.execute(query)}

    def _same(self) -> sa.ColumnElement[bool]:
        """Whether a row is about MLflow's version, and not about one that had its number before."""
        known = MODEL_VERSIONS.c
        same = sa.and_(
            known.name == VERSIONS.c.name,
            known.version == VERSIONS.c.version,
            known.creation_time == VERSIONS.c.created,
        )
        return sa.and_(same, known.workspace == VERSIONS.c.workspace) if self.has_workspaces() else same

    def seal(self, workspace: str, name: str, version: int, created: int, digest: str, stages: Iterable[str]) -> None:
        """Record the digest under which a version is sealed, for each stage."""
        with self.engine.begin() as connection:
            for stage in sorted(stages):
                key = {"workspace": workspace, "name": name, "version": version, "stage": stage}
                connection.execute(VERSIONS.delete().where(*(VERSIONS.c[part] == key[part] for part in key)))
                connection.execute(VERSIONS.insert().values(**key, created=created, digest=digest))

    def rename(self, workspace: str, name: str, new_name: str) -> None:
        """Move the rows of a model to its new name; rows of an earlier model of that name are deleted."""
        if name == new_name:
            return
        with self.engine.begin() as connection:
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
        with self.engine.begin() as connection:
            connection.execute(HISTORY.insert().values(**row))

    def history(self, workspace: str, name: str, version: int) -> list[VersionEvent]:
        """Return what was done to a version, the newest first."""
        where = (HISTORY.c.workspace == workspace, HISTORY.c.name == name, HISTORY.c.version == version)
        query = sa.select(HISTORY).where(*where).order_by(HISTORY.c.id.desc()).limit(_MOST)
        fields = VersionEvent.__dataclass_fields__
        with self.engine.connect() as connection:
            rows = connection.execute(query).mappings().all()
        return [VersionEvent(**{name: row[name] for name in fields}) for row in rows]

    def names(self) -> str | None:
        """Return what the last readable policy protects, as text."""
        with self.engine.connect() as connection:
            return connection.execute(sa.select(NAMES.c.names).where(NAMES.c.id == 1)).scalar()

    def keep_names(self, text: str) -> None:
        """Remember what a policy protects."""
        with self.engine.begin() as connection:
            done = connection.execute(NAMES.update().where(NAMES.c.id == 1).values(names=text))
            if not done.rowcount:
                connection.execute(NAMES.insert().values(id=1, names=text))


def _kept(row: Any) -> Kept:
    fields = ("id", "digest", "stage", "verified", "data", "brought_by")
    return Kept(passed=bool(row["passed"]), **{name: row[name] for name in fields})
