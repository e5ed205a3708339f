"""`zt-gate evaluate TARGET`: scan, load in a sandbox, attack, sign what was measured, draw it."""

from __future__ import annotations

import argparse
import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zt_gate.cli.common.console import Console
from zt_gate.cli.common.signer import TARGET, StatementSigner, add_signer_arguments, signer_from
from zt_gate.domain import printable
from zt_gate.errors import TargetError, ToolError, UsageError

if TYPE_CHECKING:
    from zt_gate.evaluate.adapters.declaration import Declaration
    from zt_gate.evaluate.evaluation import Evaluation
    from zt_gate.evaluate.robustness_check import Progress
    from zt_gate.intake import Frozen
    from zt_gate.policy.model import LoadedPolicy
    from zt_gate.trust.statements.ticket import Ticket

CHECKS = ("robustness", "backdoor")
_MOST_PIXELS = 1 << 18
TYPES = {"robustness": "ROBUSTNESS_TYPE", "backdoor": "BACKDOOR_TYPE"}
_TROUBLE = 1
_NAME_KEY = "name a folder of your own outside of --out: --journal-key DIR"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("target", metavar="TARGET", type=Path, help=TARGET)
    parser.add_argument("--data", metavar="NPZ", type=Path, required=True, help="the test set that the ticket names")
    parser.add_argument("--checks", default="robustness", help="robustness, backdoor, or both with a comma between")
    parser.add_argument("--ticket", metavar="FILE", type=Path, required=True, help="from: zt-gate evaluate ticket")
    parser.add_argument(
        "--out",
        metavar="DIR",
        type=Path,
        required=True,
        help="folder for the statement, the plots and the journal to resume from",
    )
    parser.add_argument(
        "--architecture",
        metavar="FILE",
        type=Path,
        help="declaration of the model's architecture, as JSON",
    )
    parser.add_argument(
        "--policy", metavar="FILE", help="the ticket's policy, whose waivers let findings of the scan pass"
    )
    parser.add_argument("--reference", metavar="TARGET", type=Path, help="an approved release, for backdoor detectors")
    parser.add_argument("--training-data", metavar="NPZ", type=Path, help="what it was trained on; bound by provenance")
    parser.add_argument("--against", metavar="FILE", type=Path, help="its robustness statement, to stop early by")
    parser.add_argument("--device", default="cpu", help="cpu or cuda (default: cpu)")
    parser.add_argument("--batch", type=int, default=128, metavar="N", help="samples attacked at once (128)")
    parser.add_argument("--samples", type=int, default=2000, metavar="N", help="most samples that are attacked (2000)")
    parser.add_argument("--budget", type=float, metavar="SECONDS", help="begin no further batch after this time")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="threads of the worker (1)")
    parser.add_argument("--memory", type=int, default=12, metavar="GIB", help="most memory of the worker (12)")
    parser.add_argument(
        "--journal-key",
        metavar="DIR",
        type=Path,
        help="private folder, outside of --out, with the key of the journal (default: zt-gate in the user's state)",
    )
    parser.add_argument("--no-curve", action="store_true", help="do not measure at other strengths for the picture")
    parser.add_argument(
        "--smoothing", type=float, metavar="SIGMA", help="certify by votes under noise, for information only"
    )
    add_signer_arguments(parser)


def run(args: argparse.Namespace, console: Console) -> int:
    """Evaluate; 0 when everything was measured, 1 when the model misbehaved, which the statement then says.

    Raises:
        UsageError: arguments that do not fit together, or with the ticket.
        PolicyError: the policy cannot be loaded.
        TargetError: the target cannot be read, or the static checks do not let it be loaded.
        EvidenceError: data, ticket or declaration cannot be used.
        ToolError: no sandbox that is good enough, or a file cannot be written.
    """
    from zt_gate.cli.evaluate.ticket import read_ticket
    from zt_gate.evaluate.evaluation import evaluate
    from zt_gate.intake import Freeze
    from zt_gate.intake.containment import named_files
    from zt_gate.intake.remote import frozen_target

    checks = _checks(args.checks)
    ticket, about = read_ticket(args.ticket)
    signer = signer_from(args)
    policy, declared = _scan_policy(args.policy, ticket, args.target), _declared(args.architecture)
    outside = named_files(policy)
    # The author could otherwise name a harmless file and have another one served.
    outside += [("architecture", args.architecture)] if declared is not None and declared.file else []
    # A copy: the model that is loaded has to be the one whose digest is signed.
    with frozen_target([args.target], Freeze.COPY, outside=outside) as frozen, _progress(console) as progress:
        if not about.is_about(frozen.digest):
            raise UsageError(
                f"the ticket is about another release than {frozen.digest}", "ask for a ticket for this one"
            )
        if lacking := [check for check in checks if check not in ticket.plan]:
            raise UsageError(f"the ticket asks for no {lacking[0]}", "leave it out of --checks")
        # The gate would refuse a measurement after this time (EVL-007), so the hours of attacks are saved.
        if datetime.now(UTC) >= ticket.expires:
            raise UsageError("the ticket has expired", "ask for a new one: zt-gate evaluate ticket")
        _scan(frozen, "target", policy, progress)
        with _reference(args, policy, progress) as reference:
            found = evaluate(frozen, _settings(args, checks, ticket, declared, console), reference, progress)
        code = _write_all(args.out, checks, found, frozen, signer, console)
    shutil.copyfile(args.ticket, args.out / "ticket.dsse.json")
    return code


def _checks(text: str) -> list[str]:
    names = [name.strip() for name in text.split(",")]
    if unknown := [name for name in names if name not in CHECKS]:
        raise UsageError(f"there is no check {unknown[0]!r} to evaluate", f"checks: {', '.join(CHECKS)}")
    return list(dict.fromkeys(names))


def _scan_policy(path: str | None, ticket: Ticket, target: Path) -> LoadedPolicy:
    """Return what judges the static checks; with the waivers of the ticket's policy, where that is at hand.

    Raises:
        UsageError: it is another policy than the ticket's, or lies inside the target.
        PolicyError: it cannot be loaded.
    """
    from zt_gate.intake.containment import refuse_policy_inside
    from zt_gate.policy.load import load_policy
    from zt_gate.policy.model import SCAN

    if path is None:
        return SCAN
    found = load_policy(path)
    refuse_policy_inside(found, [target])
    if found.digest != ticket.policy:
        raise UsageError("--policy is not the policy that the ticket names", "name the file that it was made with")
    waivers, never = found.policy.waivers, found.policy.never_waive
    return replace(SCAN, policy=replace(SCAN.policy, waivers=waivers, never_waive=never), files=found.files)


def _scan(frozen: Frozen, what: str, policy: LoadedPolicy, progress: Progress) -> None:
    """Let only what passes the static checks be loaded, in any sandbox."""
    from zt_gate.domain import Decision, Evidence
    from zt_gate.policy.judge import INTAKE, judge
    from zt_gate.scan.plan import run_checks

    evidence = run_checks(frozen, policy.policy.stages["scan"].weights, lambda name: progress(f"scan: {name}"))
    intake = Evidence.of(INTAKE, "1", frozen.digest, findings=frozen.refusals)
    verdict = judge(frozen.subject, [intake, *evidence], policy, "scan", datetime.now(UTC))
    if verdict.decision is not Decision.ALLOW:
        first = verdict.reasons[0]
        more = f", and {len(verdict.reasons) - 1} more" if len(verdict.reasons) > 1 else ""
        raise TargetError(
            f"the {what} is not loaded, since it does not pass the static checks: {first.message}{more}",
            "see all of it with: zt-gate scan TARGET",
        )


@contextlib.contextmanager
def _reference(args: argparse.Namespace, policy: LoadedPolicy, progress: Progress) -> Iterator[Frozen | None]:
    """Yield the approved release that was named; None where there is none."""
    from zt_gate.intake import Freeze
    from zt_gate.intake.containment import named_files
    from zt_gate.intake.remote import frozen_target

    if args.reference is None:
        yield None
        return
    with frozen_target([args.reference], Freeze.COPY, outside=named_files(policy)) as reference:
        # The reference is loaded by the same worker, so it has to pass the same checks.
        _scan(reference, "reference", policy, progress)
        yield reference


def _write_all(
    out: Path, checks: list[str], found: Evaluation, frozen: Frozen, signer: StatementSigner, console: Console
) -> int:
    for check in checks:
        _write(out, check, found, frozen, signer, console)
    for problem in found.problems:
        console.warn(f"zt-gate: {problem['rule']}: {problem['message']}")
    for reason in found.unmeasured:
        console.warn(f"zt-gate: not measured: {reason}")
    return _TROUBLE if found.problems or found.unmeasured else 0


def _declared(path: Path | None) -> Declaration | None:
    from zt_gate.cli.common.sign_statement import read_input
    from zt_gate.evaluate.adapters.declaration import MAX_BYTES, read_declaration

    return None if path is None else read_declaration(read_input(path, MAX_BYTES), printable(path))


def _journal_key(given: Path | None, out: Path, console: Console) -> bytes:
    """Return the key of the journal, from a folder of the user's own that is not where the journal is.

    Where the default folder cannot be used the key is forgotten with this run, and the run cannot be resumed.

    Raises:
        UsageError: the folder that was named lies in `out`, or others can read the key.
        ToolError: the folder that was named cannot be used.
    """
    from zt_gate.intake.authenticated_cache import AuthenticatedCache

    state = os.environ.get("XDG_STATE_HOME") or os.path.join(os.path.expanduser("~"), ".local", "state")
    folder = given if given is not None else Path(state, "zt-gate", "journal-key")
    try:
        _check_key_folder(folder, out)
        kept = AuthenticatedCache(folder, "folder of the journal's key", _NAME_KEY)
    except (UsageError, ToolError) as error:
        if given is not None:
            raise
        console.note(f"zt-gate: a run that is killed cannot be resumed: {error}")
        return secrets.token_bytes(32)
    try:
        return kept.derived("journal of an evaluation")
    finally:
        kept.close()


def _check_key_folder(folder: Path, out: Path) -> None:
    if _inside(folder, out):
        raise UsageError("the key of the journal lies in --out, beside the journal", _NAME_KEY)
    if not folder.is_absolute() and folder.parts[:1] == ("~",):
        raise ToolError("this user has no folder for the journal's key", _NAME_KEY)


def _inside(path: Path, target: Path) -> bool:
    return path.resolve().is_relative_to(target.resolve())


def _settings(
    args: argparse.Namespace, checks: list[str], ticket: Ticket, declared: Declaration | None, console: Console
) -> Any:
    from zt_gate.cli.evaluate.ticket import read_statement
    from zt_gate.evaluate.evaluation import EvaluationSettings
    from zt_gate.trust.statements.statement import predicate_digest

    if min(args.batch, args.samples, args.threads, args.memory) < 1:
        raise UsageError("--batch, --samples, --threads and --memory are 1 or more", "use a positive number")
    if args.smoothing is not None and not 0 < args.smoothing < float("inf"):
        raise UsageError("--smoothing is a positive number", "such as a quarter of the inputs' range: 0.25")
    approved = None
    if args.against is not None:
        approved = read_statement(args.against).predicate
        if ticket.baseline is None or predicate_digest(approved) != ticket.baseline.statement:
            raise UsageError("--against is not the statement that the ticket compares with", "name the same file")
    return EvaluationSettings(
        checks=tuple(checks),
        ticket={"nonce": ticket.nonce, "digest": {"sha256": ticket.digest.hex}},
        data=args.data,
        data_digest=ticket.data,
        seed=ticket.seed,
        plan=ticket.plan,
        out=args.out,
        journal_key=_journal_key(args.journal_key, args.out, console),
        declared=declared,
        approved=approved,
        device=args.device,
        batch=args.batch,
        samples=args.samples,
        seconds=args.budget if args.budget is not None else float("inf"),
        threads=args.threads,
        memory=args.memory << 30,
        curve=not args.no_curve,
        smoothing=args.smoothing,
        training=args.training_data,
    )


def _write(out: Path, check: str, found: Evaluation, frozen: Frozen, signer: StatementSigner, console: Console) -> None:
    """Sign one statement. The key is used here, in the process that never ran anything of the model."""
    from zt_gate.cli.common.files import write_atomically
    from zt_gate.trust.statements import statement as types

    predicate = found.predicate(check)
    payload = types.statement(getattr(types, TYPES[check]), predicate, frozen.subject)
    write_atomically(out / f"{check}.dsse.json", signer.sign(payload))
    console.result(printable(out / f"{check}.dsse.json", 4096))
    if check == "robustness" and "robustness" in predicate:
        _draw(out, predicate["robustness"], found.least)
    if check == "backdoor":
        _show_triggers(out, found)


def _show_triggers(out: Path, found: Evaluation) -> None:
    """Leave recovered triggers as pictures; an additive one is drawn around grey, five times stronger."""
    from zt_gate.cli.common.files import write_atomically
    from zt_gate.domain.png import png

    for name, array in found.triggers.items():
        if 0 < array.size <= _MOST_PIXELS:
            values = 0.5 + 5 * array if name == "additive.pattern" else array
            write_atomically(out / f"backdoor-{name.replace('.', '-')}.png", png(values.tolist()))


def _draw(out: Path, numbers: dict[str, Any], least: float | None) -> None:
    from zt_gate.cli.common.files import write_atomically
    from zt_gate.pages.pictures import draw
    from zt_gate.pages.standalone import standalone
    from zt_gate.rulings.robustness_pictures import robustness_pictures

    for number, what in enumerate(robustness_pictures(numbers, least=least, alpha=0.05), 1):
        write_atomically(out / f"robustness-{number}.svg", standalone(draw(what)).encode())


@contextlib.contextmanager
def _progress(console: Console) -> Iterator[Progress]:
    """Show the step on a terminal in place, in a CI log a line each, and nothing when it is to be quiet."""
    if console.quiet:
        yield lambda _: None
    elif os.environ.get("CI") or (screen := console.terminal()) is None:
        yield lambda text: console.note(f"zt-gate: {text}")
    else:
        from zt_gate.cli.common.progress import ProgressLine

        with ProgressLine(screen) as line:
            yield line.step
