"""What nobody can do to a row of a table, as it was declared: columns that stay, grow, count, or stand for a category.

Bounds stand in the declaration itself (`least`, `greatest`, or `low` and `high`). Columns are named by their index.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from zt_gate.evaluate.sandbox.wire import Array

_LISTS = ("immutable", "integer", "growing", "shrinking")
_SLACK, _ROUNDED = 1e-3, 1e-6
"""How far a number may lie from where it should; columns are scaled in float32, which rounds."""


@dataclass(frozen=True, slots=True)
class Constraints:
    """Columns of a table with what may be done to them."""

    immutable: tuple[int, ...] = ()
    integer: tuple[int, ...] = ()
    """Columns of whole numbers."""
    growing: tuple[int, ...] = ()
    """Columns that can only become greater, such as an age."""
    shrinking: tuple[int, ...] = ()
    one_hot: tuple[tuple[int, ...], ...] = ()
    """Groups of columns of which one is 1 and the others are 0. They do not count towards the radius."""
    switches: int = 1
    """How many of these groups may change their category."""

    @property
    def grouped(self) -> tuple[int, ...]:
        """Columns that stand for categories."""
        return tuple(index for group in self.one_hot for index in group)

    def __bool__(self) -> bool:
        """Whether anything is constrained."""
        return any(getattr(self, name) for name in (*_LISTS, "one_hot"))

    def check(self, columns: int) -> None:
        """Check them against the number of columns.

        Raises:
            ValueError: a column that is not there, one that is named twice in a list, or a contradiction.
        """
        for name in (*_LISTS, "grouped"):
            named = getattr(self, name)
            if beyond := [index for index in named if not 0 <= index < columns]:
                raise ValueError(f"constraints name column {beyond[0]}, and the table has {columns}, from 0")
            if len(set(named)) != len(named):
                shown = "two groups of one_hot" if name == "grouped" else f"{name} twice"
                raise ValueError(f"constraints: a column is in {shown}")
        if any(len(group) < 2 for group in self.one_hot):
            raise ValueError("constraints: a group of one_hot has 2 columns or more")
        if both := set(self.grouped) & {*self.integer, *self.growing, *self.shrinking}:
            raise ValueError(f"constraints: column {min(both)} is a category, and counts or grows as well")
        if both := set(self.growing) & set(self.shrinking):
            raise ValueError(f"constraints: column {min(both)} can neither grow nor shrink; call it immutable")

    def to_json(self) -> dict[str, Any]:
        """Return them as JSON."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Any) -> Constraints:
        """Read constraints.

        Raises:
            ValueError: a field is unknown or of another type.
        """
        if not isinstance(value, dict):
            raise ValueError("constraints are an object")  # noqa: TRY004 - one error type for all that is malformed
        if unknown := value.keys() - set(cls.__slots__):
            raise ValueError(f"constraints have no field {min(unknown)!r}")
        fields: dict[str, Any] = {name: _columns(name, value[name]) for name in _LISTS if name in value}
        if "one_hot" in value:
            groups = value["one_hot"]
            if not isinstance(groups, list):
                raise ValueError("constraints: one_hot is a list of groups of columns")
            fields["one_hot"] = tuple(_columns("a group of one_hot", group) for group in groups)
        if "switches" in value:
            fields["switches"] = _whole("switches", value["switches"])
        return cls(**fields)

    def unlike(self, raw: Array) -> str:
        """Return what is wrong with rows that a constraint speaks of; nothing where all is well.

        Args:
            raw: rows as the model was trained on, of shape `(n, columns)`.
        """
        whole = list(self.integer)
        odd = np.argwhere(np.abs(raw[:, whole] - np.round(raw[:, whole])) > _SLACK)
        if len(odd):
            row, column = odd[0]
            return f"row {row} has {raw[row, whole[column]]:g} in column {whole[column]}, which holds whole numbers"
        for group in self.one_hot:
            part = raw[:, list(group)]
            ones = (np.abs(part - 1) <= _SLACK).sum(axis=1)
            bad = np.flatnonzero((ones != 1) | ((np.abs(part) <= _SLACK).sum(axis=1) != len(group) - 1))
            if len(bad):
                return f"row {bad[0]} has not one 1 and zeros in the columns {', '.join(map(str, group))}"
        return ""

    def broken(self, before: Array, after: Array, reach: Array) -> Array:
        """Return which rows were changed in a way that is impossible, of shape `(n,)`.

        Args:
            before: rows as the model was trained on, of shape `(n, columns)`.
            after: the same rows, changed.
            reach: the greatest absolute value of each column, or of all, by which float32 rounds.
        """
        moved = after - before
        slack = np.broadcast_to(_SLACK + _ROUNDED * reach, moved.shape)
        bad = (np.abs(moved) > slack)[:, list(self.immutable)].any(axis=1)
        bad |= (moved < -slack)[:, list(self.growing)].any(axis=1)
        bad |= (moved > slack)[:, list(self.shrinking)].any(axis=1)
        whole = after[:, list(self.integer)]
        bad |= (np.abs(whole - np.round(whole)) > slack[:, list(self.integer)]).any(axis=1)
        switched = np.zeros(len(after), np.int64)
        for group in self.one_hot:
            part = after[:, list(group)]
            sound = ((np.abs(part - 1) <= _SLACK) | (np.abs(part) <= _SLACK)).all(axis=1)
            bad |= ~sound | (np.abs(part.sum(axis=1) - 1) > _SLACK)
            switched += (np.abs(moved[:, list(group)]) > _SLACK).any(axis=1)
        found: Array = bad | (switched > self.switches)
        return found


def _columns(name: str, value: Any) -> tuple[int, ...]:
    if not isinstance(value, list):
        raise ValueError(f"constraints: {name} is a list of columns")  # noqa: TRY004 - as above
    return tuple(_whole(name, item) for item in value)


def _whole(name: str, value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"constraints: {name} is made of whole numbers from 0")
    return value
