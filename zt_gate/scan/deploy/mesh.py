"""Rules for Istio: mutual TLS, who may call, and whether the sidecar is there at all.

Sources: istio.io/latest/docs/reference/config/security and /networking/destination-rule.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from zt_gate.codecs.strict_yaml import YamlMapping, is_false, items, mapping, text
from zt_gate.domain import Finding, printable
from zt_gate.scan.deploy.manifests import ManifestObject
from zt_gate.scan.deploy.release import Deployment

SECURITY, NETWORKING = "security.istio.io", "networking.istio.io"
_OPEN_MODES = ("DISABLE", "PERMISSIVE")


def mutual_tls(given: Deployment) -> Iterator[Finding]:
    """DEP-101: a PeerAuthentication that accepts plain text, for all ports or for one."""
    for manifest in given.of("PeerAuthentication", SECURITY):
        spec = mapping(manifest.body, "spec")
        ports = mapping(spec, "portLevelMtls")
        mode = text(spec, "mtls", "mode")
        # A policy for some pods may speak of ports alone; the namespace's own then holds for the others.
        inherits = not mode and "selector" in spec and ports
        if mode != "STRICT" and not inherits:
            line = mapping(spec, "mtls").at("mode") or spec.line
            yield manifest.finding("DEP-101", line, "mode", f"mutual TLS is {_mode(mode)}, so plain text is accepted")
        for port, setting in ports.items():
            if (mode := text(setting, "mode")) in _OPEN_MODES:
                said = f"mutual TLS is {_mode(mode)} on port {printable(port, 20)}"
                yield manifest.finding("DEP-101", ports.at(port), f"port {port}", said)


def _mode(mode: str) -> str:
    return printable(mode, 40) or "not set"


def authorization(given: Deployment) -> Iterator[Finding]:
    """DEP-102: an AuthorizationPolicy that allows callers without asking who they are."""
    for manifest in given.of("AuthorizationPolicy", SECURITY):
        if is_open(manifest):
            spec = mapping(manifest.body, "spec")
            yield manifest.finding("DEP-102", spec.at("rules"), "rules", "a rule allows every caller")


def is_open(manifest: ManifestObject) -> bool:
    """Whether an AuthorizationPolicy of action ALLOW has a rule that names no caller."""
    spec = mapping(manifest.body, "spec")
    # Istio takes a policy without an action for ALLOW.
    if text(spec, "action") not in ("", "ALLOW"):
        return False
    return any(not _names_caller(rule) for rule in items(spec, "rules"))


def _names_caller(rule: Any) -> bool:
    conditions = [text(item, "key") for item in items(rule, "when")]
    if any(key.startswith(("source.", "request.auth.", "remote.")) for key in conditions):
        return True
    sources = items(rule, "from")
    return bool(sources) and all(_is_narrow(mapping(item, "source")) for item in sources)


def _is_narrow(source: YamlMapping) -> bool:
    anybody = {"*", "0.0.0.0/0", "::/0"}
    named = [value for key, value in source.items() if isinstance(value, list) and not key.startswith("not")]
    # Any request principal at all is a valid token, which is a condition; any principal is any pod of the mesh.
    token = bool(items(source, "requestPrincipals"))
    return token or any(value and not anybody & {item for item in value if isinstance(item, str)} for value in named)


def client_tls(given: Deployment) -> Iterator[Finding]:
    """DEP-103: a DestinationRule that turns TLS off, or does not verify the server's certificate."""
    for manifest in given.of("DestinationRule", NETWORKING):
        spec = mapping(manifest.body, "spec")
        policies = [("", mapping(spec, "trafficPolicy"))]
        policies += [(text(item, "name"), mapping(item, "trafficPolicy")) for item in items(spec, "subsets")]
        for subset, policy in policies:
            for setting in (policy, *items(policy, "portLevelSettings")):
                tls = mapping(setting, "tls")
                if problem := _tls_problem(tls):
                    yield manifest.finding("DEP-103", tls.line, f"{subset or 'all'} {text(tls, 'mode')}", problem)


def _tls_problem(tls: YamlMapping) -> str:
    mode = text(tls, "mode")
    if mode == "DISABLE":
        return "TLS to the model server is turned off"
    if tls.get("insecureSkipVerify") is not None and not is_false(tls["insecureSkipVerify"]):
        return "the server's certificate is not verified (insecureSkipVerify)"
    if mode in ("SIMPLE", "MUTUAL") and not text(tls, "caCertificates") and not text(tls, "credentialName"):
        return f"TLS {mode} names no authority (caCertificates or credentialName) to verify the server by"
    return ""


def sidecars(given: Deployment) -> Iterator[Finding]:
    """DEP-105: a pod that serves models and is kept out of the mesh."""
    outside = {
        manifest.name
        for manifest in given.of("Namespace", "")
        if manifest.labels().get("istio-injection") == "disabled" or manifest.labels().get("istio.io/rev") == ""
    }
    for pod in given.serving:
        why = ""
        if is_false(pod.note("sidecar.istio.io/inject")):
            why = "sidecar.istio.io/inject is false"
        elif pod.manifest.namespace in outside:
            why = f"its namespace {printable(pod.manifest.namespace, 60)} turns injection off"
        elif text(pod.spec, "hostNetwork").lower() in ("true", "yes", "on"):
            why = "it uses the host's network, where no sidecar is injected"
        if why:
            yield pod.manifest.finding("DEP-105", pod.spec.line, "sidecar", f"it serves models outside the mesh: {why}")


def strict_namespaces(given: Deployment) -> Iterator[Finding]:
    """DEP-106: a pod that serves models, and no given PeerAuthentication that makes mutual TLS strict for it."""
    for pod in given.serving:
        policies = given.policies("PeerAuthentication", SECURITY, pod)
        if not any(text(policy.body, "spec", "mtls", "mode") == "STRICT" for policy in policies):
            said = "no PeerAuthentication among the given manifests makes mutual TLS strict for it"
            yield pod.manifest.finding("DEP-106", pod.spec.line, "mtls", said)


def default_deny(given: Deployment) -> Iterator[Finding]:
    """DEP-107: a pod that serves models, and no given AuthorizationPolicy that says who may call it."""
    for pod in given.serving:
        if not is_guarded(given, pod):
            said = "no AuthorizationPolicy among the given manifests says who may call it"
            yield pod.manifest.finding("DEP-107", pod.spec.line, "authorization", said)


def is_guarded(given: Deployment, pod: Any) -> bool:
    """Whether some AuthorizationPolicy that allows selected callers only, or nobody, selects a pod."""
    policies = list(given.policies("AuthorizationPolicy", SECURITY, pod))
    narrow = [policy for policy in policies if text(policy.body, "spec", "action") in ("", "ALLOW", "CUSTOM")]
    return bool(narrow) and not any(is_open(policy) for policy in narrow)


RULES = (mutual_tls, authorization, client_tls, sidecars, strict_namespaces, default_deny)
