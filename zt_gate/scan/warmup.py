"""Loads what a worker will need before it is forked: modules, tables of names, compiled expressions.

Each fork would load them again, which is most of what a small release costs. Checks are asked about samples of our own,
in this process; no byte of a target is read here. Which samples depends on the names of the target's files, so that a
target without YAML does not pay for it.
"""

from __future__ import annotations

import contextlib
import posixpath
from collections.abc import Callable, Iterable, Mapping
from typing import Any, cast

from zt_gate.domain import Digest, Entry, Mode
from zt_gate.intake import Frozen, MemorySource
from zt_gate.scan.examination import AskingCheck

_PICKLE = b"\x80\x02ccollections\nOrderedDict\nq\x00)Rq\x01."
_YAML = b"name: a\nvalues: [1, 2]\n"
_SAFETENSORS = b'\x3a\x00\x00\x00\x00\x00\x00\x00{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}    ' + bytes(4)
_SAMPLES = {
    "MLmodel": b"flavors:\n  sklearn:\n    pickled_model: model.pkl\n",
    "conda.yaml": b"dependencies:\n- pip:\n  - a==1.0\n",
    "config.json": b'{"model_type": "a"}\n',
    "model.pkl": _PICKLE,
    "model.safetensors": _SAFETENSORS,
    "notes.txt": b"password: a\n",
    "requirements.txt": b"a==1.0\n",
    "values.yaml": _YAML,
}
"""Small honest files by name. The pickle is never loaded, here or anywhere."""
_BY_NAME = {"mlmodel": "MLmodel", "conda.yaml": "conda.yaml", "requirements.txt": "requirements.txt"}
_BY_SUFFIX = {
    ".json": "config.json", ".safetensors": "model.safetensors", ".yaml": "values.yaml", ".yml": "values.yaml",
} | dict.fromkeys((".bin", ".ckpt", ".joblib", ".pickle", ".pkl", ".pt", ".pth"), "model.pkl")  # fmt: skip
_warm: set[tuple[str, str]] = set()
"""Checks with the samples that this process has asked them about."""


def warm_up(checks: Mapping[str, Callable[[], object]], paths: Iterable[str]) -> None:
    """Ask checks about samples of the kinds that a target holds, each kind once in the life of this process.

    Never raises: what goes wrong here goes wrong in the worker as well, and counts there.

    Args:
        checks: what makes each, by id. What they make must not share state with the checks that are run.
        paths: names of the target's files.
    """
    # Only names are looked at: this runs in the gate's own process, which parses no byte of a target.
    wanted = {_sample_for(path) for path in paths}
    for name, make in checks.items():
        cold = sorted(sample for sample in wanted if (name, sample) not in _warm)
        _warm.update((name, sample) for sample in cold)
        if cold:
            with contextlib.suppress(Exception):
                _ask(make(), _frozen(cold))


def _sample_for(path: str) -> str:
    name = posixpath.basename(path).lower()
    return _BY_NAME.get(name) or _BY_SUFFIX.get(posixpath.splitext(name)[1], "notes.txt")


def _ask(check: object, frozen: Frozen) -> None:
    if isinstance(check, AskingCheck):
        for question in check.questions(frozen):
            question.answer()


def _frozen(samples: Iterable[str]) -> Frozen:
    files = {name: MemorySource(name, "", _SAMPLES[name]) for name in samples}
    entries = {name: Entry(name, source.size, Mode.FILE, Digest.of(source.data).hex) for name, source in files.items()}
    return Frozen(name="samples", files=cast(Any, files), refusals=(), root=None, _entries=entries)
