"""Database triggers, so that raw SQL, or a server without the plugin, cannot set a protected alias or stage.

A trigger cannot verify a signature. It requires the row that the store writes when it admits a version. A forged row
gets past the trigger and not past the store, which requires the verdict on every read.
"""

from __future__ import annotations

import sqlalchemy as sa

from zt_gate.registry.protected import Protected

TEXT = "zt-gate: this version was not admitted; see docs/mlflow.md"
_LOCK = 0x7A746761


def install(engine: sa.Engine, protected: Protected, *, workspaces: bool) -> bool:
    """Create the triggers, or replace those of an older policy; False where the database has none of ours.

    Args:
        engine: MLflow's own engine; its role needs the right to create triggers.
        protected: the names.
        workspaces: whether MLflow's tables have the column `workspace`.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: the database refuses.
    """
    alias = _condition(protected, "aliases", "NEW.alias", workspaces=workspaces)
    stage = _condition(protected, "stages", "NEW.current_stage", workspaces=workspaces)
    kind = engine.dialect.name
    if kind == "sqlite":
        _sqlite(engine, alias, stage)
    elif kind == "postgresql":
        _postgresql(engine, alias, stage)
    return kind in ("sqlite", "postgresql")


def _condition(protected: Protected, kind: str, column: str, *, workspaces: bool) -> str:
    """Return the SQL condition under which a row is refused. Every literal is quoted by `_quoted`."""
    workspace = "NEW.workspace" if workspaces else "'default'"
    of = f"m.workspace = {workspace} AND " if workspaces else ""
    same = "m.name = v.name AND m.version = v.version AND m.creation_time = v.created"
    new = f"{of}v.workspace = {workspace} AND v.name = NEW.name AND v.version = NEW.version"
    row = f"SELECT 1 FROM zt_gate_promoted v JOIN model_versions m ON {same} WHERE {new}"  # noqa: S608 - texts of ours
    parts = [
        # MLflow keeps `Champion` and `champion` apart, and people do not, so both are protected.
        f"(lower({column}) LIKE {_like(glob)} ESCAPE '!' AND NOT EXISTS ({row} AND v.stage = {_quoted(stage)}))"
        for names in (protected, *protected.more)
        for glob, stage in getattr(names, kind).items()
    ]
    # SQL's lower() folds ASCII only. A name with other letters may fold to a protected one (`policy.registry.fold`),
    # so it requires that the version was admitted to some stage.
    return " OR ".join([*parts, f"({column} <> %ascii% AND NOT EXISTS ({row}))"])


def _like(glob: str) -> str:
    escaped = glob.lower().replace("!", "!!").replace("%", "!%").replace("_", "!_")
    return _quoted(escaped.replace("*", "%"))


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _sqlite(engine: sa.Engine, alias: str, stage: str) -> None:
    wanted = {}
    for event, name, table, condition in (
        ("INSERT", "zt_gate_alias_insert", "registered_model_aliases", alias),
        # An update of `version` alone would move a protected alias to other bytes.
        ("UPDATE OF alias, version", "zt_gate_alias_update", "registered_model_aliases", alias),
        ("UPDATE OF current_stage", "zt_gate_stage_update", "model_versions", stage),
        # MLflow creates versions in the stage None; one that starts in a protected stage comes from raw SQL.
        ("INSERT", "zt_gate_stage_insert", "model_versions", stage),
    ):
        ascii_only = condition
        for column in ("NEW.alias", "NEW.current_stage"):
            # sqlite has no regular expressions unless a program brings them; GLOB is built in.
            ascii_only = ascii_only.replace(f"({column} <> %ascii%", f"({column} GLOB '*[^ -~]*'")
        wanted[name] = (
            f"CREATE TRIGGER {name} BEFORE {event} ON {table} WHEN {ascii_only}"
            f" BEGIN SELECT RAISE(ABORT, {_quoted(TEXT)}); END"
        )
    with engine.connect() as connection:
        query = sa.text("SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'zt_gate_%'")
        found = {row.name: row.sql for row in connection.execute(query)}
        if found == wanted:  # the usual start of a server: no write lock is taken
            return
        # The query above began a transaction, and BEGIN inside another one is an error.
        connection.rollback()
        # The write lock comes first: two workers that start together must not drop each other's triggers.
        connection.exec_driver_sql("BEGIN IMMEDIATE")
        for name, text in wanted.items():
            connection.exec_driver_sql(f"DROP TRIGGER IF EXISTS {name}")
            connection.exec_driver_sql(text)
        connection.commit()


def _postgresql(engine: sa.Engine, alias: str, stage: str) -> None:
    with engine.begin() as connection:
        # MLflow starts several workers at once, and PostgreSQL fails when two replace one function together.
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
        for name, events, table, condition in (
            ("zt_gate_alias", "INSERT OR UPDATE OF alias, version", "registered_model_aliases", alias),
            ("zt_gate_stage", "INSERT OR UPDATE OF current_stage", "model_versions", stage),
        ):
            ascii_only = condition.replace("<> %ascii%", "~ '[^ -~]'")
            body = f"BEGIN IF {ascii_only} THEN RAISE EXCEPTION {_quoted(TEXT)}; END IF; RETURN NEW; END"
            known = connection.execute(sa.text("SELECT prosrc FROM pg_proc WHERE proname = :name"), {"name": name})
            if known.scalar() == body:
                continue
            # The driver takes a percent sign for a parameter, so each is doubled.
            create = f"CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $zt_gate${body}$zt_gate$"
            connection.exec_driver_sql(create.replace("%", "%%"))
            # CREATE OR REPLACE TRIGGER exists from PostgreSQL 14 on.
            connection.exec_driver_sql(f"DROP TRIGGER IF EXISTS {name} ON {table}")
            connection.exec_driver_sql(
                f"CREATE TRIGGER {name} BEFORE {events} ON {table} FOR EACH ROW EXECUTE FUNCTION {name}()"
            )
