"""What a notebook tells the shell or IPython, as findings: every command, and what some of them do."""

from __future__ import annotations

import re

from zt_gate.domain.finding import Severity
from zt_gate.scan.code.call_sites import Hit
from zt_gate.scan.code.notebook import Command
from zt_gate.scan.code.rules_running import install_of
from zt_gate.scan.code.rules_settings import ENVIRONMENT, is_unsafe

_ENVIRONMENT_MAGICS = frozenset({"%env", "%set_env"})
_PIP_MAGICS = frozenset({"%pip", "%conda", "%mamba", "%uv"})
_VARIABLE = re.compile(r"\b(?P<name>[A-Z][A-Z0-9_]+)(?:\s*=\s*|\s+)(?P<value>[^\s;]*)")
_SEVERITIES = {"COD-123": Severity.MEDIUM, "COD-124": Severity.HIGH}


def command_hits(command: Command) -> list[Hit]:
    """Return the findings for one line that leaves Python."""
    symbol = command.symbol
    hits = [Hit(command.line, "COD-120", int(Severity.MEDIUM), symbol, f"{symbol} leaves Python")]
    shell = f"{symbol[1:]} {command.text}" if symbol in _PIP_MAGICS else command.text
    if symbol not in _ENVIRONMENT_MAGICS:
        rule, sentence = install_of(shell)
        if rule:
            hits.append(Hit(command.line, rule, int(_SEVERITIES[rule]), symbol, sentence))
    for found in _VARIABLE.finditer(command.text):
        name, value = found["name"], found["value"].strip("\"'")
        if name in ENVIRONMENT and is_unsafe(name, {value}):
            hits.append(Hit(command.line, "COD-121", int(Severity.HIGH), name, f"{name} is set: {ENVIRONMENT[name]}"))
    return hits
