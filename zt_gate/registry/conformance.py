"""What of the installed MLflow nobody looked at: routes that change something, mutations of GraphQL, methods of stores.

`rules/mlflow/*.yaml` are frozen lists. In the tests a difference is a failure; at run time what is unknown is denied.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

from zt_gate.policy.rules_folder import rules_folder
from zt_gate.registry.freezing import READS, decoded
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
    # A method that a new MLflow brings may promote something; what nobody looked at is denied until somebody does.
    public = {name for name in dir(store) if not name.startswith("_") and callable(getattr(store, name, None))}
    return sorted(public - known_methods())


def closed(store: type) -> dict[str, Callable[..., Any]]:
    """Return a denial for every public method of a store class that nobody looked at."""
    return {name: _denial(name) for name in unknown_methods(store)}


def _denial(method: str) -> Callable[..., Any]:
    def denied(*_: Any, **__: Any) -> Any:
        refuse(sentence(method, "this version of MLflow has it, and this version of zt-gate does not know it"))

    return denied


_PLACE = re.compile(r"<(?:(\w+)(?:\([^)]*\))?:)?\w+>|\{\w+(?::(\w+))?\}")


def mutating_routes(flask_app: Any, asgi_app: Any = None) -> list[str]:
    """Return every route that may change something, as `METHOD /path`, Flask's and those of FastAPI.

    Args:
        flask_app: MLflow's Flask application.
        asgi_app: its FastAPI application; None where Flask stands alone.
    """
    found = {f"{verb} {rule.rule}" for rule in flask_app.url_map.iter_rules() for verb in rule.methods - READS}
    return sorted(found | set(_fastapi(getattr(asgi_app, "routes", ()))))


def _fastapi(routes: Iterable[Any], prefix: str = "") -> Iterator[str]:
    for route in routes:
        # FastAPI keeps an included router as one route, and older versions copy its routes.
        router = getattr(route, "original_router", None)
        if router is not None:
            yield from _fastapi(router.routes, prefix + route.include_context.prefix)
            continue
        path = prefix + str(getattr(route, "path", ""))
        for verb in (getattr(route, "methods", None) or set()) - READS:
            yield f"{verb} {path}"


def known_routes() -> frozenset[str]:
    """Return the routes that somebody looked at."""
    listed = frozen_list("routes")
    return frozenset({*listed["mutating"], *listed["added_in_3_18"]})


def graphql_mutations() -> list[str]:
    """Return the names of the installed MLflow's GraphQL mutations."""
    from mlflow.server.graphql.graphql_schema_extensions import schema

    mutation = schema.graphql_schema.mutation_type
    return sorted(mutation.fields) if mutation is not None else []


def known_mutations() -> frozenset[str]:
    """Return the GraphQL mutations that somebody looked at."""
    return frozenset(frozen_list("routes")["graphql"])


@dataclass(frozen=True)
class UnknownRoutes:
    """The routes of a server that nobody looked at."""

    routes: tuple[tuple[str, re.Pattern[str]], ...] = ()
    known: tuple[tuple[str, re.Pattern[str]], ...] = ()
    graphql: bool = False
    """Whether there is a mutation that nobody looked at."""

    @classmethod
    def of(cls, flask_app: Any, asgi_app: Any = None) -> UnknownRoutes:
        """Compare a server's routes with the list."""
        listed = known_routes()
        here = mutating_routes(flask_app, asgi_app)
        unknown = [_compiled(route) for route in here if route not in listed]
        # An unknown route with a placeholder may also match paths of known ones, which stay allowed.
        known = [_compiled(route) for route in here if route in listed] if unknown else []
        return cls(tuple(unknown), tuple(known), bool(set(graphql_mutations()) - known_mutations()))

    def reason(self, method: str, path: str) -> str:
        """Say why a request may not pass; empty when it may, and at once where nothing is unknown."""
        if self.graphql and method == "POST" and decoded(path).endswith("/graphql"):
            return "this version of MLflow has GraphQL mutations that this version of zt-gate does not know"
        if not self.routes or method in READS or _any(self.known, method, path):
            return ""
        if not _any(self.routes, method, path):
            return ""
        return "this version of MLflow has it, and this version of zt-gate does not know it"


def _any(routes: Iterable[tuple[str, re.Pattern[str]]], method: str, path: str) -> bool:
    plain = decoded(path)
    return any(verb == method and pattern.fullmatch(plain) for verb, pattern in routes)


def _compiled(route: str) -> tuple[str, re.Pattern[str]]:
    """Return the method of a route, and an expression for its paths."""
    verb, _, path = route.partition(" ")
    parts, end = [], 0
    for found in _PLACE.finditer(path):
        parts += [re.escape(path[end : found.start()]), ".*" if "path" in found.groups() else "[^/]+"]
        end = found.end()
    return verb, re.compile("".join([*parts, re.escape(path[end:])]), re.DOTALL)
