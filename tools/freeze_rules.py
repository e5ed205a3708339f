"""Write the names of classes that libraries pickle into `rules/globals/`, once per version of a library.

    make freeze-rules

makes an environment for each pair of versions below, runs this script in it, and merges what it prints. Running it
again changes nothing. By hand, for another version:

    python3.11 -m venv /tmp/old && /tmp/old/bin/pip install scikit-learn==1.2.2 numpy==1.26.4
    /tmp/old/bin/python tools/freeze_rules.py collect > old.json
    python tools/freeze_rules.py merge old.json

Only classes are written, each by the criterion of its collector; functions stay reviewed by hand, since what a function
does with its arguments is not seen from outside. The exception is what Cython makes: `__pyx_unpickle_X` restores the
numbers of the listed class X and does nothing else. Names are added and never taken away, so that models that older
libraries saved go on passing, and nothing else in the files is touched. Read the diff before you commit it.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import json
import pkgutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

GLOBALS = Path(__file__).resolve().parent.parent / "rules" / "globals"
VERSIONS = (
    ("scikit-learn==1.2.2", "numpy==1.26.4", "scipy==1.10.1"),
    ("scikit-learn==1.5.2", "numpy==2.0.2", "scipy==1.13.1"),
    ("scikit-learn==1.9.1", "numpy==2.4.6", "scipy==1.17.1"),
)
"""What `all` installs, each in an environment of its own; torch is collected where it is installed already."""
_HOOKS = ("__reduce__", "__reduce_ex__", "__setstate__", "__new__")
_LOSSES = ("sklearn._loss._loss", "sklearn.linear_model._sgd_fast", "sklearn.metrics._dist_metrics")
"""Compiled modules of which every public class but those below holds numbers and arrays, in each version above."""
_CALLS_BACK = ("PyFunc",)
"""Beginnings of compiled classes that call a function that they are given: those stay reviewed by hand."""
_NOT_WALKED = ("tests", "conftest", "_build_utils", "externals", "_mocking", "estimator_checks")

Names = dict[str, dict[str, list[str]]]
"""File below `rules/globals/`, then the `why` of a group in it, then the names for that group."""


def _named(thing: type) -> str:
    return f"{thing.__module__}.{thing.__qualname__}"


def _modules(package: ModuleType) -> Iterator[ModuleType]:
    """Yield what can be imported below a package, but for its tests."""
    for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}.", onerror=lambda _: None):
        if not any(part in _NOT_WALKED for part in found.name.split(".")):
            try:
                yield importlib.import_module(found.name)
            except Exception as error:
                print(f"left out: {found.name}: {type(error).__name__}", file=sys.stderr)


def _classes(package: ModuleType, base: type) -> Iterator[type]:
    """Yield the classes that a package defines below a base, each once."""
    seen: set[type] = {base}
    for module in _modules(package):
        for thing in vars(module).values():
            ours = isinstance(thing, type) and thing.__module__.split(".")[0] == package.__name__.split(".")[0]
            if ours and issubclass(thing, base) and thing not in seen:
                seen.add(thing)
                yield thing


def _restores_plainly(thing: type, base: type) -> bool:
    """Whether nothing between a class and its base takes part in unpickling, so that its state is only attributes."""
    between = [kind for kind in thing.__mro__ if kind is not base and kind is not object and not issubclass(base, kind)]
    return not any(hook in vars(kind) for kind in between for hook in _HOOKS)


def _is_concrete(thing: type) -> bool:
    return not inspect.isabstract(thing) and not thing.__name__.lstrip("_").startswith("Base")


def sklearn_names() -> Names:
    """Collect concrete estimators without hooks of their own, and the compiled losses and distances."""
    import sklearn
    from sklearn.base import BaseEstimator

    found = _classes(sklearn, BaseEstimator)
    estimators = [_named(kind) for kind in found if _is_concrete(kind) and _restores_plainly(kind, BaseEstimator)]
    compiled, helpers = [], []
    for name in _LOSSES:
        module = importlib.import_module(name)
        # Cython modules of some versions call themselves by their last name alone, and so do their pickles.
        spelled = {name, module.__name__, *(kind.__module__ for kind in _extension_types(module, name))}
        for kind in _extension_types(module, name):
            compiled += [f"{spelling}.{kind.__qualname__}" for spelling in spelled]
            helper = f"__pyx_unpickle_{kind.__qualname__}"
            helpers += [f"{spelling}.{helper}" for spelling in spelled if hasattr(module, helper)]
    return {
        "sklearn.yaml": {
            "estimators; their state is arrays, numbers and further estimators": estimators,
            "compiled trees, losses and distances, rebuilt from numbers": compiled,
            "rebuild helpers of the compiled types": helpers,
        }
    }


def _extension_types(module: ModuleType, name: str) -> list[type]:
    last = name.rsplit(".", 1)[1]
    return [
        thing
        for thing in vars(module).values()
        if isinstance(thing, type)
        and thing.__module__ in (name, last)
        and not thing.__name__.startswith(("_", *_CALLS_BACK))
    ]


def torch_names() -> Names:
    """Collect the layers of torch.nn; those that bring a `__setstate__` fill in attributes that older files lack."""
    import torch.nn

    layers = {
        _named(kind)
        for kind in _classes(torch.nn.modules, torch.nn.Module)
        if _is_concrete(kind) and not {"__reduce__", "__reduce_ex__", "__new__"} & set(vars(kind))
    }
    return {"torch_nn.yaml": {"layers whose state is parameters, buffers and flags": sorted(layers)}}


def scipy_names() -> Names:
    """Collect sparse matrices and arrays, which restore their attributes."""
    from scipy import sparse

    kinds = [kind for kind in vars(sparse).values() if isinstance(kind, type) and kind.__module__.startswith("scipy.")]
    plain = [kind for kind in kinds if sparse.issparse(_empty(kind)) and not issubclass(kind, dict)]
    return {"scipy.yaml": {"sparse matrices and splines, made of arrays": [_named(kind) for kind in plain]}}


def _empty(kind: type) -> object:
    try:
        return kind((1, 1))
    except Exception:
        return None


COLLECTORS: tuple[Callable[[], Names], ...] = (sklearn_names, torch_names, scipy_names)


def collect() -> Names:
    """Run every collector whose library is installed here."""
    warnings.simplefilter("ignore")
    names: Names = {}
    for collector in COLLECTORS:
        try:
            found = collector()
        except ImportError as error:
            print(f"not here: {error.name}", file=sys.stderr)
            continue
        for file, groups in found.items():
            names[file] = {why: sorted(set(group)) for why, group in groups.items()}
    return names


def merge(text: str, groups: dict[str, list[str]]) -> str:
    """Return the text of a list of names with new ones sorted into the groups that have the given reasons.

    Raises:
        ValueError: the file has no group with such a reason.
    """
    lines = text.splitlines()
    listed = set(text.split())
    for why, names in groups.items():
        new = [name for name in names if name not in listed]
        if not new:
            continue
        start = _names_of(lines, why)
        stop = next((at for at in range(start, len(lines)) if not lines[at].startswith("      ")), len(lines))
        lines[start:stop] = [f"      {name}" for name in sorted({*new, *(line.strip() for line in lines[start:stop])})]
    return "\n".join(lines) + "\n"


def _names_of(lines: list[str], why: str) -> int:
    at = lines.index(f"    why: {why}")
    return lines.index("    names: |", at) + 1


def freeze_all() -> None:
    """Make an environment for each set of versions, collect in it, and merge."""
    with tempfile.TemporaryDirectory() as folder:
        for number, wanted in enumerate(VERSIONS):
            home = Path(folder, str(number))
            subprocess.run([sys.executable, "-m", "venv", home], check=True)
            subprocess.run([home / "bin" / "pip", "--quiet", "install", *wanted], check=True)
            done = subprocess.run([home / "bin" / "python", __file__, "collect"], check=True, stdout=subprocess.PIPE)
            write(json.loads(done.stdout))
    write(collect())


def write(names: Names) -> None:
    """Merge names into the files, and say how many lines each grew by."""
    for file, groups in names.items():
        path = GLOBALS / file
        before = path.read_text()
        after = merge(before, groups)
        path.write_text(after)
        print(f"{file}: {len(after.splitlines()) - len(before.splitlines())} new")


def main() -> None:
    """Collect, merge, or do both for all versions."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("collect", "merge", "all"))
    parser.add_argument("files", nargs="*", type=Path)
    args = parser.parse_args()
    if args.what == "collect":
        print(json.dumps(collect(), indent=1))
    elif args.what == "merge":
        for file in args.files:
            write(json.loads(file.read_text()))
    else:
        freeze_all()


if __name__ == "__main__":
    main()
