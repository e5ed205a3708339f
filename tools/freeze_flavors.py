"""Freeze which keys MLflow's flavors write into MLmodel and read from it: rules/mlflow/flavors.yaml.

    python tools/freeze_flavors.py SITE_PACKAGES...

Takes installed copies of MLflow, of as many versions as wanted, and reads their source as a syntax tree; nothing of it
is imported. A key counts when a flavor's source has it as a keyword of `add_flavor` or `add_to_model`, or as a text in
a subscript, a `get`, or a dict of something that it calls a configuration, or as a constant in capitals.
"""

from __future__ import annotations

import ast
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

_KEY = re.compile(r"[a-z_][a-z0-9_]{1,60}")
_WRITERS = frozenset({"add_flavor", "add_to_model"})
_CONFIGURATION = re.compile(r"conf|flavor|extra_files", re.IGNORECASE)
"""What the source calls a mapping that stands in MLmodel, or is about to."""
_OUT = Path(__file__).resolve().parents[1] / "rules" / "mlflow" / "flavors.yaml"


def keys_of(tree: ast.AST) -> Iterator[str]:
    """Yield every text in a module that may be a key of its flavor."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield from called(node)
        elif isinstance(node, ast.Subscript) and _CONFIGURATION.search(ast.unparse(node.value)):
            yield from texts([node.slice])
        elif isinstance(node, (ast.Assign, ast.AnnAssign)) and node.value is not None:
            target = ast.unparse(node.targets[0] if isinstance(node, ast.Assign) else node.target)
            if _CONFIGURATION.search(target) and isinstance(node.value, ast.Dict):
                yield from texts([key for key in node.value.keys if key])
            elif target.isupper():
                yield from texts([node.value])


def called(node: ast.Call) -> Iterator[str]:
    """Yield the keys that a call writes or reads."""
    name = getattr(node.func, "attr", getattr(node.func, "id", ""))
    of_configuration = bool(_CONFIGURATION.search(ast.unparse(node.func)))
    if name in _WRITERS or (name == "update" and of_configuration):
        yield from (word.arg for word in node.keywords if word.arg)
    if name in ("get", "pop", "setdefault") and of_configuration:
        yield from texts(node.args[:1])
    for value in (*node.args, *(word.value for word in node.keywords)):
        if name in (*_WRITERS, "update") and isinstance(value, ast.Dict):
            yield from texts([key for key in value.keys if key])


def texts(nodes: list[ast.expr]) -> Iterator[str]:
    """Yield the constants among expressions."""
    yield from (node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str))


def flavors(site: Path) -> dict[str, set[str]]:
    """Return the keys of every flavor of one installed MLflow."""
    found: dict[str, set[str]] = defaultdict(set)
    root = site / "mlflow"
    shared = module(root / "models" / "model.py") | {"code", "extra_files", "path", "requirements_file"}
    for folder in sorted(path for path in root.iterdir() if (path / "__init__.py").exists()):
        sources = sorted(folder.rglob("*.py"))
        if any("add_flavor" in path.read_text(encoding="utf-8") for path in sources):
            name = "python_function" if folder.name == "pyfunc" else folder.name
            found[name] |= {key for path in sources for key in module(path)} | shared
    return found


def fields(site: Path) -> set[str]:
    """Return the keys of MLmodel outside of its flavors: what the class takes, and what it writes."""
    tree = ast.parse((site / "mlflow" / "models" / "model.py").read_text(encoding="utf-8"))
    model = next(node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "Model")
    methods = [node for node in model.body if isinstance(node, ast.FunctionDef)]
    made = next(node for node in methods if node.name == "__init__")
    written = next(node for node in methods if node.name == "to_dict")
    keys = {node.slice for node in ast.walk(written) if isinstance(node, ast.Subscript)}
    return {word.arg for word in made.args.args} - {"self"} | {key for key in texts(list(keys)) if _KEY.fullmatch(key)}


def module(path: Path) -> set[str]:
    """Return the keys of one source file."""
    return {key for key in keys_of(ast.parse(path.read_text(encoding="utf-8"))) if _KEY.fullmatch(key)}


def main() -> None:
    """Write the list."""
    every: dict[str, set[str]] = defaultdict(set)
    versions, outside = [], {"artifact_path", "utc_time_created", "model_uuid"}
    for site in map(Path, sys.argv[1:]):
        versions += [path.name.removesuffix(".dist-info").split("-")[1] for path in site.glob("mlflow-*.dist-info")]
        outside |= fields(site)
        for name, keys in flavors(site).items():
            every[name] |= keys
    # Every flavor hands what its own loader needs to `add_to_model`, which writes it there.
    every["python_function"] |= {key for keys in every.values() for key in keys}
    lines = [
        "# Keys that MLflow's flavors write into MLmodel or read from it, and what else their source calls by a name.",
        "# Written by tools/freeze_flavors.py. A flavor or key that is not here is a gap: nobody knows what loads it.",
        f"versions: [{', '.join(sorted(set(versions)))}]",
        "model:",
        *(f"  - {key}" for key in sorted(outside)),
        "flavors:",
    ]
    for name in sorted(every):
        lines += [f"  {name}:", *(f"    - {key}" for key in sorted(every[name]))]
    _OUT.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
