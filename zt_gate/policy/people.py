"""Which names, and which entries of a policy, are one person: the one comparison of persons that every rule uses."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence

from zt_gate.policy.registry import fold
from zt_gate.policy.trust_roots import Entry, Trust


def folded_name(name: str) -> str:
    """Return a person's name without case, accents, white space and invisible characters: equal for one person."""
    seen = "".join(letter for letter in name if unicodedata.category(letter) not in ("Cf", "Cc"))
    return "".join(fold(seen).split())


def same_person(name: str, other: str) -> bool:
    """Whether two names are one person's."""
    return folded_name(name) == folded_name(other)


def key_texts(trust: Trust) -> dict[str, str]:
    """Return the text of each key of a policy without its layout; equal for one key as tools write it."""
    return {key.id: "".join((key.pem or key.id).split()) for key in trust.keys}


def persons_of(entries: Sequence[Entry], principals: Mapping[str, str]) -> dict[str, str]:
    """Map the ids of entries to persons. Entries with one principal are one person, and so are those of one name.

    An entry without a `person` has its id for a name.

    Args:
        entries: keys, certificates and identities.
        principals: for ids, what proves who it is, such as the fingerprint of a key; an entry may have none.
    """
    groups: list[set[str]] = []
    for entry in entries:
        group = {f"person {folded_name(entry.person or entry.id)}", f"id {entry.id}"}
        if entry.id in principals:
            group.add(f"principal {principals[entry.id]}")
        apart = [other for other in groups if not other & group]
        group.update(*(other for other in groups if other & group))
        groups = [*apart, group]
    return {
        mark.removeprefix("id "): min(name for name in group if name.startswith("person "))
        for group in groups
        for mark in group
        if mark.startswith("id ")
    }
