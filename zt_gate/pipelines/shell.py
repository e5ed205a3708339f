"""Shell scripts as a reader of CI files needs them: which commands run, and whether a failure of each ends the script.

Follows the POSIX shell grammar (pubs.opengroup.org, XCU 2) with bash's `|&`, `<<<` and functions, and knows nothing of
expansions: what stands in `$(…)`, `eval` or another file is no command here, so that it can never count as a gate.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

MAX_SCRIPT = 1 << 20
_OPERATORS = re.compile(r"\n|&&|\|\||;;&|;;|;&|;|\|&|\||&>>|&>|<<<|<<-|<<|>>|>&|<&|<>|>\||[&()<>]")
_REDIRECTIONS = frozenset({"<<<", ">>", ">&", "<&", "<>", ">|", "&>", "&>>", "<", ">"})
_OPENERS = frozenset({"if", "while", "until", "for", "case", "select"})
_CLOSERS = frozenset({"fi", "done", "esac"})
_MIDDLE = frozenset({"then", "else", "elif", "do"})
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\+?=")


@dataclass(frozen=True, slots=True)
class ShellCommand:
    """One simple command."""

    words: tuple[str, ...]
    """The words after assignments, quotes removed, expansions as they stand."""
    line: int
    lost: str = ""
    """Why its failure does not end the script; empty when it does."""
    optional: str = ""
    """Why it may not run at all although the script succeeds; empty when it always runs."""
    writes: tuple[str, ...] = ()
    """Files that its output goes to."""


@dataclass(frozen=True, slots=True)
class _Token:
    text: str
    line: int
    operator: bool = False
    quoted: bool = False


@dataclass(slots=True)
class _Simple:
    """A simple command with what stands around it."""

    line: int
    words: list[str] = field(default_factory=list)
    writes: list[str] = field(default_factory=list)
    before: str = "\n"
    after: str = "\n"
    negated: bool = False
    control: int = 0
    depth: int = 0
    """How many groups, subshells and bodies of functions it stands in."""


def commands(script: str, line: int = 1, *, errexit: bool = True, pipefail: bool = False) -> list[ShellCommand]:
    """Return the commands of a script in order.

    Args:
        script: the text that the shell gets.
        line: the line of the CI file on which it begins.
        errexit: whether the shell was started with `-e`.
        pipefail: whether it was started with `-o pipefail`.

    Raises:
        ValueError: a quote or bracket is left open, or the script is too large.
    """
    if len(script) > MAX_SCRIPT:
        raise ValueError(f"a script of more than {MAX_SCRIPT} characters")
    simples = _simples(list(_tokens(script, line)))
    found, ended = [], ""
    for index, simple in enumerate(simples):
        top = not simple.control and not simple.depth and simple.before not in ("&&", "||")
        if top and simple.words[:1] == ["set"]:
            errexit, pipefail = _switched(simple.words[1:], errexit, pipefail)
        lost = ended or _lost(simples, index, errexit=errexit, pipefail=pipefail)
        words, line = tuple(simple.words), simple.line
        found.append(ShellCommand(words, line, lost, _optional(simples, index), tuple(simple.writes)))
        if top and not ended and simple.words[:1] in (["exit"], ["exec"], ["return"]):
            ended = f"comes after {simple.words[0]}"
    return found


def _lost(simples: list[_Simple], index: int, *, errexit: bool, pipefail: bool) -> str:
    simple = simples[index]
    last = not any(True for other in simples[index + 1 :] if other.before in ("\n", ";", "&"))
    if simple.after in ("|", "|&") and not pipefail:
        return "stands in a pipe, of which only the last command counts (pipefail is off)"
    if simple.after == "&":
        return "runs in the background"
    if simple.after == "||" and not _fails(simples, index + 1):
        return "is followed by || and something that succeeds"
    if simple.negated:
        return "is negated by !"
    if simple.depth:
        return "stands in a group, and what follows the group may ignore it"
    if simple.control and simple.before in _OPENERS | {"elif"}:
        return "is the condition of an if or a loop"
    if simple.after == "&&" and not last:
        return "is followed by &&, where set -e does not look, and more commands"
    if not errexit and not last and simple.after != "||":
        return "is not the last command, and set -e is off"
    return ""


def _optional(simples: list[_Simple], index: int) -> str:
    simple = simples[index]
    if simple.control:
        return "stands in a condition or loop"
    if simple.before == "||":
        return "runs only where the command before it fails"
    if simple.before == "&&" and any(other.before in ("\n", ";", "&") for other in simples[index + 1 :]):
        return "runs only where the command before it succeeds"
    return ""


def _fails(simples: list[_Simple], index: int) -> bool:
    """Whether what follows `||` ends the script with an error: exit or return with another status than 0, or false."""
    depth = simples[index].depth if index < len(simples) else 0
    for simple in simples[index:]:
        words = simple.words
        if words[:1] == ["false"] or (words[:1] in (["exit"], ["return"]) and words[1:2] not in ([], ["0"])):
            return simple.before not in ("&&", "|")
        if not depth or simple.depth < depth or simple.control:
            return False
    return False


def _switched(words: list[str], errexit: bool, pipefail: bool) -> tuple[bool, bool]:
    """Follow the options of `set`."""
    wanted: bool | None = None
    for word in words:
        if word in ("pipefail", "errexit") and wanted is not None:
            errexit, pipefail = (wanted, pipefail) if word == "errexit" else (errexit, wanted)
        elif word[:1] in "-+":
            wanted = word.startswith("-")
            # Short options may be joined, as in `-euo pipefail`.
            errexit = wanted if "e" in word[1:] and not word.startswith("--") else errexit
    return errexit, pipefail


def _simples(tokens: list[_Token]) -> list[_Simple]:
    """Cut tokens into simple commands; keywords are followed only as far as to know what may not run."""
    parser = _ShellParser()
    found = [parser.take(token) for token in tokens]
    return [simple for simple in (*found, parser.end("\n")) if simple is not None]


class _ShellParser:
    """Knows at every word whether a command begins there, and what it stands in."""

    def __init__(self) -> None:
        self._current: _Simple | None = None
        self._before = "\n"
        self._control: list[str] = []
        self._depth = 0
        self._negated = False
        self._redirect = ""
        self._parameters = False

    def take(self, token: _Token) -> _Simple | None:
        """Take a token and return the command that it ends, if it ends one."""
        if token.operator:
            return self._operator(token)
        if self._redirect:
            if self._current is not None and ">" in self._redirect:
                self._current.writes.append(token.text)
            self._redirect = ""
        elif self._current is not None:
            self._word(token)
        elif not token.quoted and self._keyword(token.text):
            pass
        else:
            self._current = _Simple(token.line, before=self._before, negated=self._negated)
            self._current.control = len(self._control)
            self._current.depth = self._depth
            self._word(token)
        return None

    def _word(self, token: _Token) -> None:
        assigned = not token.quoted and _ASSIGNMENT.match(token.text)
        if self._current is not None and (self._current.words or not assigned):
            self._current.words.append(token.text)

    def _keyword(self, word: str) -> bool:
        if word in _OPENERS:
            self._control.append(word)
            self._before = word
        elif word in _CLOSERS:
            del self._control[-1:]
            self._before = ";"
        elif word in _MIDDLE:
            self._before = word
        elif word == "{":
            self._depth += 1
        elif word == "}":
            self._depth = max(0, self._depth - 1)
        elif word == "!":
            self._negated = True
        else:
            return False
        return True

    def _operator(self, token: _Token) -> _Simple | None:
        text = token.text
        if text in _REDIRECTIONS:
            self._redirect = text
            return None
        if text == "(" and self._current is not None and len(self._current.words) == 1:
            self._current, self._parameters = None, True  # a function: name ()
            return None
        if text in ("(", ")"):
            return self._bracket(text)
        return self.end(text)

    def _bracket(self, text: str) -> _Simple | None:
        if self._control[-1:] == ["case"]:
            self._current, self._before = None, ";"  # a pattern
            return None
        if self._parameters:
            self._parameters = False
            return None
        done = self.end(";")
        self._depth = self._depth + 1 if text == "(" else max(0, self._depth - 1)
        return done

    def end(self, after: str) -> _Simple | None:
        """End the command that is open, if one is."""
        done, self._current, self._redirect = self._current, None, ""
        if done is not None:
            done.after = after
        elif after == "\n" and self._before in ("&&", "||", "|", "|&"):
            return None  # a list goes on after a line break
        if done is not None or after != "\n":
            self._before, self._negated = after, False
        return done


def _tokens(script: str, line: int) -> Iterator[_Token]:
    """Yield words and operators; here-documents are left out."""
    position, pending = 0, list[tuple[str, bool]]()
    awaits = ""
    while position < len(script):
        char = script[position]
        if script.startswith("\\\n", position):
            position, line = position + 2, line + 1
        elif char in " \t\r":
            position += 1
        elif char == "#":
            end = script.find("\n", position)
            position = len(script) if end < 0 else end
        elif match := _OPERATORS.match(script, position):
            operator, position = match.group(), match.end()
            if operator in ("<<", "<<-"):
                awaits = operator
                continue
            yield _Token(operator, line, operator=True)
            if operator == "\n":
                line += 1
                for delimiter, tabs in pending:
                    position, skipped = _here_document(script, position, delimiter, tabs=tabs)
                    line += skipped
                pending.clear()
        else:
            text, end, quoted = _word_at(script, position)
            if awaits:
                pending.append((text, awaits == "<<-"))
                awaits = ""
            else:
                yield _Token(text, line, quoted=quoted)
            line += script.count("\n", position, end)
            position = end


def _here_document(script: str, position: int, delimiter: str, *, tabs: bool) -> tuple[int, int]:
    """Skip a here-document; return where it ends and how many lines it has."""
    skipped = 0
    while position < len(script):
        end = script.find("\n", position)
        end = len(script) if end < 0 else end
        text = script[position:end]
        position, skipped = end + 1, skipped + 1
        if (text.lstrip("\t") if tabs else text) == delimiter:
            break
    return min(position, len(script)), skipped


def _word_at(script: str, position: int) -> tuple[str, int, bool]:
    """Read a word: its text without quotes, where it ends, and whether any of it was quoted."""
    parts, quoted = [], False
    while position < len(script):
        char = script[position]
        if char in " \t\r" or _OPERATORS.match(script, position):
            break
        if char == "\\":
            if script[position + 1 : position + 2] != "\n":
                parts.append(script[position + 1 : position + 2])
                quoted = True
            position += 2
        elif char in "'\"":
            end = _quote_end(script, position)
            parts.append(script[position + 1 : end - 1])
            position, quoted = end, True
        elif script.startswith(("$(", "${"), position):
            end = _bracket_end(script, position + 1)
            parts.append(script[position:end])
            position = end
        elif char == "`":
            end = script.find("`", position + 1)
            if end < 0:
                raise ValueError("a backtick is left open")
            parts.append(script[position : end + 1])
            position = end + 1
        else:
            parts.append(char)
            position += 1
    return "".join(parts), position, quoted


def _quote_end(script: str, position: int) -> int:
    """Return the position behind the quote that closes the one at `position`."""
    quote = script[position]
    position += 1
    while position < len(script):
        if script[position] == quote:
            return position + 1
        if quote == '"' and script.startswith(("$(", "${"), position):
            position = _bracket_end(script, position + 1)
        else:
            position += 2 if quote == '"' and script[position] == "\\" else 1
    raise ValueError(f"a {quote} is left open")


def _bracket_end(script: str, position: int) -> int:
    """Return the position behind the bracket that closes the one at `position`; quotes inside are skipped."""
    pairs = {"(": ")", "{": "}"}
    stack: list[str] = []
    while position < len(script):
        char = script[position]
        if char == "\\":
            position += 1
        elif char in "'\"":
            end = script.find(char, position + 1)
            if end < 0:
                break
            position = end
        elif char in pairs:
            stack.append(pairs[char])
        elif stack and char == stack[-1]:
            stack.pop()
            if not stack:
                return position + 1
        position += 1
    raise ValueError("a bracket is left open")
