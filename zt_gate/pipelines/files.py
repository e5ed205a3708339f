"""Which files of a tree belong to its pipelines."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from zt_gate.codecs.strict_json import parse_json
from zt_gate.domain import printable
from zt_gate.errors import TargetError
from zt_gate.isolation.fork import isolate
from zt_gate.isolation.limits import WorkerLimits
from zt_gate.isolation.supervise import Failure

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
_MAX_READ = 1 << 22
_WORD = re.compile(r"[\w./*-]+")
_SUFFIXES = (".yml", ".yaml")


def pipeline_files(root: Path, limits: WorkerLimits | None = None) -> list[Path]:
    """Return the files of a tree that make its pipelines, and those that they include.

    Args:
        root: of the tree.
        limits: what finding out what one file includes may use; the defaults of `WorkerLimits` when None.

    Raises:
        TargetError: the tree cannot be walked, is larger than any repository, or a file cannot be read to its end.
    """
    names = _names(root)
    chosen = {
        name for name in names if any(kind.fullmatch(name) for kind in (WORKFLOW, ACTION, JENKINSFILE, GITLAB, UNREAD))
    }
    left = sorted(name for name in chosen if GITLAB.fullmatch(name))
    while left:
        included = set[str]().union(*_included(root, left, names, limits or WorkerLimits()))
        left = sorted(included - chosen)
        chosen.update(left)
    return [root / name for name in sorted(chosen)]


def _names(root: Path) -> list[str]:
    names: list[str] = []

    def fail(error: OSError) -> None:
        shown = printable(error.filename or root)
        raise TargetError(f"cannot read {shown}: {error.strerror}", "check its permissions") from error

    for folder, folders, files in os.walk(root, onerror=fail):
        # os.walk goes on into what is left in this list; sorted, so that every machine reads in one order.
        folders[:] = sorted(name for name in folders if name not in _PRUNED)
        inside = Path(folder).relative_to(root).as_posix()
        names += [name if inside == "." else f"{inside}/{name}" for name in sorted(files)]
        if len(names) > _MAX_ENTRIES:
            raise TargetError(f"{printable(root)} has more than {_MAX_ENTRIES} files", "name the repository's root")
    return names


def _included(root: Path, paths: list[str], names: list[str], limits: WorkerLimits) -> Iterator[set[str]]:
    """Yield for each GitLab file the files of the tree that it may include; more than it does is no harm."""
    jobs = [partial(_search, _read(root / path), names) for path in paths]
    for path, answer in zip(paths, isolate(jobs, limits), strict=True):
        try:
            if isinstance(answer, Failure):
                raise ValueError(answer.detail)  # noqa: TRY301, TRY004 - both ways of not knowing end the same
            yield {names[position] for position in parse_json(answer)}
        except (IndexError, TypeError, ValueError) as error:
            what = f"cannot find out what {printable(path)} includes: {printable(str(error))}"
            raise TargetError(what, "leave the file out, or report it if it is an honest one") from None


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as stream:
            return stream.read(_MAX_READ)
    except OSError as error:
        raise TargetError(f"cannot read {printable(path)}: {error.strerror}", "check its permissions") from error


# --- in the worker -----------------------------------------------------------------------------------------------


def _search(data: bytes, names: list[str]) -> bytes:
    """Return as JSON which of the names a file mentions, by their positions; patterns with stars are followed."""
    import fnmatch

    mentioned = set(_mentioned(data.decode("utf-8", "replace")))
    patterns = [word for word in mentioned if "*" in word]
    found = (
        position
        for position, name in enumerate(names)
        if name in mentioned or any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)
    )
    return json.dumps(list(found)).encode()


def _mentioned(text: str) -> Iterator[str]:
    """Yield every word up to the last YAML suffix in it. One expression for both would be quadratic in long words."""
    for word in _WORD.findall(text):
        end = max(word.rfind(suffix) + len(suffix) if suffix in word else 0 for suffix in _SUFFIXES)
        if end > 0:
            yield word[:end].lstrip("/")
