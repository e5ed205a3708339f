"""The gate's own tables in MLflow's database, and as much of MLflow's as the gate reads."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.mysql import MEDIUMTEXT

METADATA = sa.MetaData()
_WORKSPACE = sa.String(63)
_NAME = sa.String(256)
# A summary has up to 90 KB, and MySQL's TEXT ends at 64 KB.
_LONG = sa.Text().with_variant(MEDIUMTEXT(), "mysql", "mariadb")
# MySQL compares without case by default, so that a name in other letters would be another row's twin.
_MYSQL: dict[str, Any] = {"mysql_charset": "utf8mb4", "mysql_collate": "utf8mb4_bin", "mysql_engine": "InnoDB"}

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
    sa.Column("data", _LONG, nullable=False),
    sa.Index("zt_gate_by_digest", "workspace", "digest", "stage", "verified"),
    **_MYSQL,
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
    **_MYSQL,
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
    **_MYSQL,
)
"""What was done to a version, for the page about it. The audit log is the record; this is a convenience."""

NAMES = sa.Table(
    "zt_gate_names",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("names", _LONG, nullable=False),
    **_MYSQL,
)
"""One row: what the last readable policy protects, for the time when it cannot be read."""

PROMPTS = sa.Table(
    "zt_gate_prompts",
    METADATA,
    sa.Column("workspace", _WORKSPACE, primary_key=True),
    sa.Column("name", _NAME, primary_key=True),
    sa.Column("created", sa.BigInteger, nullable=False),
    **_MYSQL,
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
    **_MYSQL,
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
    **_MYSQL,
)
"""Every name and number that was ever promoted. A rename or a deletion leaves it: a client that resolved the name
before may ask for the files after."""

SEALED = sa.Table(
    "zt_gate_sealed",
    METADATA,
    sa.Column("root", sa.String(512), primary_key=True),
    sa.Column("digest", sa.String(64), primary_key=True),
    sa.Column("pin", sa.String(1000), nullable=False),
    **_MYSQL,
)
"""How to find a sealed copy again, by the root of its place and its digest (`zt_gate.intake.sealed.Sealed`)."""

SCHEMA = sa.Table(
    "zt_gate_schema",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("version", sa.Integer, nullable=False),
    **_MYSQL,
)
"""One row: the version of these tables, so that an older gate leaves those of a newer one alone."""

FREE = sa.Table(
    "zt_gate_free",
    METADATA,
    sa.Column("kind", sa.String(16), primary_key=True),
    sa.Column("name", _NAME, primary_key=True),
    **_MYSQL,
)
"""Names with letters outside ASCII that the policy does not protect. A trigger cannot fold letters as the gate does, so
it lets through only those that the gate saw."""

MODEL_VERSIONS = sa.table(
    "model_versions",
    *(sa.column(name) for name in ("workspace", "name", "version", "creation_time", "current_stage")),
    *(sa.column(name) for name in ("source", "storage_location", "run_id")),
)
MODELS = sa.table("registered_models", *(sa.column(name) for name in ("workspace", "name", "creation_time")))
ALIASES = sa.table("registered_model_aliases", *(sa.column(name) for name in ("workspace", "name", "alias", "version")))
MODEL_TAGS = sa.table("registered_model_tags", *(sa.column(name) for name in ("workspace", "name", "key", "value")))
VERSION_TAGS = sa.table("model_version_tags", *(sa.column(name) for name in ("workspace", "name", "version", "key")))
"""MLflow's own tables, as far as the gate reads them."""
