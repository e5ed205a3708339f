"""The benchmark's driver gives the answers that the scanner's own console script gives."""

import sys
from pathlib import Path

import pytest

from zt_gate.corpus.opcodes import call, program, stack_name

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
peers = pytest.importorskip("peers", reason="the benchmarks are not part of this package")


@pytest.fixture
def files(tmp_path):
    (tmp_path / "good.pkl").write_bytes(program(call(stack_name("collections", "OrderedDict"))))
    (tmp_path / "evil.pkl").write_bytes(program(call(stack_name("os", "system"))))
    (tmp_path / "odd.bin").write_bytes(b"\xfe" * 64)
    return tmp_path


@pytest.fixture
def driver(files):
    made = peers.Driver(peers.TOOLS[0], files, [files / "good.pkl"])
    yield made
    made.close()


def test_a_fork_answers_as_a_process_does(files, driver):
    tool, whole = peers.TOOLS[0], peers.WholeProcess(peers.TOOLS[0], files)
    for name, word in (
        ("good.pkl", "silent"),
        ("evil.pkl", "flagged"),
        ("odd.bin", "blocked"),
        ("none.pkl", "blocked"),
    ):
        said, run = peers.answer(tool, driver, files / name, 60)
        told, process = peers.answer(tool, whole, files / name, 60)
        assert (said, run.code) == (told, process.code)
        assert said == word


def test_a_case_that_takes_too_long_is_ended_and_the_next_one_answered(files, driver):
    said, run = peers.answer(peers.TOOLS[0], driver, files / "evil.pkl", 0.0)
    assert (said, run.timed_out) == ("blocked", True)
    assert peers.answer(peers.TOOLS[0], driver, files / "evil.pkl", 60)[0] == "flagged"


def test_a_report_that_is_a_traceback_names_nothing():
    assert not peers._names_something(b"Traceback")
    assert not peers._names_something(b'{"reasons": [{"code": "uncovered"}]}')
