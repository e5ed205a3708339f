"""Whether this machine may load a model: the signed verdicts in a folder, asked of a private copy of the files."""

from __future__ import annotations

import atexit
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from zt_gate.domain import Digest, printable
from zt_gate.errors import EvidenceError, ToolError, ZtGateError
from zt_gate.intake import Freeze, Frozen, freeze
from zt_gate.intake.mlflow_meta import registered_digest
from zt_gate.registry.refusal import refuse, sentence
from zt_gate.registry.settings import Rules, ServerSettings
from zt_gate.registry.verdicts import MAX_SUMMARY, Read, demanded, outdated, read_summary, revoked, utc_now
from zt_gate.trust.evidence_folder import open_evidence_folder, read_regular_file, warn_of_skipped
from zt_gate.trust.statements.summary import verify_summary

EVIDENCE = "ZT_GATE_EVIDENCE"
_MOST = 10_000
_LOG = logging.getLogger("zt_gate.guard")
_COPIES: list[tuple[int, Callable[[], None]]] = []
"""What removes the private copies that loaders read from, each with the process that made it."""


def is_model(local: str) -> bool:
    """Whether a folder is a model to MLflow. A dangling link counts as one, so that freezing it refuses it."""
    return os.path.lexists(os.path.join(local, "MLmodel"))


def verified_copy(local: str, uri: str, stage: str) -> str:
    """Return a private copy of a model whose verdict holds.

    Raises:
        MlflowException: no verdict holds. MLflow swallows the message in some callers, so it is logged as well.
    """
    try:
        # A copy, so that nobody can change the files between this check and the load.
        frozen = freeze([local], Freeze.COPY)
        why = next((finding.message for finding in frozen.refusals), "") or _refusal_reason(
            frozen, stage, ServerSettings(os.environ)
        )
        if not why:
            _COPIES.append((os.getpid(), frozen.close))
            return str(frozen.root)
        frozen.close()
    except (ZtGateError, OSError, ValueError) as error:
        why = str(error)
    text = sentence(f"loading {uri}", why)
    _LOG.error("%s", text)
    return refuse(text)


def private_place() -> str:
    """Return a new folder of this process alone, which is removed when it ends."""
    place = tempfile.mkdtemp(prefix="zt-gate-")
    _COPIES.append((os.getpid(), lambda: shutil.rmtree(place, ignore_errors=True)))
    return place


@atexit.register
def _remove_copies() -> None:
    while _COPIES:
        process, remove = _COPIES.pop()
        # A worker that a server forked ends before its parent, which still reads from them.
        if process == os.getpid():
            remove()


def _refusal_reason(frozen: Frozen, stage: str, settings: ServerSettings) -> str:
    """Return why a model may not be loaded; empty when it may."""
    rules, now = settings.rules(), utc_now()
    if trouble := rules.trouble_at(now):
        return trouble
    found = _summaries(rules)
    for digest in _digests(frozen):
        about = [item for item in found if item[0].digest == digest and item[0].stage == stage]
        if not about:
            continue
        # The newest verdict decides alone: an older one that allows must not outlive a newer one that blocks.
        _, data = max(about, key=lambda item: (item[0].verified, not item[0].passed))
        reasons = verify_summary(data, digest, demanded(rules, stage, now))
        reasons = reasons or outdated(data, rules, now) or revoked(settings, data, digest, rules, now)
        return reasons[0] if reasons else ""
    return f"no verdict for the stage {stage} about {frozen.digest.short}"


def _digests(frozen: Frozen) -> Iterator[Digest]:
    """Yield the digest of all files, and the one without the file that MLflow's client adds."""
    yield frozen.digest
    if (registered := registered_digest(frozen)) is not None:
        yield registered


def _summaries(rules: Rules) -> list[tuple[Read, bytes]]:
    """Return every summary in the evidence folder that is by a gate of the policy.

    Raises:
        ToolError: there is no such folder.
        EvidenceError: a file in it cannot be read, or there are too many.
    """
    named = os.environ.get(EVIDENCE, "")
    if not os.path.isdir(named):
        raise ToolError(f"{EVIDENCE} names no folder of signed summaries")
    found, skipped = [], []
    folder = open_evidence_folder(Path(named))
    try:
        names = sorted(os.listdir(folder))
        # Not the first ones: the verdict that blocks may be among the others.
        if len(names) > _MOST:
            raise EvidenceError(f"{EVIDENCE} names a folder of more than {_MOST} files: keep only verdicts there")
        for name in names:
            data, why = read_regular_file(folder, name, MAX_SUMMARY)
            if why:
                skipped.append((printable(name), why))
                continue
            try:
                found.append((read_summary(data, rules, utc_now()), data))
            except EvidenceError as error:
                _LOG.warning("zt-gate: %s is no summary that counts: %s", printable(name), error.message)
    finally:
        os.close(folder)
    warn_of_skipped(named, skipped)
    return found
