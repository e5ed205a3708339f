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

from collections.abc import Iterator, Mapping
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
    is_named: bool
    """Whether the source is named apart from the materials, so that the two can contradict each other."""
    commit: str
    """The commit of a source that is named so; empty where its version of the specification has no place for it."""
    materials: tuple[Material, ...]
    finished: object
    """The raw value; None if absent."""


def contradictions(build: Build, certificate: Mapping[str, str]) -> Iterator[str]:
    """Yield what a provenance says about its source in one place and differently in another.

    Further repositories, such as submodules and reusable workflows, are no contradiction: only the entry counts that is
    the source's own. One without any checkout among its materials says nothing there.

    Args:
        build: the provenance.
        certificate: what the certificate of a workflow that signed it says, by the names of `CLAIMS`; often nothing.
    """
    source = build.source
    if source is None or not build.is_named:
        return
    checkouts = [(SourceRef.of_uri(item.uri), _commit(item)) for item in build.materials if _is_git(item)]
    same = [(ref, commit) for ref, commit in checkouts if _same_repository(ref.repository, source.repository)]
    own = [(ref, commit) for ref, commit in same if ref.ref == source.ref or not (ref.ref and source.ref)]
    if checkouts and not own:
        yield f"says it was built from {source}, and among its materials is {(same or checkouts)[0][0]} instead"
    commits = {commit for _, commit in own if commit} | ({build.commit} if build.commit else set())
    if len(commits) > 1:
        yield f"names the commits {' and '.join(sorted(commits))} for one source"
    if build.build_type not in GITHUB_WORKFLOWS:
        return
    repository, ref = certificate.get("source_repository_uri"), certificate.get("source_repository_ref")
    if repository and not _same_repository(repository, source.repository):
        yield f"says it was built from {source}, and was signed by a workflow of {repository}"
    if ref and source.ref and ref != source.ref:
        yield f"says it was built from {source}, and was signed by a workflow that ran for {ref}"
    commit = certificate.get("source_repository_digest")
    if commit and commits and commit.lower() not in commits:
        yield f"names the commit {min(commits)}, and was signed by a workflow that ran for {commit}"


def _is_git(item: Material) -> bool:
    return item.uri.startswith(("git+", "git:")) or (bool(item.uri) and bool(_commit(item)))


def _commit(item: Material) -> str:
    return next((item.digests[name].lower() for name in _COMMITS if name in item.digests), "")


def _same_repository(one: str, other: str) -> bool:
    """Whether two URIs are one repository: forges ignore case and `.git`, and a tag may follow an `@`."""
    return _plain(one) == _plain(other)


def _plain(repository: str) -> str:
    start, slash, last = repository.removeprefix("git+").partition("#")[0].rstrip("/").lower().rpartition("/")
    return start + slash + last.partition("@")[0].removesuffix(".git")


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
        is_named=build_type in GITHUB_WORKFLOWS,
        commit="",
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
        is_named=bool(uri),
        commit=_commit(_material(config, "configSource")) if uri else "",
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
