"""Which command is the gate, which one deploys, and which only prepares."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence

from zt_gate.domain import printable
from zt_gate.pipelines.model import ALLOWED_TO_FAIL, EXIT_LOST, SKIPPABLE, JobStep
from zt_gate.pipelines.shell import ShellCommand

VERBS = frozenset({"check", "admit", "promote"})
"""Verbs that decide about a release. `scan` looks at files alone and is no gate."""
DEPLOYING_NAME = re.compile(
    r"(?:^|[^a-z])(?:deploy\w*|promot\w*|publish\w*|roll-?out|go-?live|ship|production|prod|release)(?:[^a-z]|$)",
    re.IGNORECASE,
)
_DEPLOYING_WORD = re.compile(r"(?:^|[^a-z])(?:deploy|promote|publish|rollout|ship)(?:[^a-z]|$)", re.IGNORECASE)
_CHAINS = (
    ("kubectl", {"apply", "create", "replace", "patch", "set", "rollout", "scale"}),
    ("oc", {"apply", "create", "replace", "patch", "set", "rollout"}),
    ("helm", {"install", "upgrade", "push"}),
    ("helmfile", {"apply", "sync"}),
    ("kustomize", {"deploy"}),
    ("argocd", {"sync", "set"}),
    ("terraform", {"apply"}),
    ("tofu", {"apply"}),
    ("pulumi", {"up"}),
    ("docker", {"push"}),
    ("podman", {"push"}),
    ("skopeo", {"copy", "sync"}),
    ("oras", {"push", "copy", "cp"}),
    ("crane", {"push", "copy", "tag"}),
    ("twine", {"upload"}),
    ("hf", {"upload"}),
    ("huggingface-cli", {"upload"}),
    ("aws", {"update-endpoint", "create-endpoint", "update-service", "update-function-code", "create-deployment"}),
    ("gcloud", {"deploy", "deploy-model"}),
    ("az", {"online-deployment", "online-endpoint", "deploy"}),
    ("mlflow", {"deployments"}),
    ("bentoml", {"deploy", "deployment"}),
    ("serve", {"deploy"}),
    ("seldon", {"model"}),
)
"""Programs, and the words among their arguments that change what is served."""
_PREPARES = frozenset(
    {"pip", "pip3", "uv", "pipx", "apt-get", "apk", "dnf", "yum", "git", "mkdir", "cd", "echo", "printf", "export",
     "set", "exit", "source", ".", "chmod", "ls", "cat", "test", "true", ":", "curl", "wget", "tar", "unzip", "cosign",
     "sha256sum", "umask", "trap", "sleep", "id", "whoami", "date", "which"}
)  # fmt: skip
"""Programs that fetch, install or print, and serve nobody anything."""
_WRAPPERS = frozenset({"sudo", "time", "exec", "env", "nice", "command", "uvx", "xvfb-run"})
_RUNNERS = (("uv", "run"), ("poetry", "run"), ("pdm", "run"), ("pipx", "run"), ("hatch", "run"), ("pipenv", "run"))
_PYTHON = re.compile(r"python[0-9.]*")


def verb_of(words: Sequence[str]) -> str:
    """Return the verb where a command is zt-gate with one; empty otherwise."""
    rest = unwrapped(words)
    if rest and posixpath.basename(rest[0]) == "zt-gate":
        rest = rest[1:]
    elif len(rest) > 2 and _PYTHON.fullmatch(posixpath.basename(rest[0])) and rest[1:3] == ["-m", "zt_gate"]:
        rest = rest[3:]
    else:
        return ""
    verb = next((word for word in rest if not word.startswith("-")), "")
    # zt-gate ci SYSTEM -- VERB … runs that verb and ends as it does.
    return next(iter(rest[rest.index("--") + 1 :]), "") if verb == "ci" and "--" in rest else verb


def unwrapped(words: Sequence[str]) -> list[str]:
    """Return a command without what only runs it: `sudo`, `uv run`, `timeout 60` and the like."""
    rest = list(words)
    while rest:
        if rest[0] in _WRAPPERS or "=" in rest[0].split("/", 1)[0]:
            del rest[0]
        elif rest[0] == "timeout":
            del rest[0]
            while rest and (rest[0].startswith("-") or rest[0][:1].isdigit()):
                del rest[0]
        elif tuple(rest[:2]) in _RUNNERS:
            del rest[:2]
        else:
            break
    return rest


def act_of(command: ShellCommand, what: str = "") -> JobStep:
    """Say what a command is to the proof."""
    verb = verb_of(command.words)
    if verb in VERBS:
        rule, flaw = _flaw(command)
        return JobStep(command.line, what or f"zt-gate {verb}", gate=True, rule=rule, flaw=flaw)
    words = unwrapped(command.words)
    return JobStep(
        command.line,
        printable(" ".join(words), 80),
        deploys=not verb and _deploys(words),
        prepares=bool(verb) or not words or posixpath.basename(words[0]) in _PREPARES,
    )


def _flaw(command: ShellCommand) -> tuple[str, str]:
    """Return the rule and the reason where a gate that is called stops nothing."""
    if "--report-only" in command.words:
        return ALLOWED_TO_FAIL, "runs with --report-only and exits 0 whatever it decides"
    if "--help" in command.words or "-h" in command.words:
        return EXIT_LOST, "only prints its help"
    if command.optional:
        return SKIPPABLE, command.optional
    return (EXIT_LOST, command.lost) if command.lost else ("", "")


def _deploys(words: Sequence[str]) -> bool:
    if not words:
        return False
    program = posixpath.basename(words[0])
    for name, marks in _CHAINS:
        if program == name and marks & set(words[1:]):
            # kubectl has `--dry-run=server`, helm a bare `--dry-run`: neither changes what is served.
            return "--dry-run" not in " ".join(words)
    if program in ("make", "npm", "yarn", "just", "task", "ansible-playbook", "bash", "sh", "python", "python3"):
        return any(_DEPLOYING_WORD.search(word) for word in words[1:] if not word.startswith("-"))
    return ("/" in words[0] or program.endswith((".sh", ".py"))) and bool(_DEPLOYING_WORD.search(program))


def policy_of(words: Sequence[str]) -> str:
    """Return the policy file that a gate command reads; empty where it reads none, or demands its signature."""
    rest = list(words)
    # zt-gate ci takes the base branch's policy by itself.
    if any(word.split("=", 1)[0] == "--policy-key" for word in rest) or ("ci" in rest and "--" in rest):
        return ""
    for index, word in enumerate(rest):
        name, equals, value = word.partition("=")
        if name == "--policy":
            return value if equals else "".join(rest[index + 1 : index + 2])
    return ""
