"""`zt-gate lint-pipeline`: does every job that deploys really wait for the gate?"""

from __future__ import annotations

import argparse
from pathlib import Path

from zt_gate.cli.common.console import Console


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    from zt_gate.cli.common.output import add_output_arguments

    parser.add_argument(
        "root", type=Path, nargs="?", default=Path(), metavar="ROOT", help="the repository (default: .)"
    )
    parser.add_argument("--deploys", action="append", default=[], metavar="JOB", help="treat this job as a deployment")
    parser.add_argument(
        "--exempt", action="append", default=[], metavar="JOB", help="treat this job as no deployment of a model"
    )
    add_output_arguments(parser)


def run(args: argparse.Namespace, console: Console) -> int:
    """Read every CI file of a repository and prove it, or say what stands against the proof.

    Raises:
        UsageError: there is no CI file.
    """
    from zt_gate.cli.common.check_and_report import answer
    from zt_gate.cli.common.output import expect_reports, limits
    from zt_gate.domain import printable
    from zt_gate.errors import UsageError
    from zt_gate.gate import Request
    from zt_gate.intake import Freeze
    from zt_gate.intake.remote import frozen_target
    from zt_gate.pipelines.check import PipelineCheck
    from zt_gate.pipelines.files import pipeline_files
    from zt_gate.pipelines.model import Wishes
    from zt_gate.policy.model import PIPELINE

    targets = pipeline_files(args.root)
    if not targets:
        advice = "name the root of a repository with .github/workflows, .gitlab-ci.yml or a Jenkinsfile"
        raise UsageError(f"there is no pipeline in {printable(args.root)}", advice)
    check = PipelineCheck(Wishes(frozenset(args.deploys), frozenset(args.exempt)))
    expect_reports(args, console)
    with frozen_target(targets, Freeze.HOLD, limits(args), base=args.root) as held:
        request = Request(targets=targets, policy=PIPELINE, stage="pipeline", held=held, prepared={"pipeline": check})
        return answer(request, args, None, console)
