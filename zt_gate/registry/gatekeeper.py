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
class Wish:
    """Somebody wants a mark on a version, or wants to use one that has it."""

    act: str
    """For people, such as `alias @champion`."""
    workspace: str
    name: str
    version: int
    """0 where the version does not exist yet."""
    stages: frozenset[str]
    """Whose verdicts are needed."""
    whole: bool = False
    """Whether it is about the model as a whole."""

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
        """Return the rules that hold. Without a readable policy the names of the last one stay protected."""
        rules = self.settings.rules()
        if rules.loaded is None or rules.loaded.policy.registry is None:
            return replace(rules, protected=DEFAULT.with_more(self._remembered()))
        if rules.protected is not self._kept:
            self._remember(rules.protected, trigger=bool(rules.loaded.policy.registry.trigger))
        return rules

    def demanded(self, kind: str, name: object) -> frozenset[str]:
        """Return the stages that a name demands, by the rules that hold."""
        return self.rules().protected.demanded(kind, str(name))

    @contextmanager
    def promotion(self, wish: Wish, sealed: Sealed) -> Iterator[Digest]:
        """Let the body put a mark on a version, or refuse; the decision is on record before the body runs.

        Args:
            wish: what is wanted.
            sealed: returns the digest of the version's sealed copy, making it where there is none; what it is given
                raises for a digest without a verdict, before a copy is kept.

        Raises:
            MlflowException: refused.
        """
        run = new_run()
        try:
            digest = self._decide(wish, sealed)
            self._write(ALLOWED, wish, run, "allow", digest)
        except ZtGateError as error:
            self.deny(wish, error.message, run)
        except Exception as error:  # noqa: BLE001 - nothing that goes wrong while deciding may let a version through
            _LOG.exception("zt-gate: fault while deciding about %s", printable(wish.target))
            self.deny(wish, f"{type(error).__name__}: {printable(str(error), 80)}", run)
        try:
            yield digest
        except BaseException as error:
            self._afterwards(FAILED, wish, run, f"{type(error).__name__}", digest)
            raise
        self._afterwards(DONE, wish, run, "done", digest)

    def check_use(self, wish: Wish) -> None:
        """Refuse a marked version whose verdict does not hold now. Reads no model bytes.

        Raises:
            MlflowException: refused.
        """
        try:
            why, _ = self._standing(wish)
        except Exception as error:  # noqa: BLE001 - as above
            why = f"the evidence cannot be read: {type(error).__name__}"
        if why:
            self.deny(wish, why)

    def is_prompt(self, workspace: str, name: str) -> bool:
        """Whether a model is a prompt, by what the gate saw; where that cannot be read it is none."""
        try:
            return self.origins.is_prompt(workspace, name)
        except Exception:  # noqa: BLE001 - as in `promotion`; a model that is no prompt needs a verdict
            _LOG.exception("zt-gate: what was created as a prompt cannot be read")
            return False

    def keep_in_place(self, wish: Wish) -> None:
        """Refuse to rename or delete a model that carries a protected mark.

        Whoever resolved the mark asks for the files in a second request, by name and number; another model must not
        take the name in between.

        Raises:
            MlflowException: refused.
        """
        try:
            mark = self.origins.mark(wish.workspace, wish.name, self.rules().protected)
        except Exception as error:  # noqa: BLE001 - as in `promotion`
            mark = f"marks that cannot be read ({type(error).__name__})"
        if mark == "a protected name":
            self.deny(wish, "its name is protected, and clients may be loading from it")
        if mark:
            self.deny(wish, f"it carries {mark}: take that away first")

    def redirect(self, wish: Wish) -> str:
        """Return the digest whose sealed copy is to be used for a version; empty where its own place will do.

        In a protected model the verdict has to hold, and so it has for a version whose name and number were promoted
        as another version: a client may have resolved that one. Elsewhere a version that was admitted once is still
        served from its sealed copy, so that it can be looked at again; what that version may be used for is its
        marks' business.

        Raises:
            MlflowException: the version is in a protected model, and no verdict holds.
        """
        try:
            before = self.origins.promoted_before(wish.workspace, wish.name, wish.version)
            if not wish.stages | before:
                return self._once_admitted(wish)
            why, digest = self._standing(replace(wish, stages=wish.stages | before))
            if not why:
                return digest
            why = f"another version of this name and number was promoted; {why}" if before else why
        except ZtGateError as error:
            why = error.message
        except Exception as error:  # noqa: BLE001 - as in `promotion`
            why = f"the evidence cannot be read: {type(error).__name__}"
        return self.deny(wish, why)

    def _once_admitted(self, wish: Wish) -> str:
        seals = self.ledger.seals(wish.workspace, wish.name, wish.version)
        if seals:
            self.origins.demand_unchanged(wish.workspace, wish.name, wish.version)
        return next((seals[stage] for stage in sorted(seals) if self._is_sealed(wish, seals[stage])), "")

    def _is_sealed(self, wish: Wish, digest: str) -> bool:
        return self.destination().is_sealed(wish.workspace, digest)

    def note(self, wish: Wish) -> None:
        """Put an act on record that promotes nothing, such as taking an alias away.

        Raises:
            MlflowException: it cannot be put on record.
        """
        try:
            self._write(REMOVED, wish, new_run(), "done", None)
        except ZtGateError as error:
            self.deny(wish, error.message)

    def status(self) -> str:
        """Say in a line what is enforced, for `zt-gate doctor mlflow`."""
        rules = self.rules()
        policy = str(rules.loaded.digest) if rules.loaded is not None else "none"
        return f"zt-gate {__version__}; policy {policy}; trouble: {rules.trouble_at(utc_now()) or 'none'}"

    def start(self) -> None:
        """Say at start-up what is enforced, so that an operator sees it in the server's own log."""
        _LOG.warning("zt-gate: the model registry is gated: %s", self.status())

    def deny(self, wish: Wish, why: str, run: str = "") -> NoReturn:
        """Put a refusal on record and raise it.

        Raises:
            MlflowException: always.
        """
        try:
            self._write(DENIED, wish, run or new_run(), f"deny: {why}", None)
        except ZtGateError:
            _LOG.exception("zt-gate: a refusal could not be written to the audit log")
        page = os.environ.get(PAGES)
        look = f"See {page}/{quote(wish.name)}/{wish.version}" if page and wish.version else LOOK
        refuse(sentence(f"{wish.act} on {wish.target}", why, look))

    def bring(self, workspace: str, text: str) -> str:
        """Keep a summary that somebody hands in, and return its digest.

        Raises:
            EvidenceError: it is not by a gate of the policy.
            ZtGateError: nothing is believed at the moment.
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
        """Say why a digest may not be used in a stage; empty when it may."""
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

    def _decide(self, wish: Wish, sealed: Sealed) -> Digest:
        rules, now = self.rules(), utc_now()
        if trouble := rules.trouble_at(now):
            raise ZtGateError(trouble)

        def admit(digest: Digest) -> None:
            for stage in sorted(wish.stages):
                if why := self.reason(wish.workspace, digest.hex, stage, rules, now):
                    raise ZtGateError(why)

        digest = sealed(admit)
        admit(digest)
        return digest

    def _standing(self, wish: Wish) -> tuple[str, str]:
        """Return why a version may not be used, empty when it may, and the digest of its sealed copy."""
        rules, now, digest = self.rules(), utc_now(), ""
        if trouble := rules.trouble_at(now):
            return trouble, ""
        found = self.ledger.standing(wish.workspace, wish.name, wish.version, wish.stages)
        for stage in sorted(wish.stages):
            if stage not in found:
                return f"the gate never admitted this version to the stage {stage}", ""
            digest = found[stage].digest
            if not found[stage].unchanged:
                return CHANGED, ""
            if why := self._why(wish.workspace, digest, stage, found[stage].newest, rules, now):
                return why, ""
            if not self._is_sealed(wish, digest):
                return f"the sealed copy of sha256:{digest[:12]} is gone", ""
        return "", digest

    def _write(self, kind: str, wish: Wish, run: str, outcome: str, digest: Digest | None) -> None:
        rules, now = self.rules(), utc_now()
        log = self.settings.audit_log()
        if log is None and kind == ALLOWED and _wants_log(rules, wish.stages):
            raise ZtGateError("the policy demands an audit log, and the server has none")
        facts = {"workspace": wish.workspace, "stage": " ".join(sorted(wish.stages)), "act": wish.act}
        if digest is not None:
            facts["subject"] = str(digest)
        if log is not None:
            policy = f"policy {rules.loaded.digest}" if rules.loaded is not None else "no readable policy"
            log.append(Event(kind, run, actor(), f"{wish.act} on {wish.target}", policy, outcome, facts), now)

    def _afterwards(self, kind: str, wish: Wish, run: str, outcome: str, digest: Digest) -> None:
        """Note what became of an allowed act. It happened; a log that fails now is told to the server's own log."""
        try:
            self._write(kind, wish, run, outcome, digest)
            line = VersionEvent(
                wish.name, wish.version, wish.act, digest.hex, actor(), utc_now().strftime(_TIME), outcome
            )
            self.ledger.record(wish.workspace, line)
        except Exception:  # noqa: BLE001 - it is told, and the act cannot be undone
            _LOG.exception("zt-gate: %s on %s is not on record", kind, printable(wish.target))

    def _remember(self, names: Protected, *, trigger: bool) -> None:
        try:
            self.ledger.keep_names(names.to_json())
            if trigger and not install(self.ledger.engine, names, workspaces=self.ledger.has_workspaces()):
                _LOG.error("zt-gate: no trigger: there is one for sqlite and PostgreSQL alone")
            self._kept, self._fallback = names, None
        except Exception:  # noqa: BLE001 - it is told; the next request tries again
            _LOG.exception("zt-gate: the protected names could not be kept in the database, or no trigger be made")

    def _remembered(self) -> Protected:
        if self._fallback is None:
            try:
                text = self.ledger.names()
                self._fallback = Protected.from_json(text) if text else DEFAULT
            except Exception:  # noqa: BLE001 - it is told; the defaults stay protected
                _LOG.exception("zt-gate: the last protected names cannot be read")
                return DEFAULT
        return self._fallback


def _wants_log(rules: Rules, stages: frozenset[str]) -> bool:
    if rules.loaded is None:
        return False
    known = rules.loaded.policy.stages
    return any(stage in known and bool(known[stage].audit_log) for stage in stages)
