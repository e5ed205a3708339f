"""A real MLflow server on loopback, from an environment that the Makefile builds, with or without the gate in it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ENV2, NEWEST = ROOT / "build" / "env-mlflow2", ROOT / "build" / "env-mlflow-new"
ENV3 = ROOT / "build" / os.environ.get("ZT_GATE_MLFLOW_ENV", "env-mlflow3")
"""The MLflow that the tests of servers run; the variable names another environment, such as `env-mlflow-new`."""
ADMIN = ("admin", "a-long-password-of-the-admin")
_PATIENCE = 250


def demand(env):
    """Skip where an environment was not built; in CI it has to be there."""
    if not (env / "bin" / "mlflow").exists():
        if os.environ.get("CI"):
            pytest.fail(f"{env.name} was not built: make registry")
        pytest.skip(f"{env.name} is not built: make registry")


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@dataclass
class Server:
    """One server. `start` waits until it answers; `stop` ends it and its workers."""

    folder: Path
    env: Path = ENV3
    database: str = ""
    gated: bool = True
    app: str = ""
    workers: int = 1
    auth: bool = False
    default_permission: str = "READ"
    workspaces: bool = False
    variables: dict[str, str] = field(default_factory=dict)
    artifacts: Path | str | None = None
    direct: bool = False
    """Whether clients read and write artifacts past the server."""
    port: int = 0
    process: subprocess.Popen | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def destination(self) -> Path | str:
        return self.artifacts or self.folder / "artifacts"

    @property
    def uri(self) -> str:
        return self.database or f"sqlite:///{self.folder / 'mlflow.db'}"

    @property
    def log(self) -> Path:
        return self.folder / "server.log"

    def start(self) -> Server:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port = self.port or free_port()
        words = [
            str(self.env / "bin" / "mlflow"), "server", "--host", "127.0.0.1", "--port", str(self.port),
            "--workers", str(self.workers), "--backend-store-uri", self.uri,
        ]  # fmt: skip
        direct = ["--no-serve-artifacts", "--default-artifact-root"]
        words += [*(direct if self.direct else ["--artifacts-destination"]), str(self.destination)]
        if self.gated:
            words += ["--registry-store-uri", f"ztgate+{self.uri}"]
        if self.app:
            words += ["--app-name", self.app]
        words = [*self.user(), *words]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                words, cwd=self.folder, env=self.environment(), stdout=log, stderr=log, start_new_session=True
            )
        self._wait()
        return self

    @staticmethod
    def user() -> list[str]:
        """Return the words before a command that make root another user, whose files these are.

        Root seals nothing in a folder, and nothing is read-only to it.
        """
        return ["unshare", "--user", "--map-user=1000", "--map-group=1000"] if os.geteuid() == 0 else []

    def environment(self) -> dict[str, str]:
        path = f"{self.env / 'bin'}:{os.environ['PATH']}"
        values = {"PATH": path, "HOME": str(self.folder), "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "1"}
        values["PYTHONPATH"] = str(ROOT)  # the code of this tree, wherever the environment was built
        values["ZT_GATE_SEALED"] = str(self.folder / "sealed")
        values |= {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "OMP_NUM_THREADS": "1"}
        if self.workspaces:
            values["MLFLOW_ENABLE_WORKSPACES"] = "true"
        if self.auth:
            values |= {
                "MLFLOW_FLASK_SERVER_SECRET_KEY": "a-secret-for-tests-only",
                "MLFLOW_AUTH_ADMIN_PASSWORD": ADMIN[1],
                "MLFLOW_AUTH_CONFIG_PATH": str(self._auth_config()),
            }
        return values | self.variables

    def _auth_config(self) -> Path:
        path = self.folder / "auth.ini"
        path.write_text(
            f"[mlflow]\ndefault_permission = {self.default_permission}\n"
            f"database_uri = sqlite:///{self.folder / 'auth.db'}\nadmin_username = {ADMIN[0]}\n"
            f"admin_password = {ADMIN[1]}\n"
            "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
        )
        return path

    def _wait(self) -> None:
        until = time.monotonic() + _PATIENCE
        while time.monotonic() < until:
            if self.process is None or self.process.poll() is not None:
                break
            try:
                with urllib.request.urlopen(f"{self.url}/health", timeout=5):
                    return
            except (OSError, urllib.error.URLError):
                time.sleep(0.2)
        raise AssertionError(f"the server did not start:\n{self.tail()}")

    def tail(self) -> str:
        return self.log.read_text(errors="replace")[-6000:] if self.log.exists() else ""

    def kill(self) -> None:
        """End every process of it at once, as a power failure does."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    def stop(self) -> None:
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGTERM)
            try:
                self.process.wait(15)
            except subprocess.TimeoutExpired:
                self.kill()
            self.process = None
