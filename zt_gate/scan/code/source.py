"""One code file as something to examine: text, syntax tree, and the place of every line in the original."""

from __future__ import annotations

import ast
import codecs
import io
import re
import tokenize
import warnings
from dataclasses import dataclass

from zt_gate.scan.code.call_sites import Hit
from zt_gate.scan.code.name_resolution import NamesError
from zt_gate.scan.code.notebook import Notebook, NotebookCommand, read_notebook
from zt_gate.scan.code.rules import apply_rules, calls_by_place, names_of
from zt_gate.scan.code.rules_running import install_of
from zt_gate.scan.code.rules_settings import ENVIRONMENT, is_unsafe

_ENVIRONMENT_MAGICS = frozenset({"%env", "%set_env"})
_PIP_MAGICS = frozenset({"%pip", "%conda", "%mamba", "%uv"})
_VARIABLE = re.compile(r"\b(?P<name>[A-Z][A-Z0-9_]+)(?:\s*=\s*|\s+)(?P<value>[^\s;]*)")


def command_hits(command: NotebookCommand) -> list[Hit]:
    """Return the findings for one line that leaves Python."""
    symbol = command.symbol
    hits = [Hit(command.line, "COD-120", symbol, f"{symbol} leaves Python")]
    shell = f"{symbol[1:]} {command.text}" if symbol in _PIP_MAGICS else command.text
    if symbol not in _ENVIRONMENT_MAGICS:
        rule, sentence = install_of(shell)
        if rule:
            hits.append(Hit(command.line, rule, symbol, sentence))
    for found in _VARIABLE.finditer(command.text):
        name, value = found["name"], found["value"].strip("\"'")
        if name in ENVIRONMENT and is_unsafe(name, {value}):
            hits.append(Hit(command.line, "COD-121", name, f"{name} is set: {ENVIRONMENT[name]}"))
    return hits


MAX_PYTHON = 8 << 20
MAX_NOTEBOOK = 64 << 20

# What the interpreter itself always has. Others may come from installed packages, and some (utf-7, unicode_escape)
# exist to make code look like something else.
_ENCODINGS = frozenset({"utf-8", "utf-8-sig", "ascii", "iso8859-1", "iso8859-15", "cp1252"})
"""By the name that Python's registry of codecs gives them, whatever a file spells."""

_SUPPRESSION = re.compile(
    r"#.*?\b(?P<marker>nosec|nosemgrep|noqa:\s*S\d|NOSONAR|pragma:\s*allowlist\s+secret|lgtm\s*\[)", re.IGNORECASE
)


class SourceError(ValueError):
    """The file cannot be examined; the text says why."""


class EncodingError(SourceError):
    """The file declares an encoding that is not accepted for code.

    Args:
        encoding: its name, as Python knows it.
    """

    def __init__(self, encoding: str) -> None:
        super().__init__(f"declares the encoding {encoding}, which is not accepted for code")
        self.encoding = encoding


@dataclass(frozen=True, slots=True)
class Unit:
    """One parsed file."""

    data: bytes
    """Python source; for a notebook its joined cells."""
    tree: ast.Module
    notebook: Notebook | None

    def hits(self, torch: tuple[int, ...] = ()) -> list[Hit]:
        """Return what our own rules see, sorted by line.

        Args:
            torch: the oldest PyTorch that the release admits, empty where it does not say.

        Raises:
            SourceError: its names are tangled beyond what is followed.
        """
        try:
            hits = apply_rules(self.tree, torch, names_of(self.tree))
        except NamesError as error:
            raise SourceError(str(error)) from error
        commands = self.notebook.commands if self.notebook else []
        shell = [hit for command in commands for hit in command_hits(command)]
        return sorted([*hits, *_suppressions(self.data), *shell])

    def calls(self) -> dict[tuple[int, int], str]:
        """Return the name called at each line and column."""
        return calls_by_place(self.tree)

    def place(self, line: int) -> tuple[int, int]:
        """Return the notebook cell (0 in a plain file) and the line there."""
        return self.notebook.place(line) if self.notebook else (0, line)


def is_notebook(path: str) -> bool:
    """Whether a path names a notebook."""
    return path.lower().endswith(".ipynb")


def is_code(path: str) -> bool:
    """Whether a path names something that this check examines."""
    return is_notebook(path) or path.lower().endswith((".py", ".pyw"))


def read_unit(path: str, data: bytes) -> Unit:
    """Parse one file.

    Raises:
        SourceError: it is not Python that this interpreter understands, or too large.
    """
    limit = MAX_NOTEBOOK if is_notebook(path) else MAX_PYTHON
    if len(data) > limit:
        raise SourceError(f"larger than {limit} bytes")
    try:
        notebook = read_notebook(data) if is_notebook(path) else None
        code = notebook.text.encode() if notebook else data
        _check_encoding(code)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an invalid escape is no reason to stop, and text from outside
            return Unit(code, ast.parse(code), notebook)
    except SyntaxError as error:
        raise SourceError(f"not Python: {error.msg} (line {error.lineno or 0})") from error
    except EncodingError:
        raise
    except ValueError as error:
        raise SourceError(str(error)) from error
    except (RecursionError, MemoryError) as error:
        raise SourceError("nested too deeply to parse") from error


def _check_encoding(code: bytes) -> None:
    encoding, _ = tokenize.detect_encoding(io.BytesIO(code).readline)
    if codecs.lookup(encoding).name not in _ENCODINGS:
        raise EncodingError(encoding)


def _suppressions(code: bytes) -> list[Hit]:
    """Return the comments that ask a scanner to look away."""
    hits = []
    for token in tokenize.tokenize(io.BytesIO(code).readline):
        found = _SUPPRESSION.match(token.string) if token.type == tokenize.COMMENT else None
        if found:
            marker = found["marker"].split()[0].strip(":[").lower()
            message = f"the comment `{marker}` came with the release and is ignored"
            hits.append(Hit(token.start[0], "COD-109", marker, message))
    return hits
