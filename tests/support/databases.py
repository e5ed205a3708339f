"""The three databases that the registry runs in, each ready with MLflow's tables, and copied for each test."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

_NUMBERS = count()


@dataclass
class Registry:
    """A database of one test.

    Args:
        uri: as MLflow takes it.
        run: runs SQL past the gate, and returns what the database said against it; empty where it obeyed.
        kind: `sqlite`, `postgresql` or `mariadb`.
    """

    uri: str
    run: Callable[[str], str]
    kind: str

    def sql(self, text: str) -> str:
        return self.run(text.replace("{key}", "`key`" if self.kind == "mariadb" else "key"))


def fill(uri: str) -> None:
    """Let MLflow make its tables, and leave no connection open."""
    from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore

    SqlAlchemyStore(uri).engine.dispose()


def sqlite_registry(empty: Path, folder: Path) -> Registry:
    place = folder / "mlflow.db"
    shutil.copy(empty, place)
    return sqlite_at(place)


def sqlite_at(place: Path) -> Registry:
    """Return the database in a file."""

    def run(text: str) -> str:
        connection = sqlite3.connect(place, timeout=20, isolation_level=None)
        try:
            connection.executescript(text)
        except sqlite3.Error as error:
            return str(error)
        finally:
            connection.close()
        return ""

    return Registry(f"sqlite:///{place}", run, "sqlite")


def postgres_registry(server: Any, template: str = "empty") -> Registry:
    """Return a copy of one of the server's databases, which it needs to have."""
    name = f"t{next(_NUMBERS)}"
    assert server.sql(f"CREATE DATABASE {name} TEMPLATE {template}").returncode == 0
    uri = f"postgresql+psycopg://postgres@127.0.0.1:{server.port}/{name}"
    return Registry(uri, lambda text: server.sql(text, name).stderr, "postgresql")


def mariadb_registry(server: Any, *, empty: bool = False) -> Registry:
    """Return a copy of the server's database `mlflow`, or a database without tables."""
    name = f"t{next(_NUMBERS)}"
    if empty:
        assert server.sql(f"CREATE DATABASE {name}").returncode == 0
    else:
        server.copy(name)
    return Registry(server.uri_of("root", name), lambda text: server.sql(text, name).stderr, "mariadb")
