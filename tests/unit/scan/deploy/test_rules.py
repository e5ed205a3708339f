"""Each rule about manifests: where it fires, and what passes in its place."""

import base64

import pytest

from tests.support.manifests import DIGEST, ENVOY, HONEST, NAMESPACE, TRITON, VLLM, deployment, service
from zt_gate.domain import Severity, Status
from zt_gate.intake import Freeze, freeze
from zt_gate.policy.catalog import rule_ids, rule_page
from zt_gate.scan.deploy.check import DeployCheck


@pytest.fixture
def examine(make_tree):
    def run(*texts, **files):
        named = {f"{index}.yaml": text.encode() for index, text in enumerate(texts)}
        named |= {name.replace("__", "/").replace("_", "."): data.encode() for name, data in files.items()}
        with freeze([make_tree(named)], Freeze.HOLD) as frozen:
            return DeployCheck().run(frozen)

    return run


def rules(evidence):
    return {finding.rule for finding in evidence.findings}


@pytest.mark.parametrize("name", HONEST)
def test_honest_manifests_pass(examine, name):
    evidence = examine(HONEST[name])
    assert (evidence.findings, evidence.gaps, evidence.status) == ((), (), Status.PASS)


PEER = "apiVersion: security.istio.io/v1\nkind: PeerAuthentication\nmetadata: {name: a, namespace: ml}\nspec: "
AUTH = "apiVersion: security.istio.io/v1\nkind: AuthorizationPolicy\nmetadata: {name: a, namespace: ml}\nspec: "
DEST = "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata: {name: a, namespace: ml}\nspec: "
NET = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: a, namespace: ml}\nspec: "
SERVICE = "apiVersion: v1\nkind: Service\nmetadata: {name: a, namespace: ml}\nspec: "
RAY = "apiVersion: ray.io/v1\nkind: RayCluster\nmetadata: {name: ray, namespace: ml}\nspec: "
S3 = "apiVersion: s3.services.k8s.aws/v1alpha1\nkind: Bucket\nmetadata: {name: models}\nspec: "
NOTEBOOK = "quay.io/jupyter/base-notebook"
MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\ndata: "
SECRET = "apiVersion: v1\nkind: Secret\nmetadata: {name: storage-config}\n"
NS = "apiVersion: v1\nkind: Namespace\nmetadata: "
GCS = "apiVersion: storage.cnrm.cloud.google.com/v1beta1\nkind: StorageBucket\nmetadata: {name: models}\nspec: "
HEAD = "template: {spec: {containers: [{name: head, image: 'rayproject/ray:2.46.0'}]}}"


def with_args(image, *args):
    return deployment(f"{{name: c, image: '{image}', args: [{', '.join(repr(arg) for arg in args)}]}}")


def with_env(image, name, value):
    return deployment(f"{{name: c, image: '{image}', env: [{{name: {name}, value: '{value}'}}]}}")


V, T = "vllm/vllm-openai:v0.11.0", "nvcr.io/nvidia/tritonserver:25.06-py3"
CASES = [
    ("DEP-101", PEER + "{mtls: {mode: PERMISSIVE}}", PEER + "{mtls: {mode: STRICT}}"),
    ("DEP-101", PEER + "{}", PEER + "{selector: {matchLabels: {a: b}}, portLevelMtls: {80: {mode: STRICT}}}"),
    (
        "DEP-101",
        PEER + "{mtls: {mode: STRICT}, portLevelMtls: {8080: {mode: DISABLE}}}",
        PEER + "{mtls: {mode: STRICT}}",
    ),
    ("DEP-102", AUTH + "{rules: [{}]}", AUTH + "{}"),
    ("DEP-102", AUTH + "{rules: [{to: [{operation: {ports: ['80']}}]}]}", AUTH + "{action: DENY, rules: [{}]}"),
    (
        "DEP-102",
        AUTH + "{rules: [{from: [{source: {principals: ['*']}}]}]}",
        AUTH + "{rules: [{from: [{source: {requestPrincipals: ['*']}}]}]}",
    ),
    (
        "DEP-103",
        DEST + "{trafficPolicy: {tls: {mode: DISABLE}}}",
        DEST + "{trafficPolicy: {tls: {mode: ISTIO_MUTUAL}}}",
    ),
    (
        "DEP-103",
        DEST + "{trafficPolicy: {portLevelSettings: [{tls: {mode: SIMPLE}}]}}",
        DEST + "{trafficPolicy: {tls: {mode: SIMPLE, credentialName: ca}}}",
    ),
    (
        "DEP-103",
        DEST + "{subsets: [{trafficPolicy: {tls: {mode: SIMPLE, credentialName: c, insecureSkipVerify: true}}}]}",
        DEST + "{}",
    ),
    ("DEP-104", "static_resources: {clusters: [{name: a}]}", ENVOY),
    ("DEP-104", ENVOY.replace("TLSv1_2", "TLSv1_0"), ENVOY),
    ("DEP-104", ENVOY.replace("trusted_ca: {", "trust_chain_verification: ACCEPT_UNTRUSTED, trusted_ca: {"), ENVOY),
    ("DEP-104", ENVOY.replace("{validation_context: {trusted_ca: {filename: /tls/ca.crt}}}", "{}"), ENVOY),
    (
        "DEP-104",
        "staticResources: {listeners: [{address: {socketAddress: {address: 0.0.0.0}}, filterChains: [{}]}]}",
        "staticResources: {listeners: [{address: {socketAddress: {address: '::1'}}, filterChains: [{}]}]}",
    ),
    (
        "DEP-105",
        deployment(VLLM).replace("{labels: {app: server}}", "{annotations: {sidecar.istio.io/inject: 'false'}}"),
        deployment(VLLM),
    ),
    ("DEP-105", deployment(VLLM, pod="hostNetwork: true, "), deployment(VLLM)),
    (
        "DEP-105",
        deployment(VLLM) + "---\n" + NS + "{name: ml, labels: {istio-injection: disabled}}",
        deployment("{name: web, image: nginx}", pod="hostNetwork: true, "),
    ),
    ("DEP-106", deployment(VLLM), NAMESPACE + "---" + deployment(VLLM)),
    ("DEP-107", deployment(VLLM), NAMESPACE + "---" + deployment(VLLM)),
    ("DEP-107", deployment(VLLM) + "---\n" + AUTH + "{rules: [{}]}", deployment(VLLM) + "---\n" + AUTH + "{}"),
    ("DEP-108", ENVOY.replace("address: 127.0.0.1, port_value: 9901", "address: 0.0.0.0, port_value: 9901"), ENVOY),
    ("DEP-110", with_args(T, "--grpc-use-ssl=false"), with_args(T, "--grpc-use-ssl=true")),
    (
        "DEP-110",
        with_args("acme/gateway", "sh", "-c", "serve --port 80 --grpc-insecure"),
        with_args("acme/gateway", "serve"),
    ),
    (
        "DEP-120",
        NET + "{podSelector: {}, ingress: [{}]}",
        NET + "{podSelector: {}, ingress: [{from: [{podSelector: {}}]}]}",
    ),
    (
        "DEP-120",
        NET + "{podSelector: {}, egress: [{to: [{ipBlock: {cidr: 0.0.0.0/0}}]}]}",
        NET + "{podSelector: {}, egress: [{ports: [{port: 53}]}]}",
    ),
    ("DEP-121", deployment(VLLM), NAMESPACE + "---" + deployment(VLLM)),
    (
        "DEP-130",
        service("storageUri: 'http://models.example.org/m.pkl'"),
        service(f"storageUri: 's3://models/{DIGEST}'"),
    ),
    ("DEP-130", service("storageUri: 's3://models/latest'"), service(f"storageUri: 'gs://models/{DIGEST}/m'")),
    (
        "DEP-130",
        service("storageUri: 'oci://registry.example.org/m:v1'"),
        service(f"storageUri: 'oci://r.example.org/m@sha256:{DIGEST}'"),
    ),
    ("DEP-131", service("runtime: a").replace("cluster-local", "exposed"), service("runtime: a")),
    (
        "DEP-132",
        service("storage: {parameters: {verify_ssl: '0'}}"),
        service("storage: {parameters: {verify_ssl: '1'}}"),
    ),
    (
        "DEP-132",
        SECRET + 'stringData: {s3: \'{"verify_ssl": "0"}\'}',
        SECRET + 'stringData: {s3: \'{"verify_ssl": "1"}\'}',
    ),
    (
        "DEP-140",
        deployment(VLLM) + "---\n" + SERVICE + "{type: LoadBalancer, selector: {app: server}}",
        deployment(VLLM) + "---\n" + SERVICE + "{selector: {app: server}}",
    ),
    (
        "DEP-140",
        deployment("{name: c, image: vllm/vllm-openai, ports: [{containerPort: 1, hostPort: 80}]}"),
        deployment(VLLM),
    ),
    (
        "DEP-150",
        with_args(T, "tritonserver", "--model-control-mode=explicit"),
        with_args(
            T,
            "--model-control-mode=explicit",
            "--http-restricted-api=model-repository:k=v",
            "--grpc-restricted-protocol=model-repository:k=v",
        ),
    ),
    (
        "DEP-150",
        with_args(T, "--model-control-mode", "poll", "--allow-grpc=false"),
        with_args(T, "--model-control-mode=poll", "--allow-grpc=false", "--allow-http=false"),
    ),
    ("DEP-152", deployment(TRITON.replace(", readOnly: true", "")), deployment(TRITON)),
    ("DEP-160", with_args("pytorch/torchserve:0.12.0-cpu", "torchserve"), deployment(TRITON)),
    ("DEP-161", with_args("pytorch/torchserve:0.12.0", "--disable-token-auth"), with_args("pytorch/torchserve:0.12.0")),
    (
        "DEP-161",
        with_env("pytorch/torchserve:0.12.0", "TS_ALLOWED_URLS", ".*"),
        with_env("pytorch/torchserve:0.12.0", "TS_ALLOWED_URLS", "https://models.example.org/.*"),
    ),
    (
        "DEP-161",
        MAP + "{config.properties: 'management_address=http://0.0.0.0:8081'}",
        MAP + "{config.properties: 'management_address=http://127.0.0.1:8081'}",
    ),
    ("DEP-170", with_args(V, "--trust-remote-code"), with_args(V, "--model", "/models/llm")),
    (
        "DEP-170",
        with_args(V, "bash", "-c", "exec vllm serve m --trust_remote_code"),
        with_args(V, "--trust-remote-code=false"),
    ),
    (
        "DEP-170",
        deployment("{name: c, image: a, args: ['$(X)'], env: [{name: X, value: --trust-remote-code}]}"),
        deployment(VLLM),
    ),
    (
        "DEP-170",
        with_env("acme/server", "TRUST_REMOTE_CODE", "true"),
        with_env("acme/server", "TRUST_REMOTE_CODE", "false"),
    ),
    ("DEP-171", with_env(V, "VLLM_SERVER_DEV_MODE", "1"), with_env(V, "VLLM_SERVER_DEV_MODE", "0")),
    ("DEP-171", with_args(V, "--profiler-config", "x"), deployment(VLLM)),
    ("DEP-172", with_args(V, "--api-key", "$(KEY)"), NAMESPACE + "---" + with_args(V, "--api-key", "$(KEY)")),
    (
        "DEP-173",
        with_args(V, "--allowed-local-media-path", "/m"),
        with_args(V, "--allowed-local-media-path", "/m", "--allowed-media-domains", "media.example.org"),
    ),
    (
        "DEP-180",
        RAY + f"{{headGroupSpec: {{serviceType: LoadBalancer, {HEAD}}}}}",
        RAY + f"{{headGroupSpec: {{{HEAD}}}}}",
    ),
    (
        "DEP-180",
        RAY + f"{{headGroupSpec: {{rayStartParams: {{dashboard-host: 0.0.0.0}}, {HEAD}}}}}",
        RAY
        + f"{{authOptions: {{mode: token}}, headGroupSpec: {{rayStartParams: {{dashboard-host: 0.0.0.0}}, {HEAD}}}}}",
    ),
    (
        "DEP-181",
        with_args("ghcr.io/mlflow/mlflow", "mlflow", "server", "--host", "0.0.0.0"),
        with_args("ghcr.io/mlflow/mlflow", "mlflow", "server", "--host", "127.0.0.1"),
    ),
    ("DEP-182", with_args(NOTEBOOK, "--ServerApp.token=''"), with_args(NOTEBOOK, "a")),
    ("DEP-182", with_env(NOTEBOOK, "JUPYTER_TOKEN", ""), deployment(VLLM)),
    ("DEP-201", S3 + "{name: models}", HONEST["buckets"]),
    ("DEP-202", GCS + "{publicAccessPrevention: inherited}", HONEST["buckets"]),
    ("DEP-203", S3 + "{versioning: {status: Suspended}}", HONEST["buckets"]),
    ("DEP-204", GCS + "{}", HONEST["buckets"]),
    (
        "DEP-205",
        HONEST["buckets"] + "---" + service(f"storageUri: 's3://elsewhere/{DIGEST}'"),
        HONEST["buckets"] + "---" + service(f"storageUri: 's3://models/{DIGEST}'"),
    ),
    ("DEP-210", with_env(V, "HF_TOKEN", "hf_not-a-real-one"), deployment(VLLM)),
    ("DEP-210", with_args(V, "--api-key", "not-a-real-one"), with_args(V, "--api-key", "$(KEY)")),
]


@pytest.mark.parametrize(("rule", "bad", "good"), CASES, ids=[f"{case[0]}-{n}" for n, case in enumerate(CASES)])
def test_a_rule_fires_and_its_honest_counterpart_passes(examine, rule, bad, good):
    found = [finding for finding in examine(bad).findings if finding.rule == rule]
    assert found
    assert all(str(finding.severity) == rule_page(rule).severity and finding.line for finding in found)
    assert rule not in rules(examine(good))


def test_every_rule_has_a_case():
    assert {rule for rule in rule_ids() if rule.startswith("DEP-")} == {case[0] for case in CASES} | {"DEP-151"}


EIGHT = (
    PEER + "{mtls: {mode: PERMISSIVE}}\n---\n" + AUTH + "{rules: [{}]}\n---\n" + DEST
    + "{trafficPolicy: {tls: {mode: DISABLE}}}\n---" + service("storageUri: 'http://models.example.com/model.pkl'")
    + "---" + with_args("vllm/vllm-openai:latest", "--trust-remote-code", "--host", "0.0.0.0")
    + "---" + with_args(T, "tritonserver", "--model-control-mode=explicit", "--grpc-use-ssl=false")
    + "---\n" + NET + "{podSelector: {}, policyTypes: [Ingress, Egress], ingress: [{}], egress: [{}]}"
)  # fmt: skip


def test_eight_common_mistakes_are_all_found(examine):
    evidence = examine(EIGHT, "static_resources: {clusters: [{name: triton}]}")
    worst = {finding.rule for finding in evidence.findings if finding.severity >= Severity.HIGH}
    assert {f"DEP-{n}" for n in (101, 102, 103, 104, 110, 120, 130, 150, 170)} <= worst


def test_a_secret_is_never_shown(examine):
    evidence = examine(with_env(V, "HF_TOKEN", "hf_not-a-real-one"), with_args(V, "--api-key", "not-a-real-key"))
    assert "not-a-real" not in repr(evidence)


def test_encoded_settings_of_a_secret_are_read(examine):
    value = base64.b64encode(b'{"verify_ssl": "0"}').decode()
    text = f"apiVersion: v1\nkind: Secret\nmetadata: {{name: storage-config}}\ndata: {{s3: {value}}}"
    assert rules(examine(text)) == {"DEP-132"}


def test_policies_of_one_file_protect_pods_of_another(examine):
    alone, together = examine(deployment(VLLM)), examine(deployment(VLLM), NAMESPACE)
    assert rules(alone) == {"DEP-106", "DEP-107", "DEP-121"}
    assert rules(together) == set()


def test_a_policy_for_a_gateway_protects_no_pod(examine):
    policy = AUTH + "{targetRefs: [{kind: Gateway, name: g}], rules: [{from: [{source: {namespaces: [web]}}]}]}"
    assert "DEP-107" in rules(examine(deployment(VLLM), policy))


def test_a_server_under_another_name_is_known_by_its_options_and_variables(examine):
    assert "DEP-150" in rules(examine(with_args("acme/serving", "--model-control-mode=explicit")))
    assert "DEP-171" in rules(examine(with_env("acme/serving", "VLLM_SERVER_DEV_MODE", "1")))


@pytest.mark.parametrize(
    "source",
    [
        "envFrom: [{configMapRef: {name: a}}]",
        "env: [{name: VLLM_SERVER_DEV_MODE, valueFrom: {configMapKeyRef: {name: a, key: VLLM_SERVER_DEV_MODE}}}]",
    ],
)
def test_variables_from_a_given_config_map_are_read(examine, source):
    pod = deployment(f"{{name: c, image: '{V}', {source}}}")
    settings = MAP.replace("name: a", "name: a, namespace: ml") + "{VLLM_SERVER_DEV_MODE: '1'}"
    assert "DEP-171" in rules(examine(pod, settings))
    assert "DEP-171" not in rules(examine(pod, settings.replace("'1'", "'0'")))


def test_tls_of_a_proxy_without_its_configuration_verifies_nobody(examine):
    cluster = "{name: a, transport_socket: {name: envoy.transport_sockets.tls}}"
    assert "DEP-104" in rules(examine(f"static_resources: {{clusters: [{cluster}]}}"))


def test_a_policy_of_the_mesh_root_holds_for_every_namespace_and_others_do_not(examine):
    root, other = (NAMESPACE.replace("namespace: ml", f"namespace: {name}") for name in ("istio-system", "web"))
    assert "DEP-106" not in rules(examine(deployment(VLLM), root))
    assert "DEP-106" in rules(examine(deployment(VLLM), other))


def test_python_backends_of_triton_are_named(examine):
    """DEP-151 is about the model repository, not about a manifest."""
    assert rules(examine(m__config_pbtxt='name: "m"\nbackend: "python"\n')) == {"DEP-151"}
    assert rules(examine(m__config_pbtxt="backend:\n  'pyth'\n  'on'\n")) == {"DEP-151"}
    assert rules(examine(m__config_pbtxt='backend: "\\160ython"\n')) == {"DEP-151"}
    assert examine(m__config_pbtxt='platform: "onnxruntime_onnx"\n# backend: "python"\n').status is Status.PASS
    assert examine(m__config_pbtxt='name: "m" } backend: "python" {').findings
