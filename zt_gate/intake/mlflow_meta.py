"""The one file that MLflow's client adds to a model that it downloads by `models:/…`: its name and version.

The registry never held it, so that a verdict or a signature about the registered model is about the files without it.
It is left out only where such a verdict or signature is at hand, and only with exactly its two keys: any other file of
this name may be the model's own, and belongs to its digest.
"""

from __future__ import annotations

from collections.abc import Callable

from zt_gate.codecs.strict_yaml import load_one
from zt_gate.domain import Digest, Manifest
from zt_gate.errors import ParseError
from zt_gate.intake.frozen import Frozen

META = "registered_model_meta"
_KEYS = {"model_name", "model_version"}
_MAX_META = 4096


def registered_digest(frozen: Frozen) -> Digest | None:
    """Return the digest without MLflow's file; None where there is none, or where it says something else.

    Raises:
        TargetError: a file changed meanwhile; as `Frozen.subject`.
    """
    if META not in frozen.files or not _is_added(frozen):
        return None
    return Manifest.of(entry for entry in frozen.subject.manifest.entries if entry.path != META).digest


def leave_out_added_file(frozen: Frozen, is_known: Callable[[Digest], bool]) -> str:
    """Leave MLflow's file out of a downloaded model, if only the model without it is known.

    Args:
        frozen: the downloaded folder; it is changed.
        is_known: whether a verdict or a signature about a digest is at hand.

    Returns:
        One line that tells people so; empty where nothing was left out.

    Raises:
        TargetError: a file changed meanwhile.
    """
    registered = registered_digest(frozen)
    if registered is None or is_known(frozen.digest) or not is_known(registered):
        return ""
    frozen.leave_out(META)
    return f"left out {META}, which MLflow's client added to the download: what is known is about the other files"


def _is_added(frozen: Frozen) -> bool:
    with frozen.files[META].open() as stream:
        text = stream.read(_MAX_META + 1)
    if len(text) > _MAX_META:
        return False
    try:
        value = load_one(text)
    except ParseError:
        return False
    # Both are texts; the version may be a number, and of a logged model (`models:/m-…`) both are null.
    plain = (str, int, type(None))
    return isinstance(value, dict) and set(value) == _KEYS and all(type(item) in plain for item in value.values())
