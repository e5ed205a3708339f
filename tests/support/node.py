"""Packages of npm that tests borrow, pinned by a lock file and installed once under build/."""

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def lacking(what):
    """Skip a test on somebody's machine; in CI, where everything is installed, a missing part is a failure."""
    if os.environ.get("CI"):
        pytest.fail(what)
    pytest.skip(what)


def packages(name, timeout=180):
    """Return the folder in which the packages of `tests/support/NAME` are installed."""
    pinned, installed = ROOT / "tests" / "support" / name, ROOT / "build" / "npm" / name
    if shutil.which("node") is None or shutil.which("npm") is None:
        lacking("node and npm are not installed")
    installed.parent.mkdir(parents=True, exist_ok=True)
    # The tests of one file are shared out among workers: the second waits, instead of emptying what the first fills.
    with installed.with_suffix(".lock").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        _install(name, pinned, installed, timeout)
    return installed


def _install(name, pinned, installed, timeout):
    lock = (pinned / "package-lock.json").read_bytes()
    if (installed / "done").is_file() and (installed / "done").read_bytes() == lock:
        return
    shutil.rmtree(installed, ignore_errors=True)
    installed.mkdir()
    for file in ("package.json", "package-lock.json"):
        shutil.copy(pinned / file, installed / file)
    command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    try:
        done = subprocess.run(command, cwd=installed, capture_output=True, text=True, timeout=timeout, check=False)
    except subprocess.TimeoutExpired:
        lacking(f"npm did not fetch {name} within {timeout} seconds")
    if done.returncode:
        lacking(f"npm cannot fetch {name}: {done.stderr.strip()[:200]}")
    (installed / "done").write_bytes(lock)


def chromium():
    """Return the path of Chromium."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    return found or lacking("chromium is not installed")
