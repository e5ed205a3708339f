"""What rules work on: all manifests of a target together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property

from zt_gate.codecs.strict_yaml import YamlMapping, items, mapping, text
from zt_gate.domain import Finding
from zt_gate.scan.deploy.manifests import ManifestObject
from zt_gate.scan.deploy.workloads import Pod, PodContainer, pods

ROOT_NAMESPACE = "istio-system"
"""Where Istio looks for policies that hold for the whole mesh, unless MeshConfig names another namespace."""


@dataclass(frozen=True)
class Deployment:
    """Every manifest that was given, judged together: a policy in one file protects a pod in another."""

    manifests: tuple[ManifestObject, ...]
    pods: tuple[Pod, ...] = field(init=False)

    def __post_init__(self) -> None:
        maps = (manifest for manifest in self.manifests if (manifest.kind, manifest.group) == ("ConfigMap", ""))
        settings = {(item.namespace, item.name): mapping(item.body, "data") for item in maps}
        found = tuple(pod for manifest in self.manifests for pod in pods(manifest, settings))
        object.__setattr__(self, "pods", found)

    def of(self, kind: str, *groups: str) -> Iterator[ManifestObject]:
        """Yield the manifests of a kind, in any of the groups, or in any group at all."""
        for manifest in self.manifests:
            if manifest.kind == kind and (not groups or manifest.group in groups):
                yield manifest

    @cached_property
    def serving(self) -> tuple[Pod, ...]:
        """The pods that serve models."""
        return tuple(pod for pod in self.pods if pod.serves)

    @property
    def containers(self) -> Iterator[PodContainer]:
        """Every container of every pod."""
        for pod in self.pods:
            yield from pod.containers

    def policies(self, kind: str, group: str, pod: Pod) -> Iterator[ManifestObject]:
        """Yield the policies of a kind that select a pod: in its namespace, or for the whole mesh."""
        key = "podSelector" if kind == "NetworkPolicy" else "selector"
        for manifest in self.of(kind, group):
            spec = mapping(manifest.body, "spec")
            if "targetRef" in spec or "targetRefs" in spec:
                continue  # it holds for a gateway or waypoint, and for no pod by itself
            mesh_wide = kind != "NetworkPolicy" and manifest.namespace == ROOT_NAMESPACE
            if (manifest.namespace == pod.manifest.namespace or mesh_wide) and selects(mapping(spec, key), pod.labels):
                yield manifest


def selects(selector: YamlMapping, labels: dict[str, str]) -> bool:
    """Whether a label selector holds for labels; an empty one holds for all.

    Reads `matchLabels` and `matchExpressions` (In, NotIn, Exists, DoesNotExist) of the Kubernetes API.
    """
    for key, value in mapping(selector, "matchLabels").items():
        if labels.get(key) != value:
            return False
    for expression in items(selector, "matchExpressions"):
        key, values = text(expression, "key"), items(expression, "values")
        held = {
            "In": labels.get(key) in values,
            "NotIn": labels.get(key) not in values,
            "Exists": key in labels,
            "DoesNotExist": key not in labels,
        }
        if not held.get(text(expression, "operator"), False):
            return False
    return True


Rule = Callable[[Deployment], Iterable[Finding]]
