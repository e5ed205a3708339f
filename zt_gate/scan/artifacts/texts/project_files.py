"""Files of a project that a tool runs for whoever opens, builds or installs it: what they fetch, what starts by itself.

A model release may ship them, and nobody thinks of a Makefile or of an editor's settings as code.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

_PIPED = re.compile(
    r"\b(?:curl|wget|fetch|iwr|irm|invoke-webrequest|invoke-restmethod)\b[^|;&\n]*\|\s*(?:sudo\s+)?(?:/\S*/)?"
    r"(?:\w*sh|python[\d.]*|perl|ruby|node|iex|invoke-expression)\b"
    r"|\b(?:\w*sh|python[\d.]*)\b\s*(?:-\w+\s+)*(?:<\(|\"?\$\()\s*(?:curl|wget)\b"
    r"|\biex\b.*\b(?:iwr|irm|invoke-webrequest|downloadstring)\b",
    re.IGNORECASE,
)
"""A program that is fetched and run at once, as shells and PowerShell spell it."""
_BUILDS = re.compile(
    r"(?:gnu)?makefile|.*\.(?:mk|mak)|(?:.*[._-])?(?:docker|container)file(?:[._-].*)?|(?:\.)?justfile|procfile|vagrantfile"
    r"|rakefile|tox\.ini|environment\.ya?ml|.*\.def|.*\.sh",
)
_MAX_LINES = 200_000

Started = tuple[int, str, str]
"""Line (0 where a document has none), symbol and sentence."""


def fetched_by_build(name: str, text: str) -> Iterator[Started]:
    """Yield the lines of a build file that run what they fetch.

    Args:
        name: of the file, lower case.
        text: its content.
    """
    if not _BUILDS.fullmatch(name):
        return
    begun, number = "", 0
    for at, line in enumerate(text.split("\n")[:_MAX_LINES], start=1):
        number = number if begun else at
        begun += line.rstrip("\r")
        if begun.endswith("\\"):
            begun = begun[:-1] + " "
            continue
        if _PIPED.search(begun[:4096]):
            yield number, "fetched program", f"{name} runs a program that it fetches"
        begun = ""


def started_by_document(name: str, content: Any) -> Iterator[Started]:
    """Yield what a JSON file makes an editor or package manager run by itself.

    Args:
        name: of the file, lower case.
        content: its parsed content.
    """
    if not isinstance(content, dict):
        return
    if name == "tasks.json":
        yield from _tasks(content)
    elif name in ("devcontainer.json", ".devcontainer.json"):
        for key in ("initializeCommand", "onCreateCommand", "updateContentCommand", "postCreateCommand",
                    "postStartCommand", "postAttachCommand"):  # fmt: skip
            if content.get(key):
                where = "on the machine of whoever opens it" if key == "initializeCommand" else "in the container"
                yield 0, key, f"{key} of a development container runs a command {where}"
    elif name == "package.json" and isinstance(content.get("scripts"), dict):
        for key in ("preinstall", "install", "postinstall", "prepare", "prepublish"):
            if content["scripts"].get(key):
                yield 0, key, f"{key} of package.json runs a command when the package is installed"


def _tasks(content: dict[str, Any]) -> Iterator[Started]:
    tasks = content.get("tasks")
    for task in [content, *(tasks if isinstance(tasks, list) else ())]:
        options = task.get("runOptions") if isinstance(task, dict) else None
        if isinstance(options, dict) and options.get("runOn") == "folderOpen":
            yield 0, "folderOpen", "a task of tasks.json runs as soon as the folder is opened in the editor"
