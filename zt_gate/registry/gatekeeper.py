"""The one place where the registry decides. Fail closed: whatever goes wrong here refuses, with its reason.

A mark (an alias, a stage, a tag, a protected name) may be put on a version when its bytes are sealed and their digest
has a verdict for every stage that the mark demands. Reading asks the same again, without reading the bytes.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NoReturn
from urllib.parse import quote

from zt_gate import __version__
from zt_gate.audit import Event
from zt_gate.domain import Digest, printable
from zt_gate.errors import ZtGateError
from zt_gate.registry.artifacts import Destination
from zt_gate.registry.ledger import Kept, Ledger, VersionEvent
from zt_gate.registry.origins import CHANGED, Origins
from zt_gate.registry.protected import DEFAULT, Protected
from zt_gate.registry.refusal import ALLOWED, DENIED, DONE, FAILED, LOOK, REMOVED, actor, new_run, refuse, sentence
from zt_gate.registry.settings import Rules, ServerSettings
from zt_gate.registry.sql_triggers import install
from zt_gate.registry.verdicts import Verdicts, read_summary, utc_now

_LOG = logging.getLogger("zt_gate.registry")
_TIME = "%Y-%m-%dT%H:%M:%SZ"
PAGES = "ZT_GATE_PAGES"
"""Set by the server wrapper: where refusals may point to."""


Admit = Callable[[Digest], None]
Sealed = Callable[[Admit], Digest]


@dataclass(frozen=True, slots=True)
class Attempt:
    """A client's attempt to put a mark on a version, or to use a version that has one."""

    act: str
    """For people, such as `alias @champion`."""
    workspace: str
    name: str
    version: int
    """0 where the version does not exist yet."""
    stages: frozenset[str]
    """The stages whose verdicts are required."""
    whole: bool = False
    """Whether it concerns the registered model and not one version."""

    @property
    def target(self) -> str:
        """The version, for people."""
        if self.whole:
            return f"the model {self.name}"
        return f"models:/{self.name}/{self.version}" if self.version else f"a new version of {self.name}"


class Gatekeeper:
    """Decides for one store.

    Args:
        ledger: the gate's tables.
        settings: policy, audit log and revocation list.
        destination: returns where the server keeps artifacts.
    """

    def __init__(self, ledger: Ledger, settings: ServerSettings, destination: Callable[[], Destination]) -> None:
        self.ledger = ledger
        self.origins = Origins(ledger)
        self.settings = settings
        self.destination = destination
        self._verdicts = Verdicts(settings)
        self._kept: Protected | None = None
        self._fallback: Protected | None = None

    def rules(self) -> Rules:
        """Return the rules in force. Without a readable policy, the names of the last one stay protected."""
        rules = self.settings.rules()
        if rules.loaded is None or rules.loaded.policy.registry is None:
            return replace(rules, protected=DEFAULT.with_more(self._remembered()))
        if rules.protected is not self._kept:
            self._remember(rules.protected, trigger=bool(rules.loaded.policy.registry.trigger))
        return rules

    def demanded(self, kind: str, name: object) -> frozenset[str]:
        """Return the stages whose verdict a name requires, by the rules in force."""
        return self.rules().protected.demanded(kind, str(name))

    @contextmanager
    def promotion(self, attempt: Attempt, sealed: Sealed) -> Iterator[Digest]:
        """Refuse, or run the body, which sets the mark; the decision is in the audit log before the body runs.

        Args:
            attempt: what the client wants to do.
            sealed: returns the digest of the version's sealed copy, making it where there is none; what it is given
                raises for a digest without a verdict, before a copy is kept.

        Raises:
            MlflowException: refused.
        """
        run = new_run()
        try:
            digest = self._decide(attempt, sealed)
            self._write(ALLOWED, attempt, run, "allow", digest)
        except ZtGateError as error:
            self.deny(attempt, error.message, run)
        except Exception as error:  # noqa: BLE001 - nothing that goes wrong while deciding may let a version through
            _LOG.exception("zt-gate: fault while deciding about %s", printable(attempt.target))
            self.deny(attempt, f"{type(error).__name__}: {printable(str(error), 80)}", run)
        try:
            yield digest
        except BaseException as error:
            self._afterwards(FAILED, attempt, run, f"{type(error).__name__}", digest)
            raise
        self._afterwards(DONE, attempt, run, "done", digest)

    def check_use(self, attempt: Attempt) -> None:
        """Refuse a marked version whose verdict does not hold now. Reads no model bytes.

        Raises:
            MlflowException: refused.
        """
        try:
            why, _ = self._standing(attempt)
        except Exception as error:  # noqa: BLE001 - as above
            why = f"the evidence cannot be read: {type(error).__name__}"
        if why:
            self.deny(attempt, why)

    def is_prompt(self, workspace: str, name: str) -> bool:
        """Whether the gate saw a model created as a prompt; False where the record cannot be read."""
        try:
            return self.origins.is_prompt(workspace, name)
        except Exception:  # noqa: BLE001 - as in `promotion`; a model that is no prompt needs a verdict
            _LOG.exception("zt-gate: what was created as a prompt cannot be read")
            return False

    def keep_in_place(self, attempt: Attempt) -> None:
        """Refuse to rename or delete a model that carries a protected mark.

        A client resolves the mark in one request and fetches the files by name and number in a second one. Another
        model must not take the name in between.

        Raises:
            MlflowException: refused.
        """
        try:
            mark = self.origins.mark(attempt.workspace, attempt.name, self.rules().protected)
        except Exception as error:  # noqa: BLE001 - as in `promotion`
            mark = f"marks that cannot be read ({type(error).__name__})"
        if mark == "a protected name":
            self.deny(attempt, "its name is protected, and clients may be loading from it")
        if mark:
            self.deny(attempt, f"it carries {mark}: take that away first")

    def redirect(self, attempt: Attempt) -> str:
        """Return the digest whose sealed copy is to be used for a version; empty where its own place will do.

        In a protected model the verdict has to hold. It also has to hold where another version of the same name and
        number was promoted before: a client may have resolved that one. Elsewhere a version that was admitted once is
        still served from its sealed copy, so that it can be checked again; its marks decide what it may be used for.

        Raises:
            MlflowException: the version is in a protected model, and no verdict holds.
        """
        try:
            before = self.origins.promoted_before(attempt.workspace, attempt.name, attempt.version)
            if not attempt.stages | before:
                return self._once_admitted(attempt)
            why, digest = self._standing(replace(attempt, stages=attempt.stages | before))
            if not why:
                return digest
            why = f"another version of this name and number was promoted; {why}" if before else why
        except ZtGateError as error:
            why = error.message
        except Exception as error:  # noqa: BLE001 - as in `promotion`
            why = f"the evidence cannot be read: {type(error).__name__}"
        return self.deny(attempt, why)

    def _once_admitted(self, attempt: Attempt) -> str:
        seals = self.ledger.seals(attempt.workspace, attempt.name, attempt.version)
        if seals:
            self.origins.demand_unchanged(attempt.workspace, attempt.name, attempt.version)
        return next((seals[stage] for stage in sorted(seals) if self._is_sealed(attempt, seals[stage])), "")

    def _is_sealed(self, attempt: Attempt, digest: str) -> bool:
        return self.destination().is_sealed(attempt.workspace, digest)

    def record_removal(self, attempt: Attempt) -> None:
        """Append an act that promotes nothing to the audit log, such as removing an alias.

        Raises:
            MlflowException: the audit log cannot be written.
        """
        try:
            self._write(REMOVED, attempt, new_run(), "done", None)
        except ZtGateError as error:
            self.deny(attempt, error.message)

    def status(self) -> str:
        """Return one line that says what is enforced, for `zt-gate doctor mlflow`."""
        rules = self.rules()
        policy = str(rules.loaded.digest) if rules.loaded is not None else "none"
        return f"zt-gate {__version__}; policy {policy}; trouble: {rules.trouble_at(utc_now()) or 'none'}"

    def start(self) -> None:
        """Log at start-up what is enforced, so that an operator sees it in the server's own log."""
        _LOG.warning("zt-gate: the model registry is gated: %s", self.status())

    def deny(self, attempt: Attempt, why: str, run: str = "") -> NoReturn:
        """Append a refusal to the audit log and raise it.

        Raises:
            MlflowException: always.
        """
        try:
            self._write(DENIED, attempt, run or new_run(), f"deny: {why}", None)
        except ZtGateError:
            _LOG.exception("zt-gate: a refusal could not be written to the audit log")
        page = os.environ.get(PAGES)
        look = f"See {page}/{quote(attempt.name)}/{attempt.version}" if page and attempt.version else LOOK
        refuse(sentence(f"{attempt.act} on {attempt.target}", why, look))

    def submit_summary(self, workspace: str, text: str) -> str:
        """Store a signed summary that a client submits, and return the digest of its subject.

        Raises:
            EvidenceError: it is not by a gate of the policy.
            ZtGateError: no policy is in force, so that no summary can be verified.
        """
        rules, now = self.rules(), utc_now()
        if trouble := rules.trouble_at(now):
            raise ZtGateError(trouble)
        data = text.encode()
        read = read_summary(data, rules, now)
        verified = read.verified.strftime(_TIME)
        kept = Kept(Digest.of(data).hex, read.digest.hex, read.stage, verified, read.passed, text, actor())
        self.ledger.add_summary(workspace, kept)
        return read.digest.hex

    def reason(self, workspace: str, digest: str, stage: str, rules: Rules, now: datetime) -> str:
        """Return why a digest may not be used in a stage; empty when it may."""
        return self._why(workspace, digest, stage, self.ledger.newest(workspace, digest, stage), rules, now)

    def _why(self, workspace: str, digest: str, stage: str, newest: str | None, rules: Rules, now: datetime) -> str:
        if newest is None:
            return f"no verdict for the stage {stage} about sha256:{digest[:12]}"
        if self._verdicts.held(self._verdicts.key(newest, stage, rules), now):
            return ""
        kept = self.ledger.summary(workspace, newest)
        if kept is None:
            return f"the verdict about sha256:{digest[:12]} is gone"
        return self._verdicts.reason(kept, digest, stage, rules, now)

    def _decide(self, attempt: Attempt, sealed: Sealed) -> Digest:
        rules, now = self.rules(), utc_now()
        if trouble := rules.trouble_at(now):
            raise ZtGateError(trouble)

        def admit(digest: Digest) -> None:
            for stage in sorted(attempt.stages):
                if why := self.reason(attempt.workspace, digest.hex, stage, rules, now):
                    raise ZtGateError(why)

        digest = sealed(admit)
        # Once more, since a copy that was sealed before is returned without asking.
        admit(digest)
        return digest

    def _standing(self, attempt: Attempt) -> tuple[str, str]:
        """Return why a version may not be used, empty when it may, and the digest of its sealed copy."""
        rules, now, digest = self.rules(), utc_now(), ""
        if trouble := rules.trouble_at(now):
            return trouble, ""
        found = self.ledger.standing(attempt.workspace, attempt.name, attempt.version, attempt.stages)
        for stage in sorted(attempt.stages):
            if stage not in found:
                return f"the gate never admitted this version to the stage {stage}", ""
            digest = found[stage].digest
            if not found[stage].unchanged:
                return CHANGED, ""
            if why := self._why(attempt.workspace, digest, stage, found[stage].newest, rules, now):
                return why, ""
            if not self._is_sealed(attempt, digest):
                return f"the sealed copy of sha256:{digest[:12]} is gone", ""
        return "", digest

    def _write(self, kind: str, attempt: Attempt, run: str, outcome: str, digest: Digest | None) -> None:
        rules, now = self.rules(), utc_now()
        log = self.settings.audit_log()
        # Only an allow needs the log: a refusal that cannot be recorded still refuses.
        if log is None and kind == ALLOWED and _wants_log(rules, attempt.stages):
            raise ZtGateError("the policy demands an audit log, and the server has none")
        facts = {"workspace": attempt.workspace, "stage": " ".join(sorted(attempt.stages)), "act": attempt.act}
        if digest is not None:
            facts["subject"] = str(digest)
        if log is not None:
            policy = f"policy {rules.loaded.digest}" if rules.loaded is not None else "no readable policy"
            log.append(Event(kind, run, actor(), f"{attempt.act} on {attempt.target}", policy, outcome, facts), now)

    def _afterwards(self, kind: str, attempt: Attempt, run: str, outcome: str, digest: Digest) -> None:
        """Record the outcome of an allowed act. A failing audit log is only logged: it cannot be undone."""
        try:
            self._write(kind, attempt, run, outcome, digest)
            line = VersionEvent(
                attempt.name, attempt.version, attempt.act, digest.hex, actor(), utc_now().strftime(_TIME), outcome
            )
            self.ledger.record(attempt.workspace, line)
        except Exception:  # noqa: BLE001 - logged; the act cannot be undone
            _LOG.exception("zt-gate: %s on %s is not on record", kind, printable(attempt.target))

    def _remember(self, names: Protected, *, trigger: bool) -> None:
        try:
            self.ledger.keep_names(names.to_json())
            if trigger and not install(self.ledger.engine, names, workspaces=self.ledger.has_workspaces()):
                _LOG.error("zt-gate: no trigger: there is one for sqlite and PostgreSQL alone")
            self._kept, self._fallback = names, None
        except Exception:  # noqa: BLE001 - logged; the next request tries again
            _LOG.exception("zt-gate: the protected names could not be kept in the database, or no trigger be made")

    def _remembered(self) -> Protected:
        if self._fallback is None:
            try:
                text = self.ledger.names()
                self._fallback = Protected.from_json(text) if text else DEFAULT
            except Exception:  # noqa: BLE001 - logged; the defaults stay protected
                _LOG.exception("zt-gate: the last protected names cannot be read")
                return DEFAULT
        return self._fallback


def _wants_log(rules: Rules, stages: frozenset[str]) -> bool:
    if rules.loaded is None:
        return False
    known = rules.loaded.policy.stages
    return any(stage in known and bool(known[stage].audit_log) for stage in stages)
