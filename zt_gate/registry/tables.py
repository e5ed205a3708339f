"""What the gate keeps beside MLflow's own tables, so that every worker and every restart knows the same.

Summaries are signed and prove themselves. A version's row only says under which digest its bytes are sealed: whoever
forges one gains that the approved bytes of that digest are served.
"""

from __future__ import annotations

import sqlalchemy as sa

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
"""Verdicts as signed summaries, by workspace and by the SHA-256 of what was handed in."""

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
