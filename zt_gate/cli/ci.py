"""`zt-gate ci SYSTEM -- VERB …`: run a verb inside a CI job and hand its answer over."""

from __future__ import annotations

import argparse
import os
import secrets
import sys
from pathlib import Path
from typing import Any

from zt_gate.cli.ci_base import policy_of_base
from zt_gate.cli.common.console import Console
from zt_gate.domain import printable
from zt_gate.errors import ToolError, UsageError, ZtGateError

VERBS = ("check", "scan", "promote", "lint-pipeline")
"""Verbs that leave a report."""
_MAX_REPORT = 256 << 20
_FILES = {"outputs": "GITHUB_OUTPUT", "summary": "GITHUB_STEP_SUMMARY"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("system", choices=["github", "gitlab", "jenkins"], help="where this runs")
    parser.add_argument("--dotenv", type=Path, metavar="FILE", help="also write the values here, as NAME=VALUE")
    parser.epilog = "Behind -- stands the verb to run with its arguments, among them --out DIR for its reports."


def run(args: argparse.Namespace, console: Console) -> int:
    """Run the verb, write outputs, summary and annotations, and return the exit code of the verb.

    Raises:
        UsageError: the verb leaves no report, or this is no job of that system.
        ToolError: a file of the CI system cannot be written.
    """
    words = args.words
    if words[:1] == [] or words[0] not in VERBS:
        raise UsageError(
            "no verb that leaves a report was named", f"zt-gate ci {args.system} -- check TARGET --out DIR"
        )
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
    from zt_gate.cli import reports
    from zt_gate.cli.main import build_parser

    try:
        parsed = build_parser(words[0]).parse_args(words)
    except ZtGateError:
        return None, ""
    if parsed.out is None:
        raise UsageError("--out is missing, so that there would be nothing to hand over", "add --out DIR")
    reports.clear(parsed.out)
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
