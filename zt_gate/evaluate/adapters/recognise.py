"""Which model of a frozen subject is measured, found out without loading anything: by `MLmodel`, names and first bytes.

A release holds one model. Where it could hold two, somebody may serve the one that nobody measured, so nothing is
measured before the operator names a file, and then the statement says what was left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from zt_gate.domain import printable
from zt_gate.errors import EvidenceError
from zt_gate.evaluate.adapters.declaration import MAX_BYTES, Declaration, read_declaration
from zt_gate.evaluate.adapters.file_kinds import models_in, others_than
from zt_gate.evaluate.adapters.mlflow_folder import MLMODEL, what_mlflow_serves
from zt_gate.intake import Frozen
from zt_gate.rulings.weight_files import as_one_weight

DECLARATION = "architecture.json"
_ADVICE = "release one model alone; docs/evaluate.md lists the kinds, and says how an operator names one of several"
_MOST_NAMED = 4


@dataclass(frozen=True, slots=True)
class Recognised:
    """What is to be loaded, and how."""

    kind: str
    """Key of `zt_gate.evaluate.adapters.kinds.KINDS`."""
    path: str
    """Manifest path of a file; empty for the whole release."""
    declared: Declaration | None
    """What the release or the operator says about it; None where neither says anything."""
    others: tuple[str, ...] = ()
    """Files that could hold another model and are not measured; only where the operator named the file to measure."""

    @property
    def unmeasured(self) -> str:
        """Why the release as a whole is not measured; nothing where it is."""
        if not self.others:
            return ""
        return f"{printable(self.path, 60)} alone was measured, and the release also holds {shown(self.others)}"


def recognise(frozen: Frozen, given: Declaration | None = None) -> Recognised:
    """Find out what to load.

    Args:
        frozen: the subject.
        given: the operator's declaration, which counts in place of the release's own. Its `file` says what to load.

    Raises:
        EvidenceError: nothing here can be loaded, several files could be the model, or a file that says so is malformed
            or says what only the operator may say.
    """
    declared = given if given is not None else _own_declaration(frozen)
    named = given.file if given is not None else ""
    if named and named not in frozen.files:
        raise EvidenceError(f"the declaration names {printable(named)}, which is not there", _ADVICE)
    models = models_in(frozen.files)
    if MLMODEL in frozen.files:
        kind, path, parts = what_mlflow_serves(frozen.files)
        if named and named != path:
            raise EvidenceError(f"MLmodel does not lead to {printable(named)}, which the declaration names", _ADVICE)
        others = tuple(item for item in others_than(path, models) if not _is_part(item, parts))
        if others and not named:
            raise EvidenceError(f"beside what MLmodel leads to, the release holds {shown(others)}", _ADVICE)
        return Recognised(kind, path, declared, others)
    path = named or _only(models)
    found = models.get(path)
    if found is None:
        raise EvidenceError(f"{printable(path)} is of no kind that can be loaded", _ADVICE)
    return Recognised(found, path, declared, others_than(path, models))


def shown(paths: tuple[str, ...]) -> str:
    """Return names for people; the shards of one index are one."""
    names = as_one_weight(paths)
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    return ", ".join(printable(name, 60) for name in names[:_MOST_NAMED]) + more


def _is_part(path: str, parts: tuple[str, ...]) -> bool:
    return any(path == part or path.startswith(f"{part}/") for part in parts)


def _only(models: Mapping[str, str | None]) -> str:
    """Return the one file that could hold a model.

    Raises:
        EvidenceError: there is none, or there are several.
    """
    for path in models:
        if not others_than(path, models):
            return path
    if len(models) > 1 == len(as_one_weight(models)):
        raise EvidenceError(f"{shown(tuple(models))} are {len(models)} shards", "save the weights in one file")
    said = f"{len(models)} files that could be the model: {shown(tuple(models))}" if models else "0 files to load"
    raise EvidenceError(f"there are {said}", _ADVICE)


def _own_declaration(frozen: Frozen) -> Declaration | None:
    file = frozen.files.get(DECLARATION)
    if file is None:
        return None
    declared = read_declaration(file.read_at(0, min(file.size, MAX_BYTES + 1)), DECLARATION)
    if declared.file:
        raise EvidenceError(
            f"{DECLARATION} in the release names the file to measure, and only the operator may",
            "leave `file` out; or name it in a declaration of the operator's: --architecture FILE",
        )
    return declared
