"""Whether the database has the tables that the gate needs: its own, made here where they are missing, and MLflow's."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa

from zt_gate.domain import printable
from zt_gate.registry.database import Database
from zt_gate.registry.tables import ALIASES, METADATA, MODEL_TAGS, MODEL_VERSIONS, MODELS, SCHEMA, VERSION_TAGS

VERSION = 1
"""Of the gate's tables; a later one may mean other things by the same columns."""
_UPGRADE = "stop the servers and run `mlflow db upgrade`"


def prepare(database: Database) -> str:
    """Create the gate's tables where they are missing, and return why they cannot be used; empty when they can."""
    try:
        if behind := _missing_of_mlflow(database):
            return f"MLflow's table {behind}: {_UPGRADE}"
        newer = _version(database)
        if newer > VERSION:
            return f"the gate's tables were made by a newer zt-gate: start that one (tables {newer}, not {VERSION})"
        database.create_tables()
        if not newer:
            with database.writing() as connection:
                database.put(connection, SCHEMA, {"id": 1}, {"version": VERSION})
        if lacking := _missing(database, METADATA.sorted_tables):
            return f"the gate's table {lacking}: it was made by another zt-gate; start that one"
    except sa.exc.SQLAlchemyError as error:
        return reason(error)
    return ""


def exist(database: Database) -> bool:
    """Whether the database has any table of the gate's; False means that nothing was ever promoted in it."""
    return any(name.startswith("zt_gate_") for name in sa.inspect(database.engine).get_table_names())


def reason(error: Exception) -> str:
    """Say why the database did not do something, and what to do about it."""
    said = str(getattr(error, "orig", None) or error)
    folded = said.lower()
    if "locked" in folded or "lock wait" in folded:
        return "the database is locked by another program: end that one, then try again"
    if "readonly" in folded or "read-only" in folded or "read only" in folded:
        return "the database is read-only: let the server's user write to it"
    if "no such table" in folded or "no such column" in folded or "exist" in folded or "unknown column" in folded:
        return f"the database lacks tables or columns: restart the server ({printable(said, 60)})"
    return f"the database refuses: {printable(said, 90)}"


def _version(database: Database) -> int:
    if not sa.inspect(database.engine).has_table(SCHEMA.name):
        return 0
    with database.reading() as connection:
        return int(connection.execute(sa.select(SCHEMA.c.version).where(SCHEMA.c.id == 1)).scalar() or 0)


def _missing_of_mlflow(database: Database) -> str:
    return _missing(database, (MODELS, MODEL_VERSIONS, ALIASES, MODEL_TAGS, VERSION_TAGS), frozenset({"workspace"}))


def _missing(database: Database, tables: Iterable[Any], optional: frozenset[str] = frozenset()) -> str:
    """Say which table or column is missing; empty when none is."""
    inspector = sa.inspect(database.engine)
    for table in tables:
        if not inspector.has_table(table.name):
            return f"{table.name} is missing"
        found = {column["name"] for column in inspector.get_columns(table.name)}
        if lacking := {column.name for column in table.c} - found - optional:
            return f"{table.name} has no column {min(lacking)}"
    return ""
