"""Fixtures that every kind of test may use."""

from __future__ import annotations

import atexit
import os
import shutil
import signal
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "default",
    # Repeated examples find nothing new, so CI draws fewer.
    max_examples=int(os.environ.get("ZT_GATE_FUZZ", "40" if os.environ.get("CI") else "100")),
    deadline=None,
    # CI repeats itself, so that a landing never fails on luck; everywhere else, and under make fuzz, luck is wanted.
    derandomize=bool(os.environ.get("CI")),
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("default")
# Where a user's own key of journals lies: never in the folder of whoever runs the tests.
os.environ["XDG_STATE_HOME"] = tempfile.mkdtemp(prefix="zt-gate-state-")
atexit.register(shutil.rmtree, os.environ["XDG_STATE_HOME"], ignore_errors=True)
# A shell starts what it puts into the background with Ctrl-C ignored, and every child would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture
def make_tree(tmp_path):
    """Write files given as {path: bytes} and return the folder."""

    def make(files: dict[str, bytes], name: str = "model") -> Path:
        root = tmp_path / name
        root.mkdir(exist_ok=True)
        for path, data in files.items():
            target = root / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(data)
        return root

    return make
