"""Our own rules about machine-learning code, applied: which rules look at which place, and what they see there.

bandit knows Python; these rules know what model code does. A new rule is a matcher function and a line in the `RULES`
of its file. A matcher sees one place with its names and values followed, and returns what it found.
"""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterable, Iterator

from zt_gate.scan.code import rules_loading, rules_network, rules_running, rules_settings
from zt_gate.scan.code.call_sites import Hit, Rule, Site, arguments_of, settings_of
from zt_gate.scan.code.name_resolution import Names
from zt_gate.scan.code.survey import Place

RULES: tuple[Rule, ...] = tuple(
    sorted(
        rules_loading.RULES + rules_network.RULES + rules_running.RULES + rules_settings.RULES, key=lambda rule: rule.id
    )
)
"""The rules that look at syntax. COD-109 looks at comments, COD-110 at encodings, COD-120 at magics too."""

RULE_IDS = (*(rule.id for rule in RULES), "COD-109", "COD-110")
"""Every id of our own that the code check may emit; bandit's come on top as `bandit.<id>`."""


def _index(wanted: str) -> dict[str, list[Rule]]:
    table: defaultdict[str, list[Rule]] = defaultdict(list)
    for rule in RULES:
        for name in getattr(rule, wanted):
            table[name].append(rule)
    return dict(table)


_BY_CALL = _index("calls")
_BY_METHOD = _index("methods")
_BY_KEY = _index("keys")
_KEYS = frozenset(_BY_KEY)
_METHODS = frozenset(_BY_METHOD)
_FUNCTIONS = frozenset(_BY_CALL).union(*(rule.also for rule in RULES))
# A function that is handed over is called by whoever gets it: map(eval, x), Thread(target=os.system). `compile` is
# left out since it is an honest parameter's name too.
_HANDED = frozenset(_BY_CALL) - {"compile", "builtins.compile"}
_ASKING = frozenset(
    {"isinstance", "issubclass", "hasattr", "callable", "id", "type", "repr", "print", "getattr", "super"}
)


def names_of(tree: ast.Module) -> Names:
    """Return the names of a module as the rules need them.

    Raises:
        NamesError: its names are tangled beyond what is followed.
    """
    return Names(tree, _FUNCTIONS, _METHODS)


def apply_rules(tree: ast.Module, torch: tuple[int, ...] = (), names: Names | None = None) -> list[Hit]:
    """Return what our rules see in one module, sorted by line.

    Args:
        tree: the module.
        torch: the oldest PyTorch that the release admits, empty where it does not say.
        names: its names, where they have been followed before.

    Raises:
        NamesError: its names are tangled beyond what is followed.
    """
    names = names or names_of(tree)
    hits = set()
    for node, at_import in names.survey.places:
        for rules, site in _sites(node, names, at_import, torch):
            for rule in rules:
                symbol, message = rule.match(site)
                if symbol:
                    hits.add(Hit(node.lineno, rule.id, symbol, message))
    return sorted(hits)


def calls_by_place(tree: ast.Module, names: Names | None = None) -> dict[tuple[int, int], str]:
    """Return the name called at each line and column, so that a finding of bandit can say what it is about."""
    names = names or Names(tree)
    calls = (node for node in ast.walk(tree) if isinstance(node, ast.Call))
    return {(node.lineno, node.col_offset): _fullest(names.of(node.func)) for node in calls}


def _fullest(meanings: set[str]) -> str:
    return max(meanings, key=lambda name: (name.count("."), name), default="")


def _sites(node: Place, names: Names, at_import: bool, torch: tuple[int, ...]) -> Iterator[tuple[Iterable[Rule], Site]]:
    """Yield a place, with the rules that are to look at it, as every call that it amounts to."""
    settings = tuple(settings_of(node, names)) if _may_set(node) else ()
    by_key = {rule.id: rule for item in settings if item.key in _KEYS for rule in _BY_KEY[item.key]}
    called: frozenset[str] = frozenset()
    if isinstance(node, ast.Call):
        called = frozenset(names.called(node))
        yield from _handed(node, names, called, at_import, torch)
        by_key |= {rule.id: rule for rule in _rules_for(called, node.func)}
    if by_key:
        arguments = arguments_of(node, names) if isinstance(node, ast.Call) else ()
        yield by_key.values(), Site(node, names, called, arguments, settings, at_import, torch)


def _may_set(node: Place) -> bool:
    """Whether a place gives values a name at all; a call with plain arguments only where it stores under a key."""
    return not isinstance(node, ast.Call) or bool(node.keywords) or len(node.args) in (2, 3)


def _handed(
    node: ast.Call, names: Names, called: frozenset[str], at_import: bool, torch: tuple[int, ...]
) -> Iterator[tuple[Iterable[Rule], Site]]:
    """Yield the calls that others make of functions given to them: map, submit, partial, Thread(target=…)."""
    if called & _ASKING:
        return
    at_import = at_import and "functools.partial" not in called  # which calls nothing yet
    given = [(item, index + 1) for index, item in enumerate(node.args)]
    for argument, first in [*given, *((word.value, 0) for word in node.keywords)]:
        if isinstance(argument, (ast.Name, ast.Attribute)) and (found := names.of(argument) & _HANDED):
            rules = {rule.id: rule for name in found for rule in _BY_CALL[name]}
            settings = tuple(settings_of(node, names))
            arguments = arguments_of(node, names)[first:] if first else ()
            yield rules.values(), Site(node, names, frozenset(found), arguments, settings, at_import, torch)


def _rules_for(called: frozenset[str], function: ast.expr) -> Iterator[Rule]:
    for name in called:
        yield from _BY_CALL.get(name, ())
        yield from _BY_METHOD.get(name.rsplit(".", 1)[-1], ())
    if not called and isinstance(function, ast.Attribute):
        yield from _BY_METHOD.get(function.attr, ())
