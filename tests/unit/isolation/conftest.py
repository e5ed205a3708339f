"""What every test of a child process checks at its end: no zombie, no leaked descriptor."""

import os
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _nothing_left_behind():
    def held():
        children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
        return children, len(os.listdir("/proc/self/fd"))

    before = held()
    yield
    assert held() == before
