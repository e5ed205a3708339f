"""Rules for model servers by what their containers are started with.

Sources: Triton, docs/customization_guide/deploy.md and server options; TorchServe, docs/token_authorization_api.md and
README (maintenance); vLLM, docs/usage/security.md; Ray, "Security"; MLflow, "Basic HTTP authentication"; Jupyter
Server, "Security".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from zt_gate.codecs.strict_yaml import is_false, is_true, items, mapping, text
from zt_gate.domain import Finding, printable
from zt_gate.scan.deploy.manifests import ManifestObject
from zt_gate.scan.deploy.mesh import is_guarded
from zt_gate.scan.deploy.network import is_limited
from zt_gate.scan.deploy.release import Deployment
from zt_gate.scan.deploy.workloads import Pod, PodContainer

_INSECURE = ("--insecure", "--grpc-insecure", "--insecure-grpc", "--plaintext", "--grpc-plaintext", "--disable-tls",
             "--no-tls", "--disable-ssl", "--no-ssl")  # fmt: skip
_TLS = ("--grpc-use-ssl", "--grpc-tls", "--use-tls", "--enable-tls", "--tls", "--ssl")
_ANY_HOST = ("0.0.0.0", "::", "[::]", "*")  # noqa: S104 - looked for, not bound
_DEVELOPMENT = {
    "VLLM_SERVER_DEV_MODE": "opens endpoints that run any method on the workers",
    "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "lets callers load adapters",
    "VLLM_ALLOW_INSECURE_SERIALIZATION": "lets pickles in from other processes",
}
_SECRET = re.compile(
    r"(?:^|_)(?:HF_TOKEN|HUB_TOKEN|TOKEN|SECRET|PASSWORD|PASSWD|API_?KEY|ACCESS_KEY|ACCOUNT_KEY|STORAGE_KEY|CREDENTIALS_JSON)$"
)
_JUPYTER = re.compile(r"--(?:notebookapp|serverapp|identityprovider)\.(?:token|password)")
_SECRET_OPTIONS = ("--api-key", "--hf-token", "--token", "--password")


def _hit(rule: str, container: PodContainer, detail: str, what: str, line: int = 0) -> Finding:
    message = f"container {container.name}: {what}"
    return container.manifest.finding(rule, line or container.line, f"{container.name} {detail}", message)


def plain_grpc(given: Deployment) -> Iterator[Finding]:
    """DEP-110: a container that is told to speak gRPC, or anything else, without TLS."""
    for container in given.containers:
        for name, value in container.options().items():
            on = name in _INSECURE and not is_false(value)
            off = name in _TLS and is_false(value)
            if on or off:
                yield _hit("DEP-110", container, name, f"{name} gives up TLS")


def triton_control(given: Deployment) -> Iterator[Finding]:
    """DEP-150: a Triton whose callers may load and unload models."""
    for container in _running(given, "triton"):
        options = container.options()
        mode = options.get("--model-control-mode", "none")
        open_http = not is_false(options.get("--allow-http")) and "--http-restricted-api" not in options
        open_grpc = not is_false(options.get("--allow-grpc")) and "--grpc-restricted-protocol" not in options
        if mode in ("poll", "explicit") and (open_http or open_grpc):
            said = f"--model-control-mode={mode} without restricted protocols lets every caller change the models"
            yield _hit("DEP-150", container, "model-control", said)


def triton_mounts(given: Deployment) -> Iterator[Finding]:
    """DEP-152: a Triton that can write to the folder that its models or backends are loaded from."""
    for container in _running(given, "triton"):
        options = container.options()
        folders = [options.get(name, "") for name in ("--model-repository", "--model-store", "--backend-directory")]
        volumes = {text(volume, "name"): volume for volume in items(container.pod, "volumes")}
        for mount in items(container.body, "volumeMounts"):
            place = text(mount, "mountPath").rstrip("/")
            near = any(
                place and folder.startswith("/") and (folder + "/").startswith(place + "/") for folder in folders
            )
            if (
                near
                and not is_true(mapping(mount).get("readOnly"))
                and not _is_constant(volumes.get(text(mount, "name")))
            ):
                said = f"{printable(place, 80)} holds models or backends, and is mounted so that it can write there"
                yield _hit("DEP-152", container, place, said, mapping(mount).line)


def _is_constant(volume: Any) -> bool:
    kinds = mapping(volume)
    read_only = is_true(mapping(kinds, "persistentVolumeClaim").get("readOnly"))
    return read_only or any(key in kinds for key in ("configMap", "secret", "image", "projected", "downwardAPI"))


def torchserve(given: Deployment) -> Iterator[Finding]:
    """DEP-160 and DEP-161: a TorchServe at all, and one that hands out its control."""
    for container in _running(given, "torchserve"):
        yield _hit("DEP-160", container, "torchserve", "runs TorchServe, which gets no security fixes any more")
        options = container.options()
        for name in ("--disable-token-auth", "--disable-token", "--enable-model-api"):
            if name in options and not is_false(options[name]):
                yield _hit("DEP-161", container, name, f"{name} lets callers manage models")
        for name, (value, line) in container.env.items():
            if name.startswith("TS_") and (problem := _torchserve_setting(name[3:].lower(), value)):
                yield _hit("DEP-161", container, name, problem, line)
    for manifest in given.of("ConfigMap", ""):
        data = mapping(manifest.body, "data")
        for key, value in data.items():
            if not key.endswith("config.properties"):
                continue
            for row in str(value).splitlines():
                name, _, setting = row.partition("=")
                if problem := _torchserve_setting(name.strip().lower(), setting.strip()):
                    yield manifest.finding("DEP-161", data.at(key), name.strip(), f"{printable(key, 60)}: {problem}")


def _torchserve_setting(name: str, value: str) -> str:
    if name in ("management_address", "inference_address") and any(host in value for host in ("0.0.0.0", "[::]")):  # noqa: S104
        return f"{name} listens on every address" if name == "management_address" else ""
    if name == "allowed_urls" and re.search(r"(?:^|,|://)\s*\.\*", value):
        return "allowed_urls lets models be loaded from anywhere"
    on = {"disable_token_authorization": "callers need no token", "enable_model_api": "callers may manage models"}
    return f"{name}: {on[name]}" if name in on and is_true(value) else ""


def remote_code(given: Deployment) -> Iterator[Finding]:
    """DEP-170: a server that runs Python which comes with a model."""
    for container in given.containers:
        options = container.options()
        if "--trust-remote-code" in options and not is_false(options["--trust-remote-code"]):
            yield _hit(
                "DEP-170", container, "trust-remote-code", "--trust-remote-code runs Python that comes with a model"
            )
        for name, (value, line) in container.env.items():
            if name.upper().endswith("TRUST_REMOTE_CODE") and is_true(value):
                yield _hit(
                    "DEP-170", container, name, f"{printable(name, 60)} runs Python that comes with a model", line
                )


def vllm(given: Deployment) -> Iterator[Finding]:
    """DEP-171 to DEP-173: development endpoints of vLLM, a key as its only guard, media from anywhere."""
    for pod in given.serving:
        for container in pod.containers:
            if "vllm" in container.servers:
                yield from _vllm(given, pod, container)


def _vllm(given: Deployment, pod: Pod, container: PodContainer) -> Iterator[Finding]:
    options = container.options()
    for name, why in _DEVELOPMENT.items():
        value, line = container.env.get(name, ("", 0))
        if is_true(value):
            yield _hit("DEP-171", container, name, f"{name} {why}", line)
    if "--profiler-config" in options or "VLLM_TORCH_PROFILER_DIR" in container.env:
        yield _hit("DEP-171", container, "profiler", "the profiler's endpoints are open to callers")
    if ("--api-key" in options or "VLLM_API_KEY" in _names(container)) and not is_guarded(given, pod):
        said = "--api-key is the only guard, and endpoints such as /invocations do not ask for it"
        yield _hit("DEP-172", container, "api-key", said)
    if "--allowed-local-media-path" in options and "--allowed-media-domains" not in options:
        said = "callers may make it fetch media from any host, since --allowed-media-domains is not given"
        yield _hit("DEP-173", container, "media", said)


def ray(given: Deployment) -> Iterator[Finding]:
    """DEP-180: a Ray cluster whose dashboard takes jobs from everybody."""
    for pod in given.pods:
        start = mapping(pod.manifest.body, "spec", "headGroupSpec")
        cluster = pod.manifest.group == "ray.io" and mapping(start, "template", "spec") is pod.spec
        hosts = [text(start, "rayStartParams", "dashboard-host")] if cluster else []
        hosts += [item.options().get("--dashboard-host", "") for item in pod.containers if "ray" in item.words]
        token = any(item.env.get("RAY_AUTH_MODE", ("", 0))[0] == "token" for item in pod.containers)
        token = token or text(pod.manifest.body, "spec", "authOptions", "mode") == "token"
        service = text(start, "serviceType") if cluster else ""
        if service in ("LoadBalancer", "NodePort") or (cluster and is_true(start.get("enableIngress"))):
            said = "its dashboard, which runs any job, is reachable from outside the cluster"
            yield pod.manifest.finding("DEP-180", start.line, "exposed", said)
        elif set(hosts) & set(_ANY_HOST) and not token and not is_limited(given, pod):
            said = "its dashboard, which runs any job, listens on every address without a token or a NetworkPolicy"
            yield pod.manifest.finding("DEP-180", pod.spec.line, "dashboard", said)


def mlflow_and_jupyter(given: Deployment) -> Iterator[Finding]:
    """DEP-181 and DEP-182: an MLflow server or a Jupyter that asks nobody who they are."""
    for container in given.containers:
        options, words = container.options(), container.words
        if "mlflow" in words and {"server", "ui"} & set(words):
            name = options.get("--app-name", "")
            if options.get("--host", options.get("--h", "")) in _ANY_HOST and not name:
                yield _hit(
                    "DEP-181", container, "app-name", "MLflow listens on every address without --app-name basic-auth"
                )
        for name, value in options.items():
            if re.fullmatch(
                r"--(?:notebookapp|serverapp|identityprovider)\.(?:token|password)", name
            ) and not value.strip("'\""):
                yield _hit("DEP-182", container, name, f"{name} is empty, so Jupyter runs code for everybody")
        value, line = container.env.get("JUPYTER_TOKEN", ("-", 0))
        if not value:
            yield _hit(
                "DEP-182",
                container,
                "JUPYTER_TOKEN",
                "JUPYTER_TOKEN is empty, so Jupyter runs code for everybody",
                line,
            )


def plain_secrets(given: Deployment) -> Iterator[Finding]:
    """DEP-210: a credential that stands in the manifest itself."""
    for container in given.containers:
        for name, (value, line) in container.env.items():
            if value and not value.startswith("$(") and _SECRET.search(name.upper()) and not _is_path(value):
                said = f"the variable {printable(name, 60)} holds its secret in plain text"
                yield _hit("DEP-210", container, printable(name, 60), said, line)
        for name in _SECRET_OPTIONS:
            value = container.options().get(name, "")
            if value and not value.startswith("$"):
                yield _hit("DEP-210", container, name, f"the option {name} holds its secret in plain text")


def _is_path(value: str) -> bool:
    return value.startswith("/") and "\n" not in value


def _names(container: PodContainer) -> set[str]:
    return {text(entry, "name") for entry in items(container.body, "env")}


def _running(given: Deployment, server: str) -> Iterator[PodContainer]:
    for container in given.containers:
        if server in container.servers:
            yield container


def unknown_options(given: Deployment) -> Iterator[tuple[ManifestObject, str]]:
    """Yield containers of model servers with words that may be any option, since they are set elsewhere."""
    for pod in given.serving:
        for container in pod.containers:
            for word in container.unknown_words():
                yield container.manifest, f"container {container.name}: {printable(word, 60)} is set elsewhere"


RULES = (
    plain_grpc,
    triton_control,
    triton_mounts,
    torchserve,
    remote_code,
    vllm,
    ray,
    mlflow_and_jupyter,
    plain_secrets,
)
