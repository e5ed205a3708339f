"""A few at a time, in order, and nothing new after an error."""

import threading
import time

import pytest

from zt_gate.intake.places.threads import in_threads


def test_results_come_in_the_order_of_the_items():
    def late(number):
        time.sleep(0.01 if number % 3 == 0 else 0)
        return number * 2

    assert in_threads(late, range(100), 4) == [number * 2 for number in range(100)]
    assert in_threads(late, [], 4) == []


def test_items_are_taken_only_as_they_are_needed():
    taken, done = 0, 0
    lock = threading.Lock()
    most = 0

    def items():
        nonlocal taken, most
        for number in range(500):
            taken += 1
            most = max(most, taken - done)
            yield number

    def work(number):
        nonlocal done
        with lock:
            done += 1

    in_threads(work, items(), 3)
    assert taken == done == 500
    assert most <= 4 * 3 + 1


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt])
def test_an_error_ends_it(kind):
    begun = []

    def work(number):
        begun.append(number)
        if number == 5:
            raise kind("five")

    with pytest.raises(kind):
        in_threads(work, range(10_000), 2)
    assert len(begun) < 50
