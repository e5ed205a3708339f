"""Honest manifests in the shapes that the projects' own documentation uses, and what makes a namespace safe."""

NAMESPACE = """
apiVersion: security.istio.io/v1
kind: PeerAuthentication
metadata: {name: default, namespace: ml}
spec: {mtls: {mode: STRICT}}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: nobody, namespace: ml}
spec: {}
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: {name: callers, namespace: ml}
spec:
  action: ALLOW
  rules:
  - from: [{source: {principals: [cluster.local/ns/web/sa/frontend]}}]
    to: [{operation: {methods: [POST], paths: [/v1/*]}}]
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: default-deny, namespace: ml}
spec: {podSelector: {}, policyTypes: [Ingress, Egress]}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: allow, namespace: ml}
spec:
  podSelector: {matchLabels: {app: server}}
  policyTypes: [Ingress, Egress]
  ingress:
  - from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: web}}}]
    ports: [{port: 8080}]
  egress:
  - ports: [{port: 53, protocol: UDP}]
  - to: [{ipBlock: {cidr: 10.0.0.0/8}}]
"""


def deployment(container: str, *, labels: str = "{app: server}", pod: str = "") -> str:
    """Return a Deployment in the namespace `ml` with one container, given as YAML in braces."""
    return f"""
apiVersion: apps/v1
kind: Deployment
metadata: {{name: server, namespace: ml}}
spec:
  replicas: 1
  selector: {{matchLabels: {labels}}}
  template:
    metadata: {{labels: {labels}}}
    spec: {{{pod}containers: [{container}]}}
"""


def service(fields: str) -> str:
    """Return an InferenceService in the namespace `ml`, given what stands under its model."""
    return f"""
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata:
  name: credit
  namespace: ml
  labels: {{networking.kserve.io/visibility: cluster-local}}
spec: {{predictor: {{model: {{modelFormat: {{name: sklearn}}, {fields}}}}}}}
"""


DIGEST = "4f" * 32
TRITON = (
    "{name: triton, image: 'nvcr.io/nvidia/tritonserver:25.06-py3', command: [tritonserver], "
    "args: [--model-repository=/models, --model-control-mode=none], "
    "volumeMounts: [{name: models, mountPath: /models, readOnly: true}]}"
)
VLLM = (
    "{name: vllm, image: 'vllm/vllm-openai:v0.11.0', args: [--model, /models/llm, --host, 0.0.0.0], "
    "env: [{name: HF_TOKEN, valueFrom: {secretKeyRef: {name: hf, key: token}}}, {name: HF_HUB_OFFLINE, value: '1'}]}"
)
ENVOY = """
admin: {address: {socket_address: {address: 127.0.0.1, port_value: 9901}}}
static_resources:
  listeners:
  - name: in
    address: {socket_address: {address: 0.0.0.0, port_value: 8443}}
    filter_chains:
    - transport_socket: &tls
        name: envoy.transport_sockets.tls
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
          common_tls_context:
            tls_params: {tls_minimum_protocol_version: TLSv1_2}
            tls_certificates: [{certificate_chain: {filename: /tls/tls.crt}, private_key: {filename: /tls/tls.key}}]
  clusters:
  - name: beside
    load_assignment: {cluster_name: beside, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address:
      {address: 127.0.0.1, port_value: 8001}}}}]}]}
  - name: triton
    load_assignment: {cluster_name: triton, endpoints: [{lb_endpoints: [{endpoint: {address: {socket_address:
      {address: triton.ml, port_value: 8001}}}}]}]}
    transport_socket:
      name: envoy.transport_sockets.tls
      typed_config:
        "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext
        common_tls_context: {validation_context: {trusted_ca: {filename: /tls/ca.crt}}}
"""
_RAY = """
apiVersion: ray.io/v1
kind: RayCluster
metadata: {name: ray, namespace: ml}
spec:
  headGroupSpec:
    serviceType: ClusterIP
    rayStartParams: {dashboard-host: 0.0.0.0}
    template: {spec: {containers: [{name: head, image: 'rayproject/ray:2.46.0'}]}}
"""
_BUCKETS = """
apiVersion: s3.services.k8s.aws/v1alpha1
kind: Bucket
metadata: {name: models}
spec:
  name: models
  encryption: {rules: [{applyServerSideEncryptionByDefault: {sseAlgorithm: aws:kms, kmsMasterKeyID: k}}]}
  publicAccessBlock:
    {blockPublicACLs: true, blockPublicPolicy: true, ignorePublicACLs: true, restrictPublicBuckets: true}
  versioning: {status: Enabled}
  logging: {loggingEnabled: {targetBucket: logs}}
---
apiVersion: storage.cnrm.cloud.google.com/v1beta1
kind: StorageBucket
metadata: {name: others}
spec:
  encryption: {kmsKeyRef: {name: key}}
  publicAccessPrevention: enforced
  versioning: {enabled: true}
  logging: {logBucket: logs}
"""
_RULES = """
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: {name: server, namespace: ml}
spec:
  host: server.ml.svc.cluster.local
  trafficPolicy: {tls: {mode: ISTIO_MUTUAL}}
  subsets: [{name: v2, labels: {version: v2}, trafficPolicy: {tls: {mode: SIMPLE, caCertificates: /tls/ca.crt}}}]
---
apiVersion: v1
kind: Service
metadata: {name: server, namespace: ml}
spec: {type: ClusterIP, selector: {app: server}, ports: [{port: 8080}]}
"""
_LIST = """
apiVersion: v1
kind: List
items:
- {apiVersion: v1, kind: Namespace, metadata: {name: ml, labels: {istio-injection: enabled}}}
- apiVersion: v1
  kind: Service
  metadata: {name: gateway, namespace: web}
  spec: {type: LoadBalancer, selector: {app: gateway}}
"""
_JUPYTER = "{name: jupyter, image: 'quay.io/jupyter/base-notebook', args: [start-notebook.py, --port=8080]}"
_MLFLOW = (
    "{name: mlflow, image: 'ghcr.io/mlflow/mlflow:v3.4.0', "
    "command: [mlflow, server, --host, 0.0.0.0, --app-name, basic-auth]}"
)
_TFS = "{name: tf, image: 'tensorflow/serving:2.19.0', args: [--model_name=m, --ssl_config_file=/tls/ssl.cfg]}"
_ANCHORS = """
apiVersion: apps/v1
kind: Deployment
metadata: &meta {name: server, namespace: ml, labels: &labels {app: server}}
spec:
  selector: {matchLabels: *labels}
  template:
    metadata: {labels: {<<: *labels, version: v1}}
    spec: {containers: [{name: ovms, image: 'openvino/model_server:2025.2', args: [--config_path, /c.json]}]}
"""

HONEST = {
    "triton": NAMESPACE + "---" + deployment(TRITON),
    "vllm": NAMESPACE + "---" + deployment(VLLM),
    "kserve": NAMESPACE + "---" + service(f"storageUri: 's3://models/{DIGEST}/model'"),
    "kserve over oci": NAMESPACE + "---" + service(f"storageUri: 'oci://registry.example.org/m@sha256:{DIGEST}'"),
    "kserve from a hub": NAMESPACE + "---" + service(f"storageUri: 'hf://acme/llm:{'a1' * 20}'"),
    "ray": NAMESPACE + "---" + _RAY,
    "mlflow": NAMESPACE + "---" + deployment(_MLFLOW),
    "jupyter": NAMESPACE + "---" + deployment(_JUPYTER),
    "tensorflow serving": NAMESPACE + "---" + deployment(_TFS),
    "anchors and merge keys": NAMESPACE + "---" + _ANCHORS,
    "mesh rules and a service": NAMESPACE + "---" + _RULES + "---" + deployment(TRITON),
    "a list, with a gateway": NAMESPACE + "---" + _LIST,
    "envoy": ENVOY,
    "buckets": _BUCKETS,
}
"""Sets of manifests in which no rule may fire, by what they show."""
