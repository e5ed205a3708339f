"""The policy of the base branch, where a pull request is judged: whoever opens one must not bring its own judge."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from zt_gate.domain import printable
from zt_gate.errors import UsageError

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
    real = Path(os.path.realpath(policy))
    if top is None or not real.is_relative_to(top):
        yield words
        return
    with tempfile.TemporaryDirectory(prefix="zt-gate-base-") as folder:
        tree = Path(folder) / "base"
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
    command = ["git", "-c", "core.hooksPath=/dev/null", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_TIMEOUT)  # noqa: S603
    if done.returncode:
        why = printable(" ".join(done.stderr.split()), 300)
        advice = "let the job fetch from origin, or keep the policy outside the repository, or sign it (--policy-key)"
        raise UsageError(f"the policy of the base branch cannot be read: git {words[0]}: {why}", advice)
