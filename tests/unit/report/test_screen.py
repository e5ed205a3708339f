"""What a person sees: in 40, 80 and 120 columns as recorded, and never larger than the screen."""

import os
import re
from pathlib import Path
from unittest import mock

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from tests.support import reports
from tests.support.screens import Terminal, piped, shown
from zt_gate.cli.screen import Screen
from zt_gate.domain import Finding, Severity, printable
from zt_gate.domain.text import inert, is_unsafe
from zt_gate.report.lines import line, plain_table

GOLDEN = Path(__file__).parents[2] / "golden" / "screen"
STYLE = re.compile(r"\x1b\[[0-9;]*m")
WIDE = "モデル/重み.pkl"


def wide():
    found = [
        Finding(
            "ART-101", Severity.CRITICAL, f"{WIDE} ロードすると os.system が実行される", path=WIDE, symbol="os.system"
        )
    ]
    return reports.report(found, about=reports.subject({WIDE: 12}, name="公開/不正検知モデル"))


KINDS = {"allowed": reports.allowed, "blocked": reports.blocked, "waived": reports.waived, "wide": wide}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("width", [40, 80, 120, "pipe"])
def test_a_screen_is_what_it_was_and_fits_its_columns(kind, width):
    """To record anew: delete the file and run this test twice."""
    text = piped(KINDS[kind]()) if width == "pipe" else shown(KINDS[kind](), width)
    assert width == "pipe" or max(cell_len(line) for line in text.split("\n")) <= width
    assert not any(line.endswith(" ") for line in text.split("\n"))
    # A policy's digest changes with every field that policies get.
    text = re.sub(r"sha256:[0-9a-f]{12}(?![0-9a-f…])", "sha256:000000000000", text)
    golden = GOLDEN / f"{kind}-{width}.txt"
    if not golden.exists():
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(text + "\n")
        pytest.fail(f"recorded {golden.name}")
    assert text + "\n" == golden.read_text()


@pytest.mark.parametrize("kind", KINDS)
def test_a_pipe_and_every_screen_say_the_same_words(kind):
    def said(text):
        return "".join(text.split())

    assert said(shown(KINDS[kind](), 120)) == said(piped(KINDS[kind]()))


@pytest.mark.parametrize("height", [18, 24, 50])
@pytest.mark.parametrize("kind", ["allowed", "blocked", "waived"])
def test_a_screen_is_not_scrolled(kind, height):
    text = shown(KINDS[kind](), 100, height)
    assert text.count("\n") + 1 < max(height, 24)
    assert text.startswith(("ALLOW", "BLOCK"))
    if kind == "blocked":
        assert "ART-101" in text
        assert "How to fix it" in text
    full = shown(KINDS[kind](), 100, height, verbose=True)
    assert full == shown(KINDS[kind](), 100, verbose=True)


def test_three_thousand_findings_fit_a_screen():
    text = shown(reports.crowded(), 80, 24)
    assert text.count("\n") + 1 < 24
    assert "more; --verbose or --format json shows all" in text


words = st.text(st.characters(exclude_categories=["Cs"]), max_size=120)


def rows(item, width):
    with mock.patch.dict(os.environ, {"COLUMNS": str(width), "NO_COLOR": "1"}):
        return Screen(Terminal()).lines([item]).split("\n")


@given(words, st.integers(40, 120))
def test_lines_are_as_wide_as_they_may_be(text, width):
    lines = rows(line(text, lead="  → "), width)
    assert all(cell_len(row) <= width for row in lines)
    assert not any(is_unsafe(char) for row in lines for char in row)


@given(words)
def test_wrapping_loses_nothing_but_spaces(text):
    joined = inert("".join("".join(rows(line(text), 40)).split()))
    assert joined == inert("".join(printable(text, 2000).split()))


def test_what_is_cut_ends_in_an_ellipsis_and_takes_no_more_rows():
    assert rows(line("word " * 40, lead="> ", most=2), 40) == [
        "> word word word word word word word",
        "  word word word word word word word…",
    ]
    assert rows(line("漢字" * 30, most=1), 40) == ["漢字" * 9 + "漢 …"]
    assert rows(line("short", most=1), 40) == ["short"]


def test_a_table_keeps_its_columns_and_folds_the_last(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    cells = [("✓", "good"), "漢字", "[red]a long fact[/] that does not fit into what is left"]
    text = Screen(Terminal()).table([cells, ["", "b", "c"]], headed=False)
    assert "[red]" in text
    assert max(cell_len(row) for row in STYLE.sub("", text).split("\n")) <= 40
    assert plain_table([("a", "漢\x1b[0m"), ("bb", "c")]) == "a   漢\\x1b[0m\nbb  c"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("::error file=x::y", ": :error file=x::y"),
        ("  ::error::y", "  : :error::y"),
        ("\u00a0::error::y", "\u00a0: :error::y"),
        ("a\n::error::", "a\n: :error::"),
        ("x ::error::", "x ::error::"),
        ("##[error]x", "# #[error]x"),
        ("a ##vso[task.x]", "a # #vso[task.x]"),
        ("##teamcity[x]", "# #teamcity[x]"),
        ("## heading", "## heading"),
    ],
)
def test_no_ci_system_finds_a_command(text, said):
    assert inert(text) == said
    assert inert(said) == said
