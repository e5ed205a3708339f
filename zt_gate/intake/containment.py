"""Detect an operator's file (policy, key, output) inside the target, where the model's author could have written it.

A path can lead into a target in many ways: by `..`, by a symbolic link anywhere along it, through the target and out
again, by a bind mount, or as a hard link to one of the target's files. In each case the author
controls what the gate reads (CWE-59, CWE-15).
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from zt_gate.domain import printable
from zt_gate.errors import UsageError
from zt_gate.policy.model import LoadedPolicy

_MAX_LINKS = 64


def refuse_inside(path: Path, target: Path, what: str) -> None:
    """Refuse configuration that came with the target, and files that would change what is being judged.

    Args:
        path: the file or folder; it need not exist yet.
        target: a file or folder; a URI or a missing path contains nothing.
        what: what the path is, for the message, such as `policy`.

    Raises:
        UsageError: the path lies inside the target, or leads through it.
    """
    if is_inside(path, target):
        advice = f"keep the {what} outside, where the model's author cannot write"
        raise UsageError(f"the {what} {printable(path)} lies inside the target", advice)


def refuse_policy_inside(policy: LoadedPolicy, targets: Iterable[Path]) -> None:
    """Refuse a policy of which any file lies inside a target: the policy itself, or a file that it names.

    Raises:
        UsageError: as `refuse_inside`.
    """
    for target in targets:
        refuse_named_inside(target, named_files(policy))


def named_files(policy: LoadedPolicy) -> list[tuple[str, Path]]:
    """Return every file that a policy consists of, each with what it is."""
    return [(file.what, file.path) for file in policy.files]


def refuse_named_inside(target: Path, named: Iterable[tuple[str, Path | None]]) -> None:
    """Refuse files of the operator's that lie inside the target.

    Args:
        target: what is judged.
        named: the files, each with what it is; None where none was named.

    Raises:
        UsageError: as `refuse_inside`.
    """
    for what, path in named:
        if path is not None:
            refuse_inside(path, target, what)


def is_inside(path: Path, target: Path) -> bool:
    """Whether opening a path goes through a target, or ends at one of its files."""
    root = _identity(target)
    if root is None:
        return False
    if _identity(path) == root or any(_identity(parent) == root for place in _places(path) for parent in place.parents):
        return True
    return target.is_dir() and _is_hard_link_into(path, target)


def _identity(path: Path) -> tuple[int, int] | None:
    """Return device and inode of what a path leads to: equal for every name of one file or folder, mounts included."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino


def _places(path: Path) -> Iterator[Path]:
    """Yield every path that the kernel visits to open a path, each with its parent folders resolved."""
    here = Path.cwd()
    waiting = list(reversed(path.parts))
    links = 0
    while waiting:
        part = waiting.pop()
        if part == os.sep:
            here = Path(part)
        elif part == os.pardir:
            here = here.parent
        else:
            place = here / part
            yield place
            try:
                waiting.extend(reversed(Path(os.readlink(place)).parts))
                links += 1
            except (OSError, ValueError):
                here = place
            if links > _MAX_LINKS:
                return  # the kernel gives up sooner (ELOOP), so nothing is read there


def _is_hard_link_into(path: Path, target: Path) -> bool:
    """Whether a file is also one of the target's, under another name."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return False
    if not stat.S_ISREG(status.st_mode) or status.st_nlink < 2:
        return False
    identity = status.st_dev, status.st_ino
    return any(_identity(Path(folder, name)) == identity for folder, _, names in os.walk(target) for name in names)
