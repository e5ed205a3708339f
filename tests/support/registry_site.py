"""A place that runs MLflow behind the gate: its policy, its gate's key, its audit log, and models to promote."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import requests

from zt_gate.audit import read_events
from zt_gate.domain import Decision, Digest, Reason, Verdict
from zt_gate.intake import Freeze, freeze
from zt_gate.policy.load import load_policy
from zt_gate.trust.signatures.keys import generate
from zt_gate.trust.statements.summary import SummaryContent, sign_summary

GATE, STRANGER = generate(), generate()
POLICY = """\
apiVersion: zt-gate/v1
kind: Policy
metadata: {{name: site, expires: "2099-01-01T00:00:00Z"}}
trust:
  keys:
    - id: gate
      pem: |
{pem}
stages:
  production: {{checks: {{artifacts: required}}, audit_log: true}}
  staging: {{checks: {{artifacts: required}}}}
registry:
  by: [gate]
{more}
"""


class Site:
    """Files in one folder."""

    def __init__(self, folder: Path, more: str = "") -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.policy = folder / "policy.yaml"
        self.log = folder / "audit.jsonl"
        self.write_policy(more)

    def write_policy(self, more: str = "", key: Any = GATE) -> None:
        pem = "\n".join(" " * 8 + line for line in key.public.pem.strip().splitlines())
        self.policy.write_text(POLICY.format(pem=pem, more=more))

    @property
    def variables(self) -> dict[str, str]:
        values = {"ZT_GATE_POLICY": str(self.policy), "ZT_GATE_AUDIT_LOG": str(self.log)}
        return values | {"ZT_GATE_SEALED": str(self.sealed)}

    @property
    def sealed(self) -> Path:
        """The folder of sealed copies."""
        return self.folder / "sealed"

    def copies(self) -> list[Path]:
        return sorted(self.sealed.glob("sha256-*"))

    def bytes_at(self, uri: str, name: str) -> bytes:
        """Return a file of the sealed copy that a URI names."""
        prefix = "mlflow-artifacts:/ztgate-sealed/"
        assert uri.startswith(prefix), uri
        return (self.sealed / uri.removeprefix(prefix) / name).read_bytes()

    def events(self, kind: str = "") -> list[dict[str, Any]]:
        if not self.log.exists():
            return []
        return [event for event in read_events(self.log) if event["event"].startswith(kind)]

    def summary(
        self,
        folder: Path,
        *,
        stage: str = "production",
        allow: bool = True,
        key: Any = GATE,
        verified: datetime | None = None,
        days: float = 30,
    ) -> str:
        """Return a signed verdict about the bytes in a folder."""
        now = verified or datetime.now(UTC)
        with freeze([folder], Freeze.HOLD) as frozen:
            subject = frozen.subject
        decision, reasons = (Decision.ALLOW, ()) if allow else (Decision.BLOCK, (Reason("finding", "bad"),))
        verdict = Verdict(decision, stage, subject.digest, load_policy(str(self.policy)).digest, reasons, ())
        about = SummaryContent(now, now + timedelta(days=days), {"zt-gate": "0"})
        return sign_summary(subject, verdict, about, key).decode()


def write_model(folder: Path, content: bytes) -> Path:
    """Write what looks like an MLflow model: metadata and a file of bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "MLmodel").write_text(f"artifact_path: model\nmodel_uuid: {Digest.of(content).hex[:32]}\nflavors: {{}}\n")
    (folder / "weights.txt").write_bytes(content)
    return folder


class Registry:
    """A client of one server, as one user, in one workspace."""

    def __init__(self, url: str, auth: tuple[str, str] | None = None, workspace: str = "") -> None:
        self.url = url
        self.http = requests.Session()
        self.http.auth = auth
        if workspace:
            self.http.headers["X-MLFLOW-WORKSPACE"] = workspace

    def call(self, verb: str, path: str, body: Any = None, *, api: str = "api", **more: Any) -> requests.Response:
        url = f"{self.url}/{api}/2.0/mlflow/{path}"
        if verb == "GET":
            return self.http.get(url, params=body, timeout=60, **more)
        return self.http.request(verb, url, json=body, timeout=60, **more)

    def must(self, verb: str, path: str, body: Any = None) -> dict[str, Any]:
        answer = self.call(verb, path, body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def logged(self, folder: Path, experiment: str = "0") -> tuple[str, str]:
        """Upload a folder as a logged model, and return its id and where its files are."""
        made = self.must("POST", "logged-models", {"experiment_id": experiment, "name": "model"})["model"]["info"]
        self.put(folder, made["artifact_uri"])
        return made["model_id"], made["artifact_uri"]

    def put(self, folder: Path, uri: str) -> None:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                name = f"{uri.removeprefix('mlflow-artifacts:/')}/{path.relative_to(folder).as_posix()}"
                answer = self.upload(name, path.read_bytes())
                assert answer.status_code == 200, answer.text

    def upload(self, name: str, data: bytes, verb: str = "PUT") -> requests.Response:
        return self.http.request(verb, f"{self.url}/api/2.0/mlflow-artifacts/artifacts/{name}", data=data, timeout=60)

    def download(self, uri: str, name: str) -> requests.Response:
        path = uri.removeprefix("mlflow-artifacts:/")
        return self.http.get(f"{self.url}/api/2.0/mlflow-artifacts/artifacts/{path}/{name}", timeout=60)

    def listed(self, uri: str) -> requests.Response:
        url = f"{self.url}/api/2.0/mlflow-artifacts/artifacts"
        return self.http.get(url, params={"path": uri.removeprefix("mlflow-artifacts:/")}, timeout=60)

    def model(self, name: str) -> None:
        answer = self.call("POST", "registered-models/create", {"name": name})
        assert answer.status_code == 200 or "ALREADY_EXISTS" in answer.text, answer.text

    def version(self, name: str, source: str, **more: Any) -> str:
        self.model(name)
        made = self.must("POST", "model-versions/create", {"name": name, "source": source, **more})
        return made["model_version"]["version"]

    def register(self, folder: Path, name: str, experiment: str = "0") -> str:
        """Upload a model and make a version of it."""
        model, _ = self.logged(folder, experiment)
        return self.version(name, f"models:/{model}", model_id=model)

    def bring(self, name: str, version: str, summary: str) -> requests.Response:
        body = {"name": name, "version": version, "key": "zt-gate.summary", "value": summary}
        return self.call("POST", "model-versions/set-tag", body)

    def set_alias(self, name: str, alias: str, version: str, api: str = "api") -> requests.Response:
        return self.call("POST", "registered-models/alias", {"name": name, "alias": alias, "version": version}, api=api)

    def resolve(self, name: str, alias: str) -> requests.Response:
        return self.call("GET", "registered-models/alias", {"name": name, "alias": alias})

    def location(self, name: str, version: str) -> requests.Response:
        return self.call("GET", "model-versions/get-download-uri", {"name": name, "version": version})

    def transition(self, name: str, version: str, stage: str) -> requests.Response:
        body = {"name": name, "version": version, "stage": stage, "archive_existing_versions": False}
        return self.call("POST", "model-versions/transition-stage", body)


def refused(answer: requests.Response) -> str:
    """Make sure that an answer is the gate's refusal, and return its sentence."""
    assert answer.status_code == 403, f"{answer.status_code} {answer.text[:500]}"
    body = json.loads(answer.text)
    assert body["error_code"] == "PERMISSION_DENIED", body
    message = body["message"]
    assert message.startswith("zt-gate: "), message
    assert len(message.split(". See ")[0]) <= 200, message
    return message
