"""The grammar of uses: what each attribute and argument may hold, frozen from what libraries write.

A slot is an owner, which is a class or a function, and the name of an attribute or argument of it. For each slot the
atoms are known that files of many versions have there. An atom is the class of an object, `=` and an imported name, or,
where the library dispatches on text, a quoted text. Families stand for their members: where one estimator was seen, any
listed estimator may be. A slot that no file names may only hold plain data.
"""

from __future__ import annotations

from functools import cache

from zt_gate.scan.artifacts.pickles.frozen import library_of, read
from zt_gate.scan.artifacts.pickles.values import Slot

COMPUTED_VALUE = "?"
"""The atom of what only the running pickle knows."""
DATA = "@data"
"""The family that may be held under any name: arrays, numbers and dates, and the types of such."""


def is_dispatching(slot: Slot) -> bool:
    """Whether a library looks up a method or a function by the text under a name."""
    owner, name = slot
    return name in library_of(owner).dispatch.get(_last(owner), ())


def _last(name: str) -> str:
    return name.rpartition(".")[2]


def short(name: str) -> str:
    """Return a name without the modules between library and class: those move from version to version."""
    library, _, rest = name.partition(".")
    return f"{library}.{_last(rest)}" if rest else name


def general(atom: str) -> tuple[str, ...]:
    """Return an atom as the grammar writes it, and its family, if it has one."""
    if atom[:1] == '"':
        return (atom,)
    name = atom.lstrip("=")
    mark = atom[: len(atom) - len(name)]
    family = _families().get(short(name))
    return (mark + short(name), mark + family) if family else (mark + short(name),)


def permits(slot: Slot, atom: str) -> bool:
    """Whether a library writes such a thing under that name, or it is plain data, which may stand anywhere."""
    owner, name = slot
    known = library_of(owner).slots.get(_last(owner), {}).get(name)
    names = general(atom)
    if known is None:
        # Where text chooses a method, data may be text that a call made: `str('eval')`, or an array of one text.
        return not is_dispatching(slot) and not {DATA, f"={DATA}"}.isdisjoint(names)
    return not set(known).isdisjoint(names)


@cache
def _families() -> dict[str, str]:
    return {name: family for family, names in read("families").items() for name in names}
