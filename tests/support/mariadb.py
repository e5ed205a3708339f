"""A MariaDB of Debian's package, started by the test run in a folder of its own, by a user without privileges."""

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
_SERVER = Path("/usr/sbin/mariadbd")


class MariaDb:
    """One server on loopback, whose `root` has no password, for as long as the context lasts.

    Args:
        options: more words for the server.
    """

    def __init__(self, *options: str) -> None:
        if not _SERVER.exists():
            if os.environ.get("CI"):
                pytest.fail("MariaDB is not installed")
            pytest.skip("MariaDB is not installed: apt-get install mariadb-server")
        self._options = options
        self.port = free_port()
        self._as = ["runuser", "-u", "mysql", "--"] if os.geteuid() == 0 else []

    @property
    def uri(self) -> str:
        return self.uri_of("root")

    def uri_of(self, user: str, database: str = "mlflow") -> str:
        return f"mysql+pymysql://{user}@127.0.0.1:{self.port}/{database}"

    def __enter__(self) -> Self:
        self.folder = Path(tempfile.mkdtemp(prefix="zt-gate-mariadb-", dir="/tmp"))
        if self._as:
            shutil.chown(self.folder, "mysql")
        data = self.folder / "data"
        install = [
            "mariadb-install-db",
            "--no-defaults",
            f"--datadir={data}",
            "--auth-root-authentication-method=normal",
        ]
        subprocess.run([*self._as, *install], check=True, capture_output=True, cwd="/tmp")
        words = [*self._as, str(_SERVER), "--no-defaults", f"--datadir={data}", f"--socket={self.folder / 'socket'}"]
        words += [f"--port={self.port}", "--bind-address=127.0.0.1", f"--pid-file={self.folder / 'pid'}"]
        words += ["--innodb-flush-method=nosync", "--innodb-doublewrite=0", "--skip-name-resolve", *self._options]
        with (self.folder / "log").open("wb") as log:
            self.process = subprocess.Popen(words, stdout=log, stderr=log, cwd=self.folder)
        until = time.monotonic() + _PATIENCE
        while time.monotonic() < until and self.process.poll() is None:
            if self.sql("CREATE DATABASE IF NOT EXISTS mlflow", database="").returncode == 0:
                return self
            time.sleep(0.2)
        raise AssertionError(f"MariaDB did not start:\n{(self.folder / 'log').read_text()[-3000:]}")

    def __exit__(self, *_: object) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def stop(self) -> None:
        self.process.kill()  # an orderly end would write out data that is thrown away
        self.process.wait(60)

    def sql(self, text: str, database: str = "mlflow") -> subprocess.CompletedProcess[str]:
        """Run SQL as `root`, past every server."""
        return self._run("mariadb", "-N", "-B", "-e", text, database)

    def copy(self, name: str) -> None:
        """Make a database as `mlflow` is now."""
        dump = self._run("mariadb-dump", "mlflow").stdout
        assert self.sql(f"CREATE DATABASE {name}").returncode == 0
        done = self._run("mariadb", name, stdin=f"SET foreign_key_checks = 0;{dump}")
        assert done.returncode == 0, done.stderr

    def _run(self, program: str, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        told = [program, "--no-defaults", "-h", "127.0.0.1", "-P", str(self.port), "-u", "root", *words]
        return subprocess.run(told, input=stdin, capture_output=True, text=True, check=False)
