"""A first Ctrl-C waits for the work in hand, and a second one does not."""

import os
import signal
import threading

import pytest

from zt_gate.cli.common.interrupts import finished_first


def interrupted(done, *numbers):
    with finished_first():
        for number in numbers:
            os.kill(os.getpid(), number)
        done.append("work")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_waits(number):
    before, done = signal.getsignal(number), []
    with pytest.raises(KeyboardInterrupt):
        interrupted(done, number)
    assert done == ["work"]
    assert signal.getsignal(number) == before


def test_the_second_does_not():
    done = []
    with pytest.raises(KeyboardInterrupt):
        interrupted(done, signal.SIGINT, signal.SIGINT)
    assert done == []


def test_without_one_nothing_is_raised_and_errors_pass():
    with finished_first():
        pass
    with pytest.raises(ValueError, match="x"), finished_first():
        raise ValueError("x")
    assert signal.getsignal(signal.SIGINT) == signal.default_int_handler


def test_in_another_thread_it_changes_nothing():
    done = []

    def work():
        with finished_first():
            done.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [signal.default_int_handler]
