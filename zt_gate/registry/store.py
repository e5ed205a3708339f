"""The registry store: MLflow's own SQL store, with the gate before every method that promotes, or reads a promotion.

MLflow finds it by the entry points `ztgate+sqlite` and so on of `mlflow.model_registry_store`. The gate stands here and
not before the HTTP routes, because one act has many routes and spellings, and all of them end in these methods.
Private methods begin with `_zt_`, since the class shares its namespace with MLflow's.
"""

from __future__ import annotations

import logging
import os
from typing import Any

from zt_gate.domain import Digest, printable
from zt_gate.errors import TargetError, UsageError, ZtGateError
from zt_gate.intake.sealed import Admit
from zt_gate.registry.artifacts import DEFAULT_WORKSPACE, Destination
from zt_gate.registry.client import PROBE, UNTIL
from zt_gate.registry.gatekeeper import PAGES, Attempt, Gatekeeper
from zt_gate.registry.ledger import Ledger
from zt_gate.registry.one_transaction import OneTransaction, Together
from zt_gate.registry.origins import NO_PROMPT, PLACEHOLDERS, says_prompt, unmarks_prompt
from zt_gate.registry.probes import answer_about_gate, answer_until, is_question
from zt_gate.registry.protected import PROMPT, SUMMARY_TAG, is_reserved
from zt_gate.registry.refusal import refuse, sentence
from zt_gate.registry.settings import ServerSettings
from zt_gate.registry.version_note import NOTE_TAGS, described, note, noted_in, page_of, stage_verdicts
from zt_gate.registry.version_note import tags as note_tags


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


_ARCHIVED = "Archived"
# A prefix, since MLflow compares schemes exactly except for those that start with a database's name.
PREFIX = "ztgate+"
_MAX_VERSION = 2**31 - 1
_LOG = logging.getLogger("zt_gate.registry")


def _number(version: Any) -> int:
    """Return the number of a version; 0, which no version has, for anything else: MLflow's own method refuses it."""
    try:
        return int(version or 0)
    except (TypeError, ValueError):
        return 0


class GatedStore:
    """Methods of MLflow's `AbstractStore` with the gate before them. `build_store` puts the SQL store below."""

    gate: Gatekeeper
    one_transaction: OneTransaction

    def _plain(self, method: str) -> Any:
        """Return MLflow's own method."""
        return getattr(super(), method)

    def workspace(self) -> str:
        """Return the workspace of the request that is being answered."""
        active = getattr(self, "_get_active_workspace", None)
        return str(active()) if active is not None else DEFAULT_WORKSPACE

    def _zt_name(self, name: str) -> str:
        """Return a model's name as it is stored; see `Database.spelt`."""
        return self.gate.ledger.database.spelt(self.workspace(), str(name))

    def _zt_attempt(self, act: str, name: str, version: Any, stages: frozenset[str]) -> Attempt:
        return Attempt(act, self.workspace(), str(name), _number(version), stages)

    def _zt_number(self, name: str, version: Any) -> int:
        """Return a version's number. MLflow itself refuses a bad name or number only after the gate has looked at it.

        Raises:
            MlflowException: INVALID_PARAMETER_VALUE (400); without it a client would repeat the request for minutes.
        """
        from mlflow.exceptions import MlflowException
        from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
        from mlflow.utils.validation import _validate_model_name

        _validate_model_name(name)
        try:
            number = int(version)
        except (TypeError, ValueError, OverflowError):
            number = 0
        # Databases raise for what their column cannot hold, and number versions from 1.
        if not 0 < number <= _MAX_VERSION:
            text = f"'version' must be a number from 1 to {_MAX_VERSION}, got {printable(str(version), 40)!r}"
            raise MlflowException(text, INVALID_PARAMETER_VALUE)
        return number

    def _zt_whole(self, act: str, name: str) -> Attempt:
        return Attempt(act, self.workspace(), str(name), 0, frozenset(), whole=True)

    def _zt_demanded(self, kind: str, name: str) -> frozenset[str]:
        """Return the stages that a name demands which is about to be written."""
        stages = self.gate.demanded(kind, name)
        if not stages:
            self.gate.keep_free(kind, str(name))
        return stages

    def _zt_sealed(self, attempt: Attempt, admit: Admit) -> Digest:
        """Return the digest under which a version is sealed; seal it first if need be, and if admitted."""
        self.gate.origins.demand_unchanged(attempt.workspace, attempt.name, attempt.version)
        # The sealed copy and not the original: the server's artifact API can overwrite that after an approval.
        for digest in set(self.gate.ledger.seals(attempt.workspace, attempt.name, attempt.version).values()):
            if not self.gate.trouble(digest):
                return Digest(digest)
        return self.gate.seal(self._zt_location(attempt.name, attempt.version), admit)

    def _zt_location(self, name: str, version: int) -> str:
        from mlflow.exceptions import MlflowException

        try:
            return logged_location(str(self._plain("get_model_version_download_uri")(name, version)))
        except MlflowException as error:
            raise TargetError(f"its files cannot be found: {printable(error.message, 80)}") from error

    def _zt_promote(self, attempt: Attempt, act: Any, *, noted: bool = True) -> Any:
        """Run MLflow's own method under the gate.

        The gate's row about the version is written first: the database trigger demands it (`sql_triggers`).
        """
        version = self._plain("get_model_version")(attempt.name, attempt.version)
        created = version.creation_timestamp
        if self.gate.is_prompt(attempt.workspace, attempt.name):
            self._zt_row(attempt, created)
            return act()
        if version.source in PLACEHOLDERS:
            self.gate.deny(attempt, NO_PROMPT)
        with self.gate.promotion(attempt, lambda admit: self._zt_sealed(attempt, admit)) as digest:
            self._zt_row(attempt, created, digest)
            done = act()
        if noted:
            self._zt_note(attempt.name, attempt.version)
        return done

    def _zt_note(self, name: str, number: int, submitted: str = "") -> None:
        """Write the verdict on a version, for MLflow's own pages. It decides nothing, so a failure is only logged."""
        from mlflow.entities.model_registry import ModelVersionTag

        try:
            verdicts = stage_verdicts(self.gate, self.workspace(), name, number, submitted)
            if not verdicts:
                return
            page = page_of(os.environ.get(PAGES), name, number)
            for key, value in note_tags(verdicts, page).items():
                self._plain("set_model_version_tag")(name, number, ModelVersionTag(key, value))
            before = self._plain("get_model_version")(name, number).description
            self._plain("update_model_version")(name, number, described(before, note(verdicts, page)))
        except Exception:  # noqa: BLE001 - logged; the act is done
            _LOG.exception("zt-gate: the verdict could not be written on models:/%s/%s", printable(name), number)

    def _zt_described(self, name: str, text: Any, noted: str = "") -> str | None:
        """Return a client's description without a note that imitates the gate's, and with the gate's own one."""
        if not text and not noted:
            return text  # type: ignore[no-any-return]
        try:
            return described(text, noted)
        except ZtGateError as error:
            return self.gate.deny(self._zt_whole("description", name), error.message)

    def _zt_together(self, together: Together, act: Any) -> Any:
        """Run MLflow's own method, and the gate's writing in its transaction where the gate has usable tables."""
        return act() if self.gate.records_trouble() else self.one_transaction.run(together, act)

    def _zt_row(self, attempt: Attempt, created: int, digest: Digest | None = None) -> None:
        origins, key = self.gate.origins, (attempt.workspace, attempt.name, attempt.version)
        origins.bind_once(*key, created)
        if digest is not None:
            self.gate.ledger.seal(*key, created, digest.hex, attempt.stages)
        origins.promoted(*key, created, attempt.stages)

    def _zt_use(self, attempt: Attempt, version: Any) -> None:
        """Refuse a marked version whose verdict does not hold; a prompt needs none."""
        if version.source in PLACEHOLDERS:  # only such a version can be a prompt's, so others cost no question
            if self.gate.is_prompt(attempt.workspace, attempt.name):
                return
            self.gate.deny(attempt, NO_PROMPT)
        self.gate.check_use(attempt)

    def _zt_stay_prompt(self, name: str, key: str, value: str = "") -> None:
        """Refuse to remove the mark of a prompt: without it, a prompt would become a model that no verdict covers."""
        attempt = self._zt_whole(f"tag {key}", name)
        if unmarks_prompt(key, value) and self.gate.was_created_as_prompt(attempt):
            self.gate.deny(attempt, "it was created as a prompt, and stays one")

    def set_registered_model_alias(self, name: str, alias: str, version: Any) -> Any:
        """Set an alias; a protected one only on an admitted version."""
        version = self._zt_number(name, version)
        name = self._zt_name(name)
        act = lambda: self._plain("set_registered_model_alias")(name, alias, version)  # noqa: E731
        stages = self._zt_demanded("aliases", alias)
        return self._zt_promote(self._zt_attempt(f"alias @{alias}", name, version, stages), act) if stages else act()

    def delete_registered_model_alias(self, name: str, alias: str) -> Any:
        """Delete an alias. Removing a protected one promotes nothing, so it is only recorded."""
        name = self._zt_name(name)
        if self.gate.demanded("aliases", alias):
            self.gate.record_removal(self._zt_attempt(f"alias @{alias} removed", name, 0, frozenset()))
        return self._plain("delete_registered_model_alias")(name, alias)

    def transition_model_version_stage(
        self, name: str, version: Any, stage: str, archive_existing_versions: bool = False
    ) -> Any:
        """Move a version to a stage; into a protected one only an admitted version."""
        version = self._zt_number(name, version)
        name = self._zt_name(name)

        def act() -> Any:
            self._zt_leave_stage(name, version, stage, archive=archive_existing_versions)
            return self._plain("transition_model_version_stage")(name, version, stage, archive_existing_versions)

        # Deprecated since MLflow 2.9 and still live in 3.17, where it sends no webhook.
        stages = self.gate.demanded("stages", stage)
        return self._zt_promote(self._zt_attempt(f"stage {stage}", name, version, stages), act) if stages else act()

    def _zt_leave_stage(self, name: str, version: int, stage: str, *, archive: bool) -> None:
        """Put on record which versions a transition takes out of a protected stage.

        One that it archives is promoted by that where `Archived` is protected.
        """
        archived = self.gate.demanded("stages", _ARCHIVED)
        for number, before in self.gate.origins.in_stages(self.workspace(), name).items():
            same = before.lower() == stage.lower()  # MLflow takes a stage in any case
            if number == version:
                leaves, needed = not same, frozenset[str]()
            else:
                leaves, needed = same and archive, archived
            if leaves and needed:
                self._zt_promote(self._zt_attempt(f"stage {_ARCHIVED}", name, number, needed), lambda: None)
            if leaves and self.gate.demanded("stages", before):
                self.gate.record_removal(self._zt_attempt(f"stage {before} left", name, number, frozenset()))

    def set_model_version_tag(self, name: str, version: Any, tag: Any) -> Any:
        """Set a tag; a protected one only on an admitted version. A summary is stored as evidence."""
        version = self._zt_number(name, version)
        name = self._zt_name(name)
        if tag.key == SUMMARY_TAG:
            return self._zt_submit_summary(name, version, str(tag.value))
        if is_reserved(tag.key):
            refuse(sentence(f"tag {tag.key}", "tags that begin with zt-gate. are the gate's own"))
        self._zt_stay_prompt(name, tag.key, str(tag.value))
        act = lambda: self._plain("set_model_version_tag")(name, version, tag)  # noqa: E731
        stages = self._zt_demanded("tags", tag.key)
        return self._zt_promote(self._zt_attempt(f"tag {tag.key}", name, version, stages), act) if stages else act()

    def set_registered_model_tag(self, name: str, tag: Any) -> Any:
        """Set a tag of a whole model. A protected key is refused: it would cover versions that no verdict is about."""
        name = self._zt_name(name)
        if is_reserved(tag.key) or self._zt_demanded("tags", tag.key):
            attempt = self._zt_whole(f"tag {tag.key}", name)
            self.gate.deny(attempt, "a protected tag belongs on a version, not on the whole model")
        self._zt_stay_prompt(name, tag.key, str(tag.value))
        return self._plain("set_registered_model_tag")(name, tag)

    def delete_registered_model_tag(self, name: str, key: str) -> Any:
        """Delete a tag of a model; a prompt keeps its mark."""
        name = self._zt_name(name)
        self._zt_stay_prompt(name, key)
        return self._plain("delete_registered_model_tag")(name, key)

    def delete_model_version_tag(self, name: str, version: Any, key: str) -> Any:
        """Delete a tag of a version; a prompt keeps its mark, the gate its own tags. A protected one goes on record."""
        version = self._zt_number(name, version)
        name = self._zt_name(name)
        if is_reserved(str(key)):
            refuse(sentence(f"removing the tag {key}", "tags that begin with zt-gate. are the gate's own"))
        self._zt_stay_prompt(name, key)
        if self.gate.demanded("tags", key):
            self.gate.record_removal(self._zt_attempt(f"tag {key} removed", name, version, frozenset()))
        return self._plain("delete_model_version_tag")(name, version, key)

    def create_registered_model(self, name: str, tags: Any = None, *more: Any, **named: Any) -> Any:
        """Create a model without versions; its tags are checked as in `set_registered_model_tag`."""
        for tag in tags or []:
            if is_reserved(tag.key) or self._zt_demanded("tags", tag.key):
                attempt = self._zt_whole(f"tag {tag.key}", name)
                self.gate.deny(attempt, "a protected tag belongs on a version, not on the whole model")
        # Allowed in a protected name too: MLflow's client makes the empty model before it copies a version into it.
        workspace, prompt = self.workspace(), says_prompt(tags)

        def after(row: Any) -> None:
            self.gate.origins.created_model(workspace, name, int(row.creation_time) if prompt else None)

        act = lambda: self._plain("create_registered_model")(name, tags, *more, **named)  # noqa: E731
        return self._zt_together(Together("registered_models", after=after), act)

    def create_model_version(
        self, name: str, source: str, run_id: Any = None, tags: Any = None, *more: Any, **named: Any
    ) -> Any:
        """Create a version; in a protected model, or with a protected tag, only from admitted bytes."""
        tags = self._zt_without_copied(source, tags)
        if len(more) > 1:  # the link of a run comes before the description
            more = (more[0], self._zt_described(name, more[1]), *more[2:])
        elif named.get("description"):
            named["description"] = self._zt_described(name, named["description"])
        name = self._zt_name(name)
        act = lambda: self._plain("create_model_version")(name, source, run_id, tags, *more, **named)  # noqa: E731
        if any(is_reserved(tag.key) for tag in tags or []):
            refuse(sentence(f"a new version of {name}", "tags that begin with zt-gate. are the gate's own"))
        stages = self._zt_demanded("models", name).union(*(self._zt_demanded("tags", tag.key) for tag in tags or []))
        attempt = self._zt_attempt("create", name, 0, stages)
        if self.gate.was_created_as_prompt(attempt):
            files = run_id or named.get("model_id") or any(more[3:])
            return self._zt_create_prompt(attempt, act, source, says_prompt(tags) and not files)
        if not stages:
            return self._zt_create(attempt, act)
        if source in PLACEHOLDERS:
            self.gate.deny(attempt, NO_PROMPT)
        with self.gate.promotion(attempt, lambda admit: self._zt_source(source, admit)) as digest:
            version = self._zt_create(attempt, act, digest)
        self._zt_note(name, int(version.version))
        return version

    def _zt_create(self, attempt: Attempt, act: Any, digest: Digest | None = None) -> Any:
        """Create a version, and with it the gate's rows about it, so that a later change is noticed."""
        workspace, name, stages = attempt.workspace, attempt.name, attempt.stages

        # Before MLflow's row: the trigger demands it. The version has its number by now.
        def before(row: Any) -> None:
            if digest is not None:
                self.gate.ledger.seal(workspace, name, row.version, row.creation_time, digest.hex, stages)
            self.gate.origins.promoted(workspace, name, row.version, row.creation_time, stages)

        def after(row: Any) -> None:
            self.gate.origins.bind(workspace, name, row.version)

        return self._zt_together(Together("model_versions", before, after), act)

    def _zt_without_copied(self, source: Any, tags: Any) -> Any:
        """Return the tags of a new version without the gate's own, which MLflow's client copies from the source."""
        if not any(tag.key in NOTE_TAGS for tag in tags or ()):
            return tags
        name, _, number = str(source).removeprefix("models:/").rpartition("/")
        if not str(source).startswith("models:/") or not name:
            return tags
        known = self._plain("get_model_version")(name, self._zt_number(name, number)).tags
        return [tag for tag in tags if tag.key not in NOTE_TAGS or known.get(tag.key) != tag.value]

    def update_model_version(self, name: str, version: Any, description: Any = None) -> Any:
        """Set a description; the gate's note in it stays as the gate wrote it."""
        version = self._zt_number(name, version)
        noted = noted_in(self._plain("get_model_version")(name, version).description)
        return self._plain("update_model_version")(name, version, self._zt_described(name, description, noted))

    def _zt_create_prompt(self, attempt: Attempt, act: Any, source: str, only_text: bool) -> Any:
        """Create a version of a prompt, which never holds files."""
        if source not in PLACEHOLDERS or not only_text:
            self.gate.deny(attempt, f"{PROMPT}: register them under another name")
        if attempt.stages and not self.gate.is_prompt(attempt.workspace, attempt.name):
            self.gate.deny(attempt, NO_PROMPT)
        return self._zt_create(attempt, act)

    def _zt_source(self, source: str, admit: Admit) -> Digest:
        """Return the digest of what a new version would be made from, sealed."""
        if source.startswith("models:/") and not source.startswith("models:/m-"):
            name, _, version = source.removeprefix("models:/").rpartition("/")
            if not version.isdecimal():
                raise TargetError(f"{printable(source, 60)} is no version")
            return self._zt_sealed(self._zt_attempt("copy", name, version, frozenset()), admit)
        return self.gate.seal(logged_location(source), admit)

    def rename_registered_model(self, name: str, new_name: str) -> Any:
        """Rename a model without protected marks; into a protected name only when every version of it is admitted."""
        name = self._zt_name(name)
        if name == new_name:
            return self._plain("get_registered_model")(name)
        workspace, act = self.workspace(), f"rename to {new_name}"
        self.gate.keep_in_place(self._zt_whole(act, name))
        stages = self._zt_demanded("models", new_name)
        # One rename promotes every version at once, and no version is named in it.
        for number in self.gate.origins.numbers(workspace, name) if stages else ():
            self._zt_promote(Attempt(act, workspace, name, number, stages), lambda: None, noted=False)

        def before(_: Any) -> None:
            self.gate.ledger.rename(workspace, name, new_name)
            self.gate.origins.renamed(workspace, name, new_name)

        act_of_mlflow = lambda: self._plain("rename_registered_model")(name, new_name)  # noqa: E731
        renamed = self._zt_together(Together("registered_models", before), act_of_mlflow)
        for number in self.gate.origins.numbers(workspace, new_name):
            self._zt_note(new_name, number)  # it names the page, which has another address now
        return renamed

    def delete_registered_model(self, name: str) -> Any:
        """Delete a model without protected marks."""
        name = self._zt_name(name)
        attempt = self._zt_whole("delete", name)
        self.gate.keep_in_place(attempt)
        before = lambda _: self.gate.origins.created_model(attempt.workspace, name, None)  # noqa: E731
        act = lambda: self._plain("delete_registered_model")(name)  # noqa: E731
        return self._zt_together(Together("registered_models", before), act)

    def delete_model_version(self, name: str, version: Any) -> Any:
        """Delete a version without protected marks. MLflow gives its number to no other version of the model."""
        name = self._zt_name(name)
        attempt = self._zt_attempt("delete", name, version, frozenset())
        self.gate.keep_in_place(attempt)
        if self.gate.demanded("models", name):
            self.gate.record_removal(attempt)
        return self._plain("delete_model_version")(name, version)

    def get_model_version_by_alias(self, name: str, alias: str) -> Any:
        """Resolve an alias; a protected one only while the version's verdict holds."""
        name = self._zt_name(name)
        if name == PROBE:
            answer_about_gate(self.gate, alias)
        if is_question(name, alias):
            asked = str(alias).removeprefix(UNTIL)
            version = self._plain("get_model_version_by_alias")(name, asked)
            stages = self.gate.demanded("aliases", asked)
            answer_until(self.gate, self._zt_attempt(f"alias @{asked}", name, version.version, stages))
        version = self._plain("get_model_version_by_alias")(name, alias)
        stages = self.gate.demanded("aliases", alias)
        if stages:
            self._zt_use(self._zt_attempt(f"alias @{alias}", name, version.version, stages), version)
        return version

    def get_latest_versions(self, name: str, stages: Any = None) -> Any:
        """Return the newest version by stage. One in a protected stage is shown only while its verdict holds."""
        name = self._zt_name(name)
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
        location, digest = self._zt_files(name, version)
        return self.gate.uri(digest) if digest else location

    def sealed_digest(self, name: str, version: Any) -> str:
        """Return the digest of the sealed copy that a version is served from; empty where its own place will do."""
        return self._zt_files(name, version)[1]

    def _zt_files(self, name: str, version: Any) -> tuple[str, str]:
        """Return a version's own place, and the digest of the sealed copy that is to be used for it; empty if none."""
        version = self._zt_number(name, version)
        name = self._zt_name(name)
        location = str(self._plain("get_model_version_download_uri")(name, version))
        attempt = self._zt_attempt("download", name, version, self.gate.demanded("models", name))
        if location in PLACEHOLDERS and self.gate.is_prompt(attempt.workspace, name):
            self.gate.deny(attempt, PROMPT)
        return location, self.gate.redirect(attempt, location)

    def _zt_submit_summary(self, name: str, version: Any, text: str) -> None:
        """Store a signed summary, after making sure that the version exists."""
        self._plain("get_model_version")(name, version)
        try:
            digest = self.gate.submit_summary(self.workspace(), text)
        except ZtGateError as error:
            self.gate.deny(self._zt_attempt("summary", name, version, frozenset()), error.message)
        self._zt_note(name, version, digest)


def build_store(store_uri: str, tracking_uri: str | None = None) -> Any:  # noqa: ARG001 - MLflow passes both
    """Return the gated store of a URI such as `ztgate+sqlite:////srv/mlflow.db`; MLflow calls this.

    Args:
        store_uri: the scheme of the database behind `ztgate+`.
        tracking_uri: of the tracking store; not used.

    Raises:
        UsageError: the gate does not run on this database.
    """
    from zt_gate.registry.conformance import closed

    if store_uri.startswith(f"{PREFIX}mssql"):
        # Nobody ever ran the gate there: its triggers and its comparison of names are other ones.
        raise UsageError("zt-gate does not run on SQL Server", "keep the registry in PostgreSQL, MySQL or sqlite")
    base = _base()
    made: Any = type("ZtGateStore", (GatedStore, base), closed(base))(store_uri.removeprefix(PREFIX))
    made.gate = Gatekeeper(Ledger(made.engine), ServerSettings(os.environ), Destination.of_server)
    made.one_transaction = OneTransaction(made.ManagedSessionMaker, made.gate.ledger.database)
    made.ManagedSessionMaker = made.one_transaction
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
