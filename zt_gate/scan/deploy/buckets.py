"""Rules for buckets that hold models, where they are Kubernetes objects; Terraform comes in through other scanners.

Sources: AWS Controllers for Kubernetes, `s3.services.k8s.aws` Bucket; Google Config Connector, `StorageBucket`.
"""

from __future__ import annotations

from collections.abc import Iterator

from zt_gate.codecs.strict_yaml import Mapping, is_true, items, mapping, text
from zt_gate.domain import printable
from zt_gate.scan.deploy.manifests import Manifest
from zt_gate.scan.deploy.release import Deployment, Hit
from zt_gate.scan.deploy.serving import bucket_of, storage_uris

_AWS, _GOOGLE = "s3.services.k8s.aws", "storage.cnrm.cloud.google.com"
_BLOCKS = ("blockPublicACLs", "blockPublicPolicy", "ignorePublicACLs", "restrictPublicBuckets")


def settings(given: Deployment) -> Iterator[Hit]:
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


def _own_key(rule: Mapping) -> bool:
    default = mapping(rule, "applyServerSideEncryptionByDefault")
    reference = "kmsMasterKeyID" in default or "kmsMasterKeyRef" in default
    return text(default, "sseAlgorithm").startswith("aws:kms") and reference


def _judge(manifest: Manifest, *, encrypted: bool, private: bool, versioned: bool, logged: bool) -> Iterator[Hit]:
    line = mapping(manifest.body, "spec").line
    if not encrypted:
        yield Hit("DEP-201", manifest, line, "encryption", "it is not encrypted with a key of your own")
    if not private:
        yield Hit("DEP-202", manifest, line, "public access", "public access to it is not blocked")
    if not versioned:
        yield Hit("DEP-203", manifest, line, "versioning", "it keeps no former versions")
    if not logged:
        yield Hit("DEP-204", manifest, line, "logging", "nobody records who reads and writes it")


def same_bucket(given: Deployment) -> Iterator[Hit]:
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
            yield Hit("DEP-205", manifest, line, printable(name, 80), said)


RULES = (settings, same_bucket)
