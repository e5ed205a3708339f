"""The connections of the gate's statements: short transactions of its own, or the transaction that MLflow has open."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql, postgresql, sqlite

from zt_gate.registry.tables import METADATA, MODELS


class Database:
    """MLflow's database, as the gate uses it.

    Args:
        engine: MLflow's own engine.
    """

    def __init__(self, engine: sa.Engine) -> None:
        # In MySQL's default, REPEATABLE READ, two workers that write one new key lock each other out.
        options = {"isolation_level": "READ COMMITTED"} if engine.dialect.name == "mysql" else {}
        self.engine = engine.execution_options(**options)
        self.kind = engine.dialect.name
        self._inside = threading.local()
        self._workspaces: bool | None = None
        self._compared = ""

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """Return a connection to read with."""
        open_already = getattr(self._inside, "connection", None)
        if open_already is not None:
            yield open_already
            return
        with self.engine.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """Return a connection whose statements are committed at the end, or together with MLflow's."""
        open_already = getattr(self._inside, "connection", None)
        if open_already is not None:
            yield open_already
            return
        with self.engine.begin() as connection:
            yield connection

    @contextmanager
    def inside(self, connection: sa.Connection) -> Iterator[None]:
        """Let every statement of this thread run on a connection, in the transaction that is open on it."""
        self._inside.connection = connection
        try:
            yield
        finally:
            self._inside.connection = None

    def has_workspaces(self) -> bool:
        """Whether this MLflow's tables know workspaces (3.x) or not (2.x)."""
        if self._workspaces is None:
            # Asked of the tables and not of MLflow's version, since a database may be older than the server.
            columns = sa.inspect(self.engine).get_columns("model_versions")
            self._workspaces = any(column["name"] == "workspace" for column in columns)
        return self._workspaces

    def of(self, table: Any, workspace: str, name: str) -> list[sa.ColumnElement[bool]]:
        """Return the condition for one model's rows in a table of MLflow's; 2.x knows no workspaces."""
        where = [table.c.name == name]
        return [*where, table.c.workspace == workspace] if self.has_workspaces() else where

    def create_tables(self) -> None:
        """Create what is missing. Another worker may do the same at the same time."""
        try:
            METADATA.create_all(self.engine)
        except sa.exc.DBAPIError:
            found = set(sa.inspect(self.engine).get_table_names())
            if not found.issuperset(METADATA.tables):
                raise

    def put(self, connection: sa.Connection, table: sa.Table, key: dict[str, Any], values: dict[str, Any]) -> None:
        """Write a row in the place of an older one of the same key, in one statement: two workers may write it."""
        if self.kind == "mysql":
            to_mysql = mysql.insert(table).values(**key, **values)
            connection.execute(to_mysql.on_duplicate_key_update(**(values or key)))
            return
        made = (sqlite if self.kind == "sqlite" else postgresql).insert(table).values(**key, **values)
        columns = [table.c[part] for part in key]
        if values:
            connection.execute(made.on_conflict_do_update(index_elements=columns, set_=values))
        else:
            connection.execute(made.on_conflict_do_nothing(index_elements=columns))

    def spelt(self, workspace: str, name: str) -> str:
        """Return a model's name as it is stored.

        MySQL finds `digits` for `Digits`, and MLflow goes by what the database finds. The gate's own keys are exact.
        """
        if self.kind != "mysql":
            return name
        query = sa.select(MODELS.c.name).where(*self.of(MODELS, workspace, name))
        with self.reading() as connection:
            return str(connection.execute(query).scalar() or name)

    def equal_names(self, column: sa.Column[str], other: sa.ColumnClause[Any]) -> sa.ColumnElement[bool]:
        """Return the condition that a name of the gate's is, to MLflow's tables, the name in a column of theirs."""
        if self.kind != "mysql":
            return column == other
        if not self._compared:
            query = (
                "SELECT CONCAT(CHARACTER_SET_NAME, ') COLLATE ', COLLATION_NAME) FROM information_schema.COLUMNS"
                " WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = 'registered_models' AND COLUMN_NAME = 'name'"
            )
            with self.engine.connect() as connection:
                self._compared = str(connection.exec_driver_sql(query).scalar_one())
        ours: sa.ColumnClause[str] = sa.literal_column(f"CONVERT({column} USING {self._compared}")
        return ours == other
