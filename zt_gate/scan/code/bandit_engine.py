"""bandit, set up so that nothing in the subject and nothing else that is installed changes what it says.

Runs in the child process only. The tests are named one by one: a plug-in of the environment is not used, and a
bandit that lacks one of them is an error. `# nosec` is ignored, configuration files are not looked for, and a test
that raises stops the file instead of being logged and forgotten, which is bandit's default.
"""

from __future__ import annotations

import ast
import importlib
import io
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from zt_gate.domain.finding import Severity

TESTS = tuple(
    f"B{number}"
    for number in (
        *(101, 102, 103, 104, 105, 106, 107, 108, 110, 112, 113, 201, 202),
        *(301, 302, 303, 304, 305, 306, 307, 308, 310, 311, 312, 313, 314, 315, 316, 317, 318, 319, 321, 323, 324),
        *(401, 402, 403, 404, 405, 406, 407, 408, 409, 411, 412, 413, 415),
        *(501, 502, 503, 504, 505, 506, 507, 508, 509),
        *(601, 602, 603, 604, 605, 606, 607, 608, 609, 610, 611, 612, 613, 614, 615, 701, 702, 703, 704),
    )
)
"""Every test of bandit 1.9; part of this check's contract."""

INFORMATIVE: Mapping[str, str] = {
    "B101": "an assert is a matter of robustness; a release does not become dangerous by it",
    "B110": "a swallowed exception is a matter of style",
    "B112": "a skipped loop turn is a matter of style",
    "B311": "models are initialised and data are shuffled with ordinary random numbers; nothing is kept secret by them",
    "B403": "importing pickle does nothing; what is loaded with it has rules of its own (COD-104, B301)",
    "B614": "what torch.load is asked for has rules of its own (COD-102, COD-111, COD-126), which follow versions",
    "B404": "importing subprocess does nothing; what is started with it has rules of its own (COD-107, B602 to B607)",
}
"""Tests whose findings are shown as `info`, each with the reason."""

_SECRETS = {"B105": "string", "B106": "function argument", "B107": "default argument"}
"""Tests whose own text repeats the value that they found."""

_SEVERITIES = {"HIGH": Severity.HIGH, "MEDIUM": Severity.MEDIUM, "LOW": Severity.LOW}


@dataclass(frozen=True, slots=True)
class BanditIssue:
    """One finding of bandit."""

    file: str
    """As the file is named to `run_bandit`."""
    test: str
    severity: Severity
    line: int
    column: int
    name: str
    """bandit's name of the test, such as `hardcoded_bind_all_interfaces`."""
    text: str


@dataclass(frozen=True, slots=True)
class BanditRun:
    """What bandit said about all files."""

    version: str
    issues: tuple[BanditIssue, ...]
    skipped: Mapping[str, str]
    """Files that it did not examine to the end, with its reason."""


def severity_of(test: str, severity: str, confidence: str) -> Severity:
    """Map bandit's two scales to one: low confidence takes one step off, style is information.

    Raises:
        KeyError: bandit uses a word that is not known here.
    """
    mapped = _SEVERITIES[severity]
    if confidence not in _SEVERITIES:
        raise KeyError(confidence)
    if test in INFORMATIVE:
        return Severity.INFO
    return Severity(mapped - 1) if confidence == "LOW" else mapped


def run_bandit(sources: Mapping[str, tuple[bytes, ast.Module]]) -> BanditRun:
    """Run bandit over parsed files.

    Args:
        sources: by name the bytes of a Python file and its syntax tree, which bandit is given instead of parsing again.

    Raises:
        LookupError: this bandit does not have the tests that the contract names.
        ImportError: bandit is not installed.
    """
    logging.disable(logging.CRITICAL)
    manager_module = importlib.import_module("bandit.core.manager")
    config = importlib.import_module("bandit.core.config").BanditConfig()
    manager = manager_module.BanditManager(config, "file", profile={"include": TESTS}, ignore_nosec=True)
    _own_tests_only(manager.b_ts)
    issues: list[BanditIssue] = []
    skipped: dict[str, str] = {}
    for name, (data, tree) in sorted(sources.items()):
        try:
            issues += [_issue(result) for result in _examine(manager, name, data, tree)]
        except Exception as error:  # noqa: BLE001 - whatever a hostile file provokes is an unfinished examination
            skipped[name] = f"{type(error).__name__} while examining the file"
    return BanditRun(str(importlib.import_module("bandit").__version__), tuple(issues), skipped)


def _examine(manager: Any, name: str, data: bytes, tree: ast.Module) -> list[Any]:
    """Walk one file with bandit's own visitor.

    Raises:
        Exception: whatever a test of bandit raises, or KeyError for a scale of bandit that is not known here.
    """
    visitor_class = importlib.import_module("bandit.core.node_visitor").BanditNodeVisitor
    visitor = visitor_class(name, io.BytesIO(data), manager.b_ma, manager.b_ts, False, {}, manager.metrics)
    # The tester alone is put into debug mode: it then re-raises what a test raises, without which a broken test
    # passes every file. In the visitor the same mode writes every node out as text, which is most of the time.
    visitor.tester.debug = True
    visitor.update_scores = _no_scores
    visitor.process(tree)  # `ast.parse` inside hands a tree through as it is
    results: list[Any] = visitor.tester.results
    return results


def _no_scores(_scores: Any) -> None:
    """Stand in for bandit's sums over all nodes, which nobody reads."""


def _own_tests_only(tests: Any) -> None:
    """Drop tests of other distributions, and insist on the ones that we know."""
    manager = importlib.import_module("bandit.core.extension_loader").MANAGER
    known = {name for name, plugin in manager.plugins_by_id.items() if _is_own(plugin.plugin)}
    known |= set(manager.blacklist_by_id)
    if absent := sorted(set(TESTS) - known):
        raise LookupError(f"this bandit has no {', '.join(absent)}; install bandit 1.9")
    for kind, functions in tests.tests.items():
        tests.tests[kind] = [function for function in functions if _is_own(function)]


def _is_own(function: Any) -> bool:
    return str(function.__module__).startswith("bandit.")


def _issue(result: Any) -> BanditIssue:
    test = str(result.test_id)
    text = str(result.text)
    if test in _SECRETS:
        text = f"possible hard-coded password in a {_SECRETS[test]} (not shown)"
    return BanditIssue(
        file=str(result.fname),
        test=test,
        severity=severity_of(test, str(result.severity), str(result.confidence)),
        line=int(result.lineno),
        column=int(result.col_offset),
        name=str(result.test),
        text=text,
    )
