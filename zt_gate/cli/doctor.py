"""`zt-gate doctor`: what this machine can and cannot do, and how to fix what is missing."""

from __future__ import annotations

import argparse
import importlib.metadata
import os
import resource
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from zt_gate.cli.common.console import Console
from zt_gate.cli.doctor_line import Line

if TYPE_CHECKING:
    from zt_gate.report.lines import Part

_REQUIRED = ("pydantic", "pyyaml", "rich", "securesystemslib", "sigstore", "bandit", "zstandard")
_ENGINES = ("modelscan",)
_OPTIONAL = ("picklescan", "fickling", "modelaudit")
_SPARE_DISK = 5 << 30


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "about", nargs="?", choices=("mlflow",), help="look at the server that MLFLOW_TRACKING_URI names instead"
    )


def run(args: argparse.Namespace, console: Console) -> int:
    """Print a line per fact; 0 when nothing is missing, 1 otherwise."""
    lines = _mlflow() if args.about == "mlflow" else [*_python(), *_packages(), *_machine(), *_rules()]
    rows: list[tuple[Part, ...]] = []
    for line in lines:
        rows.append((("✓", "good") if line.ok else ("✗", "bad"), line.name, line.fact))
        if not line.ok and line.fix:
            rows.append(("", "", f"→ {line.fix}"))
    console.table(rows)
    return 0 if all(line.ok for line in lines) else 1


def _mlflow() -> list[Line]:
    from zt_gate.cli.doctor_mlflow import mlflow_lines

    return list(mlflow_lines(os.environ.get("MLFLOW_TRACKING_URI", "").rstrip("/")))


def _python() -> Iterator[Line]:
    version = ".".join(str(part) for part in sys.version_info[:3])
    yield Line(sys.version_info >= (3, 11), "python", version, "install Python 3.11 or 3.12")


def _packages() -> Iterator[Line]:
    for name in (*_REQUIRED, *_ENGINES):
        try:
            yield Line(True, name, importlib.metadata.version(name))
        except importlib.metadata.PackageNotFoundError:
            fix = f"pip install {name}"
            if name == "modelscan" and sys.version_info >= (3, 13):
                fix = "it needs Python 3.11 or 3.12; until then the policy's opinion `modelscan` stays silent"
            yield Line(False, name, "not installed", fix)
    for name in _OPTIONAL:
        with suppress(importlib.metadata.PackageNotFoundError):  # nothing is missing where nobody asked for it
            yield Line(True, name, importlib.metadata.version(name))


def _machine() -> Iterator[Line]:
    folder = tempfile.gettempdir()
    free = shutil.disk_usage(folder).free
    fact = f"{free / 1e9:.1f} GB free in {folder}"
    yield Line(free >= _SPARE_DISK, "private copies", fact, "point TMPDIR at a disk that can hold a copy of the model")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield Line(hard >= 1024, "open files", f"{soft} (may be raised to {hard})", "raise the limit: ulimit -n 65536")
    yield Line(sys.platform == "linux", "platform", sys.platform, "the gate is built and tested on Linux")


def _rules() -> Iterator[Line]:
    from zt_gate.policy.catalog import rule_ids
    from zt_gate.policy.load import pack_names

    fact = f"{len(rule_ids())} rules, packs {', '.join(pack_names())}"
    yield Line(True, "rules", fact)
