"""Which files hold manifests, and what about them is refused."""

import json

import pytest

from tests.support.manifests import VLLM, deployment
from zt_gate.domain import Status
from zt_gate.intake import Freeze, freeze
from zt_gate.scan.deploy.check import DeployCheck

POD = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: c, image: a}]}\n"
BAD = "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nspec: {mtls: {mode: DISABLE}}\n"


def run(root):
    with freeze([root], Freeze.HOLD) as frozen:
        return DeployCheck().run(frozen)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("conda.yaml", "name: env\ndependencies: [python=3.11]\n"),
        ("config.json", '{"model_type": "bert", "kind": "encoder"}'),
        ("tokenizer.json", json.dumps({"model": {"vocab": {"apiVersion": 1, "kind": 2}}})),
        ("README.md", POD),
        ("model.txt", "hello"),
    ],
)
def test_a_release_without_manifests_is_not_applicable(make_tree, name, text):
    assert run(make_tree({name: text.encode()})).status is Status.NOT_APPLICABLE


@pytest.mark.parametrize(
    "text",
    [
        "a: b\n---\n" + BAD,
        "# " + "x" * 3_000_000 + "\n" + BAD,
        '{"api\\u0056ersion": "security.istio.io/v1", "kind": "PeerAuthentication", "spec": {}}',
        json.dumps({"apiVersion": "v1", "kind": "List", "items": [{"apiVersion": "security.istio.io/v1",
                    "kind": "PeerAuthentication"}]}),
        "\ufeff" + BAD,
    ],
)  # fmt: skip
@pytest.mark.parametrize("name", ["k8s/a.yaml", "k8s/a.YML"])
def test_a_manifest_is_found_wherever_it_stands(make_tree, name, text):
    assert [finding.rule for finding in run(make_tree({name: text.encode()})).findings] == ["DEP-101"]


def test_json_manifests_are_read(make_tree):
    text = '{"api\\u0056ersion": "security.istio.io/v1", "kind": "PeerAuthentication", "spec": {}}'
    assert [finding.rule for finding in run(make_tree({"a.json": text.encode()})).findings] == ["DEP-101"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.yaml", POD + "kind: Service\n"),
        ("a.yaml", POD + "x: !!python/object:os.system {}\n"),
        ("a.yaml", POD + "x: *nowhere\n"),
        ("a.yaml", POD + "x: " + "[" * 100 + "]" * 100),
        ("a.yaml", POD + "x: [\n"),
        ("a.yaml", POD + "? [a]\n: b\n"),
        ("a.yaml", POD + "<<: text\n"),
        ("a.yaml", POD + "# " + "x" * 5_000_000),
        ("a.yaml", POD.replace("v1", "apps/v9")),
        ("templates/a.yaml", POD.replace("image: a", "image: '{{ .Values.image }}'")),
        ("templates/a.yaml", "{{- if .Values.on }}\n" + POD + "{{- end }}\n"),
        ("kustomization.yaml", "resources: [a.yaml]\n"),
        ("k.yaml", "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n"),
        ("m/config.pbtxt", "x" * 2_000_000),
        ("a.yaml", deployment("{name: c, image: vllm/vllm-openai, args: ['$(MORE)']}")),
        ("a.yaml", deployment("{name: c, image: vllm/vllm-openai, command: [sh, -c, 'vllm serve m $(cat /flags)']}")),
        ("a.yaml", deployment("{name: c, image: vllm/vllm-openai, command: [sh, -c, 'exec vllm serve \"$@\"']}")),
        ("a.yaml", "dynamic_resources: {ads_config: {api_type: GRPC}}\n"),
        ("a.yaml", "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: {e.yaml: 'static_resources: ['}"),
    ],
)
def test_what_cannot_be_read_with_certainty_is_incomplete(make_tree, name, text):
    evidence = run(make_tree({name: text.encode()}))
    assert evidence.status is Status.INCOMPLETE
    assert {gap.path for gap in evidence.gaps} == {name}
    assert all(gap.fix for gap in evidence.gaps)


def test_bytes_that_are_no_text_are_incomplete(make_tree):
    assert run(make_tree({"a.yaml": POD.encode() + b"\xff"})).status is Status.INCOMPLETE


def test_a_template_says_how_to_render_it(make_tree):
    (gap,) = run(make_tree({"a.yaml": b"apiVersion: v1\nkind: Pod\nname: {{ .Release.Name }}\n"})).gaps
    assert "helm template" in gap.fix


def test_words_in_double_braces_that_are_no_helm_are_read(make_tree):
    text = deployment(VLLM) + "# a chat template: {{ messages[0] }}\n"
    assert run(make_tree({"a.yaml": text.encode()})).gaps == ()


def test_a_proxy_inside_a_config_map_is_examined(make_tree):
    text = "apiVersion: v1\nkind: ConfigMap\ndata: {e.yaml: 'static_resources: {clusters: [{name: c}]}'}"
    assert [finding.rule for finding in run(make_tree({"a.yaml": text.encode()})).findings] == ["DEP-104"]


def test_the_order_of_the_files_does_not_show(make_tree):
    files = {"b.yaml": deployment(VLLM).encode(), "a.yaml": BAD.encode(), "c.yaml": b"apiVersion: v1\nkind: {{ .x }}\n"}
    assert run(make_tree(files, "one")) == run(make_tree(dict(reversed(files.items())), "two"))
