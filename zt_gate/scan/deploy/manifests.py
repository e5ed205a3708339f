"""From files to manifests: which files are meant, what they hold, and what has to be rendered first."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from zt_gate.codecs.strict_json import parse_json
from zt_gate.codecs.strict_yaml import LOADED, YamlMapping, items, load, mapping, text
from zt_gate.domain import Finding, Gap, Notes, printable
from zt_gate.intake import ByteSource

_RENDER = "render it first (helm template, kustomize build) and scan what comes out"
_HELM = re.compile(rb"\{\{-?\s*(?:\.|\$|include\b|template\b|tpl\b|if\b|range\b|with\b|end\b|define\b|toYaml\b)")
_OVERLAYS = ("kustomization.yaml", "kustomization.yml", "kustomization")
_SUFFIXES = (".yaml", ".yml", ".json")
_ENVOY_KEYS = ("static_resources", "staticResources", "dynamic_resources", "dynamicResources")
_VERSIONS = {
    "security.istio.io": ("v1", "v1beta1"),
    "networking.istio.io": ("v1", "v1beta1", "v1alpha3"),
    "networking.k8s.io": ("v1", "v1beta1"),
    "serving.kserve.io": ("v1", "v1beta1", "v1alpha1", "v1alpha2"),
    "ray.io": ("v1", "v1alpha1"),
    "apps": ("v1",),
    "batch": ("v1", "v1beta1"),
    "": ("v1",),
}
"""Versions of the API groups that the rules know; in any other one the same fields may mean something else."""


def _spelled(word: str) -> bytes:
    """A pattern for a word as JSON and YAML may write it: each letter plain or escaped by its number."""
    return b"".join(rb"(?:%c|\\(?:x|u00|U000000)(?i:%02x))" % (letter, letter) for letter in word.encode())


def _key(*words: str) -> tuple[tuple[bytes, ...], bytes]:
    """What finds a key that is one of some words: the words for a quick look, and the pattern that decides."""
    spelled = b"|".join(_spelled(word) for word in words)
    return tuple(word.encode() for word in words), rb"[\"']?(?:" + spelled + rb")[\"']?\s*:"


_ESCAPED = re.compile(rb"\\(?:x|u00|U000000)[4-7]")
_KUBERNETES = (_key("apiVersion"), _key("kind"))
_ENVOY = _key(*_ENVOY_KEYS)


def _has(text: bytes, key: tuple[tuple[bytes, ...], bytes]) -> bool:
    """Whether a text has a key. The patterns are slow, and most texts hold neither the words nor an escaped letter."""
    words, pattern = key
    likely = any(word in text for word in words) or _ESCAPED.search(text) is not None
    return likely and re.search(pattern, text) is not None  # compiled only here: most scans never need it


@dataclass(frozen=True, slots=True)
class ManifestObject:
    """One document of a file: a Kubernetes object, or the bootstrap of an Envoy proxy (kind `Envoy`)."""

    path: str
    kind: str
    group: str
    name: str
    namespace: str
    """Empty where it is chosen when the manifest is applied."""
    body: YamlMapping

    @property
    def label(self) -> str:
        """What people call it: `Deployment ml/vllm`."""
        place = f"{self.namespace}/{self.name}" if self.namespace else self.name
        return printable(f"{self.kind} {place}".strip(), 120)

    @property
    def symbol(self) -> str:
        """A stable name for fingerprints."""
        return printable(f"{self.kind}/{self.namespace}/{self.name}", 160)

    def finding(self, rule: str, line: int, detail: str, message: str) -> Finding:
        """Make a finding about this object.

        Args:
            rule: its id.
            line: 1-based; 0 where it is not known.
            detail: what it is about in one token, for the fingerprint.
            message: the sentence, without the object's name.
        """
        symbol = printable(f"{self.symbol} {detail}")
        return Finding.of(rule, f"{self.label}: {message}", self.path, line=line or None, symbol=symbol)

    def labels(self) -> dict[str, str]:
        """Return the labels of the object itself."""
        return {key: str(value) for key, value in mapping(self.body, "metadata", "labels").items()}


@dataclass(slots=True)
class Given(Notes):
    """What a file, or all files together, hold for the rules, and what is noted about it."""

    manifests: list[ManifestObject] = field(default_factory=list)


def is_candidate(source: ByteSource) -> bool:
    """Whether a file may hold manifests: its name is one that `kubectl apply` reads, and its text says so.

    Every byte is searched, in pieces that overlap, so that no amount of text in front hides a document.
    """
    name = source.path.rsplit("/", 1)[-1].lower()
    if name in _OVERLAYS:
        return True
    if not name.endswith(_SUFFIXES):
        return False
    kinds = [False, False]
    with source.open() as stream:
        rest = b""
        while block := stream.read(1 << 20):
            block = rest + block
            kinds = [seen or _has(block, key) for seen, key in zip(kinds, _KUBERNETES, strict=True)]
            if all(kinds) or _has(block, _ENVOY):
                return not name.endswith(".json") or _is_meant(source)
            # Longer than any key that is looked for, however many of its letters are escaped.
            rest = block[-256:]
    return False


def _is_meant(source: ByteSource) -> bool:
    """Whether the words stand at the top of a JSON document, and not among the tokens of a vocabulary."""
    try:
        value = parse_json(source.read_at(0, source.size))
    except (ValueError, RecursionError):
        return True  # reading it will say what is wrong
    return isinstance(value, dict) and (
        {"apiVersion", "kind"} <= value.keys() or not value.keys().isdisjoint(_ENVOY_KEYS)
    )


def read(source: ByteSource) -> Given:
    """Read the manifests of one file. What cannot be read with certainty is a gap."""
    given = Given()
    name = source.path.rsplit("/", 1)[-1].lower()
    if name in _OVERLAYS:
        given.gaps.append(Gap("a kustomize overlay, which is no manifest yet", source.path, _RENDER))
        return given
    if source.size > LOADED.size:
        given.gaps.append(Gap(f"manifests of more than {LOADED.size} bytes", source.path, "split the file"))
        return given
    data = source.read_at(0, source.size)
    # A template may produce any manifest; what it will be is known only once it is rendered.
    if _HELM.search(data):
        given.gaps.append(Gap("a template, which is no manifest yet", source.path, _RENDER))
        return given
    try:
        for document in load(data):
            _take(document, source.path, given)
    except ValueError as error:
        given.gaps.append(
            Gap(str(error), source.path, _RENDER if b"{{" in data else "write plain YAML with unique keys")
        )
    return given


def _take(document: Any, path: str, given: Given) -> None:
    """Add what one document holds: itself, the items of a list, or a proxy's configuration inside a ConfigMap."""
    if not isinstance(document, YamlMapping):
        return
    version, kind = text(document, "apiVersion"), text(document, "kind")
    if any(key in document for key in _ENVOY_KEYS) and not kind:
        given.manifests.append(ManifestObject(path, "Envoy", "", "bootstrap", "", document))
        _dynamic(document, path, given)
        return
    if not version or not kind:
        return
    # kubectl applies every item of a list, so rules have to see them one by one.
    if kind.endswith("List") and isinstance(document.get("items"), list):
        for item in items(document, "items"):
            _take(item, path, given)
        return
    group, _, number = version.rpartition("/")
    if group == "kustomize.config.k8s.io":
        given.gaps.append(Gap("a kustomize overlay, which is no manifest yet", path, _RENDER))
        return
    manifest = ManifestObject(
        path, kind, group, text(document, "metadata", "name"), text(document, "metadata", "namespace"), document
    )
    if number not in _VERSIONS.get(group, (number,)):
        reason = f"{manifest.label}: version {printable(version, 60)} is not known"
        given.gaps.append(Gap(reason, path, "use a released version of this API"))
    given.manifests.append(manifest)
    if kind == "ConfigMap":
        given.manifests += _inside(manifest, given)


def _dynamic(document: YamlMapping, path: str, given: Given) -> None:
    if document.get("dynamic_resources") or document.get("dynamicResources"):
        reason = "the proxy takes listeners or clusters from elsewhere (dynamic_resources)"
        given.gaps.append(Gap(reason, path, "scan what its control plane hands out, as static_resources"))


def _inside(owner: ManifestObject, given: Given) -> Iterator[ManifestObject]:
    """Yield the proxy configurations that a ConfigMap carries as text."""
    for key, value in mapping(owner.body, "data").items():
        if not isinstance(value, str) or not _has(value.encode("utf-8", "surrogatepass"), _ENVOY):
            continue
        try:
            documents = load(value.encode("utf-8", "surrogatepass"))
        except ValueError as error:
            given.gaps.append(Gap(f"{owner.label}, {printable(key, 60)}: {error}", owner.path, _RENDER))
            continue
        for document in documents:
            if isinstance(document, YamlMapping) and any(known in document for known in _ENVOY_KEYS):
                _dynamic(document, owner.path, given)
                yield ManifestObject(owner.path, "Envoy", "", f"{owner.name}/{key}", owner.namespace, document)
