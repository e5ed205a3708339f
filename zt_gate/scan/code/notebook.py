"""A notebook as Python text: code cells joined, magics taken out, every line still traceable to its cell.

A line counts as a magic only where a statement may begin. Inside brackets or a string it is ordinary Python, and
taking it out would hide code from the rules.
"""

from __future__ import annotations

import io
import re
import tokenize
from dataclasses import dataclass, field
from typing import Any

from zt_gate.codecs.strict_json import parse_json
from zt_gate.domain.text import printable

MAX_CELLS = 10_000
MAX_MAGICS = 1_000

_LINE_MAGIC = re.compile(r"\s*%(?P<name>[A-Za-z_]\w*)(?P<rest>\s.*|)$")
_CELL_MAGIC = re.compile(r"%%(?P<name>!|[A-Za-z_]\w*)(?P<rest>\s.*|)$")
_ASSIGNED = re.compile(r"\s*[A-Za-z_][\w., \[\]]*=\s*(?P<command>[!%].*)$")
_HELP = re.compile(r"\s*(\?{1,2}[\w.*]+|[\w.*]+\?{1,2})\s*$")

_TIMER_OPTIONS = re.compile(r"(?:-[A-Za-z]\s*\d*\s+)*")
_PLAIN_CONFIG = re.compile(r"\s*InlineBackend\.\w+\s*=\s*['\"]\w+['\"]\s*$")

_TIMERS = frozenset({"time", "timeit", "prun"})
"""Magics whose argument and cell are ordinary Python."""
_INERT = frozenset({"matplotlib", "autoreload", "precision", "who", "whos", "pwd", "lsmagic", "history", "capture"})
_INERT_EXTENSIONS = frozenset({"autoreload", "tensorboard", "watermark", "memory_profiler", "line_profiler"})
_SHELL_CELLS = frozenset(
    {"!", "bash", "sh", "script", "system", "sx", "perl", "ruby", "cmd", "python2", "python3", "pypy"}
)
_TEXT_CELLS = frozenset({"latex", "markdown"})


class NotebookError(ValueError):
    """The notebook is not of a kind that can be examined; the text says why."""


@dataclass(frozen=True, slots=True)
class NotebookCommand:
    """A line that leaves Python: a shell escape, or a magic that is not known to be harmless."""

    line: int
    """Line of the joined text."""
    symbol: str
    text: str = ""
    """What is told to the shell or magic."""


@dataclass(slots=True)
class Notebook:
    """The code of a notebook."""

    lines: list[str] = field(default_factory=list)
    places: list[tuple[int, int]] = field(default_factory=list)
    """For each line the 1-based cell (of all cells) and the 1-based line in it."""
    commands: list[NotebookCommand] = field(default_factory=list)
    candidates: int = 0
    """Lines looked at as magics; bounded, since each look reads the cell up to there."""

    @property
    def text(self) -> str:
        """The joined Python text."""
        return "\n".join(self.lines) + "\n"

    def place(self, line: int) -> tuple[int, int]:
        """Return cell and line in the cell for a line of the joined text."""
        return self.places[min(max(line, 1), len(self.places)) - 1] if self.places else (0, 0)


def read_notebook(data: bytes) -> Notebook:
    """Read a notebook of format 4 whose language is Python.

    Raises:
        NotebookError: it is something else, or it holds code in another language.
    """
    notebook = Notebook()
    for number, cell in enumerate(_cells(data), start=1):
        if cell.get("cell_type") == "code":
            _take(notebook, number, _source(cell, number))
        elif cell.get("cell_type") not in ("markdown", "raw"):
            raise NotebookError(f"cell {number} is of an unknown type")
    return notebook


def _cells(data: bytes) -> list[dict[str, Any]]:
    try:
        value = parse_json(data)
    except ValueError as error:
        raise NotebookError(f"not strict JSON: {error}") from error
    if not isinstance(value, dict) or value.get("nbformat") != 4:
        raise NotebookError("not a notebook of format 4")
    metadata = value.get("metadata", {})
    cells = value.get("cells")
    if not isinstance(cells, list) or not all(isinstance(cell, dict) for cell in cells) or len(cells) > MAX_CELLS:
        raise NotebookError(f"`cells` is not a list of at most {MAX_CELLS} cells")
    for section, key in (("kernelspec", "language"), ("language_info", "name")):
        part = metadata.get(section, {}) if isinstance(metadata, dict) else None
        language = part.get(key, "python") if isinstance(part, dict) else None
        if not isinstance(language, str) or language.lower() not in ("python", "ipython"):
            raise NotebookError("its language is not Python")
    return cells


def _source(cell: dict[str, Any], number: int) -> list[str]:
    source = cell.get("source")
    if isinstance(source, list) and all(isinstance(part, str) for part in source):
        source = "".join(source)
    if not isinstance(source, str):
        raise NotebookError(f"cell {number} has no source text")
    # Only what Python itself takes for a line end: `splitlines` would break strings at form feeds and U+2028.
    return source.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def _take(notebook: Notebook, number: int, lines: list[str]) -> None:
    """Add one code cell, with its magics replaced by statements that do nothing."""
    first = len(notebook.lines) + 1
    kept: list[str] = []
    start = next((index for index, line in enumerate(lines) if line.strip()), len(lines))
    cell_magic = _CELL_MAGIC.match(lines[start]) if start < len(lines) else None
    if cell_magic is not None:
        kept = [""] * start
        name, rest = cell_magic["name"], cell_magic["rest"]
        if name in _TIMERS:
            kept.append(_timed(rest))
        elif name == "capture" or name in _TEXT_CELLS | _SHELL_CELLS:
            kept += ["pass"] * (1 if name == "capture" else len(lines) - start)
            if name in _SHELL_CELLS or _expands(rest):
                text = "\n".join([rest, *lines[start + 1 :]])
                notebook.commands.append(NotebookCommand(first + start, f"%%{name}", text))
        else:
            raise NotebookError(f"cell {number} is written for %%{printable(name, 40)}, which is not examined")
    for line in lines[len(kept) :]:
        kept.append(_line(notebook, line, kept, first + len(kept)))
    notebook.lines += kept
    notebook.places += [(number, index) for index in range(1, len(kept) + 1)]


def _line(notebook: Notebook, line: str, before: list[str], number: int) -> str:
    """Return a line as Python: itself, or what stands in for a magic."""
    stripped = line.lstrip()
    assigned = _ASSIGNED.match(line)
    if not (stripped.startswith(("%", "!")) or assigned or _HELP.match(line)):
        return line
    notebook.candidates += 1
    if notebook.candidates > MAX_MAGICS:
        raise NotebookError(f"more than {MAX_MAGICS} lines that may be magics")
    if _inside(before):
        return line
    indent = line[: len(line) - len(stripped)]
    if _HELP.match(line):
        return f"{indent}pass"
    text = assigned["command"] if assigned else stripped
    magic = _LINE_MAGIC.match(text)
    if magic is None and not text.startswith("!"):
        return line  # neither Python nor a magic: the parser refuses it, which makes a gap
    if magic is not None and magic["name"] in _TIMERS:
        return indent + _timed(magic["rest"])
    if magic is None or not _is_inert(magic["name"], magic["rest"]):
        told = magic["rest"] if magic else text.lstrip("!")
        notebook.commands.append(NotebookCommand(number, f"%{magic['name']}" if magic else "!", told))
    return f"{indent}pass"


def _timed(rest: str) -> str:
    return _TIMER_OPTIONS.sub("", rest.strip() + " ", count=1).strip() or "pass"


def _is_inert(name: str, rest: str) -> bool:
    if _expands(rest):
        return False
    if name == "config":
        return _PLAIN_CONFIG.match(rest) is not None
    return name in _INERT or (name == "load_ext" and rest.strip() in _INERT_EXTENSIONS)


def _expands(rest: str) -> bool:
    # IPython evaluates {expression} and $name in the arguments of a magic.
    return "{" in rest or "$" in rest


def _inside(before: list[str]) -> bool:
    """Whether the lines so far leave a bracket, a string or a continuation open."""
    if before and before[-1].rstrip().endswith("\\"):
        return True
    text = "\n".join(before) + "\n"
    try:
        for _ in tokenize.generate_tokens(io.StringIO(text).readline):
            pass
    except tokenize.TokenError:
        return True
    except SyntaxError:
        return False
    return False
