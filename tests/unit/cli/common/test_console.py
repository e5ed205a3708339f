"""Colour, links and progress: where they are wanted, and nowhere else."""

import io
import threading

import pytest

from tests.support.screens import Terminal
from zt_gate.cli.common.console import Console, link
from zt_gate.cli.common.progress import ProgressLine
from zt_gate.cli.screen import Screen
from zt_gate.errors import TargetError


@pytest.fixture(autouse=True)
def no_settings(monkeypatch):
    for name in ("CI", "NO_COLOR", "FORCE_COLOR", "COLORTERM", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


@pytest.mark.parametrize(
    ("settings", "stream", "styled"),
    [
        ({}, Terminal, True),
        ({"NO_COLOR": "1"}, Terminal, False),
        ({"TERM": "dumb"}, Terminal, False),
        ({}, io.StringIO, False),
        ({"FORCE_COLOR": "1"}, io.StringIO, True),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, io.StringIO, False),
    ],
)
def test_styles_and_links_are_where_they_are_wanted(monkeypatch, tmp_path, settings, stream, styled):
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    out, err = stream(), stream()
    console = Console(out, err)
    console.result(("ADMITTED", "good"), " [red]m.bin[/red] :smile:")
    console.note("report: ", link("report.html", tmp_path / "a b.html"))
    console.error(TargetError("no [bold]such[/] file", "name another"))
    assert ("\x1b[1;32mADMITTED\x1b[0m" in out.getvalue()) is styled
    assert " [red]m.bin[/red] :smile:\n" in out.getvalue()
    assert ("\x1b]8;" in err.getvalue()) is styled
    assert (f"{tmp_path.as_uri()}/a%20b.html" in err.getvalue()) is styled
    assert "no [bold]such[/] file\n  help: name another\n" in err.getvalue()
    assert styled or "\x1b" not in out.getvalue() + err.getvalue()


def test_a_result_is_never_changed_and_its_parts_never_escape(monkeypatch):
    out = Terminal()
    console = Console(out)
    console.result('{"a": "\t[red]"}')
    assert out.getvalue() == '{"a": "\t[red]"}\n'
    console.result(("REFUSED", "bad"), " m\x1b]0;title\x07\r\u202e.bin")
    assert "m\\x1b]0;title\\x07\\r\\u202e.bin" in out.getvalue()


def test_a_long_result_is_left_for_the_terminal_to_wrap(monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    out = Terminal()
    Console(out).result(("x", "bold"), "y" * 100)
    assert out.getvalue().count("\n") == 1


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


def drawings(err):
    return err.getvalue().split("\r\x1b[2K")


def test_progress_says_how_far_it_is_but_not_too_often_and_starts_no_thread(monkeypatch, tmp_path):
    monkeypatch.setenv("COLUMNS", "80")
    (tmp_path / "m.bin").write_bytes(b"x" * 4000)
    err, clock, threads = Terminal(), Clock(), threading.active_count()
    with ProgressLine(Screen(err), [tmp_path / "m.bin"], clock) as line:
        line.step("freeze")
        for read in range(0, 4001, 40):
            clock.now += 0.05
            line.bytes_read(read)
        assert threading.active_count() == threads
    shown = drawings(err)
    assert "zt-gate: freeze …" in shown[0]
    assert 30 < len(shown) < 60
    assert "3.8/4.0 kB" in shown[-3]
    assert "/s" in shown[-3]
    assert err.getvalue().endswith("\x1b[2K")


@pytest.mark.parametrize("columns", [40, 60, 120])
def test_progress_of_several_paths_counts_bytes_and_fits_the_screen(monkeypatch, tmp_path, columns):
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setenv("NO_COLOR", "1")
    err, clock = Terminal(), Clock()
    with ProgressLine(Screen(err), [tmp_path, tmp_path], clock) as line:
        line.step("a step with a very long name that never ends")
        for second in range(1, 4):
            clock.now = second
            line.bytes_read(second * 3_000_000_000)
    shown = [part.split("\n")[0] for part in drawings(err)]
    assert "GB" in shown[-3]
    assert all(len(line.removeprefix("\x1b[?25l")) <= columns for line in shown[:-1])
    assert "%" not in shown[-3]


def test_a_dumb_terminal_shows_no_progress(monkeypatch):
    assert Console(io.StringIO(), Terminal()).terminal() is not None
    assert Console(io.StringIO(), io.StringIO()).terminal() is None
    monkeypatch.setenv("TERM", "dumb")
    assert Console(io.StringIO(), Terminal()).terminal() is None
