"""The roads to a promotion and to a version's bytes that tests of real servers try."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import requests

from tests.support.registry_site import Registry

ALIAS = "registered-models/alias"
PROMPT = {"key": "mlflow.prompt.is_prompt", "value": "true"}
TEXT = {"key": "mlflow.prompt.text", "value": "Hi"}
PLACEHOLDERS = ("prompt-template", "dummy-source")
"""What MLflow writes as the source of a prompt, by its version."""
Answer = requests.Response


@dataclass(frozen=True)
class Version:
    """A version on a server.

    Args:
        source: where its files are, as the registry names it.
        more: what a request to create another version from this source has to hold as well: the run or the model.
    """

    name: str
    number: str
    source: str
    more: dict[str, str]


def body_of_alias(version: Version) -> dict[str, str]:
    return {"name": version.name, "alias": "champion", "version": version.number}


def spellings(version: Version) -> dict[str, tuple[str, bytes]]:
    """Return the ways to write the request that sets an alias, each as a path and a body."""
    body = body_of_alias(version)
    plain = json.dumps(body)
    return {
        "plain": (ALIAS, plain.encode()),
        "double-encoded body": (ALIAS, json.dumps(plain).encode()),
        "utf-16 body": (ALIAS, plain.encode("utf-16")),
        "escaped letters": (ALIAS, plain.replace("champion", "\\u0063hampion").encode()),
        "percent-encoded path": ("registered%2Dmodels/alias", plain.encode()),
        "capitals": (ALIAS, json.dumps({**body, "alias": "Champion"}).encode()),
        "number for a version": (ALIAS, json.dumps({**body, "version": int(version.number)}).encode()),
    }


def post_raw(registry: Registry, path: str, data: bytes, api: str = "api") -> Answer:
    """Post bytes to a path that nothing normalises on the way."""
    request = requests.Request("POST", registry.url, data=data, headers={"content-type": "application/json"})
    prepared = registry.http.prepare_request(request)
    prepared.url = f"{registry.url}/{api}/2.0/mlflow/{path}"
    return registry.http.send(prepared, timeout=60)


def set_tag(registry: Registry, name: str, number: str, key: str = "validation_status") -> Answer:
    body = {"name": name, "version": number, "key": key, "value": "approved"}
    return registry.call("POST", "model-versions/set-tag", body)


def create(registry: Registry, name: str, version: Version, **more: Any) -> Answer:
    """Create a version from the files of another one."""
    body = {"name": name, "source": version.source, **version.more, **more}
    return registry.call("POST", "model-versions/create", body)


def copy(registry: Registry, version: Version, name: str) -> Answer:
    """Create a version as MLflow's `copy_model_version` does."""
    body = {"name": name, "source": f"models:/{version.name}/{version.number}"}
    return registry.call("POST", "model-versions/create", body)


def rename(registry: Registry, name: str, new_name: str) -> Answer:
    return registry.call("POST", "registered-models/rename", {"name": name, "new_name": new_name})


def unmark(registry: Registry, name: str, alias: str = "champion") -> Answer:
    return registry.call("DELETE", ALIAS, {"name": name, "alias": alias})


def delete_version(registry: Registry, name: str, number: str) -> Answer:
    return registry.call("DELETE", "model-versions/delete", {"name": name, "version": number})


def delete_model(registry: Registry, name: str) -> Answer:
    return registry.call("DELETE", "registered-models/delete", {"name": name})


PROTECTED_TAG = [{"key": "validation_status", "value": "approved"}]
PROMOTIONS: dict[str, Callable[[Registry, Version], Answer]] = {
    "stage": lambda r, v: r.transition(v.name, v.number, "Production"),
    "tag": lambda r, v: set_tag(r, v.name, v.number),
    "tag at creation": lambda r, v: create(r, v.name, v, tags=PROTECTED_TAG),
    "create in a protected model": lambda r, v: create(r, f"prod.{v.name}", v),
    "copy to a protected model": lambda r, v: copy(r, v, f"prod.{v.name}"),
    "rename to a protected name": lambda r, v: rename(r, v.name, "prod.other"),
    "tag of the whole model": lambda r, v: r.call(
        "POST", "registered-models/set-tag", {"name": v.name, "key": "validation_status", "value": "1"}
    ),
}
"""Each promotes a version, or would; the model `prod.NAME` has to be there."""


def a_false_prompt(registry: Registry, name: str, source: str) -> None:
    """Make a version without files in an ordinary model that calls itself a prompt."""
    registry.model(name)
    registry.must("POST", "registered-models/set-tag", {"name": name, **PROMPT})
    registry.must("POST", "model-versions/create", {"name": name, "source": source, "tags": [PROMPT, TEXT]})


def exemptions(registry: Registry) -> Iterator[tuple[str, Answer]]:
    """Try every mark on what is no prompt, and yield each answer with what was tried."""
    for source in PLACEHOLDERS:
        name = f"false-{source}"
        a_false_prompt(registry, name, source)
        registry.model(f"prod.{name}")
        made = {"name": f"prod.{name}", "source": source, "tags": [PROMPT, TEXT]}
        tries: dict[str, Callable[[], Answer]] = {
            "alias": lambda name=name: registry.set_alias(name, "champion", "1"),
            "stage": lambda name=name: registry.transition(name, "1", "Production"),
            "tag": lambda name=name: set_tag(registry, name, "1"),
            "resolve": lambda name=name: registry.resolve(name, "champion"),
            "create in a protected model": lambda made=made: registry.call("POST", "model-versions/create", made),
            "rename": lambda name=name: rename(registry, name, f"prod.renamed.{name}"),
        }
        yield from ((f"{source}: {what}", ask()) for what, ask in tries.items())


def reads_of_copy(registry: Registry, uri: str, name: str) -> dict[str, Answer]:
    """Ask for a sealed copy in every way there is.

    Args:
        registry: of who asks.
        uri: any URI or path that ends with the name of the copy.
        name: of a model whose version 1 it is.
    """
    digest = uri.rpartition("/")[2]
    served = f"mlflow-artifacts:/ztgate-sealed/{digest}"
    ajax, own = f"{registry.url}/ajax-api/2.0/mlflow-artifacts", f"{registry.url}/zt-gate/sealed"
    about = {"name": name, "version": "1", "path": "weights.txt"}

    def get(url: str, **params: str) -> Answer:
        return registry.http.get(url, params=params, timeout=60)

    return {
        "list": registry.listed(served),
        "list a folder": registry.listed(f"{served}/data"),
        "list, ajax": get(f"{ajax}/artifacts", path=f"ztgate-sealed/{digest}"),
        "get": registry.download(served, "weights.txt"),
        "get, ajax": get(f"{ajax}/artifacts/ztgate-sealed/{digest}/weights.txt"),
        "presigned": get(f"{ajax}/presigned/ztgate-sealed/{digest}/weights.txt"),
        "the gate's own route": get(f"{own}/file", path=f"{digest}/weights.txt"),
        "the gate's own list": get(f"{own}/list", path=digest),
        "the file of a version": get(f"{registry.url}/model-versions/get-artifact", **about),
    }
