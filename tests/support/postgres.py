"""A PostgreSQL of Debian's package, started by the test run in a folder of its own, by a user without privileges."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Self

import pytest

from tests.support.mlflow_server import free_port

_PATIENCE = 60


def binaries() -> Path:
    """Return the folder of PostgreSQL's programs; skip where there is none, and fail in CI."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    if not found:
        if os.environ.get("CI"):
            pytest.fail("PostgreSQL is not installed")
        pytest.skip("PostgreSQL is not installed: apt-get install postgresql")
    return found[-1].parent


class Postgres:
    """One cluster on loopback, without a password, for as long as the context lasts."""

    def __init__(self) -> None:
        self._programs = binaries()
        self.port = free_port()
        self._as = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []

    @property
    def uri(self) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.port}/postgres"

    def __enter__(self) -> Self:
        self.folder = Path(tempfile.mkdtemp(prefix="zt-gate-postgres-", dir="/tmp"))
        if self._as:
            shutil.chown(self.folder, "postgres")
        data = self.folder / "data"
        self._run("initdb", "--pgdata", data, "--username", "postgres", "--auth", "trust", "--no-sync")
        words = [*self._as, self._programs / "postgres", "-D", data, "-p", str(self.port), "-h", "127.0.0.1"]
        words += ["-k", self.folder, "-c", "fsync=off", "-c", "max_connections=120"]
        self.process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=self.folder)
        until = time.monotonic() + _PATIENCE
        ready = [self._programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        while time.monotonic() < until:
            if subprocess.run(ready, check=False).returncode == 0:
                return self
            time.sleep(0.2)
        raise AssertionError("PostgreSQL did not start")

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def stop(self) -> None:
        self._run("pg_ctl", "stop", "-m", "immediate", "-D", self.folder / "data", check=False)
        self.process.wait(20)

    def sql(self, text: str, database: str = "postgres") -> subprocess.CompletedProcess[str]:
        """Run SQL as the owner of the database, past every server."""
        words = [self._programs / "psql", "-h", "127.0.0.1", "-p", str(self.port), "-U", "postgres", "-d", database]
        return subprocess.run(
            [*words, "-v", "ON_ERROR_STOP=1", "-c", text], capture_output=True, text=True, check=False
        )

    def _run(self, program: str, *words: object, check: bool = True) -> None:
        told = [*self._as, self._programs / program, *map(str, words)]
        subprocess.run(told, check=check, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/tmp")
