"""The one place where the registry decides. Fail closed: whatever goes wrong here refuses, with its reason.

A mark (an alias, a stage, a tag, a protected name) may be put on a version when its bytes are sealed and their digest
has a verdict for every stage that the mark demands. Reading asks the same again, without reading the bytes.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import NoReturn
from urllib.parse import quote

from sqlalchemy.exc import SQLAlchemyError

from zt_gate import __version__
from zt_gate.audit import Event
from zt_gate.domain import Digest, printable
from zt_gate.errors import ToolError, UsageError, ZtGateError
from zt_gate.intake.sealed import Admit, Sealed, SealedPlace
from zt_gate.registry.artifacts import Destination, named_copy, sealed_uri
from zt_gate.registry.interface import OriginRecords, VerdictRecords
from zt_gate.registry.ledger import Kept, Ledger, VersionEvent
from zt_gate.registry.origins import CHANGED, Origins
from zt_gate.registry.protected import DEFAULT, Protected
from zt_gate.registry.refusal import ALLOWED, DENIED, DONE, FAILED, LOOK, REMOVED, actor, new_run, refuse, sentence
from zt_gate.registry.schema import reason
from zt_gate.registry.settings import Rules, ServerSettings
from zt_gate.registry.verdicts import Verdicts, read_summary, utc_now

_LOG = logging.getLogger("zt_gate.registry")
_TIME = "%Y-%m-%dT%H:%M:%SZ"
_AGAIN = 10.0
"""Seconds until tables that could not be used are tried again; each try may wait for a lock."""
_MOST_PINS = 10_000
PAGES = "ZT_GATE_PAGES"
"""Set by the server wrapper: where refusals may point to."""


Seal = Callable[[Admit], Digest]


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
        self.verdict_records: VerdictRecords = self.ledger
        self.origin_records: OriginRecords = self.origins
        self.settings = settings
        self.destination = destination
        self._verdicts = Verdicts(settings)
        self._pins: dict[tuple[str, str], str] = {}
        """What found a sealed copy lately, by the root of its place and its digest: one question less on each read."""
        self._kept: Protected | None = None
        self._triggers = "none"
        self._records: tuple[str, float] | None = None
        """Why the gate's tables cannot be used, and when that was seen."""
        self._fallback: Protected | None = None

    def rules(self) -> Rules:
        """Return the rules in force. Without a readable policy, the names of the last one stay protected."""
        rules, records = self.settings.rules(), self.records_trouble()
        if rules.loaded is None or rules.loaded.policy.registry is None:
            return replace(rules, protected=DEFAULT.with_more(self._remembered()))
        if records:
            return replace(rules, trouble=rules.trouble or records)
        if rules.protected is not self._kept:
            self._remember(rules.protected, trigger=bool(rules.loaded.policy.registry.trigger))
        return rules

    def records_trouble(self) -> str:
        """Return why the gate's tables cannot be used, empty when they can; asked again after a while."""
        if self._records is None or (self._records[0] and time.monotonic() - self._records[1] > _AGAIN):
            self._records = self.origin_records.prepare(), time.monotonic()
        return self._records[0]

    def demanded(self, kind: str, name: object) -> frozenset[str]:
        """Return the stages whose verdict a name requires, by the rules in force."""
        return self.rules().protected.demanded(kind, str(name))

    def keep_free(self, kind: str, name: str) -> None:
        """Record a name that the policy does not protect and that a trigger cannot fold; see `Ledger.keep_free`."""
        if not name.isascii() and self._triggers == "in force":
            self.verdict_records.keep_free(kind, name)

    @contextmanager
    def promotion(self, attempt: Attempt, seal: Seal) -> Iterator[Digest]:
        """Refuse, or run the body, which sets the mark; the decision is in the audit log before the body runs.

        Args:
            attempt: what the client wants to do.
            seal: returns the digest of the version's sealed copy, making it where there is none; what it is given
                raises for a digest without a verdict, before a copy is kept.

        Raises:
            MlflowException: refused.
        """
        run = new_run()
        try:
            digest = self._decide(attempt, seal)
            self._write(ALLOWED, attempt, run, "allow", digest)
        except ZtGateError as error:
            self.deny(attempt, error.message, run)
        except Exception as error:  # noqa: BLE001 - nothing that goes wrong while deciding may let a version through
            _LOG.exception("zt-gate: fault while deciding about %s", printable(attempt.target))
            self.deny(attempt, _unreadable(error), run)
        try:
            yield digest
        except BaseException as error:
            self._afterwards(FAILED, attempt, run, f"{type(error).__name__}", digest)
            if isinstance(error, SQLAlchemyError):
                self.deny(attempt, reason(error), run)
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
            why = f"the evidence cannot be read: {_unreadable(error)}"
        if why:
            self.deny(attempt, why)

    def was_created_as_prompt(self, attempt: Attempt) -> bool:
        """Whether the gate saw a model created as a prompt.

        Raises:
            MlflowException: the record cannot be read.
        """
        try:
            return self._has_records() and self.origin_records.was_created_as_prompt(attempt.workspace, attempt.name)
        except SQLAlchemyError as error:
            self.deny(attempt, reason(error))

    def _demand_records(self, attempt: Attempt) -> None:
        if attempt.stages and (trouble := self.records_trouble()):
            raise ZtGateError(trouble)

    def _has_records(self) -> bool:
        """Whether anything can be on record; without tables nothing was ever promoted."""
        return not self.records_trouble() or self.origin_records.exist()

    def is_prompt(self, workspace: str, name: str) -> bool:
        """Whether the gate saw a model created as a prompt; False where the record cannot be read."""
        try:
            return self.origin_records.is_prompt(workspace, name)
        except Exception:  # noqa: BLE001 - as in `promotion`; a model that is no prompt needs a verdict
            _LOG.exception("zt-gate: what was created as a prompt cannot be read")
            return False

    def keep_in_place(self, attempt: Attempt) -> None:
        """Refuse to rename or delete a model, or to delete a version, that carries a protected mark.

        A client resolves the mark in one request and fetches the files by name and number in a second one. Another
        model must not take the name in between.

        Raises:
            MlflowException: refused.
        """
        try:
            version = None if attempt.whole else attempt.version
            mark = self.origin_records.mark(attempt.workspace, attempt.name, self.rules().protected, version)
        except Exception as error:  # noqa: BLE001 - as in `promotion`
            mark = f"marks that cannot be read ({_unreadable(error)})"
        if mark == "a protected name":
            self.deny(attempt, "its name is protected, and clients may be loading from it")
        if mark:
            self.deny(attempt, f"it carries {mark}: take that away first")

    def place(self) -> SealedPlace:
        """Return the place of the sealed copies.

        Raises:
            UsageError: none is set, or clients could write to it, since it overlaps the artifact destination.
        """
        place, artifacts = self.settings.sealed_place(), self.destination().root
        if artifacts and place.contains(artifacts):
            raise UsageError(
                "the place of sealed copies and the artifact destination lie inside one another", "keep them apart"
            )
        return place

    def copy(self, digest: str) -> tuple[SealedPlace, Sealed]:
        """Return the place of a sealed copy, and what finds it there; raises as `place`."""
        place = self.place()
        return place, Sealed(Digest(digest), self.verdict_records.pin(place.root, digest))

    def trouble(self, digest: str) -> str:
        """Say why a sealed copy may not be used now; empty when it may."""
        try:
            place = self.place()
            remembered = self._pins.get((place.root, digest))
            # A pin says what the bytes are, so an old one can only be refused; then the ledger is asked.
            if remembered is not None and not place.trouble(Sealed(Digest(digest), remembered)):
                return ""
            place, sealed = self.copy(digest)
            why = place.trouble(sealed)
        except ZtGateError as error:
            return error.message
        if not why and len(self._pins) < _MOST_PINS:
            self._pins[place.root, digest] = sealed.pin
        return why

    def seal(self, location: str, admit: Admit) -> Digest:
        """Seal what lies somewhere, and record how to find it again.

        Args:
            location: of the files, as the registry names it; a sealed copy stays as it is.
            admit: raises for a digest that has no verdict, and then nothing is kept.

        Raises:
            ZtGateError: the files cannot be read or sealed, or `admit` refused.
        """
        place = self.place()
        copy = named_copy(location, lambda: place)
        if copy is not None:
            if why := self.trouble(copy.hex):
                raise ToolError(why)
            return copy
        with self.destination().local(location) as source:
            made = place.seal(source, admit)
        self.verdict_records.keep_pin(place.root, made.digest.hex, made.pin)
        return made.digest

    def uri(self, digest: str) -> str:
        """Return where clients find a sealed copy."""
        return sealed_uri(Digest(digest), self.place(), serves=self.destination().serves)

    def redirect(self, attempt: Attempt, location: str) -> str:
        """Return the digest whose sealed copy is to be used for a version; empty where its own place will do.

        Args:
            attempt: a download.
            location: where MLflow says that the files are.

        In a protected model the verdict has to hold. It also has to hold where another version of the same name and
        number was promoted before: a client may have resolved that one. Elsewhere a version that was admitted once is
        still served from its sealed copy, so that it can be checked again; its marks decide what it may be used for.

        Raises:
            MlflowException: the version is in a protected model, and no verdict holds.
        """
        try:
            self._demand_records(attempt)
            if not self._has_records():
                return ""
            before = self.origin_records.promoted_before(attempt.workspace, attempt.name, attempt.version)
            if not attempt.stages | before:
                return self._free_version(attempt, location)
            why, digest = self._standing(replace(attempt, stages=attempt.stages | before))
            if not why:
                return digest
            why = f"another version of this name and number was promoted; {why}" if before else why
        except ZtGateError as error:
            why = error.message
        except Exception as error:  # noqa: BLE001 - as in `promotion`
            why = f"the evidence cannot be read: {_unreadable(error)}"
        return self.deny(attempt, why)

    def _free_version(self, attempt: Attempt, location: str) -> str:
        """Return the sealed copy of a version that nothing protects by name; its own place where it was never admitted.

        Where the gate's tables are in trouble, what can still be read of them counts: another worker, to which they
        are in order, may have resolved an alias to this version.
        """
        if not self.records_trouble():
            return self._once_admitted(attempt, location)
        try:
            return self._once_admitted(attempt, location)
        except SQLAlchemyError:
            return ""  # nobody can resolve a protected mark without these tables

    def _once_admitted(self, attempt: Attempt, location: str) -> str:
        seals = set(self.verdict_records.seals(attempt.workspace, attempt.name, attempt.version).values())
        if seals:
            self.origin_records.demand_unchanged(attempt.workspace, attempt.name, attempt.version)
        elif (copy := named_copy(location, self.place)) is not None:
            seals = {copy.hex}
        # Its own place would be no substitute: a client that resolved a mark before asks for the files here.
        why = ""
        for digest in sorted(seals):
            if not (why := self.trouble(digest)):
                return digest
        if why:
            raise ToolError(why)
        return ""

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
        trouble = rules.trouble_at(utc_now()) or "none"
        return f"zt-gate {__version__}; policy {policy}; triggers: {self._triggers}; trouble: {trouble}"

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
        try:
            self.verdict_records.add_summary(workspace, kept)
        except SQLAlchemyError as error:
            raise ZtGateError(reason(error)) from error
        return read.digest.hex

    def reason(self, workspace: str, digest: str, stage: str, rules: Rules, now: datetime) -> str:
        """Return why a digest may not be used in a stage; empty when it may."""
        return self._why(workspace, digest, stage, self.verdict_records.newest(workspace, digest, stage), rules, now)

    def _why(self, workspace: str, digest: str, stage: str, newest: str | None, rules: Rules, now: datetime) -> str:
        if newest is None:
            return f"no verdict for the stage {stage} about sha256:{digest[:12]}"
        if self._verdicts.held(self._verdicts.key(newest, stage, rules), now):
            return ""
        kept = self.verdict_records.summary(workspace, newest)
        if kept is None:
            return f"the verdict about sha256:{digest[:12]} is gone"
        return self._verdicts.reason(kept, digest, stage, rules, now)

    def _decide(self, attempt: Attempt, seal: Seal) -> Digest:
        rules, now = self.rules(), utc_now()
        if trouble := rules.trouble_at(now):
            raise ZtGateError(trouble)

        def admit(digest: Digest) -> None:
            for stage in sorted(attempt.stages):
                if why := self.reason(attempt.workspace, digest.hex, stage, rules, now):
                    raise ZtGateError(why)

        digest = seal(admit)
        # Once more, since a copy that was sealed before is returned without asking.
        admit(digest)
        return digest

    def _standing(self, attempt: Attempt) -> tuple[str, str]:
        """Return why a version may not be used, empty when it may, and the digest of its sealed copy."""
        rules, now = self.rules(), utc_now()
        if trouble := rules.trouble_at(now):
            return trouble, ""
        found = self.verdict_records.standing(attempt.workspace, attempt.name, attempt.version, attempt.stages)
        for stage in sorted(attempt.stages):
            if stage not in found:
                return f"the gate never admitted this version to the stage {stage}", ""
            if not found[stage].unchanged:
                return CHANGED, ""
            if why := self._why(attempt.workspace, found[stage].digest, stage, found[stage].newest, rules, now):
                return why, ""
        # Once per copy and not per stage: in a bucket each question is a request.
        digests = sorted({version.digest for version in found.values()})
        why = next((why for digest in digests if (why := self.trouble(digest))), "")
        return why, "" if why or not digests else digests[-1]

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
            self.verdict_records.record(attempt.workspace, line)
        except Exception:  # noqa: BLE001 - logged; the act cannot be undone
            _LOG.exception("zt-gate: %s on %s is not on record", kind, printable(attempt.target))

    def _remember(self, names: Protected, *, trigger: bool) -> None:
        try:
            self.verdict_records.keep_names(names.to_json())
            self._kept, self._fallback = names, None
        except Exception:  # noqa: BLE001 - logged; the next request tries again
            _LOG.exception("zt-gate: the protected names could not be kept in the database")
        try:
            self.verdict_records.install_triggers(names if trigger else None)
            self._triggers = "in force" if trigger else "none"
        except Exception as error:  # noqa: BLE001 - told by `status`; they are a second layer, and close nothing
            self._triggers = f"refused by the database: {_cause(error)}"
            _LOG.error("zt-gate: the triggers could not be changed: %s", self._triggers)

    def _remembered(self) -> Protected:
        if self._fallback is None:
            try:
                text = self.verdict_records.names()
                self._fallback = Protected.from_json(text) if text else DEFAULT
            except Exception:  # noqa: BLE001 - logged; the defaults stay protected
                _LOG.exception("zt-gate: the last protected names cannot be read")
                return DEFAULT
        return self._fallback


def _cause(error: Exception) -> str:
    """Return what the database itself said."""
    return printable(str(getattr(error, "orig", None) or error), 120)


def _unreadable(error: Exception) -> str:
    """Say what went wrong, and what to do where the database did."""
    if isinstance(error, SQLAlchemyError):
        return reason(error)
    return f"{type(error).__name__}: {printable(str(error), 80)}"


def _wants_log(rules: Rules, stages: frozenset[str]) -> bool:
    if rules.loaded is None:
        return False
    known = rules.loaded.policy.stages
    return any(stage in known and bool(known[stage].audit_log) for stage in stages)
