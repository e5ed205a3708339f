"""One combination of MLflow, database, place of sealed copies and way to the artifacts, as a real server."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from tests.support.databases import Registry as Database
from tests.support.databases import sqlite_at
from tests.support.mlflow_server import ADMIN, ENV2, ENV3, NEWEST, Server, demand
from tests.support.registry_client import LOADABLE, Client
from tests.support.registry_people import person
from tests.support.registry_roads import Version
from tests.support.registry_site import Registry, Site, write_model
from tests.support.s3_places import random_root
from tests.support.s3_store import S3Store, running

ENVIRONMENTS = {"3.17.2": ENV3, "2.22.5": ENV2, "3.18.0": NEWEST}
GOOD, EVIL = "admitted", "evil"
"""What the weights of an admitted model say, and of every other one."""


@dataclass(frozen=True)
class Cell:
    """A combination.

    Args:
        place: of the sealed copies, and of the artifacts as well: `folder`, or a store of `s3_store.STORES`.
    """

    mlflow: str
    database: str
    place: str
    direct: bool

    def __str__(self) -> str:
        return f"{self.mlflow}-{self.database}-{self.place}-{'direct' if self.direct else 'proxied'}"


@dataclass
class Tally:
    """What came of the roads of one cell."""

    tried: int = 0
    wrong: list[str] = field(default_factory=list)
    unaudited: list[str] = field(default_factory=list)
    """Roads that gave bytes which nobody admitted."""

    def expect(self, road: str, right: bool, told: object = "") -> None:
        self.tried += 1
        if not right:
            self.wrong.append(f"{road}: {str(told)[:300]}")

    def refused(self, road: str, answer: Any, *statuses: int) -> None:
        self.expect(road, answer.status_code in (statuses or (403,)), f"{answer.status_code} {answer.text}")

    def allowed(self, road: str, answer: Any) -> None:
        self.expect(road, answer.status_code == 200, f"{answer.status_code} {answer.text}")

    def gave(self, road: str, text: str, *, closed: bool = False, may_fail: bool = False) -> None:
        """Record the bytes that a reader got, empty where it got none.

        Where it is `closed`, none may come; where it `may_fail`, the admitted ones or none.
        """
        if text and text != GOOD:
            self.unaudited.append(road)
        self.expect(road, (not text) if closed else text == GOOD or (may_fail and not text), text or "nothing")


class Running:
    """A cell's server, its people, its policy, and MLflow's own client of it."""

    def __init__(self, cell: Cell, folder: Path, database: Database | None) -> None:
        demand(ENVIRONMENTS[cell.mlflow])
        self.cell, self.folder = cell, folder
        self.site = Site(folder / "site", "  trigger: true")
        self.store: S3Store | None = None if cell.place == "folder" else running(cell.place)
        variables, artifacts = self.site.variables | {"ZT_GATE_BASIC_AUTH": "1"}, ""
        if self.store is not None:
            self.artifacts, self.bucket = self.store.bucket(), self.store.bucket()
            self.root, artifacts = random_root(self.bucket), f"s3://{self.artifacts}/root"
            variables |= self.store.environment | {"ZT_GATE_SEALED": self.root}
        self.server = Server(
            folder / "server", env=ENVIRONMENTS[cell.mlflow], database=self._uri(database), app="ztgate",
            workers=2, auth=True, default_permission="NO_PERMISSIONS", variables=variables, artifacts=artifacts or None,
            direct=cell.direct,
        )  # fmt: skip
        self.database = database or sqlite_at(self.server.folder / "mlflow.db")

    def _uri(self, database: Database | None) -> str:
        uri = database.uri if database else ""
        # MLflow 2 compares numbers with texts, which the newer driver does not.
        return uri.replace("+psycopg:", "+psycopg2:") if self.cell.mlflow.startswith("2.") else uri

    def __enter__(self) -> Self:
        self._stack = ExitStack()
        self._stack.callback(self.server.stop)
        self.server.start()
        login = {"MLFLOW_TRACKING_USERNAME": ADMIN[0], "MLFLOW_TRACKING_PASSWORD": ADMIN[1]}
        self.client = self._stack.enter_context(
            Client(self.server, login | (self.store.environment if self.store else {}))
        )
        self.reader, self.stranger = (person(self.admin, name) for name in ("reader", "stranger"))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def admin(self) -> Registry:
        """The server over a new connection, which either of its workers may take."""
        return Registry(self.server.url, ADMIN)

    def model(self, name: str, text: str) -> Path:
        """Write a model that MLflow can load; the digest of each name is another one."""
        folder = write_model(self.folder / "models" / name, text.encode())
        about = folder / "MLmodel"
        about.write_text(about.read_text().replace("flavors: {}\n", f"flavors:\n  {LOADABLE}") + f"# {name}\n")
        return folder

    def logged(self, folder: Path) -> Version:
        """Upload a folder as an artifact of a run, and return it as the source of a version that does not exist yet."""
        run = self.admin.must("POST", "runs/create", {"experiment_id": "0"})["run"]["info"]
        source = f"{run['artifact_uri']}/model"
        self.write(folder, source)
        return Version("", "", source, {"run_id": run["run_id"]})

    def write(self, folder: Path, uri: str) -> None:
        """Put the files of a folder where a URI leads, as a client of this cell does."""
        if not self.cell.direct:
            self.admin.put(folder, uri)
            return
        for path in folder.iterdir():
            if self.store is not None:
                bucket, _, key = uri.removeprefix("s3://").partition("/")
                self.store.put(bucket, f"{key}/{path.name}", path.read_bytes())
            else:
                Path(uri).mkdir(parents=True, exist_ok=True)
                Path(uri, path.name).write_bytes(path.read_bytes())

    def version(self, name: str, text: str) -> Version:
        """Register a new version, which nobody admitted."""
        made = self.logged(self.model(f"{name}-{text}", text))
        number = self.admin.version(name, made.source, **made.more)
        return Version(name, number, made.source, made.more)

    def admit(self, version: Version) -> None:
        """Hand in a verdict for a version that has the bytes of GOOD."""
        summary = self.site.summary(self.folder / "models" / f"{version.name}-{GOOD}")
        answer = self.admin.bring(version.name, version.number, summary)
        assert answer.status_code == 200, answer.text

    def promoted(self, name: str) -> Version:
        """Register a version, admit it and set the alias."""
        version = self.version(name, GOOD)
        self.admit(version)
        answer = self.admin.set_alias(name, "champion", version.number)
        assert answer.status_code == 200, answer.text
        return version

    def text_at(self, uri: str) -> str:
        """Return the weights below a URI as a client of this cell reads them; empty where it gets none."""
        if uri.startswith("mlflow-artifacts:"):
            answer = self.admin.download(uri, "weights.txt")
            return answer.text if answer.status_code == 200 else ""
        if uri.startswith("s3://"):
            assert self.store is not None
            bucket, _, key = uri.removeprefix("s3://").partition("/")
            with contextlib.suppress(self.store.client.exceptions.ClientError):
                return self.store.client.get_object(Bucket=bucket, Key=f"{key}/weights.txt")["Body"].read().decode()
            return ""
        with contextlib.suppress(OSError):
            return Path(uri, "weights.txt").read_text()
        return ""

    def text_of(self, name: str, number: str) -> str:
        """Return the weights of a version, by number; empty where they are refused."""
        answer = self.admin.location(name, number)
        return self.text_at(answer.json()["artifact_uri"]) if answer.status_code == 200 else ""

    def text_by(self, what: str) -> str:
        """Return the weights by a mark: `@ALIAS` or a stage of the model `x`, or NAME/NUMBER; empty where refused."""
        if "/" in what:
            return self.text_of(*what.split("/"))
        if what.startswith("@"):
            answer = self.admin.resolve("x", what[1:])
            versions = [answer.json()["model_version"]] if answer.status_code == 200 else []
        else:
            answer = self.admin.call("POST", "registered-models/get-latest-versions", {"name": "x", "stages": [what]})
            versions = answer.json().get("model_versions", []) if answer.status_code == 200 else []
        return self.text_of(versions[0]["name"], versions[0]["version"]) if versions else ""

    @contextlib.contextmanager
    def damaged(self, copy: str, how: str) -> Iterator[None]:
        """Damage a sealed copy as its owner can, and undo it."""
        if self.store is not None:
            key = f"{self.root.removeprefix(f's3://{self.bucket}/')}/{copy}"
            key += {"the commit object": ".json", "a foreign object": "/more.py"}.get(how, "/weights.txt")
            with self.store.changed(self.bucket, key, delete=how == "deleted"):
                yield
            return
        place = self.site.sealed / copy
        away = place.with_name("away")
        if how == "open to changes":
            place.chmod(0o755)
            yield
            place.chmod(0o555)
            return
        place.rename(away)
        if how == "a link to other files":
            place.symlink_to(self.folder / "models" / f"x-{EVIL}")
        yield
        if how == "a link to other files":
            place.unlink()
        away.rename(place)

    @property
    def damages(self) -> tuple[str, ...]:
        if self.store is None:
            return ("deleted", "open to changes", "a link to other files")
        return ("overwritten", "deleted", "a foreign object", "the commit object")

    def sql(self, text: str) -> str:
        """Run SQL past the server, in the tables of this cell's MLflow."""
        if self.cell.mlflow.startswith("2."):
            text = text.replace("workspace, ", "").replace("'default', ", "")
        return self.database.sql(text)
