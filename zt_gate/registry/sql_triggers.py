"""Database triggers, so that raw SQL, or a server without the plugin, cannot set a protected mark or change a version.

What they refuse is in `sql_conditions`. A trigger is named by a hash of its text: a new one is in force before an old
one is dropped, also in MySQL, where neither can be part of a transaction.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from zt_gate.domain import Digest
from zt_gate.registry.protected import Protected
from zt_gate.registry.sql_conditions import Rule, Words, quoted, rules

_LOCK = 0x7A746761
_PATIENCE = 30
"""Seconds to wait for another worker that does the same."""


def install(engine: sa.Engine, protected: Protected | None, *, workspaces: bool) -> None:
    """Create the triggers, or replace those of an older policy; drop them without names.

    Args:
        engine: MLflow's own engine; its role needs the right to create triggers.
        protected: the names; None where the policy wants no triggers.
        workspaces: whether MLflow's tables have the column `workspace`.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: the database refuses.
    """
    words = Words(engine.dialect.name, workspaces)
    wanted = {_name(rule): rule for rule in (rules(protected, words) if protected is not None else [])}
    with engine.connect() as connection:
        if _found(connection, words.kind) == {name: _body(rule, words.kind) for name, rule in wanted.items()}:
            return  # the usual start of a server: no lock is taken
    with _locked(engine, words.kind) as connection:
        found = _found(connection, words.kind)
        for name, rule in wanted.items():
            body = _body(rule, words.kind)
            if found.get(name) != body:
                if name in found:  # somebody wrote another text under this name
                    _drop(connection, words.kind, name)
                for text in _create(name, rule, body, words.kind):
                    _execute(connection, text)
        for name in found.keys() - wanted.keys():
            _drop(connection, words.kind, name)


def _name(rule: Rule) -> str:
    return f"{rule.name}_{Digest.of((rule.condition + rule.text).encode()).hex[:8]}"


def _body(rule: Rule, kind: str) -> str:
    if kind == "sqlite":
        return _create(_name(rule), rule, "", kind)[0]
    if kind == "postgresql":
        return f"BEGIN IF {rule.condition} THEN RAISE EXCEPTION {quoted(rule.text)}; END IF; RETURN NEW; END"
    signal = f"SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = {quoted(rule.text)}"
    return f"BEGIN IF {rule.condition} THEN {signal}; END IF; END"


def _create(name: str, rule: Rule, body: str, kind: str) -> list[str]:
    head = f"CREATE TRIGGER {name} BEFORE {rule.event} ON {rule.table}"
    if kind == "sqlite":
        return [f"{head} WHEN {rule.condition} BEGIN SELECT RAISE(ABORT, {quoted(rule.text)}); END"]
    if kind == "mysql":
        return [f"{head} FOR EACH ROW {body}"]
    function = f"CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $zt_gate${body}$zt_gate$"
    return [function, f"{head} FOR EACH ROW EXECUTE FUNCTION {name}()"]


def _drop(connection: sa.Connection, kind: str, name: str) -> None:
    if kind == "postgresql":
        _execute(connection, f"DROP FUNCTION {name}() CASCADE")  # with its trigger
    else:
        _execute(connection, f"DROP TRIGGER {name}")


def _execute(connection: sa.Connection, text: str) -> None:
    # The drivers of PostgreSQL and MySQL take a percent sign for a parameter, so each is doubled.
    connection.exec_driver_sql(text if connection.dialect.name == "sqlite" else text.replace("%", "%%"))


_FOUND = {
    "sqlite": "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'",
    "mysql": "SELECT TRIGGER_NAME, ACTION_STATEMENT FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = DATABASE()",
    # A trigger that somebody disabled, or a function without one, counts as another text.
    "postgresql": (
        "SELECT p.proname, CASE WHEN bool_or(t.tgenabled = 'O') THEN p.prosrc ELSE '' END FROM pg_proc p"
        " LEFT JOIN pg_trigger t ON t.tgfoid = p.oid WHERE p.pronamespace = current_schema()::regnamespace"
        " GROUP BY p.proname, p.prosrc"
    ),
}


def _found(connection: sa.Connection, kind: str) -> dict[str, str]:
    rows = connection.exec_driver_sql(_FOUND[kind]).all()
    return {str(name): str(text) for name, text in rows if str(name).startswith("zt_gate_")}


@contextmanager
def _locked(engine: sa.Engine, kind: str) -> Iterator[sa.Connection]:
    """Open a transaction that one worker at a time is in: two that start together must not drop each other's."""
    with engine.connect() as connection:
        if kind == "mysql":
            connection.exec_driver_sql(f"SELECT GET_LOCK('zt_gate', {_PATIENCE})")
        else:
            lock = "BEGIN IMMEDIATE" if kind == "sqlite" else f"SELECT pg_advisory_xact_lock({_LOCK})"
            connection.exec_driver_sql(lock)
        try:
            yield connection
            connection.commit()
        finally:
            if kind == "mysql":
                connection.exec_driver_sql("SELECT RELEASE_LOCK('zt_gate')")
