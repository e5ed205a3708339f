"""Fixes with their commands set apart, ready to be typed."""

from __future__ import annotations

import re
from typing import Any

from zt_gate.pages import Markup, element, join
from zt_gate.report.fixes import Step

_COMMAND = re.compile(
    r"(?<![\w`])((?:zt-gate [a-z]|pip install |python -m |git (?:lfs|rev)|model_signing |bandit -)[^;()`]*?)"
    r"(?=\.?$|;|\)|\. [A-Z]| \(|, (?:after|or|and|then) |`)"
)
_PLAIN = re.compile(r"[\w./-]+")
_MAX_COMMANDS = 3


def with_code(text: str) -> Markup:
    """Return a fix with the commands in it, and whatever stands between backticks, set as code."""
    quoted = text.split("`") if text.count("`") % 2 == 0 else [text.replace("`", "")]
    return join(*(element("code", piece) if number % 2 else _commands(piece) for number, piece in enumerate(quoted)))


def _commands(text: str) -> Markup:
    pieces = _COMMAND.split(text)
    return join(*(element("code", piece) if number % 2 else piece for number, piece in enumerate(pieces)))


def command_block(step: Step, report: dict[str, Any]) -> Markup | None:
    """Return what to type for a step, with the name of the target where it is a plain one; None where nothing is."""
    commands = _COMMAND.findall(step.fix.replace("`", ""))[:_MAX_COMMANDS]
    commands += [f"zt-gate explain {name}" for name in step.names[:1] if re.fullmatch(r"[A-Z]{3}-\d{3}", name)]
    subject = report["subject"]
    name = subject["name"] if subject else ""
    # Whoever made the model chose the name, and a person pastes this line into a shell.
    if _PLAIN.fullmatch(name) and not name.startswith("-"):
        commands = [re.sub(r"\bTARGET\b(?!\.)", lambda _: name, command) for command in commands]
    if not commands:
        return None
    lines = (element("code", command) for command in dict.fromkeys(commands))
    return element("pre", lines, class_="type", tabindex=0, aria_label="Commands to type")
