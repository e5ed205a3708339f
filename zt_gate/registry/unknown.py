"""An MLflow that is newer than the gate: a store method that nobody looked at is denied, and named.

`rules/mlflow/store.yaml` lists every public method of `AbstractStore` that somebody looked at. A read may stay; a
writer that is not gated says there why.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

from zt_gate.policy.rules_folder import rules_folder
from zt_gate.registry.refusal import refuse, sentence


@cache
def frozen_list(name: str) -> dict[str, Any]:
    """Return one of the lists under `rules/mlflow`, such as `store`.

    Raises:
        PolicyError: it is missing or no strict YAML; zt-gate is not installed whole.
    """
    from zt_gate.policy.load import read_document

    data = read_document(rules_folder() / "mlflow" / f"{name}.yaml", "reinstall zt-gate").data
    return dict(data)


def known_methods() -> frozenset[str]:
    """Return every method of the registry store that somebody looked at."""
    listed = frozen_list("store")
    return frozenset({*listed["gated"], *listed["read"], *listed["free"]})


def unknown_methods(store: type) -> list[str]:
    """Return the public methods of a store class that nobody looked at."""
    public = {name for name in dir(store) if not name.startswith("_") and callable(getattr(store, name, None))}
    return sorted(public - known_methods())


def closed(store: type) -> dict[str, Callable[..., Any]]:
    """Return a denial for every public method of a store class that nobody looked at."""
    return {name: _denial(name) for name in unknown_methods(store)}


def _denial(method: str) -> Callable[..., Any]:
    def denied(*_: Any, **__: Any) -> Any:
        refuse(sentence(method, "this version of MLflow has it, and this version of zt-gate does not know it"))

    return denied
