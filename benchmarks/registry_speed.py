"""Time a gated MLflow server beside a plain one, in turn, on the same database and the same artifacts.

    python benchmarks/registry_speed.py [--rounds 400] [--out benchmarks/results]

Two servers with one worker each, from build/env-mlflow3 (`make registry` builds it). Every round sends each request
once to either server, in alternating order, over connections that are kept. An alias is resolved that is protected and
promoted, and one that is free; versions are listed and read; a tag is set. Setting the protected alias is timed alone,
on the gated server: the first time it seals. Writes registry_speed.json and registry_speed.md.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from tests.support.mlflow_server import Server  # noqa: E402 - the tests' own server
from tests.support.registry_site import Registry, Site, write_model  # noqa: E402

Request = Callable[[Registry], Any]
NAME, VERSIONS, MEGABYTES = "timed", 200, 100


def requests(version: str) -> dict[str, Request]:
    """Return what is timed on both servers."""
    about = {"name": NAME, "version": version}
    search = {"filter": f"name='{NAME}'", "max_results": 200}
    return {
        "resolve a protected alias": lambda r: r.resolve(NAME, "champion"),
        "resolve a free alias": lambda r: r.resolve(NAME, "challenger"),
        "list 200 versions": lambda r: r.call("GET", "model-versions/search", search),
        "read a version": lambda r: r.call("GET", "model-versions/get", about),
        "say where a version's bytes are": lambda r: r.location(NAME, version),
        "set a free tag": lambda r: r.call("POST", "model-versions/set-tag", {**about, "key": "note", "value": "1"}),
    }


def timed(request: Request, registry: Registry) -> float:
    """Return the seconds that one request takes."""
    began = time.perf_counter()
    answer = request(registry)
    seconds = time.perf_counter() - began
    if answer.status_code != 200:
        raise SystemExit(f"{answer.status_code}: {answer.text[:300]}")
    return seconds


def prepare(registry: Registry, site: Site, folder: Path) -> tuple[str, dict[str, float]]:
    """Register many versions, promote one of 100 MB, and return it with what promoting took."""
    model = write_model(folder / "model", os.urandom(MEGABYTES << 20))
    version = registry.register(model, NAME)
    small, _ = registry.logged(write_model(folder / "small", b"small"))
    for _ in range(VERSIONS - 1):
        registry.version(NAME, f"models:/{small}", model_id=small)
    registry.bring(NAME, version, site.summary(model))
    registry.set_alias(NAME, "challenger", version)
    sealing = timed(lambda r: r.set_alias(NAME, "champion", version), registry)
    again = [timed(lambda r: r.set_alias(NAME, "champion", version), registry) for _ in range(20)]
    return version, {"first": sealing, "again": statistics.median(again)}


def compare(plain: Registry, gated: Registry, version: str, rounds: int) -> dict[str, dict[str, float]]:
    """Time every request on both servers, in turn."""
    found: dict[str, dict[str, list[float]]] = {name: {"plain": [], "gated": []} for name in requests(version)}
    for number in range(rounds + 20):
        for name, request in requests(version).items():
            order = [("plain", plain), ("gated", gated)]
            for kind, registry in order if number % 2 else reversed(order):
                seconds = timed(request, registry)
                if number >= 20:
                    found[name][kind].append(seconds)
    return {name: _figures(times) for name, times in found.items()}


def _figures(times: dict[str, list[float]]) -> dict[str, float]:
    figures = {}
    for kind, values in times.items():
        cuts = statistics.quantiles(values, n=20)
        figures |= {f"{kind}_p50": cuts[9], f"{kind}_p95": cuts[18]}
    return figures | {f"ratio_p{part}": figures[f"gated_p{part}"] / figures[f"plain_p{part}"] for part in (50, 95)}


def table(found: dict[str, Any]) -> str:
    """Return the figures as Markdown."""
    heads = ("request", "plain p50", "gated p50", "ratio", "plain p95", "gated p95", "ratio")
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for name, row in found["requests"].items():
        cells = [name]
        for part in (50, 95):
            cells += [f"{row[f'{kind}_p{part}'] * 1000:.1f} ms" for kind in ("plain", "gated")]
            cells.append(f"{row[f'ratio_p{part}']:.2f}")
        lines.append("| " + " | ".join(cells) + " |")
    first, again = found["promote"]["first"], found["promote"]["again"] * 1000
    lines += [
        "",
        f"Setting a protected alias: {first:.2f} s the first time, sealing {MEGABYTES} MB; {again:.0f} ms after that.",
        f"{found['machine']}; {found['rounds']} rounds; {found['date']}.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run it and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=400)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    args = parser.parse_args()
    folder = Path(tempfile.mkdtemp(dir=ROOT / "build"))
    site = Site(folder / "site")
    gated = Server(folder / "gated", app="ztgate", variables=site.variables)
    plain = Server(folder / "plain", gated=False, database=gated.uri, artifacts=gated.destination)
    try:
        gated.start()
        plain.start()
        version, promote = prepare(Registry(gated.url), site, folder)
        figures = compare(Registry(plain.url), Registry(gated.url), version, args.rounds)
    finally:
        gated.stop()
        plain.stop()
        shutil.rmtree(folder, ignore_errors=True)
    found = {"requests": figures, "promote": promote, "rounds": args.rounds, "mlflow": "3.17.2, sqlite, one worker"}
    machine = f"Python {platform.python_version()}, {os.cpu_count()} cores, Linux {platform.release().split('-')[0]}"
    found |= {"machine": f"MLflow {found['mlflow']}; {machine}", "date": datetime.now(UTC).strftime("%Y-%m-%d")}
    args.out.mkdir(parents=True, exist_ok=True)
    (args.out / "registry_speed.json").write_text(json.dumps(found, indent=2) + "\n")
    (args.out / "registry_speed.md").write_text(table(found))
    print(table(found))


if __name__ == "__main__":
    main()
