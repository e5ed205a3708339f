"""Rules for a proxy of one's own: TLS on both sides of an Envoy, and its admin interface.

Source: envoyproxy.io/docs/envoy/latest/api-v3, Cluster, Listener and common TLS.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any

from zt_gate.codecs.strict_yaml import YamlMapping, items, mapping, text, walk
from zt_gate.domain import Finding, printable
from zt_gate.scan.deploy.manifests import ManifestObject
from zt_gate.scan.deploy.release import Deployment

_OLD_TLS = ("TLSv1_0", "TLSv1_1")


def transport(given: Deployment) -> Iterator[Finding]:
    """DEP-104: a cluster or listener of an Envoy without TLS, with old TLS, or with unverified certificates."""
    for manifest in given.of("Envoy", ""):
        static = mapping(_snake(manifest.body), "static_resources")
        for cluster in items(static, "clusters"):
            yield from _cluster(manifest, cluster)
        for listener in items(static, "listeners"):
            yield from _listener(manifest, listener)


def admin(given: Deployment) -> Iterator[Finding]:
    """DEP-108: an Envoy whose admin interface can be reached from other machines."""
    for manifest in given.of("Envoy", ""):
        address = mapping(_snake(manifest.body), "admin", "address")
        if address and not _is_local(address):
            yield manifest.finding("DEP-108", address.line, "admin", "its admin interface listens beyond this machine")


def _cluster(manifest: ManifestObject, cluster: Any) -> Iterator[Finding]:
    name = printable(text(cluster, "name") or "unnamed", 80)
    sockets = [mapping(match, "transport_socket") for match in items(cluster, "transport_socket_matches")]
    sockets += [mapping(cluster, "transport_socket")] if "transport_socket" in mapping(cluster) else []
    addresses = [inner for inner in walk(mapping(cluster, "load_assignment")) if _is_address(inner)]
    if not sockets and addresses and all(_is_local(address) for address in addresses):
        return
    for socket in sockets or [YamlMapping(mapping(cluster).line)]:
        if problem := _socket_problem(socket, verifies=True):
            yield manifest.finding("DEP-104", socket.line, f"cluster {name}", f"cluster {name}: {problem}")


def _listener(manifest: ManifestObject, listener: Any) -> Iterator[Finding]:
    name = printable(text(listener, "name") or "unnamed", 80)
    if "internal_listener" in mapping(listener) or _is_local(mapping(listener, "address")):
        return
    # A listener without filter chains has no TLS at all, and is judged as one that is plain.
    for chain in items(listener, "filter_chains") or [mapping(listener)]:
        socket = mapping(chain, "transport_socket")
        if problem := _socket_problem(socket, verifies=False):
            yield manifest.finding("DEP-104", socket.line, f"listener {name}", f"listener {name}: {problem}")


def _socket_problem(socket: YamlMapping, *, verifies: bool) -> str:
    config = mapping(socket, "typed_config")
    kind = text(config, "@type").rsplit(".", 1)[-1]
    if not socket or "raw_buffer" in text(socket, "name") or kind == "RawBuffer":
        return "plain text, since it has no TLS transport socket"
    common = mapping(config, "common_tls_context")
    oldest = text(common, "tls_params", "tls_minimum_protocol_version")
    if oldest in _OLD_TLS:
        return f"accepts {oldest}"
    if any(text(inner, "trust_chain_verification") == "ACCEPT_UNTRUSTED" for inner in walk(common)):
        return "accepts certificates that nobody vouches for (ACCEPT_UNTRUSTED)"
    validated = any(key in common for key in ("validation_context", "validation_context_sds_secret_config",
                                              "combined_validation_context"))  # fmt: skip
    if verifies and kind in ("UpstreamTlsContext", "") and not validated:
        return "does not verify the server's certificate, since it has no validation context"
    return ""


def _is_address(value: YamlMapping) -> bool:
    return "socket_address" in value or "pipe" in value


def _is_local(address: YamlMapping) -> bool:
    if "pipe" in address:
        return True
    try:
        # A name may resolve to any address, so that only literal loopback addresses and localhost count as local.
        return ip_address(text(address, "socket_address", "address")).is_loopback
    except ValueError:
        return text(address, "socket_address", "address") == "localhost"


def _snake(value: Any) -> Any:
    """Return a value with keys as the protocol buffers spell them; Envoy reads either spelling."""
    if isinstance(value, list):
        return [_snake(item) for item in value]
    if not isinstance(value, YamlMapping):
        return value
    renamed = YamlMapping(value.line)
    for key, item in value.items():
        name = re.sub(r"(?<=[a-z0-9])([A-Z])", lambda match: "_" + match[1].lower(), key)
        renamed[name] = _snake(item)
        renamed.lines[name] = value.at(key)
    return renamed


RULES = (transport, admin)
