"""`zt-gate policy test` and `zt-gate policy suggest`: a policy held against cases, and against what happened."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zt_gate.cli.common.console import Console
from zt_gate.domain import printable

if TYPE_CHECKING:
    from zt_gate.policy.model import LoadedPolicy, Policy


def add_test_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `policy test`."""
    parser.add_argument("cases", metavar="CASES", type=Path, help="YAML file of cases")


def add_suggest_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments of `policy suggest`."""
    parser.add_argument("policy", metavar="FILE", help="the policy that the runs were judged by")
    parser.add_argument("--log", type=Path, required=True, metavar="FILE", help="audit log; it is verified first")
    parser.add_argument("--checkpoint", type=Path, metavar="HELD", help="a checkpoint that you kept elsewhere")
    parser.add_argument("--key", type=Path, metavar="PUB", help="the log's public key, for checkpoints")
    parser.add_argument("--least", type=int, default=20, metavar="N", help="allowed runs that a stage needs (20)")


def run_test(args: argparse.Namespace, console: Console) -> int:
    """Judge every case; 1 where one is not as expected.

    Raises:
        PolicyError: the cases or the policy are not valid.
    """
    from zt_gate.policy.cases import Cases, run_case, tally
    from zt_gate.policy.load import PACK_PREFIX, load_policy, read_document, validate

    cases = validate(read_document(args.cases, "name a file of cases; see docs/policy.md"), Cases)
    reference = cases.policy if cases.policy.startswith(PACK_PREFIX) else str(args.cases.parent / cases.policy)
    loaded, now = load_policy(reference), datetime.now(UTC)
    results = [run_case(case, loaded, now) for case in cases.cases]
    for result in results:
        case = f" {printable(result.case.name, 120)} ({result.case.stage}: {result.verdict.decision})"
        console.result(("✗", "bad") if result.problem else ("✓", "good"), case)
        if result.problem:
            console.result(f"    {printable(result.problem, 2000)}")
            for reason in result.verdict.reasons[:10]:
                console.result(f"      {printable(reason.message, 300)} [{reason.rule or reason.code}]")
    counts = tally(results)
    console.result(f"{counts['passed']} passed, {counts['failed']} failed, policy {loaded.digest}")
    return 1 if counts["failed"] else 0


def run_suggest(args: argparse.Namespace, console: Console) -> int:
    """Print a tightening that the log speaks for; nothing is changed.

    Raises:
        PolicyError: the policy is not valid.
        AuditLogError: the log is not intact, so nothing is concluded from it.
    """
    from zt_gate.audit.reader import read_events
    from zt_gate.cli.audit.acts import require_file
    from zt_gate.cli.common.audit_log import held_checkpoints
    from zt_gate.cli.policy.lint import changes_shown
    from zt_gate.policy.diff import compare
    from zt_gate.policy.load import load_policy
    from zt_gate.policy.suggest import StageHistory, suggest

    require_file(args.log)
    loaded = load_policy(args.policy)
    record = StageHistory(loaded)
    for event in read_events(args.log, held_checkpoints(args)):
        record.observe(event)
    better = suggest(loaded.policy, record, args.least)
    changes = compare(loaded.policy, better)
    for name, history in sorted(record.stages.items()):
        console.result(f"# {printable(name, 60)}: {history.allowed} allowed runs under this policy")
    if record.foreign:
        console.result(f"# {record.foreign} runs under another policy do not count")
    if not changes:
        console.result("# nothing to suggest")
        return 0
    for parts in changes_shown(changes):
        console.result("# ", *parts)
    console.result(_overlay(loaded, better))
    console.note("every run in the log would still have been allowed; review it before you paste it")
    return 0


def _overlay(loaded: LoadedPolicy, better: Policy) -> str:
    """Return what to write into the policy, as YAML."""
    import dataclasses

    import yaml

    stages: dict[str, Any] = {}
    for name, stage in better.stages.items():
        before, after = dataclasses.asdict(loaded.policy.stages[name]), dataclasses.asdict(stage)
        changed = {key: value for key, value in after.items() if value != before[key]}
        if changed.get("signature"):
            changed["signature"] = {"by": list(changed["signature"]["by"])}
        if changed:
            stages[name] = changed
    return str(yaml.safe_dump({"stages": stages}, sort_keys=False, allow_unicode=False, width=110)).rstrip()
