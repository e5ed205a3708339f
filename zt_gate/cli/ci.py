"""`zt-gate ci SYSTEM -- VERB …`: run a verb inside a CI job and hand its answer over."""

from __future__ import annotations

import argparse
import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from zt_gate.cli.common.console import Console
from zt_gate.domain import printable
from zt_gate.errors import ToolError, UsageError, ZtGateError

_TARGETS = {"github": "GITHUB_BASE_REF", "gitlab": "CI_MERGE_REQUEST_TARGET_BRANCH_NAME", "jenkins": "CHANGE_TARGET"}
"""Set by each system to the branch that a pull request wants to change, and only then."""
_TIMEOUT = 300


@contextmanager
def policy_of_base(words: list[str], policy: str, system: str, environment: Mapping[str, str]) -> Iterator[list[str]]:
    """Yield the words of a verb, with a policy of the checked-out change replaced by that of the base branch.

    Args:
        words: the verb and its arguments.
        policy: the policy as its parser understood it.
        system: `github`, `gitlab` or `jenkins`.
        environment: the variables of the job.

    Raises:
        UsageError: the base branch cannot be read.
    """
    branch = environment.get(_TARGETS[system], "")
    top = _top() if branch and policy and not policy.startswith("pack:") else None
    # A policy that is a link into the checked-out change is part of the change.
    real = Path(os.path.realpath(policy))
    if top is None or not real.is_relative_to(top):
        yield words
        return
    with tempfile.TemporaryDirectory(prefix="zt-gate-base-") as folder:
        tree = Path(folder) / "base"
        # A pull request could otherwise change the policy that judges it.
        _git("worktree", "add", "--detach", "--force", str(tree), _fetched(branch))
        try:
            yield _replaced(words, str(tree / real.relative_to(top)))
        finally:
            _git("worktree", "remove", "--force", str(tree))


def _replaced(words: list[str], policy: str) -> list[str]:
    """Put a policy in front of all others and drop those."""
    kept, skip = words[:1], False
    for index, word in enumerate(words[1:], 1):
        if skip:
            skip = False
        elif word == "--":
            # Behind `--` there are only targets, whatever they look like.
            kept += words[index:]
            break
        elif word == "--policy":
            skip = True
        elif not word.startswith("--policy="):
            kept.append(word)
    return [kept[0], "--policy", policy, *kept[1:]]


def _top() -> Path | None:
    """Return the root of the work tree; None outside any, where there is no change to judge."""
    done = subprocess.run(
        ["git", "rev-parse", "--show-toplevel"],  # noqa: S607 - the git of the runner
        capture_output=True,
        text=True,
        check=False,
        timeout=_TIMEOUT,
    )
    return Path(os.path.realpath(done.stdout.strip())) if done.returncode == 0 else None


def _fetched(branch: str) -> str:
    """Return a name for the tip of a branch: as origin has it now, or as the checkout of this job saw it there."""
    try:
        _git("fetch", "--no-tags", "--depth=1", "origin", f"refs/heads/{branch}")
    except UsageError:
        seen = f"refs/remotes/origin/{branch}"
        _git("rev-parse", "--verify", "--quiet", seen)
        return seen
    return "FETCH_HEAD"


def _git(*words: str) -> None:
    # `git worktree add` runs the hook post-checkout, which may be code that the change brought.
    command = ["git", "-c", "core.hooksPath=/dev/null", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_TIMEOUT)  # noqa: S603
    if done.returncode:
        why = printable(" ".join(done.stderr.split()), 300)
        advice = "let the job fetch from origin, or keep the policy outside the repository, or sign it (--policy-key)"
        raise UsageError(f"the policy of the base branch cannot be read: git {words[0]}: {why}", advice)


VERBS = ("check", "scan", "promote", "lint-pipeline")
"""Verbs that leave a report."""
_MAX_REPORT = 256 << 20
_FILES = {"outputs": "GITHUB_OUTPUT", "summary": "GITHUB_STEP_SUMMARY"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("system", choices=["github", "gitlab", "jenkins"], help="where this runs")
    parser.add_argument("--dotenv", type=Path, metavar="FILE", help="also write the values here, as NAME=VALUE")
    parser.epilog = "After -- comes the verb to run with its arguments, including --out DIR for its reports."


def run(args: argparse.Namespace, console: Console) -> int:
    """Run the verb, write outputs, summary and annotations, and return the exit code of the verb.

    Raises:
        UsageError: the verb leaves no report, or this is no job of that system.
        ToolError: a file of the CI system cannot be written.
    """
    words = args.words
    if words[:1] == [] or words[0] not in VERBS:
        raise UsageError("name a verb that writes a report", f"zt-gate ci {args.system} -- check TARGET --out DIR")
    github = args.system == "github"
    files = {name: _github_file(variable) for name, variable in _FILES.items()} if github else {}
    folder, policy = _understood(words)
    with policy_of_base(words, policy, args.system, os.environ) as trusted:
        code = _quietly(trusted, console) if github else _run(trusted)
    report = _report(folder)
    from zt_gate.report import handover

    said = handover.values(report, code)
    if github:
        _hand_to_github(report, said, files, console)
    if args.dotenv is not None:
        _append(args.dotenv, handover.dotenv(said), fresh=True)
    # A report that contradicts the exit code is believed by nobody.
    return code if said["exit-code"] == str(code) else int(said["exit-code"])


def _run(words: list[str]) -> int:
    from zt_gate.cli.main import main

    return main(words)


def _quietly(words: list[str], console: Console) -> int:
    """Run the verb while GitHub takes no commands from the log.

    Names of files stand in what the verb prints, and `##[set-output …]` is a command wherever it stands in a line. The
    word that ends the silence is random, so that no name can hold it.
    """
    token = secrets.token_hex(16)
    console.result(f"::stop-commands::{token}")
    sys.stdout.flush()
    try:
        return _run(words)
    finally:
        sys.stderr.flush()
        sys.stdout.flush()
        console.result(f"::{token}::")


def _understood(words: list[str]) -> tuple[Path | None, str]:
    """Return the folder of the reports, emptied of those of an earlier run, and the policy that the verb will read.

    Neither, where the words are wrong: the verb itself will say how.
    """
    from zt_gate.cli.common.output import remove_reports
    from zt_gate.cli.main import build_parser

    try:
        parsed = build_parser(words[0]).parse_args(words)
    except ZtGateError:
        return None, ""
    if parsed.out is None:
        raise UsageError("--out is missing, so there would be no report to publish", "add --out DIR")
    remove_reports(parsed.out)
    # A policy that has to be signed cannot be changed by a pull request, wherever it is read.
    return parsed.out, "" if getattr(parsed, "policy_key", None) else str(getattr(parsed, "policy", ""))


def _report(folder: Path | None) -> dict[str, Any] | None:
    from zt_gate.codecs.strict_json import parse_json
    from zt_gate.report.model import SCHEMA

    try:
        with (folder / "report.json").open("rb") as stream:  # type: ignore[operator]  # None is caught below
            report = parse_json(stream.read(_MAX_REPORT))
    except (OSError, ValueError, TypeError):
        return None
    return report if isinstance(report, dict) and report.get("schema") == SCHEMA else None


def _hand_to_github(
    report: dict[str, Any] | None, said: dict[str, str], files: dict[str, Path], console: Console
) -> None:
    from zt_gate.report import handover, markdown

    if report is not None:
        for line in handover.annotated(report):
            console.result(line)
        _append(files["summary"], markdown.render(report))
    # The delimiter is random, so that no value can end its own block and set another output.
    _append(files["outputs"], handover.file_command(said, f"zt-gate-{secrets.token_hex(16)}"))


def _github_file(variable: str) -> Path:
    value = os.environ.get(variable, "")
    if not value:
        raise UsageError(f"${variable} is not set, so this is no job of GitHub", "run the verb without zt-gate ci")
    return Path(value)


def _append(path: Path, text: str, *, fresh: bool = False) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w" if fresh else "a", encoding="utf-8", newline="\n") as stream:
            stream.write(text)
    except OSError as error:
        raise ToolError(f"cannot write {printable(path)}: {error.strerror}", "free space, or check the path") from error
