"""What the verbs that sign have in common: freeze, build a statement about what was frozen, sign it, write it down."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from zt_gate.cli.common.console import Console
from zt_gate.cli.common.files import write_atomically
from zt_gate.cli.common.signer import StatementSigner
from zt_gate.domain import Digest, printable
from zt_gate.errors import EvidenceError, TargetError, UsageError
from zt_gate.intake import Freeze, Frozen
from zt_gate.intake.mlflow_meta import META, registered_digest
from zt_gate.intake.remote import frozen_target, pinned, remote_uri
from zt_gate.trust.evidence_folder import evidence_folder


def sign_about(
    targets: Sequence[str | Path],
    name: Callable[[bytes], str],
    payload: Callable[[Frozen], bytes],
    signer: StatementSigner,
    out: Path | None,
    console: Console,
    outside: Sequence[tuple[str, Path | None]] = (),
) -> int:
    """Sign a statement about a target and write it, into the target's evidence folder unless `out` says otherwise.

    Args:
        targets: what the statement is about.
        name: from the statement's bytes, the file's name without its suffix.
        payload: builds the statement.
        signer: signs it.
        out: the file to write; needed where there are several targets.
        console: shows the digest and the file.
        outside: files of the signer's that may not lie inside the target, each with what it is.

    Raises:
        UsageError: several targets without `out`, or an output inside the target.
        TargetError: the target cannot be read, holds what is never signed, or changed meanwhile.
        EvidenceError: the statement cannot be built or signed.
        ToolError: the file cannot be written.
    """
    if len(targets) > 1 and out is None:
        raise UsageError("several targets have no evidence folder in common", "name the file with --out FILE")
    # An alias is resolved once, so that the evidence is filed under the version that is signed.
    fixed = [pinned(target) for target in targets]
    place = out or evidence_folder(fixed[0]) / "statement"
    # A signature inside what it signs would change the digest that it signs.
    with frozen_target(fixed, Freeze.HOLD, outside=[("signature", place), *outside]) as frozen:
        if frozen.refusals:
            first = frozen.refusals[0]
            raise TargetError(f"{first.message}: zt-gate never signs such a release", first.fix)
        if registered_digest(frozen) is not None:
            console.warn(
                f"{META} is signed as well, which MLflow's client added: sign models:/NAME/VERSION, or remove it"
            )
        data = payload(frozen)
        # The files are held and not copied, so a writer could have changed them since they were hashed.
        if changed := frozen.changed():
            raise TargetError(f"{changed[0]} changed while it was signed", "let the writer finish, then sign again")
        digest, name_of = frozen.subject.digest, frozen.name
    if out is None:
        place = place.with_name(f"{name(data)}.dsse.json")
    write_atomically(place, signer.sign(data))
    console.note(f"signed {digest} with {signer.label}" + (f": {name_of}" if remote_uri(targets[0]) else ""))
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
