"""Lets the gate's statements run in the transaction in which MLflow writes, so that a crash leaves neither or both.

MLflow opens a session, and sometimes several, inside one method of its store. What it writes is known when a session is
flushed; that is where the gate's own statements go, on the same connection.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from zt_gate.registry.database import Database
from zt_gate.registry.refusal import refuse, sentence

Row = Any
"""A row of MLflow's as an object of its own class."""


@dataclass
class Together:
    """What the gate writes together with one row of MLflow's.

    Args:
        table: MLflow's table.
        before: called with the row before MLflow writes it: a trigger may demand the gate's rows.
        after: called with the row when MLflow wrote it.
    """

    table: str
    before: Callable[[Row], None] = lambda _: None
    after: Callable[[Row], None] = lambda _: None
    done: bool = False


class OneTransaction:
    """Stands in the place of a store's `ManagedSessionMaker`.

    Args:
        maker: MLflow's own; each call of it is one transaction.
        database: whose statements run on MLflow's connection meanwhile.
    """

    def __init__(self, maker: Callable[..., Any], database: Database) -> None:
        self._maker = maker
        self._database = database
        self._now = threading.local()

    def run(self, together: Together, act: Callable[[], Any]) -> Any:
        """Run a method of MLflow's store, and the gate's statements in its transaction.

        Raises:
            MlflowException: MLflow's, or it wrote no such row: then the gate has no record of what it did.
        """
        self._now.together = together
        try:
            made = act()
        finally:
            self._now.together = None
        if not together.done:
            refuse(sentence(f"a change of {together.table}", "MLflow made it in a way that this zt-gate does not know"))
        return made

    @contextmanager
    def __call__(self, *args: Any, **named: Any) -> Iterator[Any]:
        """Open a session, as MLflow does."""
        together = getattr(self._now, "together", None)
        with self._maker(*args, **named) as session:
            if together is not None:
                self._listen(session, together)
            yield session

    def _listen(self, session: Any, together: Together) -> None:
        ours: list[Any] = [None, None]  # the transaction in which MLflow wrote the row, and the row

        def before(session: Any, *_: Any) -> None:
            connection = session.connection()
            if ours[0] is session.get_transaction():
                return
            rows = (*session.new, *session.dirty, *session.deleted)
            row = next((row for row in rows if _is_written(session, row, together.table)), None)
            if row is not None:
                # Another transaction means that MLflow rolled back and tries again, maybe with another number.
                ours[:] = session.get_transaction(), row
                with self._database.inside(connection):
                    together.before(row)

        def after(session: Any, *_: Any) -> None:
            if not together.done and ours[0] is not None and ours[0] is session.get_transaction():
                with self._database.inside(session.connection()):
                    together.after(ours[1])
                together.done = True

        sa.event.listen(session, "before_flush", before)
        sa.event.listen(session, "after_flush", after)


def _is_written(session: Any, row: Row, table: str) -> bool:
    """Whether a flush makes, renames or deletes this row, and the row is one of the table in question."""
    if getattr(type(row), "__tablename__", "") != table:
        return False
    # MLflow sets a time of the last change as well, in flushes of its own.
    return row in session.new or row in session.deleted or bool(sa.inspect(row).attrs.name.history.has_changes())
