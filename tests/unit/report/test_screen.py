"""What a person sees: in 40, 80 and 120 columns as recorded, and never larger than the screen."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support import reports

from zt_gate.domain import Finding, Severity
from zt_gate.domain.text import inert, is_unsafe
from zt_gate.report import terminal
from zt_gate.report.columns import columns, cut, wrap

GOLDEN = Path(__file__).parents[2] / "golden" / "screen"
WIDE = "モデル/重み.pkl"


def wide():
    found = [
        Finding(
            "ART-101", Severity.CRITICAL, f"{WIDE} ロードすると os.system が実行される", path=WIDE, symbol="os.system"
        )
    ]
    return reports.report(found, about=reports.subject({WIDE: 12}, name="公開/不正検知モデル"))


KINDS = {"allowed": reports.allowed, "blocked": reports.blocked, "waived": reports.waived, "wide": wide}


def plain(text, _name):
    return text


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("width", [40, 80, 120])
def test_a_screen_is_what_it_was_and_fits_its_columns(monkeypatch, kind, width):
    """To record anew: delete the file and run this test twice."""
    monkeypatch.setenv("COLUMNS", str(width))
    text = terminal.render(KINDS[kind](), plain)
    assert max(columns(line) for line in text.split("\n")) <= width
    # A policy's digest changes with every field that policies get.
    text = re.sub(r"sha256:[0-9a-f]{12}(?![0-9a-f…])", "sha256:000000000000", text)
    golden = GOLDEN / f"{kind}-{width}.txt"
    if not golden.exists():
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(text + "\n")
        pytest.fail(f"recorded {golden.name}")
    assert text + "\n" == golden.read_text()


@pytest.mark.parametrize("height", [18, 24, 50])
@pytest.mark.parametrize("kind", ["allowed", "blocked", "waived"])
def test_a_screen_is_not_scrolled(monkeypatch, kind, height):
    monkeypatch.setenv("COLUMNS", "100")
    text = terminal.render(KINDS[kind](), plain, height=height)
    assert text.count("\n") + 1 < max(height, 24)
    assert text.startswith(("ALLOW", "BLOCK"))
    if kind == "blocked":
        assert "ART-101" in text
        assert "What would turn it" in text
    full = terminal.render(KINDS[kind](), plain, height=height, verbose=True)
    assert full == terminal.render(KINDS[kind](), plain, verbose=True)


def test_three_thousand_findings_fit_a_screen(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    text = terminal.render(reports.crowded(), plain, height=24)
    assert text.count("\n") + 1 < 24
    assert "more; --verbose or --format json shows all" in text


words = st.text(st.characters(exclude_categories=["Cs"]), max_size=120)


@given(words, st.integers(40, 120))
def test_lines_are_as_wide_as_they_may_be(text, width):
    lines = wrap(text, "  → ", width)
    assert all(columns(line) <= width for line in lines)
    assert not any(is_unsafe(char) for line in lines for char in line)


@given(words)
def test_wrapping_loses_nothing_but_spaces(text):
    from zt_gate.domain import printable

    joined = "".join(wrap(text, "", 40))
    assert "".join(joined.split()) == "".join(printable(text, 2000).split())


def test_columns_are_counted_as_terminals_do():
    assert columns("abc") == 3
    assert columns("漢字") == 4
    assert columns("e\u0301") == 1
    assert cut("漢字漢字", 5) == "漢字…"
    assert cut("abc", 3) == "abc"
    assert wrap("", "> ", 40) == [">"]


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
