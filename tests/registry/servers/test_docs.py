"""docs/mlflow.md, typed as it stands into a shell in an empty folder, with a folder and with a bucket."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from tests.support.mlflow_server import ENV3, ROOT, demand
from tests.support.s3_store import running

DOCS = (ROOT / "docs" / "mlflow.md").read_text()
SECTION = DOCS.split("## Try it in an empty folder", 1)[1].split("\n## ", 1)[0]
INSTALL = re.compile(r"^python3 -m venv .*\n", re.MULTILINE)
"""The one line that is left out: the environment is there already."""


def blocks(kind):
    return re.findall(rf"^```{kind}\n(.*?)^```$", SECTION, re.DOTALL | re.MULTILINE)


PORT = 5000
PATIENCE = 30
"""How many seconds a server that was killed may still hold its port."""


def is_taken(port):
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def demand_free(port):
    if is_taken(port):
        pytest.fail(f"something else listens on port {port}, which the page uses")


def processes(home):
    """Return the processes whose HOME this is: all that a script has started, in whatever session they are."""
    mine = f"\0HOME={home}\0".encode()
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if mine in b"\0" + (place / "environ").read_bytes():
                yield int(place.name)


def end(home):
    """Kill what a script has started. Only the shell is a child of this process, so the port says when all is over."""
    until = time.monotonic() + PATIENCE
    while (left := list(processes(home))) or is_taken(PORT):
        if time.monotonic() > until:
            pytest.fail(f"port {PORT} is not free {PATIENCE} s after the page's server was killed; left: {left}")
        for process in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        time.sleep(0.1)


def typed(script, folder, variables):
    """Run a script as a user who is not root, and return what it printed; the server that it starts is ended.

    The next test may use the same port at once.
    """
    words = ["bash", "-e", "-c", script]
    if os.geteuid() == 0:
        words = ["unshare", "--user", "--map-user=1000", "--map-group=1000", *words]
    environment = {
        "PATH": f"{ENV3 / 'bin'}:{os.environ['PATH']}", "HOME": str(folder), "PYTHONPATH": str(ROOT),
        "DO_NOT_TRACK": "1", "OMP_NUM_THREADS": "1",
    } | variables  # fmt: skip
    shell = subprocess.Popen(
        words, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    )  # fmt: skip
    try:
        # The server of the page keeps the pipe open, so the end of the script is told by a line.
        printed = []
        for line in shell.stdout:
            printed.append(line)
            if line == "end of the page\n":
                break
        log = folder / "server.log"
        assert printed[-1:] == ["end of the page\n"], "".join(printed) + (log.read_text() if log.exists() else "")
        return "".join(printed)
    finally:
        end(folder)
        shell.wait()


def demand_promoted(printed):
    refused = re.search("zt-gate: alias @champion on models:/iris/1 refused: (.*)", printed)
    assert refused is not None, printed
    assert "no verdict for the stage production" in refused[1]
    assert "PROMOTED  models:/iris/1 → @champion" in printed
    assert "LogisticRegression(max_iter=500)" in printed
    assert "✗" not in printed, printed


def page(*before, **changed):
    first, *others = blocks("bash")
    assert len(others) >= 3
    assert INSTALL.search(first)
    script = "\n".join([INSTALL.sub("", first), *before, *others, "echo end of the page"])
    for old, new in changed.values():
        assert script.count(old) == 1
        script = script.replace(old, new)
    return script


def test_the_page_works_with_a_folder(tmp_path):
    demand(ENV3)
    demand_free(PORT)
    demand_promoted(typed(page(), tmp_path, {}))
    assert len(list((tmp_path / "sealed").glob("sha256-*"))) == 1
    assert "promotion.done" in (tmp_path / "audit.jsonl").read_text()


def test_the_page_works_with_a_bucket(tmp_path):
    """The page leaves to the reader where the server's artifacts go, and moto has to be named to `aws`."""
    demand(ENV3)
    demand_free(PORT)
    store = running("moto")
    [bucket] = blocks("bash s3")
    variables = store.environment | {"AWS_ENDPOINT_URL": store.url, "MLFLOW_S3_ENDPOINT_URL": store.url}
    changed = {
        "artifacts": ("--artifacts-destination ./artifacts", "--artifacts-destination s3://mlflow-artifacts/root"),
        "sealed": ("ZT_GATE_SEALED=$PWD/sealed ", ""),
    }
    demand_promoted(typed(page(bucket, **changed), tmp_path, variables))
    keys = [item["Key"] for item in store.client.list_objects_v2(Bucket="sealed-models")["Contents"]]
    assert sum(key.endswith("/MLmodel") for key in keys) == 1
    assert not (tmp_path / "artifacts").exists()
