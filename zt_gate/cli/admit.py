"""`zt-gate admit`: at deploy time, may these bytes run here? Verifies the signed summary against the bytes."""

from __future__ import annotations

import argparse
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from zt_gate.cli.common.console import Console
from zt_gate.domain import Digest, printable
from zt_gate.errors import EvidenceError, UsageError

if TYPE_CHECKING:
    from zt_gate.intake import FastFrozen, Frozen
    from zt_gate.intake.sealed import SealedStore
    from zt_gate.trust.signatures.keys import PublicKey
    from zt_gate.trust.statements.summary import SummaryRequirements

_MAX_SUMMARY = 1 << 20
_MAX_LIST = 64 << 20
_MAX_MANIFEST = 4 << 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of the verb."""
    parser.add_argument("target", metavar="TARGET", type=Path, help="the files that are about to be deployed")
    parser.add_argument("--summary", metavar="FILE", type=Path, required=True, help="from: zt-gate check --summary")
    parser.add_argument("--key", metavar="PUB", type=Path, action="append", required=True, help="a gate's public key")
    parser.add_argument("--stage", default="production", help="where the model is about to go (default: production)")
    parser.add_argument("--policy-digest", metavar="SHA256", help="require that this policy was applied")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--fast", action="store_true", help="hash with BLAKE3; the summary comes from --summary-fast")
    how.add_argument(
        "--into", metavar="DIR", type=Path, help="put a sealed copy of the admitted files here, and print its path"
    )
    parser.add_argument(
        "--manifest",
        metavar="FILE",
        type=Path,
        action="append",
        default=[],
        help="require that this KServe manifest loads exactly this release; may be repeated",
    )
    parser.add_argument("--revocations", metavar="FILE", type=Path, help="signed list, from: zt-gate revoke")
    parser.add_argument("--revocation-key", metavar="PUB", type=Path, action="append", help="public key of the revoker")
    parser.add_argument(
        "--revocation-max-age-days", metavar="N", type=int, default=7, help="maximum age of the list in days (7)"
    )


def run(args: argparse.Namespace, console: Console) -> int:
    """Hash the target, verify the summary, and answer in a line; with `--into`, a second one says where the copy is.

    Raises:
        UsageError: a digest that is none, or arguments that do not fit together.
        EvidenceError: the summary, the list or a key cannot be read.
        TargetError: the target cannot be read, or the store holds something else under its digest.
        ToolError: no disk space, or BLAKE3 is wanted and not installed.
    """
    _check(args)
    place = None
    # Frozen first: the files are hashed beside this process while it imports what verifies and reads the summary.
    with _store(args) as store, _freeze(args, store) as frozen:
        from zt_gate.intake import Frozen
        from zt_gate.trust.statements.summary import SummaryRequirements, break_glass_incident, verify_summary

        demand = SummaryRequirements(_keys(args.key), args.stage, datetime.now(UTC), _digest(args.policy_digest))
        data = _read(args.summary, "summary", _MAX_SUMMARY, "zt-gate check --summary FILE --summary-key KEY writes one")
        _leave_out_added_file(data, demand, frozen, console)
        reasons = _revoked(args, data, demand, frozen)
        reasons += [finding.message for finding in frozen.refusals]
        reasons += verify_summary(data, frozen.digest, demand)
        reasons += _deployed(args, frozen)
        # Last of all, so that it covers the whole time in which the other reasons were sought.
        reasons += [f"{path} changed while it was verified" for path in frozen.changed()]
        # Refused bytes never get a sealed copy, whose path a deploy job would take for admitted.
        if store is not None and isinstance(frozen, Frozen) and not reasons:
            place = store.keep(frozen)
    if not reasons and (emergency := break_glass_incident(data)):
        console.warn(f"BROKEN GLASS: people let this through for {emergency}")
    return _answer(args, console, str(frozen.digest), reasons, place)


def _leave_out_added_file(
    data: bytes, demand: SummaryRequirements, frozen: Frozen | FastFrozen, console: Console
) -> None:
    """Admit a model that MLflow's client downloaded as it is registered, where the summary is about that."""
    from zt_gate.intake import Frozen
    from zt_gate.intake.mlflow_meta import leave_out_added_file
    from zt_gate.trust.statements.summary import subject_and_signers

    if not isinstance(frozen, Frozen):
        return
    try:
        about, _ = subject_and_signers(data, demand.keys)
    except EvidenceError:
        return  # such a summary admits nothing, and its own reasons say why
    if told := leave_out_added_file(frozen, lambda digest: digest == about):
        console.note(told)


def _store(args: argparse.Namespace) -> AbstractContextManager[SealedStore | None]:
    if args.into is None:
        return nullcontext()
    from zt_gate.intake.containment import refuse_inside
    from zt_gate.intake.sealed import SealedStore

    refuse_inside(args.into, args.target, "store")
    return SealedStore(args.into)


def _freeze(args: argparse.Namespace, store: SealedStore | None) -> Frozen | FastFrozen:
    from zt_gate.intake import Freeze, freeze, freeze_fast

    if store is not None:
        return freeze([args.target], Freeze.COPY, into=store.incoming)
    return freeze_fast([args.target]) if args.fast else freeze([args.target], Freeze.HOLD)


def _answer(args: argparse.Namespace, console: Console, digest: str, reasons: list[str], place: Path | None) -> int:
    if reasons:
        console.result(("REFUSED", "bad"), f"  {printable(args.target)} {digest}")
        for reason in reasons:
            console.result(f"  ✗ {reason}")
        console.note("run zt-gate check on these bytes, for this stage, with --summary FILE --summary-key KEY")
        return 1
    console.result(("ADMITTED", "good"), f"  {printable(args.target)} → {args.stage} {digest}")
    if place is not None:
        console.result(printable(place, 4096))
    return 0


def _check(args: argparse.Namespace) -> None:
    if (args.revocations is None) != (args.revocation_key is None):
        raise UsageError("--revocations and --revocation-key belong together", "give both, or neither")
    if args.manifest and args.fast:
        raise UsageError("--manifest and --fast do not go together", "leave --fast out; manifests name SHA-256 digests")
    if args.revocation_max_age_days < 1:
        raise UsageError("--revocation-max-age-days is less than 1", "give a number of days, such as 7")
    _check_places(args)


def _check_places(args: argparse.Namespace) -> None:
    """Refuse keys and lists that came with the release: its author would say who vouches for it."""
    from zt_gate.intake.containment import refuse_inside

    named = [(path, "key") for path in args.key]
    named += [(path, "revocation key") for path in args.revocation_key or ()]
    named += [(args.revocations, "revocation list")] if args.revocations is not None else []
    for path, what in named:
        refuse_inside(path, args.target, what)


def _revoked(
    args: argparse.Namespace, data: bytes, demand: SummaryRequirements, frozen: Frozen | FastFrozen
) -> list[str]:
    """Say what a revocation list has against the release, a file of it, or those who vouch for it."""
    if args.revocations is None:
        return []
    from zt_gate.intake import Frozen
    from zt_gate.trust.requirements.revocation import revoked_reason
    from zt_gate.trust.statements.summary import subject_and_signers

    listed = _read(args.revocations, "revocation list", _MAX_LIST, "name the file that zt-gate revoke wrote")
    keys, days = _keys(args.revocation_key), args.revocation_max_age_days
    try:
        digest, names = subject_and_signers(data, demand.keys)
    except EvidenceError:
        return []  # such a summary admits nothing, and its own reasons say why
    entries = frozen.subject.manifest.content if isinstance(frozen, Frozen) else ()
    files = {entry.sha256: entry.path for entry in entries}
    return revoked_reason(listed, keys, digest, demand.now, days, names, files)


def _deployed(args: argparse.Namespace, frozen: Frozen | FastFrozen) -> list[str]:
    """Say which of the named manifests would load something else."""
    if not args.manifest:
        return []
    from zt_gate.intake import MemorySource
    from zt_gate.scan.deploy.serving import other_models

    reasons = []
    for path in args.manifest:
        data = _read(path, "manifest", _MAX_MANIFEST, "name a file of rendered manifests")
        reasons += other_models(MemorySource(printable(path), "", data), frozen.digest.hex)
    return reasons


def _keys(paths: list[Path]) -> tuple[PublicKey, ...]:
    from zt_gate.trust.signatures.keys import load_public, read_key_file

    return tuple(load_public(read_key_file(path), printable(path)) for path in paths)


def _digest(text: str | None) -> Digest | None:
    if text is None:
        return None
    try:
        return Digest.parse(text if ":" in text else f"sha256:{text}")
    except ValueError as error:
        raise UsageError(str(error), "zt-gate policy show FILE prints the digest") from None


def _read(path: Path, what: str, largest: int, advice: str) -> bytes:
    try:
        with path.open("rb") as stream:
            data = stream.read(largest + 1)
    except OSError as error:
        raise EvidenceError(f"cannot read the {what} {printable(path)}: {error.strerror}", advice) from None
    if len(data) > largest:
        raise EvidenceError(f"the {what} {printable(path)} has more than {largest} bytes", advice)
    return data
