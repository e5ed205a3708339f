"""Follows what the objects of a pickle hold, through tuples, lists, dicts and arrays of objects, wherever it is put.

A listed class is a gadget where it is held by the wrong owner: a table in the place of an estimator answers to `eval`.
So every value that acts (an object, an imported name, text that a library dispatches on) is judged for the slot that
it is held under. Containers remember their slots, since a pickle may fill them after they were handed on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from zt_gate.scan.artifacts.pickles.uses import COMPUTED_VALUE, is_dispatching
from zt_gate.scan.artifacts.pickles.values import (
    NUMBERS,
    DictValue,
    Global,
    Holder,
    Instance,
    Slot,
    Tuple,
    is_see_through,
)
from zt_gate.scan.artifacts.pickles.window import MalformedError

_MAX_STEPS = 5_000_000
"""Values that are looked at for some slot, over a whole pickle: a second or two."""

Judge = Callable[[Slot, str, int], None]
"""Is told of an atom in a slot, at an offset: the name of a class, `=` and an imported name, or a quoted text."""


class Holdings:
    """Tells a judge every atom that a slot gets, now or later.

    Args:
        judge: is told each pair of slot and atom once or more.
    """

    def __init__(self, judge: Judge) -> None:
        self._judge = judge
        self._slots: dict[Slot, Slot] = {}
        self._steps = 0

    def give(self, owner: str, name: str, value: Any, offset: int) -> None:
        """Look into a value that an owner gets under a name, and into all that it holds.

        Raises:
            MalformedError: more values than the limit.
        """
        kind = type(value)
        if kind in NUMBERS:
            return
        slot = self._slots.setdefault((owner, name), (owner, name))
        self._walk(slot, [value], offset)

    def added(self, target: Holder, values: Iterable[Any], offset: int) -> None:
        """Look into values that were put into something after it was handed on.

        Raises:
            MalformedError: more values than the limit.
        """
        owners = target.owners
        for slot in owners if isinstance(owners, set) else [owners] if owners else []:
            self._walk(slot, list(values), offset)

    def _walk(self, slot: Slot, waiting: list[Any], offset: int) -> None:
        texts = is_dispatching(slot)
        while waiting:
            item = waiting.pop()
            kind = type(item)
            if kind in NUMBERS:
                continue
            self._steps += 1
            if self._steps > _MAX_STEPS:
                raise MalformedError(f"objects that hold more than {_MAX_STEPS} values in all")
            if kind is str:
                if texts:
                    self._judge(slot, f'"{item}"', offset)
            elif kind is Global:
                self._judge(slot, f"={item.name}", offset)
            elif not isinstance(item, Holder):
                self._judge(slot, COMPUTED_VALUE, offset)
            elif _is_new(item, slot):
                if isinstance(item, Instance):
                    self._judge(slot, item.cls or COMPUTED_VALUE, offset)
                    if not is_see_through(item.cls):
                        continue
                waiting += _members(item, texts=texts)


def _is_new(item: Holder, slot: Slot) -> bool:
    """Write down that something is held under a slot; tell whether that was not known."""
    owners = item.owners
    if owners is None:
        item.owners = slot
        # The one empty tuple is shared by all pickles.
        if type(item) is Tuple and item.items == ():
            item.owners = None
    elif isinstance(owners, set):
        if slot in owners:
            return False
        owners.add(slot)
    elif owners == slot:
        return False
    else:
        item.owners = {owners, slot}
    return True


def _members(item: Any, *, texts: bool) -> Iterable[Any]:
    """Return what something holds. Batches of plain data are only unpacked for their texts."""
    if type(item) is Tuple:
        return item.items if item.items is not None else item.held
    if type(item) is Instance:
        return [*(item.held or ()), item.args, item.state]
    for batch in item.batches or ():
        if texts or batch.rank > 1:
            batch.make()
    members = list(item.held or ())
    return [*members, *item.items.values()] if type(item) is DictValue else members
