"""Parse the command line, run one verb, and turn every way of failing into an exit code.

0 allowed, 1 blocked, 2 could not decide. A verb's module is imported only when the verb is typed.
"""

from __future__ import annotations

import argparse
import contextlib
import importlib
import os
import signal
import sys
from collections.abc import Sequence
from itertools import pairwise
from types import FrameType
from typing import NoReturn, Protocol, cast

from zt_gate import __version__
from zt_gate.cli.common.console import Console
from zt_gate.errors import UsageError, ZtGateError

VERBS = {
    "check": "decide whether a model may enter a stage: freeze, scan, verify, judge, record",
    "scan": "run the static checks on files; needs no configuration and no signatures",
    "ratchet": "list what a release imports, calls or contains that the previous one did not",
    "sign": "sign the manifest of a release",
    "attest": "make and sign a statement about a target: provenance, tests, bom, dataset, scan, sarif, release, custom",
    "approve": "approve a release for a stage under a policy, until a date",
    "revoke": "maintain a signed list of revoked digests, keys and identities",
    "verify": "verify the signature of a release and list the files that differ",
    "keygen": "create a key pair",
    "evaluate": "attack a model in a sandbox and sign the measurements; issue job tickets",
    "promote": "check an MLflow model version and set an alias on it, or roll back to the last admitted version",
    "admit": "at deploy time, verify that these bytes have a signed verdict for this stage",
    "watch": "keep re-checking promoted MLflow versions and withdraw those whose verdict no longer holds",
    "registry": "remove sealed copies that nothing needs any more",
    "audit": "verify, prove, merge, export and chart an audit log",
    "explain": "explain a rule: what it means, why it matters and how to fix it",
    "policy": "write, validate, lint, compare, test and sign policies",
    "lint-pipeline": "prove that every job that deploys waits for the gate: GitHub, GitLab, Jenkins",
    "init": "write a starter pipeline, hooks or policy: github, gitlab, jenkins, pre-commit, policy",
    "ci": "run a verb in a GitHub, GitLab or Jenkins job and publish its result there",
    "doctor": "check this machine and list what is missing",
    "selftest": "scan a few hundred inert hostile constructs and show which are blocked",
    "demo": "build an honest release, gate it, then try a dozen attacks on it",
    "schema": "print the JSON Schema of a report, a policy or the audit log",
    "completion": "print a completion script for a shell",
}
"""Every verb with its one line, in the order in which a newcomer meets them."""

_EPILOG = """\
exit codes:
  0  allowed
  1  blocked
  2  could not decide: wrong usage, a bad policy, or a fault

Start with: zt-gate demo, or zt-gate scan PATH
"""
UNDECIDED = 2


class _Verb(Protocol):
    """What a module in this folder offers."""

    @staticmethod
    def add_arguments(parser: argparse.ArgumentParser) -> None:
        """Declare the verb's arguments."""

    @staticmethod
    def run(args: argparse.Namespace, console: Console) -> int:
        """Run the verb and return its exit code."""


class _Parser(argparse.ArgumentParser):
    """A parser that raises `UsageError`, so that its errors look and exit like all others."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message, f"see {self.prog} --help")


def build_parser(verb: str | None = None) -> argparse.ArgumentParser:
    """Return the parser; only the named verb's own arguments are filled in."""
    parser = _Parser(
        prog="zt-gate",
        description="May these exact bytes be promoted to this stage, on this evidence, now?",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"zt-gate {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", title="verbs")
    for name, summary in VERBS.items():
        sub = verbs.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
        sub.add_argument("-q", "--quiet", action="store_true", help="no progress and no hints")
        if name == verb:
            _module(name).add_arguments(sub)
    return parser


def main(arguments: list[str] | None = None) -> int:
    """Run one verb and return its exit code. Nothing but this function turns an exception into an exit code."""
    words = sys.argv[1:] if arguments is None else arguments
    # Before parsing, since a parser's error is printed by it as well.
    console = Console(quiet="--quiet" in words or "-q" in words)
    # CI systems end a job with SIGTERM, whose default action skips every `finally`.
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        code = _run(words, console)
        # At exit Python would report a full disk or closed pipe itself, and end with 120, which is none of our codes.
        sys.stdout.flush()
    except ZtGateError as error:
        return _fail(error, words, console)
    except KeyboardInterrupt:
        return _fail(ZtGateError("interrupted; nothing was decided"), words, console)
    except BrokenPipeError:
        # The reader closed the pipe early; a truncated answer is not a decision.
        # Python flushes once more at exit and would complain about the same pipe.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return UNDECIDED
    except Exception as error:
        if os.environ.get("ZT_GATE_TRACEBACK"):
            raise
        advice = "set ZT_GATE_TRACEBACK=1 and report what it prints"
        return _fail(ZtGateError(f"internal fault: {type(error).__name__}: {error}", advice), words, console)
    return code


def _run(words: list[str], console: Console) -> int:
    verb = next((word for word in words if not word.startswith("-")), None)
    if verb is not None and verb not in VERBS:
        import difflib

        close = difflib.get_close_matches(verb, VERBS, n=1)
        raise UsageError(f"there is no verb {verb!r}", f"did you mean {close[0]!r}?" if close else "see zt-gate --help")
    parser = build_parser(verb)
    # argparse cannot tell the options of `ci` from those of the verb that it runs.
    cut = words.index("--") if verb == "ci" and "--" in words else len(words)
    args = parser.parse_args(words if verb is None else _with_act(verb, words[:cut]))
    args.words = words[cut + 1 :]
    if verb is None:
        console.result(parser.format_help().rstrip())
        return UNDECIDED
    return _module(verb).run(args, console)


def _with_act(verb: str, words: list[str]) -> list[str]:
    """Return the words with the act that a verb does when none is named: `evaluate TARGET` is `evaluate run TARGET`."""
    acts: Sequence[str] = getattr(_module(verb), "ACTS", ())
    after = words.index(verb) + 1
    if not getattr(_module(verb), "DEFAULT_ACT", "") or words[after : after + 1] in ([], ["-h"], ["--help"]):
        return words
    known = words[after] in acts
    return words if known else [*words[:after], _module(verb).DEFAULT_ACT, *words[after:]]  # type: ignore[attr-defined]


def _module(verb: str) -> _Verb:
    return cast("_Verb", importlib.import_module(f"zt_gate.cli.{verb.replace('-', '_')}"))


def _fail(error: ZtGateError, words: list[str], console: Console) -> int:
    wanted = _format(words)
    if wanted or console.reports is not None:
        from datetime import UTC, datetime

        from zt_gate.cli.common.check_and_report import write_reports
        from zt_gate.report import formats
        from zt_gate.report.model import build_error

        report = build_error(error, datetime.now(UTC))
        if wanted in formats.FILES:
            console.result(formats.render(wanted, report).rstrip("\n"))
        if console.reports is not None:
            # Where the folder itself is what is wrong, the error below still says why.
            with contextlib.suppress(ZtGateError):
                write_reports(console.reports, report)
    console.error(error)
    return UNDECIDED


def _format(words: list[str]) -> str:
    """Return the value of `--format`, even where the rest of the command line cannot be parsed."""
    named = [word.removeprefix("--format=") for word in words if word.startswith("--format=")]
    named += [after for word, after in pairwise(words) if word == "--format"]
    return named[-1] if named else ""


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    """End like Ctrl-C, so that private copies are removed on the way out."""
    raise KeyboardInterrupt
