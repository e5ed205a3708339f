"""Colour, links and progress: where they are wanted, and nowhere else."""

import io

import pytest

from zt_gate.cli.console import Console, follows_links, wants_colour
from zt_gate.cli.meter import Meter

TERMINALS = ("CI", "NO_COLOR", "FORCE_COLOR", "FORCE_HYPERLINK", "VTE_VERSION", "TERM_PROGRAM", "KITTY_WINDOW_ID",
             "WT_SESSION", "KONSOLE_VERSION", "DOMTERM", "GHOSTTY_RESOURCES_DIR")  # fmt: skip


class Screen(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self):
        return True


@pytest.fixture(autouse=True)
def no_terminal(monkeypatch):
    for name in TERMINALS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


@pytest.mark.parametrize(
    ("settings", "stream", "links"),
    [
        ({}, Screen(), False),
        ({"VTE_VERSION": "7600"}, Screen(), True),
        ({"VTE_VERSION": "4602"}, Screen(), False),
        ({"VTE_VERSION": "x"}, Screen(), False),
        ({"TERM_PROGRAM": "WezTerm"}, Screen(), True),
        ({"TERM_PROGRAM": "Apple_Terminal"}, Screen(), False),
        ({"KITTY_WINDOW_ID": "1", "CI": "true"}, Screen(), False),
        ({"KITTY_WINDOW_ID": "1", "NO_COLOR": "1"}, Screen(), False),
        ({"KITTY_WINDOW_ID": "1"}, io.StringIO(), False),
        ({"FORCE_HYPERLINK": "1"}, io.StringIO(), True),
        ({"FORCE_HYPERLINK": "0", "KITTY_WINDOW_ID": "1"}, Screen(), False),
    ],
)
def test_links_go_to_terminals_that_follow_them(monkeypatch, tmp_path, settings, stream, links):
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    assert follows_links(stream) is links
    shown = Console(io.StringIO(), stream).link("report.html", tmp_path / "a b.html")
    assert shown == (
        f"\033]8;;{tmp_path.as_uri()}/a%20b.html\033\\report.html\033]8;;\033\\" if links else "report.html"
    )


@pytest.mark.parametrize(
    ("settings", "colour"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": "1", "FORCE_COLOR": "1"}, False), ({"TERM": "dumb"}, False)],
)
def test_colour_is_left_out_where_it_is_not_wanted(monkeypatch, settings, colour):
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    assert wants_colour(Screen()) is colour
    assert ("\033" in Console(Screen(), Screen()).style("x", "red")) is colour


def test_quiet_leaves_warnings_alone():
    err = io.StringIO()
    console = Console(io.StringIO(), err, quiet=True)
    console.note("a hint")
    console.warn("a warning")
    assert err.getvalue() == "a warning\n"


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def test_progress_says_how_far_it_is_but_not_too_often(monkeypatch, tmp_path):
    monkeypatch.setenv("COLUMNS", "60")
    (tmp_path / "m.bin").write_bytes(b"x" * 4000)
    err, clock = Screen(), Clock()
    meter = Meter(Console(io.StringIO(), err), [tmp_path / "m.bin"], clock)
    meter.step("freeze")
    for read in range(0, 4001, 40):
        clock.now += 0.05
        meter.heard(read)
    lines = err.getvalue().split("\r\033[K")[1:]
    assert lines[0] == "zt-gate: freeze …"
    assert 30 < len(lines) < 60
    assert lines[-1].startswith("zt-gate: freeze … ")
    assert " %, " in lines[-1]
    assert lines[-1].endswith("/s")


def test_progress_of_several_paths_counts_bytes_and_fits_the_screen(monkeypatch, tmp_path):
    monkeypatch.setenv("COLUMNS", "40")
    err, clock = Screen(), Clock()
    meter = Meter(Console(io.StringIO(), err), [tmp_path, tmp_path], clock)
    meter.step("a step with a very long name that never ends")
    clock.now = 1.5
    meter.heard(3_000_000_000)
    lines = err.getvalue().split("\r\033[K")[1:]
    assert all(len(line) < 40 for line in lines)
    assert "%" not in lines[-1]
