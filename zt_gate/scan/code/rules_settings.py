"""Rules about settings that switch a protection off for the whole process: environment variables, mostly."""

from __future__ import annotations

from zt_gate.scan.code.call_sites import NOTHING, Found, Rule, Site

ENVIRONMENT = {
    "TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD": "torch.load executes what files ask for",
    "TORCH_ALLOW_UNSAFE_LOAD": "torch.load executes what files ask for",
    "HF_HUB_TRUST_REMOTE_CODE": "code that comes with a model is executed",
    "HF_TRUST_REMOTE_CODE": "code that comes with a model is executed",
    "TRANSFORMERS_TRUST_REMOTE_CODE": "code that comes with a model is executed",
    "HF_DATASETS_TRUST_REMOTE_CODE": "code that comes with a dataset is executed",
    "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "MLflow loads pickles",
    "MLFLOW_TRACKING_INSECURE_TLS": "MLflow does not verify its server",
    "VLLM_ALLOW_INSECURE_SERIALIZATION": "vLLM unpickles what it is sent",
    "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "vLLM loads adapters that a request names",
    "ALLOW_PICKLE": "pickles are loaded",
    "PYTHONHTTPSVERIFY": "no HTTPS server is verified",
    "GIT_SSL_NO_VERIFY": "git does not verify servers",
    "CURL_CA_BUNDLE": "HTTPS servers are not verified as the machine is set up to",
    "REQUESTS_CA_BUNDLE": "HTTPS servers are not verified as the machine is set up to",
    "PIP_TRUSTED_HOST": "pip does not verify its index",
    "PIP_INDEX_URL": "packages come from an index that the release chose",
    "PIP_EXTRA_INDEX_URL": "packages come from an index that the release chose",
    "LD_PRELOAD": "every program that is started loads this library",
    "PYTHONSTARTUP": "Python executes this file at its start",
}
"""Variables that take a protection away, each with what happens then."""

_SAFE_WHEN_FALSE = {"0", "false", "no", "off", "", "False"}
_SAFE_WHEN_TRUE = {"PYTHONHTTPSVERIFY"}
_BUNDLES = {"CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE"}


def is_unsafe(name: str, texts: set[str]) -> bool:
    """Whether an environment variable is given a value that takes a protection away; an unknown value counts as one.

    Args:
        name: one of `ENVIRONMENT`.
        texts: the texts that it may be given; empty when nothing is known.
    """
    if name in _BUNDLES:
        return "" in texts  # an empty bundle switches verification off; a path is a choice of authorities
    if name in _SAFE_WHEN_TRUE:
        return not texts or not texts <= {"1"}
    return not texts or not texts <= _SAFE_WHEN_FALSE


def _environment(site: Site) -> Found:
    for item in site.settings:
        if item.key in ENVIRONMENT and not item.by_assignment and is_unsafe(item.key, site.names.texts(item.value)):
            return item.key, f"{item.key} is set: {ENVIRONMENT[item.key]}"
    return NOTHING


RULES = (Rule("COD-121", _environment, keys=frozenset(ENVIRONMENT)),)
