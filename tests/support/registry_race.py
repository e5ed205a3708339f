"""A race: MLflow's own client loads an alias while an editor renames, deletes and remakes the model under it."""

from __future__ import annotations

import json
import os
import subprocess
import threading
from collections import Counter
from contextlib import suppress
from pathlib import Path

import requests

from tests.support.mlflow_server import Server
from tests.support.registry_site import Registry, Site, write_model

GOOD, EVIL = b"admitted", b"evil"
CLIENT = """
import json, sys, tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
import logging
logging.disable(logging.CRITICAL)
from mlflow.artifacts import download_artifacts

def load(_):
    with tempfile.TemporaryDirectory() as folder:
        try:
            place = download_artifacts("models:/race@champion", dst_path=folder)
        except Exception as error:
            return "refused: " + type(error).__name__
        return (Path(place) / "weights.txt").read_bytes().decode()

with ThreadPoolExecutor(int(sys.argv[2])) as pool:
    print("@" + json.dumps(Counter(pool.map(load, range(int(sys.argv[1]))))))
"""


def race(server: Server, site: Site, folder: Path, loads: int, *, processes: int = 2, threads: int = 4) -> Counter[str]:
    """Return how often a load gave which bytes, or was refused, and how many rounds the editor made (`rounds`)."""
    registry = Registry(server.url)
    good, evil = write_model(folder / "good", GOOD), write_model(folder / "evil", EVIL)
    registry.register(good, "race")
    _, other = registry.logged(evil)
    assert registry.bring("race", "1", site.summary(good)).status_code == 200
    assert registry.set_alias("race", "champion", "1").status_code == 200
    done, rounds = threading.Event(), [0]
    editor = threading.Thread(target=_edit, args=(server.url, other, done, rounds))
    editor.start()
    try:
        words = [str(server.env / "bin" / "python"), "-c", CLIENT, str(loads // processes), str(threads)]
        values = {"MLFLOW_TRACKING_URI": server.url, "PATH": os.environ["PATH"], "HOME": str(folder)}
        values |= {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
        pipe = subprocess.PIPE
        clients = [subprocess.Popen(words, env=values, stdout=pipe, stderr=pipe, text=True) for _ in range(processes)]
        found: Counter[str] = Counter()
        for client in clients:
            out, errors = client.communicate(timeout=3600)
            assert "@" in out, errors[-3000:]
            found.update(json.loads(out.rpartition("@")[2]))
    finally:
        done.set()
        editor.join()
    return found + Counter(rounds=rounds[0])


def _edit(url: str, other: str, done: threading.Event, rounds: list[int]) -> None:
    """Put another model in the place of `race`, and back, as fast as the API allows."""
    registry = Registry(url)

    def ask(verb: str, path: str, **body: str) -> None:
        with suppress(requests.RequestException):
            registry.call(verb, path, body)

    while not done.is_set():
        ask("POST", "registered-models/rename", name="race", new_name="away")  # refused while it is marked
        ask("DELETE", "registered-models/alias", name="race", alias="champion")
        ask("POST", "registered-models/rename", name="race", new_name="away")
        ask("POST", "registered-models/create", name="race")
        ask("POST", "model-versions/create", name="race", source=other)
        ask("POST", "registered-models/alias", name="race", alias="champion", version="1")
        ask("DELETE", "registered-models/delete", name="race")
        ask("POST", "registered-models/rename", name="race", new_name="away-2")
        ask("POST", "registered-models/rename", name="away", new_name="race")
        ask("POST", "registered-models/alias", name="race", alias="champion", version="1")
        rounds[0] += 1
