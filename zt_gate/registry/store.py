"""The registry store: MLflow's own SQL store, with the gate before every method that promotes, or reads a promotion.

MLflow finds it by the entry points `ztgate+sqlite` and so on of `mlflow.model_registry_store`. The gate stands here and
not before the HTTP routes, because one act has many routes and spellings, and all of them end in these methods.
Private methods begin with `_zt_`, since the class shares its namespace with MLflow's.
"""

from __future__ import annotations

import os
from typing import Any

from zt_gate.domain import Digest, printable
from zt_gate.errors import TargetError, ZtGateError
from zt_gate.registry.artifacts import DEFAULT_WORKSPACE, Destination
from zt_gate.registry.client import PROBE
from zt_gate.registry.gatekeeper import Admit, Attempt, Gatekeeper
from zt_gate.registry.ledger import Ledger
from zt_gate.registry.origins import NO_PROMPT, PLACEHOLDERS, says_prompt, unmarks_prompt
from zt_gate.registry.protected import PROMPT, SUMMARY_TAG, is_reserved
from zt_gate.registry.refusal import refuse, sentence
from zt_gate.registry.settings import ServerSettings


def logged_location(source: str) -> str:
    """Return where the bytes of a source lie. Asks the tracking store for `models:/m-…` and `runs:/…`.

    Raises:
        TargetError: the logged model or run cannot be found.
    """
    if not source.startswith(("models:/m-", "runs:/")):
        return source
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException
    from mlflow.store.artifact.runs_artifact_repo import RunsArtifactRepository

    try:
        if source.startswith("runs:/"):
            return str(RunsArtifactRepository.get_underlying_uri(source))
        model, _, path = source.removeprefix("models:/").partition("/")
        location = str(MlflowClient().get_logged_model(model).artifact_location)
    except MlflowException as error:
        raise TargetError(f"{printable(source, 60)} cannot be found: {printable(str(error), 60)}") from error
    return f"{location}/{path}" if path else location


# A prefix, since MLflow compares schemes exactly except for those that start with a database's name.
PREFIX = "ztgate+"


class GatedStore:
    """Methods of MLflow's `AbstractStore` with the gate before them. `build_store` puts the SQL store below."""

    gate: Gatekeeper

    def _plain(self, method: str) -> Any:
        """Return MLflow's own method."""
        return getattr(super(), method)

    def workspace(self) -> str:
        """Return the workspace of the request that is being answered."""
        active = getattr(self, "_get_active_workspace", None)
        return str(active()) if active is not None else DEFAULT_WORKSPACE

    def _zt_attempt(self, act: str, name: str, version: Any, stages: frozenset[str]) -> Attempt:
        return Attempt(act, self.workspace(), str(name), int(version or 0), stages)

    def _zt_whole(self, act: str, name: str) -> Attempt:
        return Attempt(act, self.workspace(), str(name), 0, frozenset(), whole=True)

    def _zt_sealed(self, attempt: Attempt, admit: Admit) -> Digest:
        """Return the digest under which a version is sealed; seal it first if need be, and if admitted."""
        self.gate.origins.demand_unchanged(attempt.workspace, attempt.name, attempt.version)
        destination = self.gate.destination()
        # The sealed copy and not the original: the server's artifact API can overwrite that after an approval.
        for digest in self.gate.ledger.seals(attempt.workspace, attempt.name, attempt.version).values():
            if destination.is_sealed(attempt.workspace, digest):
                return Digest(digest)
        return destination.seal(attempt.workspace, self._zt_location(attempt.name, attempt.version), admit)

    def _zt_location(self, name: str, version: int) -> str:
        from mlflow.exceptions import MlflowException

        try:
            return logged_location(str(self._plain("get_model_version_download_uri")(name, version)))
        except MlflowException as error:
            raise TargetError(f"its files cannot be found: {printable(error.message, 80)}") from error

    def _zt_promote(self, attempt: Attempt, act: Any) -> Any:
        """Run MLflow's own method under the gate.

        The gate's row about the version is written first: the database trigger demands it (`sql_triggers`).
        """
        version = self._plain("get_model_version")(attempt.name, attempt.version)
        created = version.creation_timestamp
        if self.gate.is_prompt(attempt.workspace, attempt.name):
            self.gate.origins.promoted(attempt.workspace, attempt.name, attempt.version, created, attempt.stages)
            return act()
        if version.source in PLACEHOLDERS:
            self.gate.deny(attempt, NO_PROMPT)
        with self.gate.promotion(attempt, lambda admit: self._zt_sealed(attempt, admit)) as digest:
            self._zt_row(attempt, created, digest)
            return act()

    def _zt_row(self, attempt: Attempt, created: int, digest: Digest) -> None:
        self.gate.ledger.seal(attempt.workspace, attempt.name, attempt.version, created, digest.hex, attempt.stages)
        self.gate.origins.promoted(attempt.workspace, attempt.name, attempt.version, created, attempt.stages)

    def _zt_use(self, attempt: Attempt, version: Any) -> None:
        """Refuse a marked version whose verdict does not hold; a prompt needs none."""
        if self.gate.is_prompt(attempt.workspace, attempt.name):
            return
        if version.source in PLACEHOLDERS:
            self.gate.deny(attempt, NO_PROMPT)
        self.gate.check_use(attempt)

    def _zt_stay_prompt(self, name: str, key: str, value: str = "") -> None:
        """Refuse to remove the mark of a prompt: without it, a prompt would become a model that no verdict covers."""
        if unmarks_prompt(key, value) and self.gate.origins.was_created_as_prompt(self.workspace(), name):
            self.gate.deny(self._zt_whole(f"tag {key}", name), "it was created as a prompt, and stays one")

    def set_registered_model_alias(self, name: str, alias: str, version: Any) -> Any:
        """Set an alias; a protected one only on an admitted version."""
        act = lambda: self._plain("set_registered_model_alias")(name, alias, version)  # noqa: E731
        stages = self.gate.demanded("aliases", alias)
        return self._zt_promote(self._zt_attempt(f"alias @{alias}", name, version, stages), act) if stages else act()

    def delete_registered_model_alias(self, name: str, alias: str) -> Any:
        """Delete an alias. Removing a protected one promotes nothing, so it is only recorded."""
        if self.gate.demanded("aliases", alias):
            self.gate.record_removal(self._zt_attempt(f"alias @{alias} removed", name, 0, frozenset()))
        return self._plain("delete_registered_model_alias")(name, alias)

    def transition_model_version_stage(
        self, name: str, version: Any, stage: str, archive_existing_versions: bool = False
    ) -> Any:
        """Move a version to a stage; into a protected one only an admitted version."""
        act = lambda: self._plain("transition_model_version_stage")(  # noqa: E731
            name, version, stage, archive_existing_versions
        )
        # Deprecated since MLflow 2.9 and still live in 3.17, where it sends no webhook.
        stages = self.gate.demanded("stages", stage)
        return self._zt_promote(self._zt_attempt(f"stage {stage}", name, version, stages), act) if stages else act()

    def set_model_version_tag(self, name: str, version: Any, tag: Any) -> Any:
        """Set a tag; a protected one only on an admitted version. A summary is stored as evidence."""
        if tag.key == SUMMARY_TAG:
            return self._zt_submit_summary(name, version, str(tag.value))
        if is_reserved(tag.key):
            refuse(sentence(f"tag {tag.key}", "tags that begin with zt-gate. are the gate's own"))
        self._zt_stay_prompt(name, tag.key, str(tag.value))
        act = lambda: self._plain("set_model_version_tag")(name, version, tag)  # noqa: E731
        stages = self.gate.demanded("tags", tag.key)
        return self._zt_promote(self._zt_attempt(f"tag {tag.key}", name, version, stages), act) if stages else act()

    def set_registered_model_tag(self, name: str, tag: Any) -> Any:
        """Set a tag of a whole model. A protected key is refused: it would cover versions that no verdict is about."""
        if is_reserved(tag.key) or self.gate.demanded("tags", tag.key):
            attempt = self._zt_whole(f"tag {tag.key}", name)
            self.gate.deny(attempt, "a protected tag belongs on a version, not on the whole model")
        self._zt_stay_prompt(name, tag.key, str(tag.value))
        return self._plain("set_registered_model_tag")(name, tag)

    def delete_registered_model_tag(self, name: str, key: str) -> Any:
        """Delete a tag of a model; a prompt keeps its mark."""
        self._zt_stay_prompt(name, key)
        return self._plain("delete_registered_model_tag")(name, key)

    def delete_model_version_tag(self, name: str, version: Any, key: str) -> Any:
        """Delete a tag of a version; a prompt keeps its mark."""
        self._zt_stay_prompt(name, key)
        return self._plain("delete_model_version_tag")(name, version, key)

    def create_registered_model(self, name: str, tags: Any = None, *more: Any, **named: Any) -> Any:
        """Create a model without versions; its tags are checked as in `set_registered_model_tag`."""
        for tag in tags or []:
            if is_reserved(tag.key) or self.gate.demanded("tags", tag.key):
                attempt = self._zt_whole(f"tag {tag.key}", name)
                self.gate.deny(attempt, "a protected tag belongs on a version, not on the whole model")
        # Allowed in a protected name too: MLflow's client makes the empty model before it copies a version into it.
        made = self._plain("create_registered_model")(name, tags, *more, **named)
        created = int(made.creation_timestamp) if says_prompt(tags) else None
        self.gate.origins.created_model(self.workspace(), name, created)
        return made

    def create_model_version(
        self, name: str, source: str, run_id: Any = None, tags: Any = None, *more: Any, **named: Any
    ) -> Any:
        """Create a version; in a protected model, or with a protected tag, only from admitted bytes."""
        act = lambda: self._plain("create_model_version")(name, source, run_id, tags, *more, **named)  # noqa: E731
        if any(is_reserved(tag.key) for tag in tags or []):
            refuse(sentence(f"a new version of {name}", "tags that begin with zt-gate. are the gate's own"))
        stages = self.gate.demanded("models", name).union(*(self.gate.demanded("tags", tag.key) for tag in tags or []))
        attempt = self._zt_attempt("create", name, 0, stages)
        if self.gate.origins.was_created_as_prompt(attempt.workspace, name):
            files = run_id or named.get("model_id") or any(more[3:])
            return self._zt_create_prompt(attempt, act, source, says_prompt(tags) and not files)
        if not stages:
            return self._zt_bound(attempt, act())
        if source in PLACEHOLDERS:
            self.gate.deny(attempt, NO_PROMPT)
        with self.gate.promotion(attempt, lambda admit: self._zt_source(attempt.workspace, source, admit)) as digest:
            version = self._zt_bound(attempt, act())
            made = self._zt_attempt("create", name, version.version, stages)
            self._zt_row(made, version.creation_timestamp, digest)
            return version

    def _zt_create_prompt(self, attempt: Attempt, act: Any, source: str, only_text: bool) -> Any:
        """Create a version of a prompt, which never holds files."""
        if source not in PLACEHOLDERS or not only_text:
            self.gate.deny(attempt, f"{PROMPT}: register them under another name")
        if attempt.stages and not self.gate.is_prompt(attempt.workspace, attempt.name):
            self.gate.deny(attempt, NO_PROMPT)
        version = self._zt_bound(attempt, act())
        created, number = version.creation_timestamp, int(version.version)
        if attempt.stages:
            self.gate.origins.promoted(attempt.workspace, attempt.name, number, created, attempt.stages)
        return version

    def _zt_bound(self, attempt: Attempt, version: Any) -> Any:
        """Record where the files of a new version come from, so that a later change is noticed."""
        self.gate.origins.bind(attempt.workspace, attempt.name, int(version.version))
        return version

    def _zt_source(self, workspace: str, source: str, admit: Admit) -> Digest:
        """Return the digest of what a new version would be made from, sealed."""
        if source.startswith("models:/") and not source.startswith("models:/m-"):
            name, _, version = source.removeprefix("models:/").rpartition("/")
            if not version.isdecimal():
                raise TargetError(f"{printable(source, 60)} is no version")
            return self._zt_sealed(self._zt_attempt("copy", name, version, frozenset()), admit)
        return self.gate.destination().seal(workspace, logged_location(source), admit)

    def rename_registered_model(self, name: str, new_name: str) -> Any:
        """Rename a model without protected marks; into a protected name only when every version of it is admitted."""
        if name == new_name:
            return self._plain("get_registered_model")(name)
        workspace, act = self.workspace(), f"rename to {new_name}"
        self.gate.keep_in_place(self._zt_whole(act, name))
        stages = self.gate.demanded("models", new_name)
        # One rename promotes every version at once, and no version is named in it.
        for number in self.gate.origins.numbers(workspace, name) if stages else ():
            self._zt_promote(Attempt(act, workspace, name, number, stages), lambda: None)
        renamed = self._plain("rename_registered_model")(name, new_name)
        self.gate.ledger.rename(workspace, name, new_name)
        self.gate.origins.renamed(workspace, name, new_name)
        return renamed

    def delete_registered_model(self, name: str) -> Any:
        """Delete a model without protected marks."""
        attempt = self._zt_whole("delete", name)
        self.gate.keep_in_place(attempt)
        deleted = self._plain("delete_registered_model")(name)
        self.gate.origins.created_model(attempt.workspace, name, None)
        return deleted

    def get_model_version_by_alias(self, name: str, alias: str) -> Any:
        """Resolve an alias; a protected one only while the version's verdict holds."""
        if name == PROBE:
            refuse(f"zt-gate is active: {self.gate.status()}")
        version = self._plain("get_model_version_by_alias")(name, alias)
        stages = self.gate.demanded("aliases", alias)
        if stages:
            self._zt_use(self._zt_attempt(f"alias @{alias}", name, version.version, stages), version)
        return version

    def get_latest_versions(self, name: str, stages: Any = None) -> Any:
        """Return the newest version by stage. One in a protected stage is shown only while its verdict holds."""
        found = self._plain("get_latest_versions")(name, stages)
        for version in found:
            demanded = self.gate.demanded("stages", version.current_stage)
            if demanded and stages:
                self._zt_use(
                    self._zt_attempt(f"stage {version.current_stage}", name, version.version, demanded), version
                )
        return found

    def get_model_version_download_uri(self, name: str, version: Any) -> Any:
        """Return where a version's files are: the sealed copy if admitted, and only that if protected."""
        location = self._plain("get_model_version_download_uri")(name, version)
        attempt = self._zt_attempt("download", name, version, self.gate.demanded("models", name))
        if location in PLACEHOLDERS and self.gate.is_prompt(attempt.workspace, name):
            self.gate.deny(attempt, PROMPT)
        digest = self.gate.redirect(attempt)
        return self.gate.destination().sealed_uri(attempt.workspace, digest) if digest else location

    def _zt_submit_summary(self, name: str, version: Any, text: str) -> None:
        """Store a signed summary, after making sure that the version exists."""
        self._plain("get_model_version")(name, version)
        try:
            self.gate.submit_summary(self.workspace(), text)
        except ZtGateError as error:
            self.gate.deny(self._zt_attempt("summary", name, version, frozenset()), error.message)


def build_store(store_uri: str, tracking_uri: str | None = None) -> Any:  # noqa: ARG001 - MLflow passes both
    """Return the gated store of a URI such as `ztgate+sqlite:////srv/mlflow.db`; MLflow calls this.

    Args:
        store_uri: the scheme of the database behind `ztgate+`.
        tracking_uri: of the tracking store; not used.
    """
    from zt_gate.registry.conformance import closed

    base = _base()
    made: Any = type("ZtGateStore", (GatedStore, base), closed(base))(store_uri.removeprefix(PREFIX))
    made.gate = Gatekeeper(Ledger(made.engine), ServerSettings(os.environ), Destination.of_server)
    made.gate.origins.create()
    made.gate.start()
    return made


def _base() -> Any:
    from mlflow.store.model_registry.sqlalchemy_store import SqlAlchemyStore

    try:
        from mlflow.environment_variables import MLFLOW_ENABLE_WORKSPACES
        from mlflow.store.model_registry.sqlalchemy_workspace_store import WorkspaceAwareSqlAlchemyStore
    except ImportError:  # MLflow 2.x and early 3.x have no workspaces
        return SqlAlchemyStore
    return WorkspaceAwareSqlAlchemyStore if MLFLOW_ENABLE_WORKSPACES.get() else SqlAlchemyStore
