"""What must hold whatever else is given: mistakes stay, order does not show, and more text never hides a document."""

from hypothesis import given
from hypothesis import strategies as st

from tests.support.manifests import HONEST
from zt_gate.intake import MemorySource
from zt_gate.scan.deploy.check import _judge
from zt_gate.scan.deploy.manifests import Given, is_candidate, read

HEAD = "apiVersion: {}\nkind: {}\nmetadata: {{name: mistake, namespace: ml}}\nspec: {}\n"
POD = "{{containers: [{{name: c, image: vllm/vllm-openai, {}}}]}}"
MISTAKES = {
    "DEP-101": HEAD.format("security.istio.io/v1", "PeerAuthentication", "{mtls: {mode: DISABLE}}"),
    "DEP-102": HEAD.format("security.istio.io/v1", "AuthorizationPolicy", "{rules: [{}]}"),
    "DEP-103": HEAD.format("networking.istio.io/v1", "DestinationRule", "{trafficPolicy: {tls: {mode: DISABLE}}}"),
    "DEP-104": "static_resources: {clusters: [{name: a}]}\n",
    "DEP-120": HEAD.format("networking.k8s.io/v1", "NetworkPolicy", "{podSelector: {}, egress: [{}]}"),
    "DEP-130": HEAD.format(
        "serving.kserve.io/v1beta1", "InferenceService", "{predictor: {model: {storageUri: 'http://a.example/m'}}}"
    ),
    "DEP-170": HEAD.format("v1", "Pod", POD.format("args: [--trust-remote-code]")),
    "DEP-210": HEAD.format("v1", "Pod", POD.format("env: [{name: HF_TOKEN, value: made-up}]")),
}
SETS = st.lists(st.sampled_from(sorted(HONEST.values())), max_size=3)


def found(texts):
    given_ = Given()
    for number, text in enumerate(texts):
        inside = read(MemorySource(f"{number}.yaml", "", text.encode()))
        assert not inside.gaps
        given_.manifests += inside.manifests
    return sorted((finding.rule, finding.severity, finding.message) for finding in _judge(given_))


@given(st.sampled_from(sorted(MISTAKES)), SETS, SETS)
def test_a_mistake_stays_whatever_surrounds_it(rule, before, after):
    assert rule in {name for name, _, _ in found([*before, MISTAKES[rule], *after])}


@given(st.lists(st.sampled_from(sorted(MISTAKES.values())), max_size=4), SETS, st.randoms())
def test_the_order_of_documents_does_not_show(mistakes, honest, random):
    texts = [*mistakes, *honest]
    shuffled = random.sample(texts, len(texts))
    assert found(texts) == found(shuffled)


@given(st.sampled_from(sorted(MISTAKES.values())), st.integers(0, 1 << 21), st.sampled_from("#\n "))
def test_no_amount_of_text_in_front_hides_a_document(text, length, char):
    padding = "# " + "x" * length + "\n" if char == "#" else "\n" * length
    assert is_candidate(MemorySource("a.yaml", "", (padding + text).encode()))
