"""Looking again at what is promoted: does every protected alias resolve, and would a check allow its bytes today?"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime

from zt_gate.domain import printable
from zt_gate.errors import ZtGateError
from zt_gate.registry.client import RefusedError, RegistryClient, Version
from zt_gate.registry.protected import Protected

Recheck = Callable[[Version, str], str]
"""Checks a version for a stage, hands in the signed verdict, and returns why it blocks; empty when it allows."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What became of one protected alias."""

    version: Version
    alias: str
    why: str = ""
    """Why it no longer holds; empty when it does."""
    withdrawn: bool = False
    until: datetime | None = None
    """When its verdict ends; None where the gate does not say."""

    def ends_by(self, time: datetime) -> bool:
        """Whether it holds now, and its verdict will have ended at a time."""
        return not self.why and self.until is not None and self.until <= time

    @property
    def text(self) -> str:
        """The line that people read."""
        what = f"{printable(self.version.uri)} @{printable(self.alias)}"
        if not self.why:
            return f"{what} holds" + (f" until {self.until:%Y-%m-%d}" if self.until is not None else "")
        return f"{what} {'withdrawn' if self.withdrawn else 'does not hold'}: {self.why}"


def reconcile(
    client: RegistryClient,
    protected: Protected,
    *,
    withdraw: bool,
    recheck: Recheck | None = None,
    only: str = "",
) -> Iterator[Seen]:
    """Yield every protected alias with what became of it.

    Args:
        client: of a gated registry.
        protected: the names.
        withdraw: whether an alias that no longer holds is taken away.
        recheck: what checks the bytes again; None asks the registry alone.
        only: a model to look at; all of them when empty.

    Raises:
        TargetError: the registry does not answer.
    """
    models = [(only, client.aliases(only))] if only else client.models()
    for name, aliases in models:
        for alias, number in sorted(aliases.items()):
            stages = protected.demanded("aliases", alias)
            if stages:
                yield _look(client, Version(name, number), alias, stages, withdraw=withdraw, recheck=recheck)


def _look(
    client: RegistryClient,
    version: Version,
    alias: str,
    stages: frozenset[str],
    *,
    withdraw: bool,
    recheck: Recheck | None,
) -> Seen:
    # A prompt has no files, so a check of its bytes could only fail.
    why = "" if recheck is not None and client.is_prompt(version) else _checked(version, stages, recheck)
    try:
        if client.resolve(version.name, alias) != version:
            return Seen(version, alias)  # somebody set it anew meanwhile, through the gate
    except RefusedError as refusal:
        why = why or str(refusal)
    if not why:
        return Seen(version, alias, until=client.until(version.name, alias))
    if withdraw:
        client.delete_alias(version.name, alias)
    return Seen(version, alias, why, withdraw)


def _checked(version: Version, stages: frozenset[str], recheck: Recheck | None) -> str:
    """Say why a check would not allow the bytes any more; what cannot be checked counts as that."""
    if recheck is None:
        return ""
    for stage in sorted(stages):
        try:
            if why := recheck(version, stage):
                return why
        except ZtGateError as error:
            return f"it cannot be checked again: {error.message}"
    return ""
