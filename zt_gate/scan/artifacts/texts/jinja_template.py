"""Chat templates: Jinja that may shape text and nothing else.

A template is a program that the server runs for every request. Jinja reaches the whole interpreter through attributes
of harmless values (CVE-2024-34359), so that every attribute, filter, test, global and statement has to be on a list
here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import accumulate

from zt_gate.domain import Digest, printable
from zt_gate.scan.artifacts.format import MAX_TEMPLATES, Format, Input
from zt_gate.scan.artifacts.texts.jinja_lexer import TemplateError, TemplateToken, literal, tokens_of

_MAX_PROBLEMS = 200
_STATEMENTS = frozenset(
    {
        "for", "endfor", "if", "elif", "else", "endif", "set", "endset", "macro", "endmacro", "call", "endcall",
        "filter", "endfilter", "break", "continue", "generation", "endgeneration", "do", "raw", "endraw", "with",
        "endwith",
    }
)  # fmt: skip
_KEYWORDS = frozenset(
    {
        "and", "or", "not", "in", "is", "if", "else", "elif", "for", "recursive", "true", "false", "none", "True",
        "False", "None",
    }
)  # fmt: skip
_FILTERS = frozenset(
    {
        "abs", "batch", "capitalize", "center", "count", "d", "default", "dictsort", "e", "escape", "first", "float",
        "indent", "int", "items", "join", "last", "length", "list", "lower", "max", "min", "reject", "rejectattr",
        "replace", "reverse", "round", "safe", "select", "selectattr", "slice", "sort", "string", "striptags", "sum",
        "title", "tojson", "trim", "truncate", "unique", "upper", "urlencode", "wordcount", "map", "groupby",
        "from_json", "fromjson", "forceescape", "dict",
    }
)  # fmt: skip
_NAMED_FILTERS = frozenset(["map", "reject", "select"])
_ATTRIBUTE_FILTERS = frozenset(["map", "groupby", "selectattr", "rejectattr", "sort", "unique", "sum", "max", "min"])
_TESTS = frozenset(
    {
        "boolean", "callable", "defined", "divisibleby", "eq", "equalto", "even", "false", "float", "ge", "gt",
        "greaterthan", "in", "integer", "iterable", "le", "lessthan", "lower", "lt", "mapping", "ne", "none", "None",
        "number", "odd", "sameas", "sequence", "string", "true", "undefined", "upper", "filter", "test",
    }
)  # fmt: skip
_GLOBALS = frozenset(
    {
        "range", "dict", "namespace", "raise_exception", "strftime_now", "loop", "caller", "varargs", "kwargs",
    }
)  # fmt: skip
_METHODS = frozenset(
    {
        "append", "capitalize", "count", "endswith", "extend", "find", "get", "index", "insert", "isalpha", "isdigit",
        "isspace", "items", "join", "keys", "lower", "lstrip", "pop", "removeprefix", "removesuffix", "replace",
        "rfind", "rindex", "rsplit", "rstrip", "setdefault", "split", "splitlines", "startswith", "strip", "title",
        "update", "upper", "values", "zfill", "isnumeric", "isupper", "islower", "strftime", "reverse", "sort",
    }
)  # fmt: skip
_DANGEROUS = frozenset(
    {
        "cycler", "joiner", "lipsum", "self", "request", "config", "url_for", "get_flashed_messages", "eval", "exec",
        "open", "compile", "getattr", "setattr", "import", "os", "sys", "subprocess", "attr", "format", "format_map",
        "mro", "func_globals", "gi_frame", "gi_code", "cr_frame", "f_globals", "f_builtins", "tb_frame",
        "import_module", "popen", "system", "xmlattr", "pprint",
    }
)  # fmt: skip
# What builds a text out of other texts, so that a name can be hidden from a reader of the template.
_BUILDERS = frozenset(
    {
        "join", "replace", "reverse", "format", "lower", "upper", "title", "capitalize", "trim", "strip", "string",
        "slice", "batch", "sum",
    }
)  # fmt: skip

_PHRASE = re.compile(r"[^\W\d_]{2}\s+[^\W\d_]{2}")
_MARKUP = re.compile(r"[<>{}\[\]|]")
_INTERNAL = re.compile(
    r"(?:^|[.\[{])__\w*|\w__(?:$|[.\]}])|^__$|__(?:class|mro|bases?|subclasses|globals|builtins|init|import|dict"
    r"|getattribute|getattr|getitem|call|self|func|code|closure|module|reduce(?:_ex)?|new|loader|spec|file|doc|name)__"
)
"""What the name of an interpreter attribute looks like, alone or at the end of a path."""


@dataclass(frozen=True, slots=True)
class TemplateProblem:
    """Something that a chat template has no business to do."""

    message: str
    symbol: str
    line: int
    is_active: bool = True
    """False where the template stays text but answers to words of a message."""


def problems(template: str, limit: int = MAX_TEMPLATES) -> list[TemplateProblem]:
    """Return everything in a template that goes beyond shaping text.

    Args:
        template: the source.
        limit: characters that it may have.

    Raises:
        TemplateError: it is too large, or not Jinja as this version reads it.
    """
    if len(template) > limit:
        raise TemplateError(f"a template of {len(template)} characters, where {max(0, limit)} may be read")
    return _Checker(list(tokens_of(template))).run()


def examine_template(piece: Input, template: str, what: str) -> None:
    """Check a template and note what it does; one that cannot be read is a gap.

    Args:
        piece: where it was found.
        template: the source.
        what: its name for people, such as `chat_template`.
    """
    piece.exam.facts.add(("template", str(Digest.of(template.encode("utf-8", "surrogatepass")))))
    piece.budget.templates -= len(template)
    try:
        found = problems(template, min(MAX_TEMPLATES, len(template) + piece.budget.templates))
    except TemplateError as error:
        where = f"{printable(piece.source.member, 120)}: " if piece.source.member else ""
        piece.exam.gap(f"{where}{printable(what, 60)} cannot be read: {printable(str(error), 160)}",
                       "use the template of the base model")  # fmt: skip
        return
    if len(found) > _MAX_PROBLEMS:
        piece.exam.gap(f"{printable(what, 60)} has more than {_MAX_PROBLEMS} problems; the rest is not listed",
                       "use the template of the base model")  # fmt: skip
    for problem in found[:_MAX_PROBLEMS]:
        rule = "ART-540" if problem.is_active else "ART-541"
        piece.exam.finding(
            rule, f"{printable(what, 60)} line {problem.line}: {printable(problem.message, 160)}",
            member=piece.source.member, symbol=printable(problem.symbol, 80),
        )  # fmt: skip


def examine_templates(piece: Input, value: object, what: str) -> None:
    """Check what a configuration gives as `chat_template`: one text, or a list or map of named ones."""
    if isinstance(value, str):
        examine_template(piece, value, what)
    elif isinstance(value, list):
        for item in value:
            examine_templates(piece, item.get("template") if isinstance(item, dict) else item, what)
    elif isinstance(value, dict):
        for name, item in value.items():
            examine_templates(piece, item, f"{what}.{name}")
    elif value is not None:
        piece.exam.gap(
            f"{printable(what, 60)} is neither text nor a list of texts", "use the template of the base model"
        )


def _examine(piece: Input) -> None:
    if piece.source.size > 4 * MAX_TEMPLATES:
        raise TemplateError(f"a template of {piece.source.size} bytes")
    examine_template(piece, piece.source.read_at(0, piece.source.size).decode("utf-8"), piece.head.name)
    piece.exam.cover_all()


JINJA = Format("jinja", lambda head: head.suffix in (".jinja", ".jinja2", ".j2") and b"\0" not in head.start, _examine)


# --- rules -------------------------------------------------------------------------------------------------------


class _Checker:
    """Goes over the tokens once; what is not on a list is a problem."""

    def __init__(self, tokens: list[TemplateToken]) -> None:
        self._tokens = tokens
        self._problems: dict[tuple[str, str], TemplateProblem] = {}
        self._macros = {
            tokens[i + 1].value for i, token in enumerate(tokens[:-1]) if token.value == "macro" and self._is_head(i)
        }
        self._methods = _METHODS | self._macros
        self._functions = _GLOBALS | self._macros | {"call"}
        self._attributes_until: dict[str, int] = {}
        self._ends: dict[int, int] = {}
        """Where a bracket or a tag ends, by where it begins."""
        self._slices: set[int] = set()
        """Brackets that hold a slice, which Jinja never looks up as an attribute."""
        self._match_brackets()
        self._built: set[str] = set()
        self._find_built()
        self._building = list(accumulate((self._builds(at) for at in range(len(tokens))), initial=0))

    def run(self) -> list[TemplateProblem]:
        """Return the problems in the order of the lines."""
        for index, token in enumerate(self._tokens):
            if token.kind == "name":
                self._name(index, token)
            elif token.kind == "text":
                self._text(token)
            elif token.value == "[":
                self._subscript(index, token)
            elif token.value == "(":
                self._call(index, token)
            elif token.kind == "open":
                self._condition(index)
        return sorted(self._problems.values(), key=lambda problem: (problem.line, problem.symbol))

    def _is_head(self, index: int) -> bool:
        return index > 0 and self._tokens[index - 1] == TemplateToken("open", "{%", self._tokens[index - 1].line)

    def _at(self, index: int) -> TemplateToken:
        return self._tokens[index] if 0 <= index < len(self._tokens) else TemplateToken("close", "", 0)

    def _add(self, message: str, symbol: str, line: int) -> None:
        self._problems.setdefault((message, symbol), TemplateProblem(message, symbol, line))

    def _name(self, index: int, token: TemplateToken) -> None:
        name, before, after = token.value, self._at(index - 1), self._at(index + 1)
        is_attribute = before.value == "." and before.kind == "op"
        if name.startswith("__") or name.endswith("__") or (is_attribute and name.startswith("_")):
            self._add(f"the name {name} reaches into the interpreter", name, token.line)
        elif self._is_head(index):
            if name not in _STATEMENTS:
                self._add(f"the statement {name} is not for chat templates", name, token.line)
        elif (before.value == "|" and before.kind == "op") or (
            before.kind == "name" and before.value == "filter" and self._is_head(index - 1)
        ):
            self._filter(index, name, token.line)
        elif self._is_test(index):
            if name not in _TESTS and name != "not":
                self._add(f"the test {name} is not known", name, token.line)
        elif is_attribute:
            if name in _DANGEROUS or (after.value == "(" and name not in self._methods):
                self._add(f"the attribute {name} is not for chat templates", name, token.line)
        elif name in _DANGEROUS and name not in _KEYWORDS and after.value != "=":
            self._add(f"the global {name} is not for chat templates", name, token.line)

    def _is_test(self, index: int) -> bool:
        before = self._at(index - 1).value
        return before == "is" or (before == "not" and self._at(index - 2).value == "is")

    def _filter(self, index: int, name: str, line: int) -> None:
        if name not in _FILTERS:
            self._add(f"the filter {name} is not for chat templates", name, line)
            return
        if name not in _ATTRIBUTE_FILTERS | _NAMED_FILTERS or self._at(index + 1).value != "(":
            return
        first = self._at(index + 2)
        # `map('x')` applies the filter x, and `select('x')` the test x: those have to be on their lists, too.
        if first.kind == "text":
            self._named(name, literal(first.value), first)
        elif (
            first.value != ")"
            and not (first.kind == "name" and self._at(index + 3).value == "=")
            and name in _NAMED_FILTERS | {"selectattr", "rejectattr"}
        ):
            self._add(f"the filter {name} takes a name that is worked out at run time", name, line)
        at = max(index + 2, self._attributes_until.get(name, 0))  # filters inside filters share what follows them
        while self._at(at).kind != "close" and self._at(at).value != ")":
            if self._at(at).value == "attribute" and self._at(at + 1).value == "=":
                self._attribute(name, self._at(at + 2))
            at += 1
        self._attributes_until[name] = at

    def _named(self, name: str, text: str, token: TemplateToken) -> None:
        if name == "map" and text not in _FILTERS:
            self._add(f"map calls the filter {text}", text, token.line)
        elif name in ("select", "reject") and text not in _TESTS:
            self._add(f"{name} calls the test {text}", text, token.line)

    def _attribute(self, name: str, value: TemplateToken) -> None:
        if value.kind == "number" or (value.kind == "text" and re.fullmatch(r"[A-Za-z][\w.]*", literal(value.value))):
            return
        self._add(f"{name}(attribute=...) reaches an attribute that is worked out at run time", name, value.line)

    def _text(self, token: TemplateToken) -> None:
        text = literal(token.value)
        if _INTERNAL.search(text):
            self._add("a text holds the name of an interpreter attribute", text[:60], token.line)

    def _subscript(self, index: int, token: TemplateToken) -> None:
        """A name put together at run time is how dunder attributes are hidden from a reader."""
        before = self._at(index - 1)
        follows_value = before.kind in ("name", "text") or before.value in (")", "]")
        if not follows_value or before.value in _KEYWORDS or index in self._slices:
            return
        if self._building[self._ends[index]] > self._building[index + 1]:
            self._add("a subscript is put together at run time", "subscript", token.line)

    def _match_brackets(self) -> None:
        """Find where every bracket and tag ends, all in one go: templates of nothing but brackets are made."""
        begun: list[int] = []
        for at, token in enumerate(self._tokens):
            if token.kind == "open" or (token.kind == "op" and token.value in ("[", "(", "{")):
                begun.append(at)
            elif token.kind == "close" or (token.kind == "op" and token.value in ("]", ")", "}")):
                self._ends[begun.pop()] = at
            elif token.kind == "op" and token.value == ":" and self._tokens[begun[-1]].kind == "op":
                self._slices.add(begun[-1])

    def _builds(self, at: int) -> bool:
        """Whether a token makes a text out of others, or names a variable that holds such a text."""
        token, before, after = self._at(at), self._at(at - 1), self._at(at + 1)
        if token.kind == "op":
            near = "text" in (before.kind, after.kind) or before.value == ")"
            joins = token.value in ("+", "*", "%") and near
            return (
                token.value == "~"
                or joins
                or (token.value in ("[", ".", "|") and before.kind == "text")
                or (token.value == "[" and before.value == ")" and at in self._slices)
            )
        return token.kind == "name" and token.value in (_BUILDERS if before.value in ("|", ".") else self._built)

    def _find_built(self) -> None:
        """Find the variables whose value is a text put together by the template, through any number of steps."""
        takes: dict[str, list[str]] = {}
        """The variables that are set from a variable."""
        found: list[str] = []
        for index, token in enumerate(self._tokens):
            if token.value != "set" or not self._is_head(index):
                continue
            end = self._ends[index - 1]
            tokens = self._tokens[index + 1 : end]
            target = next((token.value for token in tokens if token.kind == "name"), "")
            if target and (
                all(token.value != "=" for token in tokens) or any(self._builds(at) for at in range(index + 2, end))
            ):
                found.append(target)
            for at in range(index + 2, end) if target else ():
                if self._at(at).kind == "name" and self._at(at - 1).value not in ("|", "."):
                    takes.setdefault(self._at(at).value, []).append(target)
        while found:
            name = found.pop()
            if name not in self._built:
                self._built.add(name)
                found += takes.pop(name, ())

    def _call(self, index: int, token: TemplateToken) -> None:
        before, earlier = self._at(index - 1), self._at(index - 2)
        if before.value in ("]", ")") and before.kind == "op":
            self._add("the result of an expression is called", "call", token.line)
        elif before.kind == "text":
            self._add("a text is called", "call", token.line)
        elif before.kind == "name" and before.value not in _KEYWORDS and earlier.value not in (".", "|"):
            is_test = self._is_test(index - 1)
            head = self._is_head(index - 1) or (earlier.value in ("macro", "filter") and self._is_head(index - 2))
            known = before.value in self._functions
            if not (is_test or head or known):
                self._add(f"{before.value} is called and is no function for chat templates", before.value, token.line)

    def _condition(self, index: int) -> None:
        """Note a condition on the words of a message: a template can turn the model on a phrase (a prompt backdoor)."""
        if self._at(index + 1).value not in ("if", "elif"):
            return
        tokens = self._tokens[index + 1 : self._ends[index]]
        if not any(re.search("content|query|prompt", token.value) for token in tokens if token.kind != "op"):
            return
        for token in tokens:
            text = literal(token.value) if token.kind == "text" else ""
            if _PHRASE.search(text) and not _MARKUP.search(text):
                problem = TemplateProblem(f"the template behaves differently where a message says {text!r}", text[:60],
                                  token.line, is_active=False)  # fmt: skip
                self._problems.setdefault((problem.message, problem.symbol), problem)
