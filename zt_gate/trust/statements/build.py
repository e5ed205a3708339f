"""SLSA provenance v0.2 and v1 in one form: who built, how, from which source and which materials.

| here | SLSA v1 | SLSA v0.2 |
|---|---|---|
| builder | `runDetails.builder.id` | `builder.id` |
| build_type | `buildDefinition.buildType` | `buildType` |
| source | see `_source_v1` | `invocation.configSource.uri` |
| materials | `buildDefinition.resolvedDependencies` | `materials` |
| finished | `runDetails.metadata.finishedOn` | `metadata.buildFinishedOn` |

Sources: https://slsa.dev/spec/v1.0/provenance and https://slsa.dev/spec/v0.2/provenance
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from zt_gate.trust.statements.statement import PROVENANCE_TYPE, PROVENANCE_TYPE_02, Statement

PROVENANCE_TYPES = (PROVENANCE_TYPE, PROVENANCE_TYPE_02)
GITHUB_WORKFLOWS = (
    "https://actions.github.io/buildtypes/workflow/v1",
    "https://slsa-framework.github.io/github-actions-buildtypes/workflow/v1",
)
"""Build types that name their source in `externalParameters.workflow`."""
_COMMITS = ("gitCommit", "sha1")


@dataclass(frozen=True, slots=True)
class SourceRef:
    """A repository and the ref that was built; the ref is empty where none is named."""

    repository: str
    """URI without a leading `git+`."""
    ref: str

    @classmethod
    def of_uri(cls, uri: str) -> SourceRef:
        """Split `git+https://host/name@refs/heads/main`. Other text after an `@` stays as it is.

        The first `@refs/` separates them, so that a branch named `x@refs/heads/main` cannot pass for `main`.
        """
        repository, found, ref = uri.removeprefix("git+").partition("@refs/")
        return cls(repository, f"refs/{ref}" if found else "")

    def __str__(self) -> str:
        return f"{self.repository}@{self.ref}" if self.ref else self.repository


@dataclass(frozen=True, slots=True)
class Material:
    """Something that went into a build."""

    name: str
    uri: str
    digests: Mapping[str, str]
    """By algorithm. Only a sha256 can be compared with a list of digests."""

    @property
    def sha256(self) -> str:
        """`sha256:<hex>`, or nothing."""
        return f"sha256:{self.digests['sha256']}" if "sha256" in self.digests else ""

    def is_checkout(self, source: SourceRef) -> bool:
        """Whether this is the source itself, named by nothing but a commit."""
        commit_only = bool(self.digests) and all(name in _COMMITS for name in self.digests)
        return commit_only and bool(self.uri) and SourceRef.of_uri(self.uri) == source


@dataclass(frozen=True, slots=True)
class Build:
    """The contents of a provenance statement."""

    builder: str
    build_type: str
    source: SourceRef | None
    materials: tuple[Material, ...]
    finished: object
    """The raw value; None if absent."""


def parse_build(statement: Statement) -> Build:
    """Read a provenance statement.

    Raises:
        ValueError: it lacks what its version of the specification demands, or something is of another type.
    """
    return _v1(statement.predicate) if statement.predicate_type == PROVENANCE_TYPE else _v02(statement.predicate)


def _v1(predicate: Mapping[str, Any]) -> Build:
    definition, details = _object(predicate, "buildDefinition"), _object(predicate, "runDetails")
    materials = _materials(definition, "resolvedDependencies")
    build_type = _text(definition, "buildType")
    return Build(
        builder=_text(_object(details, "builder"), "id"),
        build_type=build_type,
        source=_source_v1(build_type, _object(definition, "externalParameters", {}), materials),
        materials=materials,
        finished=_object(details, "metadata", {}).get("finishedOn"),
    )


def _source_v1(build_type: str, parameters: Mapping[str, Any], materials: tuple[Material, ...]) -> SourceRef | None:
    """Return the source of a v1 build.

    GitHub's workflow build types name it in `externalParameters.workflow`. Every other build type has to put it first
    among the `resolvedDependencies`, as a `git+` URI; anywhere else it could be any repository that was merely used.
    """
    if build_type in GITHUB_WORKFLOWS:
        workflow = _object(parameters, "workflow")
        return SourceRef(_text(workflow, "repository").removeprefix("git+"), _text(workflow, "ref"))
    first = materials[0].uri if materials else ""
    return SourceRef.of_uri(first) if first.startswith("git+") else None


def _v02(predicate: Mapping[str, Any]) -> Build:
    config = _object(_object(predicate, "invocation", {}), "configSource", {})
    uri = _text(config, "uri") if "uri" in config else ""
    return Build(
        builder=_text(_object(predicate, "builder"), "id"),
        build_type=_text(predicate, "buildType"),
        source=SourceRef.of_uri(uri) if uri else None,
        materials=_materials(predicate, "materials"),
        finished=_object(predicate, "metadata", {}).get("buildFinishedOn"),
    )


def _materials(parent: Mapping[str, Any], key: str) -> tuple[Material, ...]:
    value = parent.get(key, [])
    if not isinstance(value, list):
        raise ValueError(f"{key} is not a list")  # noqa: TRY004 - one error type for all that is malformed
    return tuple(_material(item, key) for item in value)


def _material(item: Any, key: str) -> Material:
    if not isinstance(item, dict):
        raise ValueError(f"{key} holds something that is no object")  # noqa: TRY004
    digests = _object(item, "digest", {})
    named = {name: item.get(name, "") for name in ("name", "uri")}
    if not all(isinstance(text, str) for text in (*named.values(), *digests.values())):
        raise ValueError(f"{key} holds a name, URI or digest that is no text")
    return Material(named["name"], named["uri"], digests)


def _object(parent: Mapping[str, Any], key: str, default: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
    value = parent.get(key, default)
    if not isinstance(value, dict):
        raise ValueError(f"{key} is missing" if key not in parent else f"{key} is no object")  # noqa: TRY004
    return value


def _text(parent: Mapping[str, Any], key: str) -> str:
    value = parent.get(key)
    if not isinstance(value, str) or not value:
        raise ValueError(f"{key} is missing" if key not in parent else f"{key} is no text")
    return value
