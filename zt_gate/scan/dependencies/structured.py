"""Environments and lock files: conda and python_env of MLflow, pyproject, Poetry, uv, PDM, Pipenv, and MLmodel."""

from __future__ import annotations

import re
import tomllib
from typing import Any

from zt_gate.codecs.strict_json import parse_json
from zt_gate.codecs.strict_yaml import load_one
from zt_gate.codecs.yaml_events import TIMESTAMP
from zt_gate.scan.dependencies.model import Dependency, DependencyError, Origin, Stated, normal_name
from zt_gate.scan.dependencies.requirements import OFFICIAL, add_requirement, exact, is_name, read_requirements

_CHANNELS = frozenset({"defaults", "conda-forge", "pytorch", "nvidia", "nodefaults", "main"})
_CONDA = re.compile(
    r"(?:(?P<channel>[^\s:]+)::)?(?P<name>[A-Za-z0-9_.-]+)\s*(?P<spec>[=<>!~].*|\s\d[\w.*+!]*(?:\s+\S+)?)?"
)
_FLAVOR = {
    "pytorch_version": "torch", "sklearn_version": "scikit-learn", "keras_version": "keras", "onnx_version": "onnx",
    "xgb_version": "xgboost", "lgb_version": "lightgbm", "transformers_version": "transformers",
    "mlflow_version": "mlflow", "cloudpickle_version": "cloudpickle", "tensorflow_version": "tensorflow",
}  # fmt: skip
"""What MLmodel records about the makers of a model, by package."""


def read_conda(data: bytes) -> Stated:
    """Read a conda environment.

    Raises:
        ValueError: it is not one.
    """
    content = _yaml(data)
    stated = Stated()
    for channel in _texts(content.get("channels")):
        if channel not in _CHANNELS:
            stated.origins.append(Origin("channels", insecure=channel.lower().startswith("http:")))
    for item in _list(content.get("dependencies")):
        if isinstance(item, dict):
            _merge(stated, read_requirements("\n".join(_texts(item.get("pip")))))
        else:
            _conda_package(stated, str(item))
    return stated


def _conda_package(stated: Stated, text: str) -> None:
    found = _CONDA.fullmatch(text.strip())
    if not found:
        stated.unread.append(("no package as conda writes it", 0))
        return
    if found["channel"] and found["channel"] not in _CHANNELS:
        stated.origins.append(Origin("a channel of its own"))
    spec = (found["spec"] or "").strip()
    # conda's names are not those of PyPI, and `=1.2` means 1.2.*: it takes two equal signs or a build to pin.
    version = spec.lstrip("=").split("=")[0] if spec.startswith("==") or spec.count("=") == 2 else ""
    if found["name"] not in ("python", "pip"):
        stated.dependencies.append(Dependency(normal_name(found["name"]), version if "*" not in version else ""))


def read_python_env(data: bytes) -> Stated:
    """Read MLflow's `python_env.yaml`.

    Raises:
        ValueError: it is not one.
    """
    content = _yaml(data)
    lines = [*_texts(content.get("build_dependencies")), *_texts(content.get("dependencies"))]
    stated = read_requirements("\n".join(lines))
    stated.dependencies = [item for item in stated.dependencies if item.name not in ("pip", "setuptools", "wheel")]
    return stated


def read_mlmodel(data: bytes) -> Stated:
    """Read which versions `MLmodel` says that the model was made with.

    Raises:
        ValueError: it is no YAML map.
    """
    content = _yaml(data)
    flavors = content.get("flavors")
    stated = Stated()
    parts = [content, *(_mapping(flavors).values() if flavors else ())]
    for part in parts:
        for key, package in _FLAVOR.items() if isinstance(part, dict) else ():
            if isinstance(part.get(key), str):
                stated.dependencies.append(Dependency(package, part[key], recorded=True))
    return stated


def read_pyproject(data: bytes) -> Stated:
    """Read the dependencies of a `pyproject.toml` (PEP 621, and Poetry's table).

    Raises:
        ValueError: it is no TOML, or not of this kind.
    """
    content = _toml(data)
    project, tool = _mapping(content.get("project", {})), _mapping(content.get("tool", {}))
    stated = Stated()
    optional = _mapping(project.get("optional-dependencies", {}))
    parts = [project.get("dependencies"), *optional.values()]
    for text in [text for part in parts for text in _texts(part)]:
        add_requirement(stated, text, None)
    poetry = _mapping(tool.get("poetry", {}))
    for name, value in _mapping(poetry.get("dependencies", {})).items():
        if name != "python":
            stated.dependencies.append(_table(name, value))
    sources = [*_list(poetry.get("source")), *_list(_mapping(tool.get("uv", {})).get("index"))]
    sources += _list(_mapping(tool.get("pdm", {})).get("source"))
    _sources(stated, sources)
    return stated


def read_toml_lock(data: bytes) -> Stated:
    """Read `poetry.lock`, `uv.lock` or `pdm.lock`.

    Raises:
        ValueError: it is no TOML, or holds no packages.
    """
    content = _toml(data)
    packages = content.get("package")
    if not isinstance(packages, list):
        raise DependencyError("it has no list of packages")
    stated = Stated(locked=True)
    for package in map(_mapping, packages):
        source = _mapping(package.get("source", {}))
        # uv lists the project among its packages, too.
        if source.get("virtual") or source.get("editable") == ".":
            continue  # the project itself
        stated.dependencies.append(_table(str(package.get("name", "")), {**package, **_origin_of(source)}))
        registry = source.get("registry") or (source.get("url") if source.get("type") == "legacy" else None)
        if registry and not OFFICIAL.match(str(registry)):
            stated.origins.append(Origin("source", insecure=str(registry).lower().startswith("http:")))
    return stated


def _origin_of(source: dict[str, Any]) -> dict[str, Any]:
    kind = source.get("type") or next(
        (key for key in ("git", "url", "path", "directory", "editable") if key in source), ""
    )
    if kind == "git":
        whole = re.fullmatch(r"[0-9a-f]{40}", str(source.get("resolved_reference", ""))) or re.search(
            r"#[0-9a-f]{40}$", str(source.get("git", ""))
        )
        return {"git": True, "rev": "0" * 40 if whole else ""}
    return {} if kind in ("", "legacy") else {"path" if kind in ("directory", "editable", "file") else kind: True}


def read_pipfile_lock(data: bytes) -> Stated:
    """Read `Pipfile.lock`.

    Raises:
        ValueError: it is not one.
    """
    content = _mapping(parse_json(data))
    stated = Stated(locked=True)
    _sources(stated, _list(_mapping(content.get("_meta", {})).get("sources")))
    for section in ("default", "develop"):
        for name, value in _mapping(content.get(section, {})).items():
            stated.dependencies.append(_table(name, value))
    return stated


def _table(name: str, value: Any) -> Dependency:
    """Return a dependency that is written as a name with a version or a table, as Poetry and Pipenv do."""
    if not is_name(name):
        raise DependencyError("a package without a proper name")
    table = value if isinstance(value, dict) else {"version": value}
    elsewhere = next((key for key in ("git", "url", "path", "file") if table.get(key)), "")
    version = str(table.get("version", ""))
    pinned = version if re.fullmatch(r"\d[\w.!+-]*", version) else exact(version)
    commit = str(table.get("rev") or table.get("ref") or table.get("revision") or "")
    fixed = re.fullmatch(r"[0-9a-f]{40}", commit) is not None or bool(table.get("hashes") or table.get("hash"))
    return Dependency(normal_name(name), "" if elsewhere else pinned, None, elsewhere, fixed)


def _sources(stated: Stated, sources: list[Any]) -> None:
    for source in map(_mapping, sources):
        url = str(source.get("url", ""))
        insecure = url.lower().startswith("http:") or source.get("verify_ssl") is False
        if insecure or (url and not OFFICIAL.match(url)):
            stated.origins.append(Origin("source", insecure=insecure))


def _merge(stated: Stated, other: Stated) -> None:
    # Lines of an inner list say nothing about the lines of the file.
    stated.dependencies += [Dependency(d.name, d.version, None, d.elsewhere, d.fixed) for d in other.dependencies]
    stated.origins += [Origin(origin.what, None, origin.insecure) for origin in other.origins]
    stated.includes += other.includes
    stated.unread += other.unread


def _yaml(data: bytes) -> dict[str, Any]:
    return _mapping(load_one(data, tags=frozenset({TIMESTAMP})))


def _toml(data: bytes) -> dict[str, Any]:
    try:
        return tomllib.loads(data.decode("utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise DependencyError("it is no TOML") from error


def _mapping(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise DependencyError("there is no map where one belongs")
    return value


def _list(value: Any) -> list[Any]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise DependencyError("there is no list where one belongs")
    return value


def _texts(value: Any) -> list[str]:
    items = _list(value)
    if not all(isinstance(item, str) for item in items):
        raise DependencyError("there is something else than text in a list of requirements")
    return items
