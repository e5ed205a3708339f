"""Rules for KServe: which bytes it loads, from where, and who may ask it.

Sources: kserve.github.io/website, "Storage" and "InferenceService"; Red Hat OpenShift AI 3.0, "Deploying models".
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from zt_gate.codecs.strict_yaml import YamlMapping, is_false, is_true, items, mapping, text, walk
from zt_gate.domain import Finding, printable
from zt_gate.intake import ByteSource
from zt_gate.scan.deploy.manifests import ManifestObject, read
from zt_gate.scan.deploy.mesh import is_guarded
from zt_gate.scan.deploy.release import Deployment

GROUP = "serving.kserve.io"
_DIGEST = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")
_COMMIT = re.compile(r"[:@][0-9a-f]{40}\Z")
_VISIBILITY = ("networking.kserve.io/visibility", "networking.knative.dev/visibility")
_AUTH = "security.opendatahub.io/enable-auth"
_UNVERIFIED = {
    "verify_ssl": False, "s3_verify_ssl": False, "s3_use_https": False, "use_https": False, "no_verify_ssl": True,
    "git_ssl_no_verify": True, "pythonhttpsverify": False, "hf_hub_disable_ssl_verification": True,
    "serving.kserve.io/s3-verifyssl": False, "serving.kserve.io/s3-usehttps": False,
}  # fmt: skip
"""Settings of storage initialisers, and which value of each gives up on TLS."""


def storage_uris(manifests: tuple[ManifestObject, ...]) -> Iterator[tuple[ManifestObject, int, str]]:
    """Yield every address that KServe loads a model from: manifest, line, address."""
    for manifest in manifests:
        if manifest.group != GROUP:
            continue
        for inner in walk(manifest.body):
            for key in ("storageUri", "sourceModelUri", "uri"):
                address = text(inner, key)
                if address and (key != "uri" or "://" in address):
                    yield manifest, inner.at(key), address


def pinned(given: Deployment) -> Iterator[Finding]:
    """DEP-130: a model that is loaded over plain HTTP, or from an address whose content can change."""
    for manifest, line, address in storage_uris(given.manifests):
        if problem := uri_problem(address):
            shown = printable(address.split("?")[0], 120)
            yield manifest.finding("DEP-130", line, shown, f"the model address {shown} {problem}")


def uri_problem(address: str) -> str:
    """Say what is wrong with a model address; empty where it is encrypted on its way and names exact bytes."""
    scheme, _, rest = address.lower().partition("://")
    if scheme in ("http", "ftp"):
        return "is fetched without encryption"
    if _DIGEST.search(rest) or (scheme == "hf" and _COMMIT.search(rest)):
        return ""
    return "names no digest, so what it holds can change after it was checked"


def other_models(source: ByteSource, digest: str) -> list[str]:
    """Say why manifests would load something else than one release.

    An address names a release by its subject digest in the path, such as `s3://models/DIGEST/`. The digest of an OCI
    image is another one, over the image's own manifest, and proves nothing about the files.

    Args:
        source: a file of manifests.
        digest: the release's subject digest, 64 hexadecimal digits.
    """
    given = read(source)
    name = printable(source.path)
    reasons = [f"{name}: {gap.reason}" for gap in given.gaps]
    found = list(storage_uris(tuple(given.manifests)))
    if not found:
        reasons.append(f"{name} names no model that KServe would load")
    for manifest, line, address in found:
        if digest not in _DIGEST.findall(address.lower()):
            shown = printable(address.split("?")[0], 120)
            reasons.append(f"{name}:{line}: {manifest.label} loads {shown}, which does not name this release's digest")
    return reasons


def authenticated(given: Deployment) -> Iterator[Finding]:
    """DEP-131: an InferenceService that anybody may call."""
    for manifest in given.of("InferenceService", GROUP):
        metadata = mapping(manifest.body, "metadata")
        notes = {**mapping(metadata, "annotations"), **mapping(metadata, "labels")}
        local = any(str(notes.get(key)).lower() in ("cluster-local", "clusterlocal") for key in _VISIBILITY)
        guarded = any(is_guarded(given, pod) for pod in given.pods if pod.manifest is manifest)
        if is_false(notes.get(_AUTH)) or not (local or guarded or is_true(notes.get(_AUTH))):
            said = "it asks callers for nothing, and its default is to be reachable from outside the cluster"
            yield manifest.finding("DEP-131", metadata.line, "authentication", said)


def verified_storage(given: Deployment) -> Iterator[Finding]:
    """DEP-132: storage settings that give up on TLS or on verifying it."""
    for manifest in given.manifests:
        for place, key, value, line in _settings(manifest):
            bad = _UNVERIFIED.get(key.lower())
            if bad is not None and (is_true(value) if bad else is_false(value)):
                said = f"{place}{printable(key, 60)} turns off TLS, or its verification, where models come from"
                yield manifest.finding("DEP-132", line, printable(key, 60), said)


def _settings(manifest: ManifestObject) -> Iterator[tuple[str, str, Any, int]]:
    """Yield settings wherever storage initialisers look for them: place, key, value, line."""
    for inner in walk(manifest.body):
        if text(inner, "name") and isinstance(inner.get("value"), str):
            yield "the variable ", text(inner, "name"), inner["value"], inner.at("value")
        for key, value in inner.items():
            yield "", key, value, inner.at(key)
    if manifest.kind not in ("Secret", "ConfigMap"):
        return
    for part in ("stringData", "data"):
        data = mapping(manifest.body, part)
        for key, value in data.items():
            encoded = manifest.kind == "Secret" and part == "data"
            plain = _decoded(value) if encoded else value
            yield "", key, plain, data.at(key)
            for found in re.finditer(r'"([a-zA-Z_0-9]{1,40})"\s*:\s*"?([a-zA-Z0-9]{1,8})"?', str(plain)[:100_000]):
                yield f"{printable(key, 60)}: ", found[1], found[2], data.at(key)


def _decoded(value: Any) -> str:
    """Decode a value of a Secret. It is compared with known settings and never shown."""
    try:
        return base64.b64decode(str(value), validate=False).decode("utf-8", "replace")
    except (binascii.Error, ValueError):
        return ""


def bucket_of(address: str) -> str:
    """Return the bucket that a model address names; empty where it names none."""
    parts = urlsplit(address)
    return parts.netloc if parts.scheme in ("s3", "gs") else ""


_AWS, _GOOGLE = "s3.services.k8s.aws", "storage.cnrm.cloud.google.com"
_BLOCKS = ("blockPublicACLs", "blockPublicPolicy", "ignorePublicACLs", "restrictPublicBuckets")


def settings(given: Deployment) -> Iterator[Finding]:
    """DEP-201 to DEP-204: encryption with a key of one's own, no public access, versions, access logs."""
    for manifest in given.of("Bucket", _AWS):
        spec = mapping(manifest.body, "spec")
        block = mapping(spec, "publicAccessBlock")
        yield from _judge(
            manifest,
            encrypted=any(_own_key(rule) for rule in items(spec, "encryption", "rules")),
            private=all(is_true(block.get(name)) for name in _BLOCKS),
            versioned=text(spec, "versioning", "status") == "Enabled",
            logged=bool(mapping(spec, "logging", "loggingEnabled")),
        )
    for manifest in given.of("StorageBucket", _GOOGLE):
        spec = mapping(manifest.body, "spec")
        yield from _judge(
            manifest,
            encrypted=bool(mapping(spec, "encryption", "kmsKeyRef")),
            private=text(spec, "publicAccessPrevention") == "enforced",
            versioned=is_true(mapping(spec, "versioning").get("enabled")),
            logged=bool(mapping(spec, "logging")),
        )


def _own_key(rule: YamlMapping) -> bool:
    default = mapping(rule, "applyServerSideEncryptionByDefault")
    reference = "kmsMasterKeyID" in default or "kmsMasterKeyRef" in default
    return text(default, "sseAlgorithm").startswith("aws:kms") and reference


def _judge(
    manifest: ManifestObject, *, encrypted: bool, private: bool, versioned: bool, logged: bool
) -> Iterator[Finding]:
    line = mapping(manifest.body, "spec").line
    if not encrypted:
        yield manifest.finding("DEP-201", line, "encryption", "it is not encrypted with a key of your own")
    if not private:
        yield manifest.finding("DEP-202", line, "public access", "public access to it is not blocked")
    if not versioned:
        yield manifest.finding("DEP-203", line, "versioning", "it keeps no former versions")
    if not logged:
        yield manifest.finding("DEP-204", line, "logging", "nobody records who reads and writes it")


def same_bucket(given: Deployment) -> Iterator[Finding]:
    """DEP-205: a model address in a bucket that is not among the buckets that were given."""
    buckets = [*given.of("Bucket", _AWS), *given.of("StorageBucket", _GOOGLE)]
    known = {
        text(bucket.body, "spec", "name") or text(bucket.body, "spec", "resourceID") or bucket.name
        for bucket in buckets
    }
    for manifest, line, address in storage_uris(given.manifests):
        name = bucket_of(address)
        if known and name and name not in known:
            said = f"its model lies in the bucket {printable(name, 80)}, which is none of those that were examined"
            yield manifest.finding("DEP-205", line, printable(name, 80), said)


RULES = (pinned, authenticated, verified_storage, settings, same_bucket)
