"""What the verbs that sign have in common: freeze, build a statement about what was frozen, sign it, write it down."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from zt_gate.cli.common.console import Console
from zt_gate.cli.common.files import write_atomically
from zt_gate.cli.common.signer import StatementSigner
from zt_gate.domain import Digest, printable
from zt_gate.errors import EvidenceError, TargetError, UsageError
from zt_gate.intake import Freeze, Frozen, freeze
from zt_gate.trust.evidence_folder import evidence_folder


def sign_about(
    targets: Sequence[str],
    name: Callable[[bytes], str],
    payload: Callable[[Frozen], bytes],
    signer: StatementSigner,
    out: Path | None,
    console: Console,
) -> int:
    """Sign a statement about a target and write it, into the target's evidence folder unless `out` says otherwise.

    Args:
        targets: what the statement is about.
        name: from the statement's bytes, the file's name without its suffix.
        payload: builds the statement.
        signer: signs it.
        out: the file to write; needed where there are several targets.
        console: shows the digest and the file.

    Raises:
        UsageError: several targets without `out`, or an output inside the target.
        TargetError: the target cannot be read, holds what is never signed, or changed meanwhile.
        EvidenceError: the statement cannot be built or signed.
        ToolError: the file cannot be written.
    """
    if len(targets) > 1 and out is None:
        raise UsageError("several targets have no evidence folder in common", "name the file with --out FILE")
    place = out or evidence_folder(Path(targets[0])) / "statement"
    _refuse_inside(place, targets)
    with freeze(targets, Freeze.HOLD) as frozen:
        if frozen.refusals:
            first = frozen.refusals[0]
            raise TargetError(f"{first.message}: zt-gate never signs such a release", first.fix)
        data = payload(frozen)
        # The files are held and not copied, so a writer could have changed them since they were hashed.
        if changed := frozen.changed():
            raise TargetError(f"{changed[0]} changed while it was signed", "let the writer finish, then sign again")
        digest = frozen.subject.digest
    if out is None:
        place = place.with_name(f"{name(data)}.dsse.json")
    write_atomically(place, signer.sign(data))
    console.note(f"signed {digest} with {signer.label}")
    console.result(printable(place, 4096))
    return 0


def numbered(kind: str, signer: StatementSigner) -> Callable[[bytes], str]:
    """Name a statement so that the signer's earlier ones of its kind stay: kind, signer, and its own digest."""
    return lambda payload: f"{kind}.{signer.mark}.{Digest.of(payload).hex[:8]}"


def read_input(path: Path, limit: int, advice: str = "check the path") -> bytes:
    """Read a file that a statement is made of.

    Raises:
        EvidenceError: missing, unreadable or larger than `limit` bytes.
    """
    shown = printable(path)
    try:
        with path.open("rb") as stream:
            data = stream.read(limit + 1)
    except (OSError, ValueError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or "not a path"
        raise EvidenceError(f"cannot read {shown}: {why}", advice) from None
    if len(data) > limit:
        raise EvidenceError(f"{shown} has more than {limit} bytes", "this is probably the wrong file")
    return data


def _refuse_inside(out: Path, targets: Sequence[str]) -> None:
    """A signature inside what it signs would change the digest that it signs."""
    place = out.resolve()
    for target in targets:
        root = Path(target).resolve()
        if place == root or root in place.parents:
            raise UsageError(f"{printable(out)} lies inside the target", "write the signature beside the target")
