"""A Jenkinsfile as a tree of statements and blocks.

Only as much Groovy as a declarative pipeline needs (groovy-lang.org/syntax.html): strings of all six kinds, comments,
brackets. Nothing is evaluated; a string with `${…}` stays as it is written.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

MAX_BYTES = 1 << 20
_MAX_DEPTH = 64
_WORD = re.compile(r"@?[A-Za-z_$][A-Za-z0-9_$.]*|[0-9][A-Za-z0-9_.]*")
_OPERATOR = re.compile(r"==~|=~|<=>|\?\.|\?:|->|\.\.|&&|\|\||[=!<>+\-*/%]=|\+\+|--|[-+*/%=<>!?:.,;&|^~@()\[\]{}\\#`]")
_SLASHY_AFTER = frozenset({"(", ",", "=", ":", "[", "!", "==", "=~", "==~", "{", ";", "\n", "return", ""})


@dataclass(frozen=True, slots=True)
class GroovyToken:
    """A word, a string or an operator."""

    kind: str
    """`word`, `string` or `operator`."""
    text: str
    line: int


@dataclass(slots=True)
class GroovyStatement:
    """Tokens up to the end of a line or a block, and the blocks that stand in it."""

    tokens: list[GroovyToken] = field(default_factory=list)
    blocks: list[list[GroovyStatement]] = field(default_factory=list)

    @property
    def name(self) -> str:
        """The first word; empty where it begins with something else."""
        return self.tokens[0].text if self.tokens and self.tokens[0].kind == "word" else ""

    @property
    def line(self) -> int:
        """Where it begins."""
        return self.tokens[0].line if self.tokens else 0

    @property
    def string(self) -> str:
        """The first string in it; empty where there is none."""
        return next((token.text for token in self.tokens if token.kind == "string"), "")

    @property
    def block(self) -> list[GroovyStatement]:
        """The statements of its first block."""
        return self.blocks[0] if self.blocks else []

    def named(self, key: str) -> GroovyToken | None:
        """Return the token behind `key:`."""
        for index, token in enumerate(self.tokens[:-2]):
            if token.text == key and self.tokens[index + 1].text == ":":
                return self.tokens[index + 2]
        return None

    def source(self) -> str:
        """The whole statement as text that can be compared."""
        inner = "".join("{" + ";".join(item.source() for item in block) + "}" for block in self.blocks)
        return " ".join(f"{token.kind[0]}{token.text}" for token in self.tokens) + inner


def parse(data: bytes) -> list[GroovyStatement]:
    """Return the statements of a file.

    Raises:
        ValueError: it is not UTF-8, too large, or a string or bracket is left open.
    """
    if len(data) > MAX_BYTES:
        raise ValueError(f"more than {MAX_BYTES} bytes")
    try:
        source = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"not UTF-8 at byte {error.start}") from None
    builder = _StatementBuilder()
    for token in _tokens(source):
        builder.take(token)
    return builder.end()


class _StatementBuilder:
    """Puts tokens into statements. Inside round and square brackets a line break ends nothing."""

    def __init__(self) -> None:
        self._blocks: list[list[GroovyStatement]] = [[]]
        self._open: list[GroovyStatement] = [GroovyStatement()]
        self._brackets: list[list[str]] = [[]]
        self._closed = False

    def take(self, token: GroovyToken) -> None:
        """Take the next token."""
        text = token.text if token.kind == "operator" else ""
        brackets = self._brackets[-1]
        if self._closed and not brackets and not self._continues(token):
            self._finish()
        self._closed = False
        if text == "{":
            if len(self._blocks) >= _MAX_DEPTH:
                raise ValueError(f"line {token.line}: nested deeper than {_MAX_DEPTH}")
            self._blocks.append([])
            self._open.append(GroovyStatement())
            self._brackets.append([])
        elif text == "}":
            if len(self._blocks) < 2 or brackets:
                raise ValueError(f"line {token.line}: a bracket closes what is not open")
            self._finish()
            self._open.pop()
            self._brackets.pop()
            self._open[-1].blocks.append(self._blocks.pop())
            self._closed = True
        elif text in ("\n", ";"):
            if not brackets:
                self._finish()
        else:
            self._bracket(text, token)
            self._open[-1].tokens.append(token)

    def _bracket(self, text: str, token: GroovyToken) -> None:
        if text in ("(", "["):
            if len(self._brackets[-1]) >= _MAX_DEPTH:
                raise ValueError(f"line {token.line}: nested deeper than {_MAX_DEPTH}")
            self._brackets[-1].append({"(": ")", "[": "]"}[text])
        elif text in (")", "]") and (not self._brackets[-1] or self._brackets[-1].pop() != text):
            raise ValueError(f"line {token.line}: a bracket closes what is not open")

    def _continues(self, token: GroovyToken) -> bool:
        """Whether a statement goes on behind a block: `else`, `catch`, an argument or a call on the result."""
        return token.text in ("else", "catch", "finally", ",", ")", ".", "?.", "{")

    def _finish(self) -> None:
        statement = self._open[-1]
        if statement.tokens or statement.blocks:
            self._blocks[-1].append(statement)
        self._open[-1] = GroovyStatement()

    def end(self) -> list[GroovyStatement]:
        """Return the statements of the file."""
        self._finish()
        if len(self._blocks) != 1 or self._brackets[-1]:
            raise ValueError("a bracket is left open")
        return self._blocks[0]


def _tokens(source: str) -> Iterator[GroovyToken]:
    position, line, before = 0, 1, "\n"
    if source.startswith("#!"):
        position = _line_end(source, 0)
    while position < len(source):
        start, first = position, line
        char = source[position]
        if char == "\n":
            yield GroovyToken("operator", "\n", line)
            position, line, before = position + 1, line + 1, "\n"
            continue
        if char.isspace() or char == "\ufeff":
            position += 1
            continue
        if source.startswith("\\\n", position):
            position, line = position + 2, line + 1
            continue
        if source.startswith("//", position):
            position = _line_end(source, position)
            continue
        if source.startswith("/*", position):
            position = _until(source, "*/", position + 2, line)
            line += source.count("\n", start, position)
            continue
        token, position = _token_at(source, position, first, before)
        line += source.count("\n", start, position)
        before = "" if token.kind == "string" else token.text
        before = "value" if token.kind == "string" else before
        yield token


def _token_at(source: str, position: int, line: int, before: str) -> tuple[GroovyToken, int]:
    for quote in ("'''", '"""', "'", '"'):
        if source.startswith(quote, position):
            start = position + len(quote)
            end = _string_end(source, quote, start, line)
            return GroovyToken("string", _unescaped(source[start : end - len(quote)]), line), end
    if source.startswith("$/", position):
        end = _until(source, "/$", position + 2, line)
        return GroovyToken("string", source[position + 2 : end - 2], line), end
    # A slash begins a string only where a value may stand; elsewhere it divides.
    if source[position] == "/" and before in _SLASHY_AFTER:
        end = _string_end(source, "/", position + 1, line)
        return GroovyToken("string", source[position + 1 : end - 1], line), end
    if match := _WORD.match(source, position):
        return GroovyToken("word", match.group(), line), match.end()
    if match := _OPERATOR.match(source, position):
        return GroovyToken("operator", match.group(), line), match.end()
    if source[position].isalpha():
        return GroovyToken("word", source[position], line), position + 1
    raise ValueError(f"line {line}: a character that Groovy does not know")


def _string_end(source: str, quote: str, position: int, line: int) -> int:
    while position < len(source):
        if source[position] == "\\":
            position += 2
        elif source.startswith(quote, position):
            return position + len(quote)
        elif len(quote) == 1 and source[position] == "\n" and quote != "/":
            break
        else:
            position += 1
    raise ValueError(f"line {line}: a string is left open")


def _unescaped(text: str) -> str:
    """Undo the escapes that matter to a shell script: line breaks, quotes, dollars."""
    return re.sub(r"\\(\n|.)", lambda match: _ESCAPES.get(match.group(1), match.group(1)), text, flags=re.DOTALL)


_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "\n": ""}


def _until(source: str, end: str, position: int, line: int) -> int:
    found = source.find(end, position)
    if found < 0:
        raise ValueError(f"line {line}: a comment or string is left open")
    return found + len(end)


def _line_end(source: str, position: int) -> int:
    end = source.find("\n", position)
    return len(source) if end < 0 else end
