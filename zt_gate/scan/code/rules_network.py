"""Rules about what code sends, fetches, serves and believes over a network."""

from __future__ import annotations

import re

from zt_gate.scan.code.call_sites import NOTHING, Found, Rule, Site

_OPEN_HTTP = re.compile(r"\s*http://(?!(localhost|127\.\d+\.\d+\.\d+|\[::1\]|0\.0\.0\.0)([:/]|\s*$))", re.IGNORECASE)
_LOCAL = re.compile(r"(unix(-abstract)?:|localhost\b|127\.\d+\.\d+\.\d+\b|\[::1\])", re.IGNORECASE)
_MLFLOW = frozenset(
    f"{module}.{name}"
    for module in ("mlflow", "mlflow.tracking", "mlflow.client")
    for name in ("set_tracking_uri", "set_registry_uri", "MlflowClient")
)
_MLFLOW_KEYS = frozenset({"tracking_uri", "registry_uri", "MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"})
_GRPC = frozenset({"grpc.insecure_channel", "grpc.aio.insecure_channel", "grpc.experimental.insecure_channel"})
_GRPC_METHODS = frozenset({"add_insecure_port", "insecure_channel"})
_CONTEXTS = frozenset({"ssl._create_unverified_context"})
_NO_VERIFY = frozenset({"verify", "verify_ssl", "ssl_verify", "verify_certs", "check_hostname", "validate_certs",
                        "tls_verify", "ssl_verification"})  # fmt: skip
_REQUESTS = frozenset({"get", "post", "put", "patch", "delete", "head", "options", "request", "send", "stream",
                       "Session", "Client", "AsyncClient", "client", "resource"})  # fmt: skip
_NO_CERT_KEYS = frozenset({"verify_mode", "cert_reqs", "_create_default_https_context"})
_NO_CERT = frozenset({"ssl.CERT_NONE", "ssl._create_unverified_context"})
DOWNLOADS = frozenset(
    [f"{module}.{verb}" for module in ("requests", "httpx") for verb in ("get", "post", "put", "request")]
    + ["urllib.request.urlopen", "urllib.request.urlretrieve", "urllib.urlopen", "urllib2.urlopen", "wget.download"]
    + ["urllib.request.Request", "requests.Session", "httpx.Client", "httpx.stream", "gdown.download"]
    + ["urllib3.PoolManager", "urllib3.request", "http.client.HTTPConnection", "http.client.HTTPSConnection"]
    + ["huggingface_hub.hf_hub_download", "fsspec.open", "smart_open.open", "aiohttp.ClientSession"]
)
"""Functions whose outcome comes from elsewhere."""
_FETCHES = frozenset({
    "urllib.request.urlretrieve", "wget.download", "gdown.download", "torch.hub.load_state_dict_from_url",
    "torch.hub.download_url_to_file", "torch.utils.model_zoo.load_url",
    "tensorflow.keras.utils.get_file", "keras.utils.get_file", "torchvision.datasets.utils.download_url",
})  # fmt: skip
_RPC = frozenset({
    "torch.distributed.rpc.init_rpc", "torch.distributed.rpc.rpc_sync", "torch.distributed.rpc.rpc_async",
    "torch.distributed.rpc.remote", "multiprocessing.connection.Listener", "multiprocessing.connection.Client",
    "multiprocessing.managers.BaseManager", "multiprocessing.managers.SyncManager", "xmlrpc.server.SimpleXMLRPCServer",
    "Pyro4.Daemon", "Pyro5.api.Daemon", "rpyc.utils.server.ThreadedServer", "rpyc.connect", "rpyc.classic.connect",
    "ray.util.connect", "dask.distributed.Client", "distributed.Client", "dask.distributed.LocalCluster",
})  # fmt: skip
_RPC_METHODS = frozenset({"recv_pyobj"})
_SOCKETS = frozenset({
    "socket.socket", "socket.create_connection", "socket.create_server", "asyncio.open_connection",
    "asyncio.start_server", "socketserver.TCPServer", "socketserver.ThreadingTCPServer", "socketserver.UDPServer",
    "http.server.HTTPServer", "http.server.ThreadingHTTPServer", "telnetlib.Telnet", "ftplib.FTP", "smtplib.SMTP",
    "paramiko.SSHClient", "websocket.create_connection", "websockets.connect", "zmq.Context",
})  # fmt: skip
_LAUNCH = frozenset({"launch"})
_TUNNELS = frozenset({"pyngrok.ngrok.connect", "ngrok.connect", "ngrok.forward", "flask_ngrok.run_with_ngrok"})
_PROMOTIONS = frozenset({"transition_model_version_stage", "set_registered_model_alias"})


def _plain_http(texts: set[str]) -> bool:
    return any(_OPEN_HTTP.match(text) for text in texts)


def _mlflow_http(site: Site) -> Found:
    texts = {text for item in site.settings if item.key in _MLFLOW_KEYS for text in site.names.texts(item.value)}
    if site.calls(_MLFLOW):
        texts |= site.texts("uri", 0)
    if not _plain_http(texts):
        return NOTHING
    return "mlflow-uri", "MLflow is addressed over plain http: models and tokens can be read and exchanged"


def _grpc(site: Site) -> Found:
    name = site.calls(_GRPC) or site.method(_GRPC_METHODS)
    addresses = site.texts("target", 0) | site.texts("address")
    if addresses and all(_LOCAL.match(text) for text in addresses):
        return NOTHING
    return name, f"{name} speaks gRPC without TLS: anybody on the path can read and change calls and answers"


def _unverified(site: Site) -> Found:
    if name := site.calls(_CONTEXTS):
        return name, f"{name} makes connections whose other end is not verified"
    for item in site.settings:
        meant = min(site.names.of(item.value) & _NO_CERT, default="") if item.key in _NO_CERT_KEYS else ""
        if meant or (item.key == "cert_reqs" and "CERT_NONE" in site.names.texts(item.value)):
            return item.key, f"{item.key} is {meant or 'CERT_NONE'}: the other end of a connection is not verified"
        if item.key in _NO_VERIFY and site.how(item.value, True, None) in ("False", "0") and _tells(site, item.key):
            return item.key, f"{item.key} is False: the other end of a connection is not verified"
    return NOTHING


def _tells(site: Site, key: str) -> bool:
    """Whether a word that other libraries use for other things is said to something that connects."""
    return key != "verify" or bool(site.method(_REQUESTS))


def _fetch_http(site: Site) -> Found:
    name = site.calls(_FETCHES)
    texts = set().union(*(site.texts(key, 0) for key in ("url", "uri")), site.texts("origin", 1))
    return (
        (name, f"{name} fetches over plain http: what arrives can have been exchanged")
        if _plain_http(texts)
        else NOTHING
    )


def _rpc(site: Site) -> Found:
    name = site.calls(_RPC) or site.method(_RPC_METHODS)
    return name, f"{name} executes what the other end sends: its messages are pickles or calls"


def _socket(site: Site) -> Found:
    name = site.calls(_SOCKETS)
    return name, f"{name} opens a network connection of its own, which a model seldom needs"


def _public(site: Site) -> Found:
    if name := site.calls(_TUNNELS):
        return name, f"{name} puts a service of this machine on the public internet"
    shared = site.value("share")
    if shared is None or site.how(shared, False, None) in ("", "decided at run time"):
        return NOTHING
    return "launch", "launch(share=True) puts the service on the public internet"


def _promotion(site: Site) -> Found:
    name = site.method(_PROMOTIONS)
    stages = {text for text in site.texts("stage", 2) if text.lower() in ("none", "archived")}
    return NOTHING if stages else (name, f"{name} promotes a model without asking the gate")


RULES = (
    Rule("COD-106", _mlflow_http, calls=_MLFLOW, keys=_MLFLOW_KEYS),
    Rule("COD-118", _grpc, calls=_GRPC, methods=_GRPC_METHODS),
    Rule("COD-119", _unverified, calls=_CONTEXTS, keys=_NO_VERIFY | _NO_CERT_KEYS, also=_NO_CERT),
    Rule("COD-125", _socket, calls=_SOCKETS),
    Rule("COD-127", _rpc, calls=_RPC, methods=_RPC_METHODS),
    Rule("COD-128", _public, calls=_TUNNELS, methods=_LAUNCH),
    Rule("COD-130", _promotion, methods=_PROMOTIONS),
    Rule("COD-135", _fetch_http, calls=_FETCHES),
)
