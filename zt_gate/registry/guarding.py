"""What the client guard demands of a downloaded model, before anything deserialises it.

A folder with an MLmodel file is handed out only as a private copy whose digest has a verdict in `ZT_GATE_EVIDENCE`, a
folder of signed summaries, by the gates of `ZT_GATE_POLICY`.
"""

from __future__ import annotations

import atexit
import logging
import os
import stat
from collections.abc import Iterator

from zt_gate.codecs.strict_yaml import load_one
from zt_gate.domain import Digest, Manifest
from zt_gate.errors import EvidenceError, ParseError, ToolError, ZtGateError
from zt_gate.intake import Freeze, Frozen, freeze
from zt_gate.registry.refusal import refuse, sentence
from zt_gate.registry.settings import Rules, Settings
from zt_gate.registry.verdicts import MAX_SUMMARY, Read, demanded, outdated, read_summary, revoked, utc_now
from zt_gate.trust.statements.summary import verify_summary

EVIDENCE = "ZT_GATE_EVIDENCE"
META = "registered_model_meta"
"""What MLflow's client adds to a model that it downloads by `models:/name/…`: its name and version."""
_MAX_META = 4096
_MOST = 10_000
_LOG = logging.getLogger("zt_gate.guard")
_KEPT: list[Frozen] = []
"""The copies that were handed out; they go when the process does."""


def guarded(local: str, uri: str, stage: str) -> str:
    """Return a private copy of a downloaded model whose verdict holds; what is no model folder is returned as it is.

    Raises:
        MlflowException: no verdict holds. MLflow hides reasons now and then, so it is logged as well.
    """
    if not os.path.lexists(os.path.join(local, "MLmodel")):
        return local
    try:
        frozen = freeze([local], Freeze.COPY)
        why = next((finding.message for finding in frozen.refusals), "") or _unheld(frozen, stage, Settings(os.environ))
        if not why:
            if not _KEPT:
                atexit.register(_forget)
            _KEPT.append(frozen)
            return str(frozen.root)
        frozen.close()
    except (ZtGateError, OSError, ValueError) as error:
        why = str(error)
    text = sentence(f"loading {uri}", why)
    _LOG.error("%s", text)
    return refuse(text)


def _forget() -> None:
    while _KEPT:
        _KEPT.pop().close()


def _unheld(frozen: Frozen, stage: str, settings: Settings) -> str:
    """Say why a model may not be loaded; empty when it may."""
    rules, now = settings.rules(), utc_now()
    if trouble := rules.trouble_at(now):
        return trouble
    found = _summaries(rules)
    for digest in _digests(frozen):
        about = [item for item in found if item[0].digest == digest and item[0].stage == stage]
        if not about:
            continue
        _, data = max(about, key=lambda item: (item[0].verified, not item[0].passed))
        reasons = verify_summary(data, digest, demanded(rules, stage, now))
        reasons = reasons or outdated(data, rules, now) or revoked(settings, data, digest, rules, now)
        return reasons[0] if reasons else ""
    return f"no verdict for the stage {stage} about {frozen.digest.short}"


def _digests(frozen: Frozen) -> Iterator[Digest]:
    """Yield the digest of all files, and without the one that MLflow's client adds, if it is exactly that."""
    yield frozen.digest
    if META in frozen.files and _is_added(frozen):
        entries = [entry for entry in frozen.subject.manifest.entries if entry.path != META]
        yield Manifest.of(entries).digest


def _is_added(frozen: Frozen) -> bool:
    with frozen.files[META].open() as stream:
        text = stream.read(_MAX_META + 1)
    if len(text) > _MAX_META:
        return False
    try:
        value = load_one(text)
    except ParseError:
        return False
    return isinstance(value, dict) and set(value) == {"model_name", "model_version"}


def _summaries(rules: Rules) -> list[tuple[Read, bytes]]:
    """Return every summary in the evidence folder that is by a gate of the policy.

    Raises:
        ToolError: there is no such folder.
    """
    named = os.environ.get(EVIDENCE, "")
    if not os.path.isdir(named):
        raise ToolError(f"{EVIDENCE} names no folder of signed summaries")
    found = []
    for name in sorted(os.listdir(named))[:_MOST]:
        path = os.path.join(named, name)
        if not stat.S_ISREG(os.stat(path).st_mode):
            continue
        with open(path, "rb") as stream:
            data = stream.read(MAX_SUMMARY + 1)
        try:
            found.append((read_summary(data, rules, utc_now()), data))
        except EvidenceError as error:
            _LOG.warning("zt-gate: %s is no summary that counts: %s", name, error.message)
    return found
