"""The house's own rules: sizes, start-up, pages that match the code, words that must not be there."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from zt_gate.cli.main import VERBS, build_parser
from zt_gate.policy.catalog import rule_ids, rule_page
from zt_gate.scan.plan import CHECKS

ROOT = Path(__file__).parents[2]
SOURCES = sorted((ROOT / "zt_gate").rglob("*.py"))
HEAVY = {"mlflow", "torch", "sigstore", "bandit", "modelscan", "numpy", "rich"}
FAMILIES = "INT|ART|MLF|COD|DPD|SEC|ENG|SIG|PRV|TST|APR|ACC|BOM|SCN|REV|DEP|EVL|ROB|BKD|PIP"
RULE_ID = re.compile(rf"""["']((?:{FAMILIES})-\d{{3}})["']""")
ENV = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}


def imported_by(*words):
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "zt_gate", *words],
        env=ENV,
        capture_output=True,
        text=True,
        check=False,
    )
    names = {line.rsplit("|", 1)[-1].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert "zt_gate.cli.main" in names
    return {name.split(".")[0] for name in names}


@pytest.mark.parametrize("words", [["--version"], ["--help"]])
def test_starting_up_imports_next_to_nothing(words):
    assert imported_by(*words) & (HEAVY | {"pydantic", "yaml", "cryptography"}) == set()


@pytest.mark.parametrize("words", [["check", "--help"], ["completion", "bash"], ["policy", "packs"], ["explain"]])
def test_no_verb_imports_something_heavy_before_it_needs_it(words):
    assert imported_by(*words) & HEAVY == set()


def test_scanning_a_small_file_imports_nothing_heavy(tmp_path):
    (tmp_path / "a.txt").write_text("hello\n")
    assert imported_by("scan", str(tmp_path / "a.txt")) & HEAVY == set()


def test_a_pipe_never_imports_rich_and_two_modules_alone_name_it(tmp_path):
    (tmp_path / "a.pkl").write_bytes(b"cos\nsystem\n.")
    for words in (["doctor"], ["explain"], ["check", str(tmp_path)], ["scan", str(tmp_path), "-v"], ["nonsense"]):
        assert "rich" not in imported_by(*words), words
    named = {path.name for path in SOURCES if re.search(r"(?m)^\s*(import|from) rich\b", path.read_text())}
    assert named == {"screen.py", "progress.py"}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_file_and_no_function_grows_out_of_hand(path):
    text = path.read_text()
    assert text.count("\n") <= 600
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            assert node.end_lineno - node.lineno < 60, f"{path.name}: {node.name}"


def emitted():
    return {rule for path in SOURCES for rule in RULE_ID.findall(path.read_text())}


def test_every_rule_has_a_page_and_every_page_a_rule():
    assert emitted() == set(rule_ids())


@pytest.mark.parametrize("rule", rule_ids())
def test_a_page_is_complete(rule):
    page = rule_page(rule)
    assert page.id == rule
    assert len(page.why.split()) >= 12
    assert len(page.fix.split()) >= 4
    assert page.references


@pytest.mark.parametrize("rule", rule_ids())
def test_every_rule_fires_in_some_test(rule):
    """A rule that no test has seen firing may be dead."""
    tests = "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    assert rule in tests


def test_the_readme_shows_the_help_as_it_is(monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    readme = (ROOT / "README.md").read_text()
    shown = re.search(r"```console\n\$ zt-gate --help\n(.*?)```", readme, re.DOTALL)
    assert shown
    assert shown.group(1).strip() == build_parser().format_help().strip()


def test_the_readme_quotes_the_last_measurement():
    measured = (ROOT / "benchmarks" / "results" / "scan_speed.md").read_text().strip()
    assert f"<!-- bench:scan_speed -->\n{measured}\n<!-- /bench -->" in (ROOT / "README.md").read_text()


def test_the_page_on_signing_quotes_the_last_measurement():
    measured = (ROOT / "benchmarks" / "results" / "trust_speed.md").read_text().strip()
    assert f"<!-- bench:trust_speed -->\n{measured}\n<!-- /bench -->" in (ROOT / "docs" / "signing.md").read_text()


def test_every_verb_and_check_is_documented():
    readme = (ROOT / "README.md").read_text()
    assert [verb for verb in VERBS if f"zt-gate {verb}" not in readme] == []
    assert [check for check in CHECKS if check not in (ROOT / "docs" / "policy.md").read_text()] == []


def test_the_changelog_knows_this_version():
    from zt_gate import __version__

    assert f"[{__version__}]" in (ROOT / "CHANGELOG.md").read_text()


def test_no_printing_or_exiting_outside_the_command_line():
    for path in SOURCES:
        if "cli" in path.parts or path.name == "__main__.py" or path.stem.endswith("worker"):
            continue
        calls = {ast.unparse(node.func) for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)}
        assert calls & {"print", "sys.exit", "exit", "input"} == set(), path


FRONTS = [ROOT / ".github/workflows/zt-gate.yml"] + [
    path for name in ("actions", "gitlab", "jenkins", "rules/starters") for path in (ROOT / name).rglob("*.*")
]


@pytest.mark.parametrize("path", FRONTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_front_runs_a_module_of_the_repository_that_it_checks(path):
    """`python -m pip` begins its search in the working folder, which is the repository; PYTHONPATH may name it, too."""
    text = path.read_text()
    assert re.findall(r"python[0-9.]*\"? -(?!P -m)", text) == []
    runs_the_gate = re.search(r"(?m)^\s+(- )?(script: ')?zt-gate (ci|admit|evaluate)", text)
    assert not runs_the_gate or {"starters", ".github"} & set(path.parts) or re.search(r"PYTHONPATH(: \"\"|='\])", text)


def test_links_in_the_docs_lead_somewhere():
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md", *(ROOT / "docs").rglob("*.md")]
    for page in pages:
        for link in re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.name}: {link}"


def test_test_packages_never_shadow_each_other():
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert names
    assert all(re.fullmatch(r"test_[a-z0-9_]+\.py", name) for name in names)


def test_tests_of_real_servers_are_where_make_registry_looks_for_them():
    """`make unit` leaves them out, so that anywhere else nobody would run them."""
    mark = ".".join(("pytest", "mark", "mlflow"))
    files = [path for path in (ROOT / "tests").rglob("*.py") if mark in path.read_text(encoding="utf-8")]
    assert files
    assert {path.relative_to(ROOT / "tests").parts[0] for path in files} == {"registry"}
