"""Pods inside manifests of any kind: their containers, what those run, and which of them serve models."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from zt_gate.codecs.strict_yaml import YamlMapping, items, mapping, text, walk
from zt_gate.domain import printable
from zt_gate.scan.deploy.manifests import ManifestObject

_SERVERS = {
    "triton": ("tritonserver", "--model-control-mode", "--grpc-restricted-protocol"),
    "torchserve": ("torchserve",),
    "vllm": ("vllm",),
    "ray": ("rayproject/", "ray-ml", "raylet"),
    "mlflow": ("mlflow",),
    "jupyter": ("jupyter",),
    "tensorflow": ("tensorflow/serving", "tensorflow_model_server", "tfserving"),
    "tgi": ("text-generation-inference", "text-generation-launcher"),
    "sglang": ("sglang",),
    "ollama": ("ollama",),
    "openvino": ("openvino/model_server", "ovms"),
    "kserve": ("kserve/", "sklearnserver", "xgbserver", "lgbserver", "huggingfaceserver", "mlserver"),
    "seldon": ("seldonio/", "seldon-core"),
    "bentoml": ("bentoml",),
}
"""Words in an image or on a command line that tell a server, by its name."""
_REFERENCE = re.compile(r"\$\(([A-Za-z_][A-Za-z0-9_]*)\)|\$\{?([A-Za-z_][A-Za-z0-9_]*)\}?")
_COMPUTED = re.compile(r"`|\$\((?![A-Za-z_][A-Za-z0-9_]*\))|\A\$[@*]\Z")
_KSERVE_FORMATS = {"triton": "triton", "pytorch": "torchserve", "huggingface": "vllm", "vllm": "vllm"}


Settings = dict[tuple[str, str], YamlMapping]
"""The data of each ConfigMap, by namespace and name."""


@dataclass(frozen=True)
class PodContainer:
    """One container, as far as its manifest tells."""

    manifest: ManifestObject
    body: YamlMapping
    pod: YamlMapping
    """The pod's spec."""
    settings: Settings

    @property
    def name(self) -> str:
        """Its name, for people."""
        return printable(text(self.body, "name") or "container", 80)

    @cached_property
    def env(self) -> dict[str, tuple[str, int]]:
        """Variables whose values the manifests hold, in the container or in a ConfigMap: value and line."""
        found: dict[str, tuple[str, int]] = {}
        for entry in items(self.body, "envFrom"):
            data = self._config(text(entry, "configMapRef", "name"))
            for key, value in data.items():
                found[text(entry, "prefix") + key] = (str(value), mapping(entry).line)
        for entry in items(self.body, "env"):
            if not isinstance(entry, YamlMapping):
                continue
            reference = mapping(entry, "valueFrom", "configMapKeyRef")
            value = entry.get("value", self._config(text(reference, "name")).get(text(reference, "key")))
            if isinstance(value, str):
                found[text(entry, "name")] = (value, entry.at("value" if "value" in entry else "valueFrom"))
        return found

    def _config(self, name: str) -> YamlMapping:
        return self.settings.get((self.manifest.namespace, name), YamlMapping(0))

    @cached_property
    def words(self) -> list[str]:
        """Command and arguments as separate words: shell lines are split, known variables filled in."""
        words: list[str] = []
        for key in ("command", "args"):
            value = self.body.get(key)
            for item in value if isinstance(value, list) else [value]:
                if isinstance(item, str):
                    words += _split(self._filled(item))
        return words

    @property
    def line(self) -> int:
        """Where its arguments stand, else its command, else the container itself."""
        return self.body.at("args" if "args" in self.body else "command")

    def _filled(self, word: str) -> str:
        def fill(match: re.Match[str]) -> str:
            known = self.env.get(match[1] or match[2])
            return known[0] if known else match[0]

        return _REFERENCE.sub(fill, word)

    def unknown_words(self) -> list[str]:
        """Words that are nothing but a variable or command whose value stands elsewhere: they may be any option."""
        return [word for word in self.words if _REFERENCE.fullmatch(word) or _COMPUTED.search(word)]

    def options(self) -> dict[str, str]:
        """Return options by name, dashes and lower case: the value, or empty text where there is none."""
        found: dict[str, str] = {}
        words = self.words
        for index, word in enumerate(words):
            if not word.startswith("-"):
                continue
            name, equals, value = word.partition("=")
            after = words[index + 1] if index + 1 < len(words) else ""
            found["--" + name.lstrip("-").replace("_", "-").lower()] = (
                value if equals else ("" if after.startswith("-") else after)
            )
        return found

    @cached_property
    def servers(self) -> frozenset[str]:
        """Which model servers it runs."""
        where = " ".join([text(self.body, "image"), *self.words[:200]]).lower()
        found = {name for name, marks in _SERVERS.items() if any(mark in where for mark in marks)}
        shape = text(self.body, "modelFormat", "name").lower()
        if any(name.startswith("VLLM_") for name in self.env):
            found.add("vllm")
        if "modelFormat" in self.body:
            found.add(_KSERVE_FORMATS.get(shape, "kserve"))
        return frozenset(found)


@dataclass(frozen=True)
class Pod:
    """The template of a pod, wherever it stands."""

    manifest: ManifestObject
    spec: YamlMapping
    metadata: YamlMapping
    """The template's own labels and annotations."""
    settings: Settings

    @cached_property
    def containers(self) -> tuple[PodContainer, ...]:
        """Containers, those that run before and beside them too."""
        bodies = [
            body
            for key in ("containers", "initContainers", "ephemeralContainers")
            for body in items(self.spec, key)
            if isinstance(body, YamlMapping)
        ]
        bodies += [body for key in ("model", *_LEGACY) if (body := mapping(self.spec, key))]
        return tuple(PodContainer(self.manifest, body, self.spec, self.settings) for body in bodies)

    @property
    def labels(self) -> dict[str, str]:
        """The labels by which services and policies find it, with those that KServe and KubeRay add."""
        own = {key: str(value) for key, value in mapping(self.metadata, "labels").items()}
        added = {"serving.kserve.io": "serving.kserve.io/inferenceservice", "ray.io": "ray.io/cluster"}
        key = added.get(self.manifest.group)
        return own | ({key: self.manifest.name} if key else {})

    def note(self, key: str) -> str:
        """Return a label or annotation of the template, or of the manifest that holds it."""
        places = [(self.metadata, kind) for kind in ("labels", "annotations")]
        places += [(mapping(self.manifest.body, "metadata"), kind) for kind in ("labels", "annotations")]
        return next((found for place, kind in places if (found := text(place, kind, key))), "")

    @property
    def serves(self) -> bool:
        """Whether it serves models."""
        kserve = self.manifest.group == "serving.kserve.io"
        return kserve or any(container.servers for container in self.containers)


_LEGACY = ("sklearn", "xgboost", "tensorflow", "pytorch", "triton", "onnx", "pmml", "lightgbm", "paddle", "huggingface")
"""Keys under which KServe's v1beta1 predictor names a model besides `model`."""


def pods(manifest: ManifestObject, settings: Settings) -> Iterator[Pod]:
    """Yield every pod template of a manifest, of whatever kind it is."""
    if manifest.kind == "Envoy":
        return
    own = mapping(manifest.body, "metadata")
    if manifest.kind == "Pod":
        yield Pod(manifest, mapping(manifest.body, "spec"), own, settings)
        return
    for outer in walk(manifest.body):
        # A template is a mapping with `spec`, and its metadata beside it; custom kinds put containers into their spec.
        for key, value in outer.items():
            if isinstance(value, YamlMapping) and _is_pod(value, manifest):
                beside = mapping(outer, "metadata") if key == "spec" and "metadata" in outer else own
                yield Pod(manifest, value, beside, settings)


def _is_pod(value: YamlMapping, manifest: ManifestObject) -> bool:
    if any(isinstance(item, YamlMapping) for item in items(value, "containers")):
        return True
    kserve = manifest.kind == "InferenceService" and manifest.group == "serving.kserve.io"
    return kserve and any(isinstance(value.get(key), YamlMapping) for key in ("model", *_LEGACY))


def _split(line: str) -> list[str]:
    """Split what a shell would split; text that quotes badly is split at its blanks."""
    if not re.search(r"\s", line):
        return [line]
    try:
        # In an argument of a container a # is no comment.
        return shlex.split(line, comments=False)
    except ValueError:
        return line.split()
