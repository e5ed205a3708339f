"""What the gatekeeper asks of a registry's records, so that a registry other than MLflow can be a second one.

`Ledger` and `Origins` answer for MLflow's database. A version is named by workspace, name and number throughout; an
implementation tells apart versions that had one name and number in turn. Every method may raise whatever its storage
raises: the gatekeeper takes any exception for a refusal.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol

from zt_gate.registry.ledger import Kept, VersionEvent, VersionStanding
from zt_gate.registry.protected import Protected


class VerdictRecords(Protocol):
    """Verdicts, which digest each version was sealed under, and what was done to it."""

    def add_summary(self, workspace: str, kept: Kept) -> None:
        """Store a signed summary; an existing one is left unchanged."""

    def newest(self, workspace: str, digest: str, stage: str) -> str | None:
        """Return the id of the newest verdict about a digest; of two of the same second the one that blocks."""

    def summary(self, workspace: str, name: str) -> Kept | None:
        """Return a summary by its id."""

    def standing(self, workspace: str, name: str, version: int, stages: Iterable[str]) -> Mapping[str, VersionStanding]:
        """Return by stage the digest, verdict and origin of a version that exists now."""

    def seals(self, workspace: str, name: str, version: int) -> Mapping[str, str]:
        """Return the digest by stage of a version that exists now."""

    def pin(self, root: str, digest: str) -> str:
        """Return what finds a sealed copy again in the place of a root; empty where there is nothing on record."""

    def keep_pin(self, root: str, digest: str, pin: str) -> None:
        """Record what finds a sealed copy again."""

    def record(self, workspace: str, act: VersionEvent) -> None:
        """Add a line to a version's history."""

    def names(self) -> str | None:
        """Return what the last readable policy protects, as text."""

    def keep_names(self, text: str) -> None:
        """Remember what a policy protects."""

    def keep_free(self, kind: str, name: str) -> None:
        """Record a name that is not protected and that the registry itself cannot compare as the gate does."""

    def install_triggers(self, protected: Protected | None) -> None:
        """Let the registry refuse by itself what the policy protects; nothing any more without names."""


class OriginRecords(Protocol):
    """What was recorded when a model or version was created, and the marks that it carries now."""

    def prepare(self) -> str:
        """Make the records ready, and return why they cannot be used; empty when they can. Never raises."""

    def exist(self) -> bool:
        """Whether there are records at all; False means that nothing was ever promoted."""

    def is_prompt(self, workspace: str, name: str) -> bool:
        """Whether a model was created as a prompt, still has the mark, and never held a version with files."""

    def was_created_as_prompt(self, workspace: str, name: str) -> bool:
        """Whether the gate saw this very model created as a prompt."""

    def demand_unchanged(self, workspace: str, name: str, version: int) -> None:
        """Refuse a version whose origin differs from the recorded one.

        Raises:
            TargetError: it was changed.
        """

    def promoted_before(self, workspace: str, name: str, version: int) -> frozenset[str]:
        """Return the stages to which another version of this name and number was promoted."""

    def mark(self, workspace: str, name: str, protected: Protected, version: int | None = None) -> str:
        """Return a protected mark that a model, or one version of it, carries; empty where it has none."""
