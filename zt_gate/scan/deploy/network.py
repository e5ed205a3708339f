"""Rules for the cluster's own network: who may reach a model server, and whom it may reach.

Source: kubernetes.io/docs/concepts/services-networking/network-policies and /service.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from zt_gate.codecs.strict_yaml import YamlMapping, items, mapping, text
from zt_gate.domain import Finding, printable
from zt_gate.scan.deploy.manifests import ManifestObject
from zt_gate.scan.deploy.release import Deployment
from zt_gate.scan.deploy.workloads import Pod

GROUP = "networking.k8s.io"
_EVERYWHERE = ("0.0.0.0/0", "::/0", "0::/0", "0:0:0:0:0:0:0:0/0")


def open_policies(given: Deployment) -> Iterator[Finding]:
    """DEP-120: a NetworkPolicy with a rule that lets everybody in, or everything out."""
    for manifest in given.of("NetworkPolicy", GROUP):
        spec = mapping(manifest.body, "spec")
        for direction, side in (("ingress", "from"), ("egress", "to")):
            for rule in items(spec, direction):
                if _is_open(rule, side):
                    who = "everybody in" if direction == "ingress" else "everything out"
                    line = getattr(rule, "line", spec.at(direction))
                    yield manifest.finding("DEP-120", line, direction, f"a rule under {direction} lets {who}")


def _is_open(rule: Any, side: str) -> bool:
    peers = items(rule, side)
    if not peers:
        ports = {text(port, "port") for port in items(rule, "ports")}
        # Leaving DNS open to everybody is what nearly every policy has to do.
        return not (side == "to" and ports and ports <= {"53", "dns", "dns-tcp"})
    for peer in peers:
        block = mapping(peer, "ipBlock")
        excepted = side == "to" and items(block, "except")
        if not mapping(peer) or (text(block, "cidr") in _EVERYWHERE and not excepted):
            return True
    return False


def missing_policies(given: Deployment) -> Iterator[Finding]:
    """DEP-121: a pod that serves models, and no given NetworkPolicy for what comes in or for what goes out."""
    for pod in given.serving:
        held = {kind for policy in given.policies("NetworkPolicy", GROUP, pod) for kind in _types(policy)}
        lacking = [kind.lower() for kind in ("Ingress", "Egress") if kind not in held]
        if lacking:
            said = f"no NetworkPolicy among the given manifests limits its {' and '.join(lacking)}"
            yield pod.manifest.finding("DEP-121", pod.spec.line, " ".join(lacking), said)


def _types(policy: ManifestObject) -> list[str]:
    spec = mapping(policy.body, "spec")
    # What Kubernetes assumes: Ingress always, Egress where the policy has rules for it.
    return items(spec, "policyTypes") or ["Ingress", *(["Egress"] if "egress" in spec else [])]


def is_limited(given: Deployment, pod: Pod) -> bool:
    """Whether some NetworkPolicy limits who reaches a pod."""
    return any("Ingress" in _types(policy) for policy in given.policies("NetworkPolicy", GROUP, pod))


def exposure(given: Deployment) -> Iterator[Finding]:
    """DEP-140: a Service or host port that puts a model server before the cluster, past any gateway."""
    for service in given.of("Service", ""):
        spec = mapping(service.body, "spec")
        kind = text(spec, "type")
        if (kind in ("LoadBalancer", "NodePort") or items(spec, "externalIPs")) and _server(given, service):
            said = f"it puts a model server outside the cluster ({kind or 'externalIPs'}), past any gateway"
            yield service.finding("DEP-140", spec.at("type"), kind or "externalIPs", said)
    for pod in given.serving:
        for container in pod.containers:
            for port in items(container.body, "ports"):
                if text(port, "hostPort") not in ("", "0"):
                    said = (
                        f"container {container.name} listens on the node's port {printable(text(port, 'hostPort'), 9)}"
                    )
                    yield pod.manifest.finding("DEP-140", mapping(port).line, f"hostPort {container.name}", said)


def _server(given: Deployment, service: ManifestObject) -> bool:
    selector: YamlMapping = mapping(service.body, "spec", "selector")
    near = (pod for pod in given.serving if pod.manifest.namespace == service.namespace)
    return bool(selector) and any(all(pod.labels.get(key) == value for key, value in selector.items()) for pod in near)


RULES = (open_policies, missing_policies, exposure)
