"""Which names are protected, and the stages whose verdict each of them demands."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from zt_gate.codecs.strict_json import parse_json
from zt_gate.policy.registry import Registry, fold, glob_regex

KINDS = ("aliases", "models", "stages", "tags")
RESERVED = "zt-gate."
"""Tags that begin so are the gate's own."""
SUMMARY_TAG = "zt-gate.summary"
"""Setting this tag of a model version hands in a signed summary; it is kept as evidence and never as a tag."""

PROMPT_TAG = "mlflow.prompt.is_prompt"
"""What MLflow marks a prompt with. Anybody may set it; see `zt_gate.registry.origins`."""
PROMPT = "this is a prompt, and a prompt holds no files"
"""What the gate says of what it saw created as a prompt, to whoever wants its files."""


@dataclass(frozen=True)
class Protected:
    """What one policy protects: for each kind of name, the stage by pattern."""

    aliases: Mapping[str, str]
    models: Mapping[str, str]
    stages: Mapping[str, str]
    tags: Mapping[str, str]
    more: tuple[Protected, ...] = field(default=(), kw_only=True)
    """What else holds, such as what an earlier policy protected."""

    @classmethod
    def of(cls, registry: Registry) -> Protected:
        """Return what a policy protects, defaults included."""
        return cls(*(registry.protected(kind) for kind in KINDS))

    @classmethod
    def from_json(cls, text: str) -> Protected:
        """Read what `to_json` wrote.

        Raises:
            ValueError: it is something else.
        """
        value: dict[str, Any] = parse_json(text.encode())
        if set(value) != set(KINDS):
            raise ValueError("these are no protected names")
        return cls(*({str(name): str(stage) for name, stage in value[kind].items()} for kind in KINDS))

    def to_json(self) -> str:
        """Return the names as text, for the database."""
        return json.dumps({kind: dict(getattr(self, kind)) for kind in KINDS}, sort_keys=True)

    def with_more(self, other: Protected) -> Protected:
        """Return what this or the other protects."""
        return replace(self, more=(*self.more, other))

    def demanded(self, kind: str, name: str) -> frozenset[str]:
        """Return the stages that a name demands, by its kind, such as `aliases`; none where it is free."""
        folded = fold(name)
        own = {stage for pattern, stage in self._patterns[kind] if pattern.fullmatch(folded)}
        return frozenset(own.union(*(other.demanded(kind, name) for other in self.more)))

    @cached_property
    def _patterns(self) -> dict[str, list[tuple[re.Pattern[str], str]]]:
        return {kind: [(glob_regex(glob), stage) for glob, stage in getattr(self, kind).items()] for kind in KINDS}


DEFAULT = Protected.of(Registry())
"""What is protected where no policy can be read."""


def is_reserved(key: str) -> bool:
    """Whether a tag is the gate's own."""
    return fold(key).startswith(RESERVED)
