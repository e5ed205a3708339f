"""All constructs, by family, in the order in which the matrix shows them."""

from __future__ import annotations

from functools import cache

from zt_gate.corpus import (
    configured,
    containers,
    credentials,
    formats,
    pickle_callables,
    pickle_holdings,
    pickle_machine,
    placement,
    releases,
    schemas,
    tensors,
    trees,
)
from zt_gate.corpus.construct import Construct

_MODULES = (
    pickle_callables,
    pickle_holdings,
    pickle_machine,
    placement,
    containers,
    tensors,
    trees,
    schemas,
    formats,
    configured,
    releases,
    credentials,
)


@cache
def all_constructs() -> tuple[Construct, ...]:
    """Return every construct.

    Raises:
        ValueError: an id appears twice.
    """
    constructs = tuple(construct for module in _MODULES for construct in module.CONSTRUCTS)
    if len({construct.id for construct in constructs}) != len(constructs):
        raise ValueError("two constructs have the same id")
    return constructs


@cache
def families() -> tuple[str, ...]:
    """Return the families, in order."""
    return tuple(dict.fromkeys(construct.family for construct in all_constructs()))
