"""The `dependencies` check: what an installation beside the model would fetch, and from where. No network, no pip."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Sequence
from functools import partial
from typing import ClassVar

from zt_gate.domain import Evidence, Notes, Severity, printable
from zt_gate.intake import Frozen, FrozenFile
from zt_gate.scan.dependencies.model import Dependency, DependencyError, Stated
from zt_gate.scan.dependencies.requirements import read_requirements
from zt_gate.scan.dependencies.structured import (
    read_conda,
    read_mlmodel,
    read_pipfile_lock,
    read_pyproject,
    read_python_env,
    read_toml_lock,
)
from zt_gate.scan.dependencies.typosquats import imitated, loaders
from zt_gate.scan.examination import AskingCheck, ExaminationJob
from zt_gate.scan.interface import Examination

_LARGEST = 16 << 20
_MOST = 20_000
"""Dependencies of one file. Lock files of large products have a few thousand; each may become a finding."""
_READERS: dict[str, Callable[[bytes], Stated]] = {
    "conda.yaml": read_conda, "conda.yml": read_conda, "environment.yml": read_conda, "environment.yaml": read_conda,
    "python_env.yaml": read_python_env, "mlmodel": read_mlmodel, "pyproject.toml": read_pyproject,
    "poetry.lock": read_toml_lock, "uv.lock": read_toml_lock, "pdm.lock": read_toml_lock,
    "pipfile.lock": read_pipfile_lock,
}  # fmt: skip


def reader_of(path: str) -> Callable[[bytes], Stated] | None:
    """Return what reads a file of this name, or None where the name is none of a dependency file."""
    name = posixpath.basename(path).lower()
    if name.endswith((".txt", ".in")) and ("requirements" in name or name.startswith("constraints")):
        return lambda data: read_requirements(data.decode("utf-8"))
    return _READERS.get(name)


def read_file(file: FrozenFile) -> Stated:
    """Read one dependency file.

    Raises:
        DependencyError, ValueError: it is too large, states too much, or is not what its name says.
    """
    reader = reader_of(file.path)
    if reader is None or file.size > _LARGEST:
        raise DependencyError(f"it is larger than {_LARGEST} bytes")
    stated = reader(file.read_at(0, file.size))
    count = len(stated.dependencies) + len(stated.origins) + len(stated.includes) + len(stated.unread)
    if count > _MOST:
        raise DependencyError(f"it states more than {_MOST} dependencies")
    return stated


class DependencyCheck(AskingCheck):
    """Examines the dependency files of a target."""

    id: ClassVar[str] = "dependencies"
    version: ClassVar[str] = "3"

    def questions(self, frozen: Frozen) -> Sequence[ExaminationJob]:
        """Ask about every dependency file."""
        files = [file for path, file in sorted(frozen.files.items()) if reader_of(path)]
        paths = frozenset(frozen.files)
        return [ExaminationJob(file.path, {file.path: file.size}, partial(_notes, file, paths)) for file in files]

    def answered(self, frozen: Frozen, notes: Sequence[Notes]) -> Evidence:
        """Make evidence of the answers; see `AskingCheck`."""
        return self.evidence(frozen, notes, {"files": str(len(notes))}, applicable=bool(notes))


def _notes(file: FrozenFile, paths: frozenset[str]) -> Notes:
    exam = Examination(file.path, file.size)
    with exam.guarded("dependencies"):
        judge_stated(exam, read_file(file), paths)
    return exam.notes


def judge_stated(exam: Examination, stated: Stated, paths: frozenset[str]) -> None:
    """Note what is wrong with what one file states.

    Args:
        exam: where to note it.
        stated: what the file states.
        paths: every file of the release.
    """
    for dependency in stated.dependencies:
        _dependency(exam, dependency)
        _loader(exam, dependency, paths)
    for origin in stated.origins:
        exam.finding("DPD-103", f"packages come from another index: {origin.what} (address not shown)",
                     line=origin.line, symbol=origin.what)  # fmt: skip
        if origin.insecure:
            exam.finding("DPD-104", f"{origin.what} gives up TLS or its verification",
                         line=origin.line, symbol=origin.what)  # fmt: skip
    for name, line in stated.includes:
        _include(exam, name, line, paths)
    for why, line in stated.unread:
        where = f" (line {line})" if line else ""
        exam.gap(f"a dependency{where} was not understood: {why}", "write it as PEP 508 defines, or remove it")


def _dependency(exam: Examination, item: Dependency) -> None:
    name = printable(item.name, 80) or "a package"
    if item.elsewhere:
        how = "is settled by a hash or commit, and comes" if item.fixed else "comes"
        exam.finding("DPD-102", f"{name} {how} from a {item.elsewhere}, not from an index", line=item.line,
                     severity=Severity.MEDIUM if item.fixed else None, symbol=name)  # fmt: skip
    elif not item.version and not item.recorded:
        exam.finding("DPD-101", f"{name} is not pinned to one version", line=item.line, symbol=name)
    meant = imitated(item.name)
    if meant:
        exam.finding("DPD-105", f"{name} is one slip away from {meant}", line=item.line, symbol=name,
                     fix=f"write {meant} if that is meant; otherwise find out who publishes {name}")  # fmt: skip


def _loader(exam: Examination, item: Dependency, paths: frozenset[str]) -> None:
    """Link a version with the files that it would load: neither alone says anything."""
    if not item.version:
        return
    from packaging.version import InvalidVersion, Version

    for loader in loaders():
        if loader.package != item.name:
            continue
        try:
            old = Version(item.version) < Version(loader.fixed)
        except InvalidVersion:
            exam.gap(f"the version of {loader.package} is none as PEP 440 defines it", "pin a released version")
            return
        loaded = sorted(path for path in paths if path.lower().endswith(loader.suffixes))
        if old and loaded:
            exam.finding(
                "DPD-202",
                f"{item.name} before {loader.fixed} may run code of {printable(loaded[0], 120)} ({loader.advisory})",
                line=item.line, symbol=f"{item.name} {loader.advisory}",
                fix=f"use {item.name} {loader.fixed} or later",
            )  # fmt: skip


def is_examined(path: str, name: str, paths: frozenset[str]) -> bool:
    """Whether a requirement file that another one names is examined in its own right."""
    place = posixpath.normpath(posixpath.join(posixpath.dirname(path), name))
    return bool(name) and place in paths and reader_of(place) is not None


def _include(exam: Examination, name: str, line: int, paths: frozenset[str]) -> None:
    if is_examined(exam.path, name, paths):
        return
    what = "is not part of the release, or has a name that is not examined"
    exam.finding("DPD-106", f"the requirement file {printable(name, 120)} {what}", line=line,
                 symbol=printable(name, 120))  # fmt: skip
    exam.gap(f"the requirements in {printable(name, 120)} were not examined",
             "put them into the release under a name such as requirements-more.txt, or into this file")  # fmt: skip
