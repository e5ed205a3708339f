"""`zt-gate init WHAT`: files to begin with, pinned and commented, that pass their own linters."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from zt_gate.cli.common.console import Console
from zt_gate.domain import printable
from zt_gate.errors import ToolError, UsageError

_STARTERS = {
    "github": ("github.yml", ".github/workflows/release.yml", "zt-gate lint-pipeline"),
    "gitlab": ("gitlab.yml", ".gitlab-ci.yml", "zt-gate lint-pipeline"),
    "jenkins": ("Jenkinsfile", "Jenkinsfile", "zt-gate lint-pipeline"),
    "pre-commit": ("pre-commit.yaml", ".pre-commit-config.yaml", "pre-commit install"),
}
"""What each is in `rules/starters/`, where it goes, and what comes next."""
_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._/-]*")
"""Paths that mean themselves in YAML, Groovy and a shell."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("what", choices=[*_STARTERS, "policy"], help="which files to write")
    parser.add_argument("--root", type=Path, default=Path(), metavar="DIR", help="the repository (default: .)")
    parser.add_argument("--target", default="model", metavar="PATH", help="the model in it (default: model)")
    parser.add_argument("--policy", default="zt-gate.yaml", metavar="PATH", help="its policy (default: zt-gate.yaml)")
    parser.add_argument("--key", action="append", type=Path, metavar="PUB", help="policy: who signs; may be repeated")
    parser.add_argument("--force", action="store_true", help="write over a file that is there")


def run(args: argparse.Namespace, console: Console) -> int:
    """Write one file, and say what comes next.

    Raises:
        UsageError: the file is there already, or a path would mean something else in it.
        ToolError: the file cannot be written.
    """
    from zt_gate.cli.common.files import write_atomically

    for name in (args.target, args.policy):
        if not _PLAIN.fullmatch(name):
            raise UsageError(
                f"{printable(name)!r} has characters that are unsafe in a pipeline",
                "use letters, digits, . _ - /",
            )
    if args.what == "policy":
        text, place, then = _policy(args), args.policy, f"zt-gate check {args.target} --policy {args.policy}"
    else:
        source, place, then = _STARTERS[args.what]
        text = _starter(source, args)
    path = args.root / place
    if not args.force and (path.exists() or path.is_symlink()):
        raise UsageError(f"{printable(path)} is there already", "add --force to write over it")
    write_atomically(path, text.encode())
    console.result(f"wrote {printable(path)}")
    console.note(f"next: {then}")
    return 0


def _starter(source: str, args: argparse.Namespace) -> str:
    from zt_gate import __version__
    from zt_gate.policy.rules_folder import rules_folder

    path = rules_folder() / "starters" / source
    try:
        text = path.read_text(encoding="utf-8")
    except OSError as error:
        raise ToolError(f"cannot read {printable(path)}: {error.strerror}", "reinstall zt-gate") from error
    return text.format(version=__version__, target=args.target, policy=args.policy)


def _policy(args: argparse.Namespace) -> str:
    """A policy that trusts the given keys."""
    from zt_gate.cli.policy.verb import new_policy

    if not args.key:
        raise UsageError(
            "a policy must name the keys that sign",
            "zt-gate keygen --out keys, then add --key keys/zt-gate.pub",
        )
    return new_policy(args.key, "my-models", 365)
