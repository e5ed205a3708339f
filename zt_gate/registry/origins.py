"""What the gate itself recorded when a model or version was created: whether it is a prompt, where its files come from.

Tags and sources can be changed later, by a client or by raw SQL, so they are never believed: what counts is the record
of the creation. Without a record a model is no prompt, and a version has no known origin.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from zt_gate.errors import TargetError
from zt_gate.policy.registry import fold
from zt_gate.registry.ledger import Ledger, facts
from zt_gate.registry.protected import PROMPT_TAG, Protected
from zt_gate.registry.schema import exist, prepare, reason
from zt_gate.registry.tables import (
    ALIASES,
    BOUND,
    MODEL_TAGS,
    MODEL_VERSIONS,
    MODELS,
    PROMOTED,
    PROMPTS,
    VERSION_TAGS,
    VERSIONS,
)

PLACEHOLDERS = frozenset({"prompt-template", "dummy-source"})
"""What MLflow's server and its client store as the source of a prompt, which has no files that anything could load."""
NO_PROMPT = "it has no files, and the gate did not see it created as a prompt: register it under a new name"
CHANGED = "its source was changed outside the gate: register it again"
_DELETED = "Deleted_Internal"
"""The stage that MLflow gives to a deleted version; its source is overwritten then."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A version as MLflow's own table has it now."""

    version: int
    created: int
    facts: str
    """A hash of its source, storage location and run."""


def says_prompt(tags: Iterable[Any] | None) -> bool:
    """Whether the tags of a create request make a prompt. As in MLflow, the last of two equal keys counts."""
    last = {tag.key: tag.value for tag in tags or ()}
    # MLflow compares the mark without case, so `True` makes a prompt as well.
    return str(last.get(PROMPT_TAG, "")).lower() == "true"


def unmarks_prompt(key: str, value: str = "") -> bool:
    """Whether setting a tag, or deleting it, would take the mark of a prompt away."""
    return fold(key) == fold(PROMPT_TAG) and (key != PROMPT_TAG or value.lower() != "true")


class Origins:
    """Reads and writes the tables about origins. Every method is one short transaction.

    Args:
        ledger: the gate's other tables, in the same database.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: from every method, where the database refuses.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._database = ledger.database

    def prepare(self) -> str:
        """Create what is missing, and return why the records cannot be used; empty when they can.

        Versions that an older zt-gate admitted are bound to what they are now.
        """
        try:
            # Only once, on the upgrade: later, what an attacker changed meanwhile would be taken for the origin.
            older = not sa.inspect(self._database.engine).has_table(BOUND.name)
            trouble = prepare(self._database)
            if trouble or not older:
                return trouble
            with self._database.reading() as connection:
                kept = connection.execute(sa.select(VERSIONS)).mappings().all()
            for row in kept:
                self.bind_once(row["workspace"], row["name"], row["version"], row["created"])
                self.promoted(row["workspace"], row["name"], row["version"], row["created"], [row["stage"]])
        except sa.exc.SQLAlchemyError as error:
            return reason(error)
        return ""

    def exist(self) -> bool:
        """Whether there are records at all; False means that nothing was ever promoted."""
        return exist(self._database)

    def created_model(self, workspace: str, name: str, created: int | None) -> None:
        """Record that a model was created as a prompt; with None, drop the record of an earlier model of this name."""
        if created is not None:
            self._keep(PROMPTS, {"workspace": workspace, "name": name}, {"created": created})
            return
        with self._database.writing() as connection:
            connection.execute(PROMPTS.delete().where(PROMPTS.c.workspace == workspace, PROMPTS.c.name == name))

    def was_created_as_prompt(self, workspace: str, name: str) -> bool:
        """Whether the gate saw this very model created as a prompt."""
        query = (
            sa.select(PROMPTS.c.name)
            .select_from(PROMPTS.join(MODELS, MODELS.c.creation_time == PROMPTS.c.created))
            .where(
                PROMPTS.c.workspace == workspace, PROMPTS.c.name == name, *self._database.of(MODELS, workspace, name)
            )
        )
        with self._database.reading() as connection:
            return connection.execute(query).first() is not None

    def is_prompt(self, workspace: str, name: str) -> bool:
        """Whether a model was created as a prompt, still has the mark, and never held a version with files."""
        if not self.was_created_as_prompt(workspace, name):
            return False
        mark = sa.select(MODEL_TAGS.c.value).where(
            *self._database.of(MODEL_TAGS, workspace, name), MODEL_TAGS.c.key == PROMPT_TAG
        )
        known, places = MODEL_VERSIONS.c, sorted(PLACEHOLDERS)
        names_files = sa.and_(
            sa.func.coalesce(known.source, "").not_in(places), sa.func.coalesce(known.current_stage, "") != _DELETED
        )
        holds_files = sa.func.coalesce(known.storage_location, known.source, "").not_in(places)
        files = sa.select(known.version).where(
            *self._database.of(MODEL_VERSIONS, workspace, name), sa.or_(names_files, holds_files)
        )
        with self._database.reading() as connection:
            if str(connection.execute(mark).scalar()).lower() != "true":
                return False
            return connection.execute(files.limit(1)).first() is None

    def bind(self, workspace: str, name: str, version: int) -> None:
        """Record where a new version's files come from."""
        self._bind(workspace, name, self._stored(workspace, name, version))

    def demand_unchanged(self, workspace: str, name: str, version: int) -> None:
        """Refuse a version whose origin differs from the recorded one; without a record it may still be promoted.

        Raises:
            TargetError: it was changed.
        """
        stored, bound = self._stored(workspace, name, version), self._bound(workspace, name, version)
        if bound is not None and bound[0] == stored.created and bound[1] != stored.facts:
            raise TargetError(CHANGED)

    def bind_once(self, workspace: str, name: str, version: int, created: int) -> None:
        """Record where a version's files come from, if that is not recorded yet."""
        bound = self._bound(workspace, name, version)
        if bound is None or bound[0] != created:
            self.bind(workspace, name, version)

    def promoted(self, workspace: str, name: str, version: int, created: int, stages: Iterable[str]) -> None:
        """Record that a version gets a protected mark."""
        for stage in sorted(stages):
            key = {"workspace": workspace, "name": name, "version": version, "stage": stage, "created": created}
            self._keep(PROMOTED, key, {})

    def promoted_before(self, workspace: str, name: str, version: int) -> frozenset[str]:
        """Return the stages to which another version of this name and number was promoted."""
        known = MODEL_VERSIONS.c
        query = (
            sa.select(PROMOTED.c.stage)
            .select_from(PROMOTED.join(MODEL_VERSIONS, self._database.equal_names(PROMOTED.c.name, known.name)))
            .where(*self._database.of(MODEL_VERSIONS, workspace, name), known.version == version)
            .where(PROMOTED.c.workspace == workspace, PROMOTED.c.version == version)
            .where(PROMOTED.c.created != known.creation_time)
        )
        with self._database.reading() as connection:
            return frozenset(connection.execute(query).scalars())

    def renamed(self, workspace: str, name: str, new_name: str) -> None:
        """Move the records of a model to its new name. Promotions stay recorded under both names."""
        if name == new_name:
            return
        with self._database.writing() as connection:
            for table in (PROMPTS, BOUND):
                here = [table.c.workspace == workspace]
                connection.execute(table.delete().where(*here, table.c.name == new_name))
                connection.execute(table.update().where(*here, table.c.name == name).values(name=new_name))
            for row in connection.execute(self._promotions(workspace, name)).mappings().all():
                self._database.put(connection, PROMOTED, {**row, "name": new_name}, {})

    def _promotions(self, workspace: str, name: str) -> sa.Select[Any]:
        """Return the query for the promotions of a model's versions, and not of those that had its name before."""
        same = sa.and_(
            MODEL_VERSIONS.c.version == PROMOTED.c.version, MODEL_VERSIONS.c.creation_time == PROMOTED.c.created
        )
        return (
            sa.select(PROMOTED)
            .select_from(PROMOTED.join(MODEL_VERSIONS, same))
            .where(PROMOTED.c.workspace == workspace, PROMOTED.c.name == name)
            .where(*self._database.of(MODEL_VERSIONS, workspace, name))
        )

    def numbers(self, workspace: str, name: str) -> list[int]:
        """Return the versions of a model. MLflow's own search leaves those out that call themselves prompts."""
        known = MODEL_VERSIONS.c
        here = self._database.of(MODEL_VERSIONS, workspace, name)
        where = [*here, sa.func.coalesce(known.current_stage, "") != _DELETED]
        with self._database.reading() as connection:
            return sorted(
                int(number) for number in connection.execute(sa.select(known.version).where(*where)).scalars()
            )

    def mark(self, workspace: str, name: str, protected: Protected, version: int | None = None) -> str:
        """Return a protected mark that a model or a version of it carries, for people; empty where it has none.

        Args:
            workspace: of the model.
            name: of the model. A protected name counts as a mark of the model, and of no version by itself.
            protected: the names.
            version: looks at the marks of this version alone.
        """
        if version is None and protected.demanded("models", name):
            return "a protected name"
        lists = (
            ("aliases", ALIASES, ALIASES.c.alias, "the protected alias @"),
            ("stages", MODEL_VERSIONS, MODEL_VERSIONS.c.current_stage, "the protected stage "),
            ("tags", VERSION_TAGS, VERSION_TAGS.c.key, "the protected tag "),
            *([("tags", MODEL_TAGS, MODEL_TAGS.c.key, "the protected tag ")] if version is None else []),
        )
        alive = self.numbers(workspace, name)
        with self._database.reading() as connection:
            for kind, table, column, words in lists:
                query = sa.select(column).where(*self._database.of(table, workspace, name)).distinct()
                if version is not None:
                    query = query.where(table.c.version == version)
                if table is VERSION_TAGS:
                    # MLflow keeps the tags of a deleted version, and nobody can take them away.
                    query = query.where(table.c.version.in_(alive))
                for found in connection.execute(query).scalars():
                    if found and protected.demanded(kind, str(found)):
                        return f"{words}{found}"
        return ""

    def in_stages(self, workspace: str, name: str) -> dict[int, str]:
        """Return the stage of every version of a model."""
        known = MODEL_VERSIONS.c
        query = sa.select(known.version, known.current_stage).where(*self._database.of(MODEL_VERSIONS, workspace, name))
        with self._database.reading() as connection:
            return {int(row.version): str(row.current_stage) for row in connection.execute(query)}

    def _stored(self, workspace: str, name: str, version: int) -> Stored:
        known = MODEL_VERSIONS.c
        query = sa.select(known.creation_time, known.source, known.storage_location, known.run_id).where(
            *self._database.of(MODEL_VERSIONS, workspace, name), known.version == version
        )
        with self._database.reading() as connection:
            row = connection.execute(query).first()
        if row is None:
            raise TargetError("there is no such version")
        return Stored(version, row.creation_time, facts(row.source, row.storage_location, row.run_id))

    def _bound(self, workspace: str, name: str, version: int) -> tuple[int, str] | None:
        query = sa.select(BOUND.c.created, BOUND.c.facts).where(
            BOUND.c.workspace == workspace, BOUND.c.name == name, BOUND.c.version == version
        )
        with self._database.reading() as connection:
            row = connection.execute(query).first()
        return (row.created, row.facts) if row is not None else None

    def _bind(self, workspace: str, name: str, stored: Stored) -> None:
        key = {"workspace": workspace, "name": name, "version": stored.version}
        self._keep(BOUND, key, {"created": stored.created, "facts": stored.facts})

    def _keep(self, table: sa.Table, key: dict[str, Any], values: dict[str, Any]) -> None:
        with self._database.writing() as connection:
            self._database.put(connection, table, key, values)
