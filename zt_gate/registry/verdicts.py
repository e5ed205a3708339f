"""Whether a digest has a verdict that holds: signed by a gate of the policy, for the stage, the newest, not revoked.

Nothing is remembered about a refusal. What is remembered about a passed summary is a function of its bytes, the
policy and the revocation list, and ends with the summary; which summary counts is asked of the database every time.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from zt_gate.domain import Digest, printable
from zt_gate.errors import EvidenceError
from zt_gate.policy.fields import parse_instant
from zt_gate.registry.settings import Rules, ServerSettings
from zt_gate.trust.requirements.revocation import revoked_reason
from zt_gate.trust.signatures.envelope import read_envelope
from zt_gate.trust.statements.statement import parse_statement
from zt_gate.trust.statements.summary import (
    EXTENSION,
    MAX_SKEW,
    SUMMARY_TYPE,
    SummaryRequirements,
    subject_and_signers,
    verify_summary,
)

if TYPE_CHECKING:
    from zt_gate.registry.ledger import Kept

MAX_SUMMARY = 90 << 10
"""Bytes; what MLflow lets into a tag is a little more."""
_MOST = 4096
_SOON = timedelta(seconds=60)


@dataclass(frozen=True, slots=True)
class Read:
    """What a signed summary says."""

    digest: Digest
    stage: str
    verified: datetime
    expires: datetime
    passed: bool


def read_summary(data: bytes, rules: Rules, now: datetime) -> Read:
    """Read a summary that somebody hands in, whether it allows or blocks.

    Raises:
        EvidenceError: it is not signed by a gate of the policy, not a summary, or from the future.
    """
    if len(data) > MAX_SUMMARY:
        raise EvidenceError(f"the summary is larger than {MAX_SUMMARY >> 10} KiB")
    # Verifies the signature; what is read below is only then a gate's word.
    digest, _ = subject_and_signers(data, rules.keys)
    stated = parse_statement(read_envelope(data).payload)
    if stated.predicate_type != SUMMARY_TYPE:
        raise EvidenceError("it is no verification summary")
    try:
        ours = stated.predicate[EXTENSION]
        verified, stage = parse_instant(stated.predicate["timeVerified"]), ours["stage"]
        passed = stated.predicate["verificationResult"] == "PASSED"
        expires = parse_instant(ours["expires"])
    except (KeyError, TypeError, ValueError) as error:
        raise EvidenceError(f"the summary is malformed: {printable(str(error), 80)}") from None
    if not isinstance(stage, str) or not 0 < len(stage) <= 64:
        raise EvidenceError("the summary names no stage")
    if verified > now + MAX_SKEW:
        raise EvidenceError(f"it was written at {verified:%Y-%m-%dT%H:%M:%SZ}, in the future: compare the clocks")
    return Read(digest, stage, verified, expires, passed)


class Verdicts:
    """Judges digests by the summaries that the ledger keeps.

    Args:
        settings: where the revocation list comes from.
    """

    def __init__(self, settings: ServerSettings) -> None:
        self._settings = settings
        self._held: OrderedDict[tuple[object, ...], datetime] = OrderedDict()

    def held(self, key: tuple[object, ...], now: datetime) -> bool:
        """Whether a summary was verified before and that still counts."""
        until = self._held.get(key)
        return until is not None and now < until

    def key(self, name: str, stage: str, rules: Rules) -> tuple[object, ...]:
        """Return what a remembered verification depends on."""
        policy = rules.loaded.digest if rules.loaded is not None else None
        # With all that it depends on in the key, a new policy or revocation list makes every entry useless at once.
        return (name, stage, policy, self._settings.revocation_stamp())

    def reason(self, kept: Kept, digest: str, stage: str, rules: Rules, now: datetime) -> str:
        """Say why a summary does not let a digest into a stage; empty when it does."""
        key = self.key(kept.id, stage, rules)
        data = kept.data.encode()
        reasons = verify_summary(data, Digest(digest), demanded(rules, stage, now))
        if not reasons:
            reasons = outdated(data, rules, now) + revoked(self._settings, data, Digest(digest), rules, now)
        if reasons:
            return printable(reasons[0], 120)
        # Only what passed is remembered: a refusal must end as soon as its cause does.
        self._held[key] = self._until(data, rules, now)
        while len(self._held) > _MOST:
            self._held.popitem(last=False)
        return ""

    @staticmethod
    def _until(data: bytes, rules: Rules, now: datetime) -> datetime:
        """Until when a verification may be remembered. A revocation list ages, so with one it is a minute."""
        end = verdict_end(data, rules, now)
        return min(end, now + _SOON) if rules.revocations is not None else end


def verdict_end(data: bytes, rules: Rules, now: datetime) -> datetime:
    """Return when a verdict ends: by its own expiry, or by the age that the policy lets it reach.

    Raises:
        EvidenceError: it is not by a gate of the policy.
    """
    read, days = read_summary(data, rules, now), _max_age(rules)
    return read.expires if days is None else min(read.expires, read.verified + timedelta(days=days))


def demanded(rules: Rules, stage: str, now: datetime) -> SummaryRequirements:
    """Return what the rules demand of a summary for a stage."""
    registry = rules.loaded.policy.registry if rules.loaded is not None else None
    policy = rules.loaded.digest if rules.loaded is not None and registry and registry.same_policy else None
    return SummaryRequirements(rules.keys, stage, now, policy)


def outdated(data: bytes, rules: Rules, now: datetime) -> list[str]:
    """Say whether a verdict is older than the policy lets it be."""
    days = _max_age(rules)
    verified = read_summary(data, rules, now).verified
    if days is not None and now - verified > timedelta(days=days):
        return [f"the verdict of {verified:%Y-%m-%d} is older than {days} days"]
    return []


def revoked(settings: ServerSettings, data: bytes, digest: Digest, rules: Rules, now: datetime) -> list[str]:
    """Say what the revocation list has against a digest, or against those who vouch for it."""
    wanted = rules.revocations
    if wanted is None:
        return []
    try:
        listed = settings.revocation_list()
    except OSError as error:
        return [f"the revocation list cannot be read: {error.strerror}"]
    if listed is None:
        # Otherwise withholding the list would look the same as a list that revokes nothing.
        return ["the policy demands a revocation list, and there is none here"]
    _, names = subject_and_signers(data, rules.keys)
    return revoked_reason(listed, rules.revokers, digest, now, wanted.max_age_days, names)


def _max_age(rules: Rules) -> int | None:
    registry = rules.loaded.policy.registry if rules.loaded is not None else None
    return registry.max_age_days if registry is not None else None


def utc_now() -> datetime:
    """Return the clock of the registry, the one place where it is read."""
    return datetime.now(UTC)
