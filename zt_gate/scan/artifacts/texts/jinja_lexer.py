"""Jinja cut into tokens, without Jinja: results must not depend on whether it is installed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from zt_gate.domain import printable

_TAG = re.compile(r"\{\{[-+]?|\{%[-+]?|\{#")
_RAW_END = re.compile(r"\{%[-+]?\s*endraw\s*[-+]?%\}")
_TOKEN = re.compile(
    r"""(?P<space>\s+)|(?P<name>[^\W\d]\w*)|(?P<number>\d[\d_]*(?:\.\d+)?(?:[eE][+-]?\d+)?)
    |(?P<text>['"])|(?P<op>//|\*\*|==|!=|<=|>=|[-+*/%~<>=|.,:()\[\]{};])""",
    re.VERBOSE | re.DOTALL,
)
_QUOTED = {"'": re.compile(r"['\\]"), '"': re.compile(r'["\\]')}
_CLOSE = {"{{": "}}", "{%": "%}"}
_ESCAPED = re.compile(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[0-7]{1,3}|N\{[^}]{0,100}\}|.)", re.DOTALL)


class TemplateError(ValueError):
    """The template cannot be read the way Jinja reads it."""


@dataclass(frozen=True, slots=True)
class TemplateToken:
    """One token inside a tag."""

    kind: str
    """`name`, `number`, `text`, `op`, or `open` and `close` around a tag."""
    value: str
    line: int


def tokens_of(template: str) -> Iterator[TemplateToken]:
    """Yield the tokens of every tag; text between tags and comments is passed over.

    Raises:
        TemplateError: a tag, comment or raw block has no end, or holds what Jinja does not know.
    """
    at, line = 0, 1
    while tag := _TAG.search(template, at):
        line += template.count("\n", at, tag.start())
        at = tag.end()
        kind = tag[0][:2]
        if kind == "{#":
            end = template.find("#}", at)
            if end < 0:
                raise TemplateError(f"a comment without an end in line {line}")
            line += template.count("\n", at, end)
            at = end + 2
            continue
        yield TemplateToken("open", kind, line)
        tokens, after = _tag(template, at, _CLOSE[kind], line)
        yield from tokens
        line += template.count("\n", at, after)
        at = after
        yield TemplateToken("close", _CLOSE[kind], line)
        if kind == "{%" and tokens and tokens[0].value == "raw":
            end_raw = _RAW_END.search(template, at)
            if not end_raw:
                raise TemplateError(f"raw without endraw in line {line}")
            line += template.count("\n", at, end_raw.end())
            at = end_raw.end()


def _tag(template: str, at: int, close: str, line: int) -> tuple[list[TemplateToken], int]:
    """Return the tokens up to the closing mark, and the position behind it."""
    tokens: list[TemplateToken] = []
    depth = 0
    while True:
        mark = template[at : at + 1] in ("-", "+") and template.startswith(close, at + 1)
        if depth == 0 and (mark or template.startswith(close, at)):
            return tokens, at + len(close) + mark
        found = _TOKEN.match(template, at)
        if not found or not found.lastgroup:
            shown = printable(template[at : at + 20], 40)
            raise TemplateError(f"line {line} has {shown!r}, which is no Jinja" if shown else "a tag without an end")
        text = found[0] if found.lastgroup != "text" else template[at : _text_end(template, at)]
        if not text:
            raise TemplateError(f"a text without an end in line {line}")
        depth += (text in ("(", "[", "{")) - (text in (")", "]", "}"))
        if depth < 0:
            raise TemplateError(f"line {line} closes a bracket that it did not open")
        if found.lastgroup != "space":
            tokens.append(TemplateToken(found.lastgroup, text, line))
        line += text.count("\n")
        at += len(text)


def _text_end(template: str, at: int) -> int:
    """Return where the text that begins here ends, or `at`. An expression would keep a note for every letter."""
    stop = _QUOTED[template[at]]
    end = at + 1
    while found := stop.search(template, end):
        if found[0] != "\\":
            return found.end()
        end = found.end() + 1
    return at


def literal(text: str) -> str:
    """Return what a string literal means, near enough to look for names in it."""

    def one(match: re.Match[str]) -> str:
        body = match[1]
        if body[0] in "xuU":
            return chr(min(int(body[1:], 16), 0x10FFFF))
        if body[0] in "01234567":
            return chr(int(body, 8))
        # A character by its name may be LOW LINE, with which hidden attributes begin.
        return "__" if body.startswith("N{") else body

    return _ESCAPED.sub(one, text[1:-1])
