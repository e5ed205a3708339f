"""Packages of npm that tests borrow, pinned by a lock file and installed once under build/."""

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
    lock = (pinned / "package-lock.json").read_bytes()
    if not (installed / "done").is_file() or (installed / "done").read_bytes() != lock:
        shutil.rmtree(installed, ignore_errors=True)
        installed.mkdir(parents=True)
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
    return installed


def chromium():
    """Return the path of Chromium."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    return found or lacking("chromium is not installed")
