"""A block at `promote` reaches a real server and counts there: by its exit code, and by Ctrl-C after the verdict."""

import os
import signal
import subprocess
import sys
import time

import pytest

from tests.support.mlflow_server import ADMIN
from tests.support.registry_site import GATE, refused, write_model
from zt_gate.trust.signatures.keys import write_pair


@pytest.fixture
def promote(admin, server, site, tmp_path):
    """Return a function that starts the command; `strict` asks for a signature that nobody made."""
    write_pair(tmp_path / "keys", "gate", GATE)
    text = site.policy.read_text()
    strict = text.replace("production: {checks", "production: {signature: {by: [gate]}, checks")
    assert strict != text
    (tmp_path / "strict.yaml").write_text(strict)
    version = admin.register(write_model(tmp_path / "m", b"blocks"), "blocks")
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "MLFLOW_TRACKING_URI": server.url}
    environment |= {"MLFLOW_TRACKING_USERNAME": ADMIN[0], "MLFLOW_TRACKING_PASSWORD": ADMIN[1]}
    words = [sys.executable, "-P", "-m", "zt_gate", "promote", f"models:/blocks/{version}", "--alias", "champion"]
    words += ["--summary-key", str(tmp_path / "keys" / "gate.key"), "--audit-log", str(tmp_path / "log.jsonl")]

    def start(policy, *more):
        time.sleep(1.1)  # verdicts are dated to the second, and of two of one second the block counts
        command = [*words, "--policy", str(policy), *more]
        return subprocess.Popen(
            command, cwd=tmp_path, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )

    return start


def ended(process):
    _, errors = process.communicate(timeout=120)
    assert b"Traceback" not in errors
    return process.returncode


def test_a_block_counts_on_the_server(promote, admin, site, tmp_path):
    strict = tmp_path / "strict.yaml"
    assert ended(promote(site.policy)) == 0
    assert admin.resolve("blocks", "champion").status_code == 200
    assert ended(promote(strict, "--dry-run")) == 1
    assert admin.resolve("blocks", "champion").status_code == 200
    assert ended(promote(strict)) == 1
    assert "blocked this release" in refused(admin.resolve("blocks", "champion"))
    assert ended(promote(site.policy)) == 0
    assert admin.resolve("blocks", "champion").status_code == 200
    # Stopped as soon as the verdict is to be seen, which is before or while the server gets it.
    process = promote(strict, "--out", str(tmp_path / "out"))
    until = time.monotonic() + 60
    while not (tmp_path / "out" / "verdict.json").exists():
        assert time.monotonic() < until
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    assert ended(process) == 2
    assert "blocked this release" in refused(admin.resolve("blocks", "champion"))
