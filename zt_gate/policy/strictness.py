"""The order of strictness: which of two values of a field is stricter, and how a policy may change a pack.

Every field of a policy declares its order (`ordered`). `merge` and `diff` iterate over the fields and use these orders
instead of field names, so both always agree on what "looser" means. Both treat an unset field as its default.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeVar

from zt_gate.codecs.authored_yaml import Path
from zt_gate.policy.fields import parse_instant

Comparison = Literal["same", "stricter", "looser", "different"]
"""Result of comparing two values. `different` means that they have no order; a policy may not do that to a pack."""
_KEY = "strictness"
_Section = TypeVar("_Section")
REVERSED: dict[Comparison, Comparison] = {
    "same": "same",
    "stricter": "looser",
    "looser": "stricter",
    "different": "different",
}
"""The result of the same comparison with old and new swapped."""


class Loosening(Exception):  # noqa: N818 - it names what the author did; the loader turns it into a PolicyError
    """The child asks for less than its parent."""

    def __init__(self, path: Path, message: str, advice: str) -> None:
        super().__init__(message)
        self.path = path
        self.message = message
        self.advice = advice


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One setting whose value changed."""

    comparison: Comparison
    setting: str
    """Dotted path below the section."""
    old: Any
    new: Any


def leave_to_child(_: Any) -> bool:
    """For `left_to_child`: a parent that leaves the field unset always leaves it to its child."""
    return True


@dataclass(frozen=True, kw_only=True)
class Order:
    """How a field becomes stricter."""

    unset: Any = None
    """Value of the field if the file does not set it."""
    default: Any = None
    """Effective value of an unset field: a value, or a function of the section. None asks for nothing."""
    left_to_child: Callable[[Any], bool] = lambda _: False
    """Whether a parent that leaves the field unset leaves it to its child; gets the parent's section.

    Otherwise the parent's default applies, and a looser child is refused.
    """

    def effective_value(self, section: Any, name: str) -> Any:
        """Return the value of a section's field, or its default if it is unset."""
        value = getattr(section, name)
        if value != self.unset:
            return value
        default = self.default(section) if callable(self.default) else self.default
        return value if default is None else default

    def compare(self, before: Any, after: Any) -> Comparison:
        """Compare two effective values."""
        raise NotImplementedError

    def join(self, parent: Any, child: Any) -> Any:
        """Join two set values, of which the child's is not looser, into one at least as strict as both."""
        return child

    loosening_message: Callable[[str, Any, Any, str], tuple[str, str]] | None = None
    """Message and advice for a looser child, if the default message would be unclear."""

    def explain_loosening(self, name: str, before: Any, after: Any, pack: str) -> tuple[str, str]:
        """Return message and advice for a child that is looser."""
        if self.loosening_message is not None:
            return self.loosening_message(name, before, after, pack)
        return self.default_message(name, before, after, pack)

    def default_message(self, name: str, before: Any, after: Any, pack: str) -> tuple[str, str]:
        """Return the default message and advice of this order."""
        return (
            f"{pack} says {name} {_shown(before)}; {_shown(after)} is looser",
            f"use {_shown(before)}, or leave it out",
        )

    def merge(self, parent: Any, child: Any, name: str, path: Path, pack: str) -> Any:
        """Return the merged value of a child and its parent.

        Raises:
            Loosening: the child asks for less than the parent's value or default.
        """
        own, said = getattr(child, name), getattr(parent, name)
        if own == self.unset:
            return said
        if said == self.unset and self.left_to_child(parent):
            return own
        before = self.effective_value(parent, name)
        if self.compare(before, own) in ("looser", "different"):
            raise Loosening((*path, name), *self.explain_loosening(name, before, own, pack))
        return self.join(said, own)

    def display(self, value: Any) -> Any:
        """Return a value in the form that `policy diff` prints."""
        return list(value) if isinstance(value, tuple) else value

    def changes(self, before: Any, after: Any) -> Iterator[FieldChange]:
        """Yield the change between two effective values."""
        step = self.compare(before, after)
        if step != "same":
            yield FieldChange(step, "", self.display(before), self.display(after))


@dataclass(frozen=True, kw_only=True)
class HigherIsStricter(Order):
    """More is stricter; nothing at all is the laxest."""

    rank: Callable[[Any], Any] = int

    def compare(self, before: Any, after: Any) -> Comparison:
        """Compare by rank."""
        if before is None or after is None:
            return "same" if before is after else "stricter" if before is None else "looser"
        first, second = self.rank(before), self.rank(after)
        return "same" if first == second else "stricter" if second > first else "looser"


@dataclass(frozen=True, kw_only=True)
class LowerIsStricter(HigherIsStricter):
    """Less is stricter; no limit is the laxest."""

    def compare(self, before: Any, after: Any) -> Comparison:
        """Compare by rank, the other way round."""
        if before is None or after is None:
            return super().compare(before, after)
        return REVERSED[super().compare(before, after)]


@dataclass(frozen=True, kw_only=True)
class AllowedList(Order):
    """A list of accepted values: fewer are stricter. A parent with an empty list leaves the choice to its child."""

    unset: Any = ()
    left_to_child: Callable[[Any], bool] = leave_to_child
    empty_is_all: bool = False
    """Whether an empty list accepts everything, or nothing."""

    def compare(self, before: Any, after: Any) -> Comparison:
        """Compare as sets."""
        if all(item in after for item in before) and all(item in before for item in after):
            return "same"
        if self.empty_is_all and not (before and after):
            return "stricter" if after else "looser"
        if all(item in before for item in after):
            return "stricter"
        return "looser" if all(item in after for item in before) else "different"

    def default_message(self, name: str, before: Any, after: Any, pack: str) -> tuple[str, str]:
        """Name the first entry that the parent does not accept."""
        number, extra = next((number, item) for number, item in enumerate(after, 1) if item not in before)
        shown = extra if isinstance(extra, str) else f"entry {number}"
        return f"{pack} does not accept {shown}", "remove it from the list"


@dataclass(frozen=True, kw_only=True)
class RequiredList(Order):
    """A list of required values: more are stricter, and a merge joins the lists."""

    unset: Any = ()

    def compare(self, before: Any, after: Any) -> Comparison:
        """Compare as sets."""
        return REVERSED[AllowedList().compare(before, after)]

    def merge(self, parent: Any, child: Any, name: str, path: Path, pack: str) -> Any:
        """Join the lists; nothing can be taken out of the parent's."""
        return tuple(dict.fromkeys((*getattr(parent, name), *getattr(child, name))))


@dataclass(frozen=True, kw_only=True)
class FixedValue(Order):
    """A value without an order: any other value is `different`, and a child may not set one."""

    key: Callable[[Any], Any] = lambda value: value
    """What makes two values the same."""
    what: str = "value"

    def compare(self, before: Any, after: Any) -> Comparison:
        """Compare by key."""
        return "same" if self._keyed(before) == self._keyed(after) else "different"

    def default_message(self, name: str, before: Any, after: Any, pack: str) -> tuple[str, str]:
        """Name the conflict with the parent's value."""
        return f"{pack} names {f'another {self.what}' if before else f'no {self.what}'}", "leave it out"

    def join(self, parent: Any, child: Any) -> Any:
        """Keep the parent's value."""
        return child if parent is None else parent

    def display(self, value: Any) -> Any:
        """Show what makes it the same."""
        return self._keyed(value)

    def _keyed(self, value: Any) -> Any:
        return None if value is None else self.key(value)


@dataclass(frozen=True, kw_only=True)
class Permission(Order):
    """A section whose presence accepts something; its absence, accepting nothing, is the strictest."""

    what: str = ""

    def compare(self, before: Any, after: Any) -> Comparison:
        """Compare presence, then field by field."""
        if before is None or after is None:
            return "same" if before is after else "looser" if before is None else "stricter"
        return combined_step(item for _, item in field_steps(before, after))

    def merge(self, parent: Any, child: Any, name: str, path: Path, pack: str) -> Any:
        """Merge field by field if both are present."""
        own, said = getattr(child, name), getattr(parent, name)
        if own is not None and said is not None:
            return merge_sections(said, own, (*path, name), pack)
        return super().merge(parent, child, name, path, pack)

    def changes(self, before: Any, after: Any) -> Iterator[FieldChange]:
        """Yield a change per field if both are present."""
        if before is None or after is None:
            yield from super().changes(before, after)
        else:
            yield from section_changes(before, after)

    def default_message(self, name: str, before: Any, after: Any, pack: str) -> tuple[str, str]:
        """Name what the parent does not accept."""
        return f"{pack} does not accept {self.what}", "leave it out"

    def display(self, value: Any) -> Any:
        """Show the section as plain data."""
        return as_plain_data(value)


@dataclass(frozen=True, kw_only=True)
class Obligation(Permission):
    """A section whose presence asks for something; its absence, asking nothing, is the laxest."""

    left_to_child: Callable[[Any], bool] = leave_to_child

    def compare(self, before: Any, after: Any) -> Comparison:
        """Compare presence, the other way round, then field by field."""
        found = super().compare(before, after)
        return REVERSED[found] if before is None or after is None else found


@dataclass(frozen=True, kw_only=True)
class EarlierEnd(LowerIsStricter):
    """An end: the earlier the stricter. The earlier of two counts, so that a child's later one is no error."""

    rank: Callable[[Any], Any] = parse_instant

    def merge(self, parent: Any, child: Any, name: str, path: Path, pack: str) -> Any:
        """Return the earlier of two ends."""
        ends = [value for value in (getattr(parent, name), getattr(child, name)) if value is not None]
        return min(ends, key=self.rank, default=None)


@dataclass(frozen=True, kw_only=True)
class ByName(Order):
    """Values by name, each with its own order; a merge joins them."""

    value: Order

    def compare(self, before: Any, after: Any) -> Comparison:
        """Compare name by name."""
        names = {**(before or {}), **(after or {})}
        return combined_step(self.value.compare((before or {}).get(name), (after or {}).get(name)) for name in names)

    def merge(self, parent: Any, child: Any, name: str, path: Path, pack: str) -> Any:
        """Join the names; a name that both set may only become stricter."""
        known, own = getattr(parent, name) or {}, getattr(child, name) or {}
        for key in own:
            if key in known and self.value.compare(known[key], own[key]) in ("looser", "different"):
                raise Loosening((*path, name, key), *self.value.explain_loosening(key, known[key], own[key], pack))
        return dict(sorted({**known, **own}.items())) or None

    def changes(self, before: Any, after: Any) -> Iterator[FieldChange]:
        """Yield a change per name."""
        for name in sorted({*(before or {}), *(after or {})}):
            old, new = (before or {}).get(name), (after or {}).get(name)
            step = self.value.compare(old, new)
            if step != "same":
                yield FieldChange(step, name, old, new)


@dataclass(frozen=True, kw_only=True)
class NotCompared(Order):
    """A field that asks for nothing, such as a name or path, or one that `merge` and `diff` compare by hand."""

    why: str

    def compare(self, before: Any, after: Any) -> Comparison:
        """Report no change here."""
        return "same"

    def merge(self, parent: Any, child: Any, name: str, path: Path, pack: str) -> Any:
        """Keep the child's value."""
        return getattr(child, name)


_UNSET = object()
NO_DEFAULT = dataclasses.MISSING
"""For `ordered`: the field is required."""


def ordered(order: Order, default: Any = _UNSET, *, factory: Callable[[], Any] | None = None) -> Any:
    """Declare a field of a dataclass with its order; its default is `order.unset` unless given."""
    if factory is not None:
        return field(default_factory=factory, metadata={_KEY: order})
    return field(default=order.unset if default is _UNSET else default, metadata={_KEY: order})


def orders(kind: type) -> dict[str, Order]:
    """Return the order of every field of a section, by name.

    Raises:
        KeyError: a field was declared without one.
    """
    return {item.name: item.metadata[_KEY] for item in dataclasses.fields(kind)}


def effective_value(section: Any, name: str) -> Any:
    """Return the value of a section's field, or its default if it is unset."""
    return orders(type(section))[name].effective_value(section, name)


def field_steps(before: Any, after: Any) -> Iterator[tuple[str, Comparison]]:
    """Yield the comparison of every field of two sections of one kind."""
    for name, order in orders(type(before)).items():
        yield name, order.compare(order.effective_value(before, name), order.effective_value(after, name))


def section_changes(before: Any, after: Any) -> Iterator[FieldChange]:
    """Yield the changes between two sections of one kind."""
    for name, order in orders(type(before)).items():
        for change in order.changes(order.effective_value(before, name), order.effective_value(after, name)):
            yield replace(change, setting=f"{name}.{change.setting}" if change.setting else name)


def as_plain_data(value: Any) -> Any:
    """Return a part of a policy as plain data, without where its files lie and without bulky text."""
    if value is None:
        return None
    items = dataclasses.asdict(value).items()
    return {key: item for key, item in items if key not in ("file", "json_text") and item not in (None, {})}


def combined_step(found: Iterator[Comparison]) -> Comparison:
    """Combine the comparisons of several fields into one."""
    kinds = set(found) - {"same"}
    return "same" if not kinds else kinds.pop() if len(kinds) == 1 else "different"


def merge_sections(parent: _Section | None, child: _Section | None, path: Path, pack: str) -> _Section | None:
    """Return a section that is in no field looser than either of two.

    Args:
        parent: the pack's; None where it asks for nothing of the kind.
        child: that of the policy that extends it.
        path: where the child's stands in its file.
        pack: the pack's name, for messages.

    Raises:
        Loosening: the child asks for less in some field.
    """
    if parent is None or child is None:
        return child or parent
    found = orders(type(parent))
    values = {name: order.merge(parent, child, name, path, pack) for name, order in found.items()}
    both: _Section = replace(child, **values)  # type: ignore[type-var]
    for name, order in found.items():
        # A default can depend on another field: if the merge would loosen it, set the parent's effective value.
        before, after = order.effective_value(parent, name), order.effective_value(both, name)
        if getattr(child, name) == order.unset and order.compare(before, after) == "looser":
            both = replace(both, **{name: before})  # type: ignore[type-var]
    return both


def _shown(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
