"""Rules about models, data and settings that are loaded, and may execute code while they are."""

from __future__ import annotations

import ast
import re

from zt_gate.scan.code.call_sites import NOTHING, Found, Rule, Site
from zt_gate.scan.code.constant_folding import UNKNOWN

_TORCH_LOAD = frozenset({"torch.load", "torch.serialization.load"})
_SAFE_DEFAULT = (2, 6)
"""First PyTorch whose torch.load has weights_only=True unless it is told otherwise."""
_HELD = (2, 10)
"""First PyTorch without a known way around weights_only: CVE-2025-32434 before 2.6, CVE-2026-24747 before 2.10."""
_HUB = frozenset({"torch.hub.load", "torch.hub.help", "torch.hub.list", "torch.hub.load_local"})
_MODULES = ("pickle", "_pickle", "cPickle", "dill", "dill._dill", "cloudpickle", "joblib", "sklearn.externals.joblib",
            "joblib.numpy_pickle", "compress_pickle", "pandas.compat.pickle_compat", "pickle5")  # fmt: skip
_PICKLES = frozenset(
    f"{module}.{function}" for module in _MODULES for function in ("load", "loads", "Unpickler", "_Unpickler")
) | {
    "pandas.read_pickle", "pandas.io.pickle.read_pickle", "shelve.open", "shelve.DbfilenameShelf", "jsonpickle.decode",
    "jsonpickle.loads", "jsonpickle.unpickler.decode", "dill.load_session", "dill.load_module", "pickle.Unpickler.load",
    "torch.storage._load_from_bytes", "multiprocessing.reduction.ForkingPickler.loads", "ray.cloudpickle.load",
    "ray.cloudpickle.loads", "joblib.numpy_pickle_compat.load_compatibility",
}  # fmt: skip
_ARRAYS = frozenset({"numpy.load", "numpy.lib.npyio.load", "numpy.lib.format.read_array", "numpy.lib.npyio.NpzFile"})
_KERAS_ENABLE = frozenset({"enable_unsafe_deserialization"})
_GLOBALS = frozenset(f"torch.serialization.{name}" for name in ("add_safe_globals", "safe_globals"))
_SCRIPTS = frozenset({
    "torch.jit.load", "torch.package.PackageImporter", "torch.export.load", "torch._inductor.aoti_load_package",
    "torch._export.aot_load", "torch.package.package_importer.PackageImporter", "torch.jit._serialization.load",
})  # fmt: skip
_TENSORFLOW = frozenset({
    "tensorflow.saved_model.load", "tensorflow.py_function", "tensorflow.numpy_function",
    "tensorflow.keras.layers.Lambda", "keras.layers.Lambda", "tensorflow_hub.load", "tensorflow_hub.KerasLayer",
    "tensorflow.compat.v1.saved_model.load", "tensorflow.compat.v1.py_func", "tensorflow.import_graph_def",
    "tf_keras.layers.Lambda",
})  # fmt: skip
_HYDRA = frozenset(
    f"hydra.utils.{name}"
    for name in ("instantiate", "call", "get_class", "get_method", "get_object", "get_static_method")
) | {
    "hydra._internal.instantiate._instantiate2.instantiate", "pydoc.locate", "pkgutil.resolve_name",
    "transformers.dynamic_module_utils.get_class_from_dynamic_module",
    "kedro.utils.load_obj", "mmengine.registry.build_from_cfg",
    "pytorch_lightning.cli.instantiate_class", "lightning.pytorch.cli.instantiate_class", "fiddle.build",
}  # fmt: skip
_YAML = frozenset({
    "yaml.unsafe_load", "yaml.unsafe_load_all", "yaml.full_load", "yaml.full_load_all", "yaml.UnsafeLoader",
    "yaml.Loader", "yaml.FullLoader", "yaml.CLoader",
})  # fmt: skip
_YAML_LOAD = frozenset({"yaml.load", "yaml.load_all"})
_YAML_SAFE = frozenset({"yaml.SafeLoader", "yaml.CSafeLoader", "yaml.BaseLoader", "yaml.CBaseLoader"})
_RUAMEL = frozenset({"ruamel.yaml.YAML"})
_FETCHERS = frozenset({"from_pretrained", "load_dataset", "hf_hub_download", "snapshot_download"})
_COMMIT = re.compile(r"[0-9a-f]{40}")
_REMOTE = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+")
_MLFLOW_LOAD = frozenset({"load_model", "download_artifacts"})
_UNVERSIONED = re.compile(r"models:/[^/@]+(@.+|/(latest|None|Staging|Production|Archived)/?)$|runs:/", re.IGNORECASE)


def _trust_remote_code(site: Site) -> Found:
    for item in site.settings:
        if item.key != "trust_remote_code":
            continue
        how = site.how(item.value, False, None)
        if how and not (item.by_assignment and how == "decided at run time"):
            return item.key, f"trust_remote_code is {how}: code that comes with a model would be executed"
    return NOTHING


def _torch_load(site: Site) -> Found:
    name, value = site.calls(_TORCH_LOAD), site.value("weights_only")
    if value is not None and (how := site.how(value, True)):
        return name, f"torch.load with weights_only {how}: the file may execute code"
    if value is None and site.torch and site.torch < _SAFE_DEFAULT:
        version = ".".join(map(str, site.torch))
        return (
            name,
            f"torch.load without weights_only, and the release admits PyTorch {version}: the file may execute code",
        )
    return NOTHING


def _torch_load_default(site: Site) -> Found:
    if site.value("weights_only") is not None or (site.torch and site.torch < _SAFE_DEFAULT):
        return NOTHING
    return site.calls(_TORCH_LOAD), "torch.load does not say weights_only: before PyTorch 2.6 the file may execute code"


def _torch_too_old(site: Site) -> Found:
    value = site.value("weights_only")
    unsafe = site.how(value, True) or (value is None and site.torch < _SAFE_DEFAULT)
    if not site.torch or site.torch >= _HELD or unsafe:
        return NOTHING
    version = ".".join(map(str, site.torch))
    return site.calls(_TORCH_LOAD), f"the release admits PyTorch {version}, whose weights_only a file can get around"


def _torch_hub(site: Site) -> Found:
    name = site.calls(_HUB)
    return name, f"{name} downloads and executes a repository's hubconf.py"


def _unpickle(site: Site) -> Found:
    if name := site.calls(_PICKLES):
        return name, f"{name} executes whatever the file asks for"
    name = site.calls(_ARRAYS)
    how = site.how(site.value("allow_pickle", 2 if name.endswith(".load") else None), False)
    return (name, f"{name} with allow_pickle {how}: the file may execute code") if how else NOTHING


def _keras_unsafe(site: Site) -> Found:
    if name := site.method(_KERAS_ENABLE):
        return name, f"{name} lets every Keras file execute code"
    how = next((how for item in site.settings if item.key == "safe_mode" and (how := site.how(item.value, True))), "")
    if not how or not isinstance(site.node, ast.Call):
        return NOTHING
    return "safe_mode", "Keras safe_mode is not True: Lambda layers in the file would be executed"


def _unpinned(site: Site) -> Found:
    name = site.method(_FETCHERS)
    key = {"load_dataset": "path"}.get(
        name, "pretrained_model_name_or_path" if name == "from_pretrained" else "repo_id"
    )
    models = {text for text in site.texts(key, 0) if _REMOTE.fullmatch(text)}
    revisions = site.texts("revision")
    if not models or (revisions and all(_COMMIT.fullmatch(text) for text in revisions)):
        return NOTHING
    return name, f"{name} takes {min(models)} at whatever revision is current: no commit of 40 hex digits is named"


def _safe_globals(site: Site) -> Found:
    name = site.calls(_GLOBALS)
    return name, f"{name} widens what a file loaded with weights_only may call"


def _script(site: Site) -> Found:
    name = site.calls(_SCRIPTS)
    return name, f"{name} loads a program, not only weights"


def _graph(site: Site) -> Found:
    name = site.calls(_TENSORFLOW)
    return name, f"{name} runs a graph or Python function that comes with the model"


def _named_by_data(site: Site) -> Found:
    name = site.calls(_HYDRA)
    argument = site.arguments[0] if site.arguments else None
    # What is written out is reviewed with the code; the danger is a name that data choose.
    if isinstance(argument, ast.Constant):
        return NOTHING
    return name, f"{name} calls what a configuration names, whatever it is"


def _yaml(site: Site) -> Found:
    if site.calls(_RUAMEL):
        unsafe = site.texts("typ", 0) & {"unsafe"}
        return (
            ("ruamel.yaml.YAML", "YAML(typ='unsafe') builds any Python object that a file names") if unsafe else NOTHING
        )
    if name := site.calls(_YAML):
        return name, f"{name} builds Python objects that a file names"
    loader = site.value("Loader", 1)
    if loader is not None and names_all_in(site, loader):
        return NOTHING
    return site.calls(_YAML_LOAD), "yaml.load without a safe loader builds Python objects that a file names"


def names_all_in(site: Site, loader: ast.expr) -> bool:
    """Whether a YAML loader is one of the safe ones, and can be nothing else that is known."""
    meanings = {name for name in site.names.of(loader) if name.startswith("yaml.")}
    return bool(meanings) and meanings <= _YAML_SAFE


def _mlflow_model(site: Site) -> Found:
    name = min((name for name in site.called if name.startswith("mlflow.")), default="")
    if not name:
        return NOTHING
    uris = site.texts("model_uri", 0) | site.texts("artifact_uri")
    moving = sorted(text for text in uris if _UNVERSIONED.match(text))
    if moving:
        return name, f"{name} takes {moving[0].replace(UNKNOWN, '…')}, which may be another model tomorrow"
    if name.endswith("load_model"):
        return name, f"{name} executes code that comes with the model; nothing here verifies it"
    return NOTHING


RULES = (
    Rule("COD-101", _trust_remote_code, keys=frozenset({"trust_remote_code"})),
    Rule("COD-102", _torch_load, calls=_TORCH_LOAD),
    Rule("COD-103", _torch_hub, calls=_HUB),
    Rule("COD-104", _unpickle, calls=_PICKLES | _ARRAYS),
    Rule("COD-105", _keras_unsafe, methods=_KERAS_ENABLE, keys=frozenset({"safe_mode"})),
    Rule("COD-111", _torch_load_default, calls=_TORCH_LOAD),
    Rule("COD-112", _unpinned, methods=_FETCHERS),
    Rule("COD-113", _safe_globals, calls=_GLOBALS),
    Rule("COD-114", _script, calls=_SCRIPTS),
    Rule("COD-116", _named_by_data, calls=_HYDRA),
    Rule("COD-126", _torch_too_old, calls=_TORCH_LOAD),
    Rule("COD-129", _mlflow_model, methods=_MLFLOW_LOAD),
    Rule("COD-132", _graph, calls=_TENSORFLOW),
    Rule("COD-133", _yaml, calls=_YAML | _YAML_LOAD | _RUAMEL, also=_YAML_SAFE),
)
