"""Whatever stands in a manifest, the check ends, says something and raises nothing."""

import yaml
from hypothesis import given
from hypothesis import strategies as st

from tests.support.manifests import ENVOY, HONEST
from zt_gate.codecs.strict_yaml import load
from zt_gate.intake import MemorySource
from zt_gate.scan.deploy.check import _judge
from zt_gate.scan.deploy.manifests import is_candidate, read

WORDS = (
    "apiVersion",
    "kind",
    "metadata",
    "spec",
    "containers",
    "args",
    "env",
    "name",
    "value",
    "predictor",
    "model",
    "storageUri",
    "template",
    "tls",
    "mode",
    "rules",
    "from",
    "ingress",
    "selector",
    "static_resources",
    "clusters",
    "transport_socket",
    "typed_config",
    "labels",
    "headGroupSpec",
    "data",
)
VALUES = (
    "PeerAuthentication",
    "AuthorizationPolicy",
    "Deployment",
    "InferenceService",
    "ConfigMap",
    "NetworkPolicy",
    "v1",
    "security.istio.io/v1",
    "serving.kserve.io/v1beta1",
    "apps/v1",
    "vllm",
    "--trust-remote-code",
    "",
)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.sampled_from(VALUES), st.text(max_size=5)),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.sampled_from(WORDS), inner, max_size=5)),
    max_leaves=25,
)
HEADS = st.sampled_from(
    [
        ("apps/v1", "Deployment"),
        ("security.istio.io/v1", "AuthorizationPolicy"),
        ("v1", "Service"),
        ("security.istio.io/v1", "PeerAuthentication"),
        ("serving.kserve.io/v1beta1", "InferenceService"),
        ("networking.istio.io/v1", "DestinationRule"),
        ("networking.k8s.io/v1", "NetworkPolicy"),
        ("ray.io/v1", "RayCluster"),
        ("v1", "ConfigMap"),
        ("v1", "Pod"),
    ]
)


def examined(data):
    given_ = read(MemorySource("a.yaml", "", data))
    findings = list(_judge(given_)) if given_.manifests else []
    assert not [gap for gap in given_.gaps if "stopped" in gap.reason], given_.gaps
    return given_, findings


@given(HEADS, st.dictionaries(st.sampled_from(WORDS), JSON, max_size=6))
def test_objects_of_any_shape_raise_nothing(head, body):
    examined(yaml.safe_dump(body | {"apiVersion": head[0], "kind": head[1]}).encode())


@given(JSON)
def test_proxies_of_any_shape_raise_nothing(body):
    examined(yaml.safe_dump({"static_resources": body, "admin": body}).encode())


@given(st.data())
def test_damaged_manifests_are_read_or_refused(data):
    text = data.draw(st.sampled_from([*HONEST.values(), ENVOY])).encode()
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 40)))
    damaged = text[:start] + data.draw(st.binary(max_size=8)) + text[end:]
    source = MemorySource("a.yaml", "", damaged)
    is_candidate(source)
    examined(damaged)


@given(st.binary(max_size=200))
def test_bytes_are_documents_or_a_value_error(data):
    try:
        load(data)
    except ValueError:
        return
