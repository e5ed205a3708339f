"""Which files of a tree belong to its pipelines."""

from __future__ import annotations

import os
import re
from pathlib import Path

from zt_gate.domain import printable
from zt_gate.errors import TargetError

_PRUNED = frozenset({".git", "node_modules", ".venv", "venv", "__pycache__", ".tox", ".mypy_cache", "site-packages"})
_MAX_ENTRIES = 300_000
WORKFLOW = re.compile(r"\.github/workflows/[^/]+\.ya?ml")
ACTION = re.compile(r"(?:.*/)?action\.ya?ml")
JENKINSFILE = re.compile(r"(?:.*/)?(?:Jenkinsfile[^/]*|[^/]+\.jenkinsfile)")
GITLAB = re.compile(r"\.gitlab-ci\.ya?ml")
UNREAD = re.compile(
    r"azure-pipelines\.ya?ml|\.circleci/config\.ya?ml|bitbucket-pipelines\.ya?ml|\.drone\.ya?ml|\.travis\.ya?ml"
    r"|\.woodpecker\.ya?ml|\.woodpecker/.+\.ya?ml|\.buildkite/.+\.ya?ml|buildspec\.ya?ml|cloudbuild\.ya?ml"
    r"|appveyor\.yml|\.cirrus\.yml|\.semaphore/.+\.ya?ml|\.teamcity/.+|\.(?:gitea|forgejo)/workflows/.+\.ya?ml"
)
"""Pipelines of systems that nobody reads here."""
_LOCAL = re.compile(r"[\w./*-]+\.ya?ml")


def pipeline_files(root: Path) -> list[Path]:
    """Return the files of a tree that make its pipelines, and those that they include.

    Raises:
        TargetError: the tree cannot be walked, or is larger than any repository.
    """
    names = _names(root)
    chosen = {
        name for name in names if any(kind.fullmatch(name) for kind in (WORKFLOW, ACTION, JENKINSFILE, GITLAB, UNREAD))
    }
    left = [name for name in chosen if GITLAB.fullmatch(name)]
    known = set(names)
    while left:
        for name in sorted(_included(root / left.pop(), known) - chosen):
            chosen.add(name)
            left.append(name)
    return [root / name for name in sorted(chosen)]


def _names(root: Path) -> list[str]:
    names: list[str] = []

    def fail(error: OSError) -> None:
        shown = printable(error.filename or root)
        raise TargetError(f"cannot read {shown}: {error.strerror}", "check its permissions") from error

    for folder, folders, files in os.walk(root, onerror=fail):
        folders[:] = sorted(name for name in folders if name not in _PRUNED)
        inside = Path(folder).relative_to(root).as_posix()
        names += [name if inside == "." else f"{inside}/{name}" for name in sorted(files)]
        if len(names) > _MAX_ENTRIES:
            raise TargetError(f"{printable(root)} has more than {_MAX_ENTRIES} files", "name the repository's root")
    return names


def _included(path: Path, known: set[str]) -> set[str]:
    """Return the files of the tree that a GitLab file may include; more than it does is no harm."""
    import fnmatch

    try:
        with path.open(encoding="utf-8", errors="replace") as stream:
            mentioned = {word.lstrip("/") for word in _LOCAL.findall(stream.read(1 << 22))}
    except OSError as error:
        raise TargetError(f"cannot read {printable(path)}: {error.strerror}", "check its permissions") from error
    plain = mentioned & known
    patterns = [word for word in mentioned if "*" in word]
    return plain | {name for name in known if any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)}
