"""Two roads that were open once, through real servers of both MLflows, by requests and by MLflow's own client.

1. What calls itself a prompt was exempt. 2. A client resolves and downloads in two requests, and a model of another
name could take the place in between.
"""

import os
import sqlite3
import subprocess
import threading
import time

import pytest

from tests.support.mlflow_server import ADMIN, ENV2, ENV3
from tests.support.registry_roads import PLACEHOLDERS, PROMPT, TEXT, exemptions, rename, unmark
from tests.support.registry_site import Registry, refused, write_model


class Place:
    """One server, and what its client needs."""

    def __init__(self, registry, server, env, auth):
        self.registry, self.server, self.env, self.auth = registry, server, env, auth

    def model(self, folder, name):
        """Make a version of what is in a folder; of a run, which both MLflows know."""
        registry = self.registry
        run = registry.must("POST", "runs/create", {"experiment_id": "0"})["run"]["info"]
        registry.put(folder, f"{run['artifact_uri']}/model")
        return registry.version(name, f"{run['artifact_uri']}/model", run_id=run["run_id"])

    def python(self, code, *words, wait=True):
        """Run code with the MLflow of the server's own version, as a client of it."""
        values = {"MLFLOW_TRACKING_URI": self.server.url, "PATH": os.environ["PATH"], "HOME": str(self.server.folder)}
        if self.auth:
            values |= {"MLFLOW_TRACKING_USERNAME": self.auth[0], "MLFLOW_TRACKING_PASSWORD": self.auth[1]}
        values |= {"MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
        made = subprocess.Popen(
            [self.env / "bin" / "python", "-c", code, *words],
            env=values,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        if not wait:
            return made
        out, errors = made.communicate(timeout=240)
        assert made.returncode == 0, errors[-3000:]
        return out


@pytest.fixture(scope="module", params=["3.17.2", "2.22.5"])
def place(request):
    if request.param == "3.17.2":
        server = request.getfixturevalue("server")
        return Place(request.getfixturevalue("admin"), server, ENV3, ADMIN)
    server = request.getfixturevalue("old_server")
    return Place(Registry(server.url), server, ENV2, None)


def sql(place, text):
    """Run a statement that the triggers refuse, as the owner of the database, who can take them away for a moment."""
    with sqlite3.connect(place.server.folder / "mlflow.db", timeout=30) as connection:
        with pytest.raises(sqlite3.IntegrityError, match="zt-gate"):
            connection.execute(text)
        query = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'zt_gate_%'"
        triggers = connection.execute(query).fetchall()
        assert triggers
        for name, _ in triggers:
            connection.execute(f"DROP TRIGGER {name}")
        connection.execute(text)
        for _, made in triggers:
            connection.execute(made)
    connection.close()


def test_what_calls_itself_a_prompt_is_not_exempt(place, record_property):
    answers = dict(exemptions(place.registry))
    through = [what for what, answer in answers.items() if answer.status_code == 200]
    record_property("exempt", f"{len(through)} of {len(answers)}")
    assert through == []


@pytest.mark.parametrize("source", PLACEHOLDERS)
def test_sql_exempts_nothing_either(place, site, tmp_path, source):
    registry, name = place.registry, f"sql-{source}"
    folder = write_model(tmp_path / name, f"sql {place.env} {source}".encode())
    version = place.model(folder, name)
    assert registry.bring(name, version, site.summary(folder)).status_code == 200
    assert registry.set_alias(name, "champion", version).status_code == 200
    assert registry.resolve(name, "champion").status_code == 200
    sql(place, f"UPDATE model_versions SET source = '{source}' WHERE name = '{name}'")
    refused(registry.resolve(name, "champion"))
    refused(registry.location(name, version))


PROMPTS = """
import sys
import mlflow
from mlflow import MlflowClient
api = mlflow.genai if hasattr(getattr(mlflow, "genai", None), "register_prompt") else mlflow
for name in sys.argv[1:]:
    for template in ("Say {{x}}", "Say it twice: {{x}}"):
        made = api.register_prompt(name=name, template=template)
    MlflowClient().set_prompt_alias(name, "production", int(made.version))
    for uri in (f"prompts:/{name}@production", f"prompts:/{name}/2"):
        print(api.load_prompt(uri).template)
    source = MlflowClient()._get_registry_client().get_model_version(name, "2").source
    print(source in ("dummy-source", "prompt-template"))
"""


def test_real_prompts_work_in_every_name(place):
    told = place.python(PROMPTS, "greeting", "prod.greeting").split("\n")
    assert [line for line in told if line] == ["Say it twice: {{x}}", "Say it twice: {{x}}", "True"] * 2
    body = {"name": "prod.greeting", "key": PROMPT["key"]}
    refused(place.registry.call("DELETE", "registered-models/delete-tag", body))


def test_a_prompt_of_the_ui_works_too(place):
    registry = place.registry
    registry.must("POST", "registered-models/create", {"name": "ui", "tags": [PROMPT]})
    for source in PLACEHOLDERS:
        registry.must("POST", "model-versions/create", {"name": "ui", "source": source, "tags": [PROMPT, TEXT]})
    assert registry.set_alias("ui", "champion", "1").status_code == 200
    assert registry.set_alias("ui", "prod", "2").status_code == 200
    assert registry.resolve("ui", "prod").json()["model_version"]["version"] == "2"


CLIENT = """
import sys
import tempfile
import time
import mlflow
good = bad = refused = 0
until = time.monotonic() + 60
for _ in range(int(sys.argv[2])):
    if time.monotonic() > until:
        break
    try:
        with tempfile.TemporaryDirectory() as folder:
            got = mlflow.artifacts.download_artifacts(artifact_uri=sys.argv[1], dst_path=folder)
            with open(got + "/weights.txt") as file:
                text = file.read()
        good, bad = (good, bad + 1) if "evil" in text else (good + 1, bad)
    except Exception:
        refused += 1
print(good, bad, refused)
"""
ROUNDS = 40
"""At most; a busy machine manages fewer in the minute that the client takes."""


def a_pair(place, site, tmp_path, name):
    """Return a promoted model and one that never was, which wants its place."""
    registry = place.registry
    good = write_model(tmp_path / name, f"good {name} {place.env}".encode())
    version = place.model(good, name)
    assert registry.bring(name, version, site.summary(good)).status_code == 200
    assert registry.set_alias(name, "champion", version).status_code == 200
    place.model(write_model(tmp_path / f"evil-{name}", f"evil {name} {place.env}".encode()), f"evil-{name}")


@pytest.mark.parametrize("first", ["nothing", "the alias is taken away"])
def test_between_resolve_and_download_the_name_serves_no_other_bytes(place, site, tmp_path, first):
    registry, name = place.registry, "between" if first == "nothing" else "between-unmarked"
    a_pair(place, site, tmp_path, name)
    version = registry.resolve(name, "champion").json()["model_version"]["version"]
    if first != "nothing":
        assert unmark(registry, name).ok
    assert rename(registry, name, f"{name}-away").ok is (first != "nothing")
    rename(registry, f"evil-{name}", name)
    answer = registry.location(name, version)
    if first == "nothing":
        assert registry.download(answer.json()["artifact_uri"], "weights.txt").content.startswith(b"good")
    else:
        assert "another version of this name" in refused(answer)


def renamed_in_a_loop(place, name, stop, done, *, unmarked):
    """Swap the two models as fast as the server lets us, and put them back."""
    registry = Registry(place.server.url, place.auth)
    while not stop.is_set():
        if unmarked:
            unmark(registry, name)
        if rename(registry, name, f"{name}-away").ok:
            done.append(name)
        for old, new in ((f"evil-{name}", name), (name, f"evil-{name}"), (f"{name}-away", name)):
            rename(registry, old, new)
        if unmarked:
            registry.set_alias(name, "champion", "1")
        time.sleep(0.02)


@pytest.mark.parametrize("unmarked", [False, True])
def test_a_client_never_gets_other_bytes_while_names_change(place, site, tmp_path, unmarked, record_property):
    name = f"race-{unmarked}".lower()
    a_pair(place, site, tmp_path, name)
    stop, done = threading.Event(), []
    words = [f"models:/{name}@champion", str(ROUNDS)]
    racers = [threading.Thread(target=renamed_in_a_loop, args=(place, name, stop, done), kwargs={"unmarked": unmarked})]
    client = place.python(CLIENT, *words, wait=False)
    try:
        for racer in racers:
            racer.start()
        out, errors = client.communicate(timeout=240)
    finally:
        stop.set()
        for racer in racers:
            racer.join()
    assert client.returncode == 0, errors[-2000:]
    good, bad, closed = (int(number) for number in out.split()[-3:])
    counts = f"{len(done)} renames; {good} good, {bad} of other bytes, {closed} refused"
    record_property("downloads", counts)
    assert bad == 0, counts
    assert good + closed > 0, counts
    if not unmarked:
        assert (closed, done) == (0, []), counts
