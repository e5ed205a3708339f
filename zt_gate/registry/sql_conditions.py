# ruff: noqa: S608 - every text is of this file, and every literal from outside goes through `quoted`
"""What the database itself refuses, as SQL conditions over the rows OLD and NEW of a trigger.

A trigger cannot verify a signature. It requires the row that the store writes when it admits a version
(`zt_gate_promoted`). A forged row gets past the trigger and not past the store, which requires the verdict on every
read. MLflow's own acts pass: it never changes where a version's files come from, except when it deletes the version,
and moves versions and marks only along with their model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from zt_gate.registry.protected import Protected

NOT_ADMITTED = "zt-gate: this version was not admitted; see docs/mlflow.md"
CHANGES_ORIGIN = "zt-gate: where a version comes from does not change; see docs/mlflow.md"
_DELETED = "'Deleted_Internal'"
"""MLflow's stage of deleted versions, whose rows and tags stay."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One condition under which one kind of statement on one of MLflow's tables is refused."""

    name: str
    table: str
    event: str
    """INSERT or UPDATE; an UPDATE of whatever column."""
    condition: str
    text: str = NOT_ADMITTED


@dataclass(frozen=True, slots=True)
class Words:
    """How one database says what not all of them say alike.

    Args:
        kind: `sqlite`, `postgresql` or `mysql`.
        workspaces: whether MLflow's tables have the column `workspace`.
    """

    kind: str
    workspaces: bool

    def differs(self, column: str) -> str:
        """Return the condition that an update changes a column, from or to NULL too."""
        old, new = f"OLD.{column}", f"NEW.{column}"
        if self.kind == "mysql":  # which compares texts without case
            return f"NOT (CAST({old} AS BINARY) <=> CAST({new} AS BINARY))"
        return f"{old} {'IS NOT' if self.kind == 'sqlite' else 'IS DISTINCT FROM'} {new}"

    def beyond_ascii(self, column: str) -> str:
        """Return the condition that a text has other letters than those of ASCII."""
        # sqlite has no regular expressions unless a program brings them; GLOB is built in.
        patterns = {"sqlite": "GLOB '*[^ -~]*'", "postgresql": "~ '[^ -~]'", "mysql": "REGEXP '[^ -~]'"}
        return f"{column} {patterns[self.kind]}"

    def workspace(self, row: str) -> str:
        """Return the workspace of a row of MLflow's."""
        return f"{row}.workspace" if self.workspaces else "'default'"

    def model(self, table: str, row: str) -> str:
        """Return the condition that a table of MLflow's, by its short name, is about the model of a row."""
        same = f"{table}.name = {row}.name"
        return f"{same} AND {table}.workspace = {row}.workspace" if self.workspaces else same


def rules(protected: Protected, words: Words) -> list[Rule]:
    """Return everything that is refused. Every literal is quoted by `quoted`."""
    return [
        *_Marks(protected, words).rules(),
        Rule("zt_gate_origin_insert", "model_versions", "INSERT", _made_again(words), CHANGES_ORIGIN),
        Rule("zt_gate_origin_update", "model_versions", "UPDATE", _changes_origin(words), CHANGES_ORIGIN),
        Rule("zt_gate_model_origin", "registered_models", "UPDATE", words.differs("creation_time"), CHANGES_ORIGIN),
    ]


def quoted(text: str) -> str:
    """Return a text as an SQL literal."""
    return "'" + text.replace("'", "''") + "'"


class _Marks:
    """The rules about marks.

    Args:
        protected: the names.
        words: of the database.
    """

    def __init__(self, protected: Protected, words: Words) -> None:
        self._names = (protected, *protected.more)
        self._words = words

    def rules(self) -> Iterator[Rule]:
        """Yield the rules for every table in which a mark, or the version that it is on, can change."""
        alias = self._refused("aliases", "NEW.alias", self._admitted)
        deleted = f"EXISTS (SELECT 1 FROM model_versions m WHERE {self._version('m')} AND m.current_stage = {_DELETED})"
        # MLflow keeps the tags of a deleted version, and a rename takes them along.
        tag = f"({self._refused('tags', 'NEW.key', self._admitted)}) AND NOT {deleted}"
        whole = self._refused("tags", "NEW.key", lambda _: "(1 = 0)")
        for name, table, condition in (
            ("zt_gate_alias", "registered_model_aliases", alias),
            ("zt_gate_tag", "model_version_tags", self._keyed(tag)),
            ("zt_gate_model_tag", "registered_model_tags", self._keyed(whole)),
        ):
            yield Rule(f"{name}_insert", table, "INSERT", condition)
            yield Rule(f"{name}_update", table, "UPDATE", condition)
        stage = self._refused("stages", "NEW.current_stage", self._admitted_row)
        name = f"({self._refused('models', 'NEW.name', self._admitted_row)}) AND {_alive('NEW')}"
        moves = self._moves("name")
        yield Rule("zt_gate_version_insert", "model_versions", "INSERT", f"({stage}) OR ({name})")
        updated = f"(({moves} OR {self._words.differs('current_stage')}) AND ({stage})) OR ({moves} AND ({name}))"
        yield Rule("zt_gate_version_update", "model_versions", "UPDATE", updated)
        moved = f"{moves} AND ({self._has_marks()} OR ({self._takes_name()}))"
        yield Rule("zt_gate_model_update", "registered_models", "UPDATE", moved)

    def _keyed(self, condition: str) -> str:
        """Return a condition about tags; MySQL takes `key` alone for a word of its own."""
        return condition.replace("NEW.key", "NEW.`key`") if self._words.kind == "mysql" else condition

    def _refused(self, kind: str, column: str, admitted: Callable[[str], str]) -> str:
        """Return the condition that a name is protected, and that its version was not admitted to its stage."""
        parts = [f"({like} AND NOT {admitted(stage)})" for like, stage in self._likes(kind, column)]
        # SQL's lower() folds ASCII only. A name with other letters may fold to a protected one, as the store folds it:
        # it passes where the store saw that it does not, or where the version was admitted to some stage.
        seen = f"EXISTS (SELECT 1 FROM zt_gate_free f WHERE f.kind = '{kind}' AND f.name = {column})"
        foreign = f"({self._words.beyond_ascii(column)} AND NOT {seen} AND NOT {admitted('')})"
        return " OR ".join([*parts, foreign])

    def _likes(self, kind: str, column: str) -> Iterator[tuple[str, str]]:
        # MLflow keeps `Champion` and `champion` apart, and people do not, so both are protected.
        for names in self._names:
            for glob, stage in getattr(names, kind).items():
                yield f"lower({column}) LIKE {_like(glob)} ESCAPE '!'", stage

    def _version(self, table: str, row: str = "NEW") -> str:
        return f"{self._words.model(table, row)} AND {table}.version = {row}.version"

    def _promoted(self, row: str, stage: str, created: str) -> str:
        """Return the condition that a version, by its time of creation too, was admitted; to some stage without one."""
        same = f"v.workspace = {self._words.workspace(row)} AND v.name = {row}.name AND v.version = {row}.version"
        to = f" AND v.stage = {quoted(stage)}" if stage else ""
        return f"SELECT 1 FROM zt_gate_promoted v WHERE {same} AND v.created = {created}{to}"

    def _admitted(self, stage: str) -> str:
        """Return the condition that the version to which a mark leads was admitted."""
        promoted = self._promoted("NEW", stage, "m.creation_time")
        return f"EXISTS (SELECT 1 FROM model_versions m WHERE {self._version('m')} AND EXISTS ({promoted}))"

    def _admitted_row(self, stage: str) -> str:
        return f"EXISTS ({self._promoted('NEW', stage, 'NEW.creation_time')})"

    def _moves(self, *columns: str) -> str:
        of = (*columns, "workspace") if self._words.workspaces else columns
        return "(" + " OR ".join(self._words.differs(column) for column in of) + ")"

    def _has_marks(self) -> str:
        """Return the condition that a model carries a mark. Its name alone is one, since clients may be loading."""
        key = "t.`key`" if self._words.kind == "mysql" else "t.key"
        alive = f"EXISTS (SELECT 1 FROM model_versions m WHERE {self._version('m', 't')} AND {_alive('m')})"
        parts = [like for like, _ in self._likes("models", "OLD.name")]
        for table, kind, column, more in (
            ("registered_model_aliases", "aliases", "t.alias", ""),
            ("model_versions", "stages", "t.current_stage", ""),
            ("registered_model_tags", "tags", key, ""),
            ("model_version_tags", "tags", key, f" AND {alive}"),
        ):
            likes = " OR ".join(like for like, _ in self._likes(kind, column)) or "1 = 0"
            of = self._words.model("t", "OLD")
            parts.append(f"EXISTS (SELECT 1 FROM {table} t WHERE {of} AND ({likes}){more})")
        return "(" + " OR ".join(parts) + ")"

    def _takes_name(self) -> str:
        """Return the condition that a model takes a protected name, and that a version of it was not admitted."""
        parts = []
        for like, stage in self._likes("models", "NEW.name"):
            promoted = self._promoted("m", stage, "m.creation_time")
            of = f"{self._words.model('m', 'OLD')} AND {_alive('m')}"
            some = f"EXISTS (SELECT 1 FROM model_versions m WHERE {of} AND NOT EXISTS ({promoted}))"
            parts.append(f"({like} AND {some})")
        return " OR ".join(parts) or "1 = 0"


def _alive(row: str) -> str:
    return f"COALESCE({row}.current_stage, '') <> {_DELETED}"


def _like(glob: str) -> str:
    escaped = glob.lower().replace("!", "!!").replace("%", "!%").replace("_", "!_")
    return quoted(escaped.replace("*", "%"))


def _bound(words: Words, row: str, more: str = "") -> str:
    same = f"b.workspace = {words.workspace(row)} AND b.name = {row}.name AND b.version = {row}.version"
    return f"EXISTS (SELECT 1 FROM zt_gate_bound b WHERE {same}{more})"


def _made_again(words: Words) -> str:
    """Return the condition that a version is made that the gate has on record already, such as by REPLACE."""
    return _bound(words, "NEW", " AND b.created = NEW.creation_time")


def _changes_origin(words: Words) -> str:
    """Return the condition that an update changes what a version is, or which one it is."""
    deletes = f"NEW.current_stage = {_DELETED} AND NOT ({words.differs('storage_location')})"
    files = " OR ".join(words.differs(column) for column in ("source", "storage_location", "run_id"))
    comes_back = f"OLD.current_stage = {_DELETED} AND {words.differs('current_stage')}"
    # A rename reaches a version after its model, which then has the old name no more.
    moves = " OR ".join(words.differs(column) for column in (("name", "workspace") if words.workspaces else ("name",)))
    left = f"EXISTS (SELECT 1 FROM registered_models r WHERE {words.model('r', 'OLD')})"
    return (
        f"{words.differs('creation_time')} OR {words.differs('version')} OR ({comes_back})"
        f" OR (({moves}) AND {left}) OR (({files}) AND NOT ({deletes}) AND {_bound(words, 'OLD')})"
    )
