"""Freeze the grammar of uses: what each attribute and argument holds in the files that libraries wrote.

    python tools/freeze_uses.py FOLDER... [--out rules/uses]

Walks every file below the folders with the machine that judges (nothing is unpickled), and writes down which atoms each
slot gets; `zt_gate.scan.artifacts.pickles.uses` tells what that means. Atoms are added to what the files of the grammar
have, and never taken away. Which names choose a method by text is kept by hand, under `dispatch`.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path

from freeze_names import shown

from zt_gate.intake import MemorySource
from zt_gate.scan.artifacts.format import Input
from zt_gate.scan.artifacts.pickles import uses
from zt_gate.scan.artifacts.registry import examine
from zt_gate.scan.interface import Examination, Head

OUT = Path(__file__).resolve().parent.parent / "rules" / "uses"
LARGEST = 64 << 20

_EMPTY = '{"classes": {}, "functions": {}, "slots": {}, "dispatch": {}}'

Seen = dict[str, dict[str, dict[str, set[str]]]]
"""Atoms by library, owner and name."""


def written(folders: list[Path], patterns: list[str], seen: Seen) -> int:
    """Collect the atoms of every slot in the files below folders; return how many files there were."""

    def note(slot: tuple[str, str], atom: str) -> bool:
        if atom == uses.COMPUTED_VALUE:
            return True  # what cannot be typed is never part of the grammar
        owner, name = slot
        library, _, rest = uses.short(owner).partition(".")
        names = uses.general(atom)
        # A family covers its members; where there is none, the atom stands for itself.
        seen[library.lower()][rest][name].add(names[-1])
        return True

    uses.permits = note  # type: ignore[assignment]
    found = (path for folder in folders for pattern in patterns for path in sorted(folder.rglob(pattern)))
    files = [path for path in found if path.is_file()]
    for path in files:
        if path.stat().st_size <= LARGEST:
            source = MemorySource(path.name, "", path.read_bytes())
            exam = Examination(path.name, source.size)
            with exam.guarded(path.name):
                examine(Input(source, exam, Head.of(source), examine))
    return len(files)


def acting(names: dict[str, set[str]]) -> dict[str, list[str]]:
    """Return the slots that hold more than data; of the others nothing needs to be said."""
    return {name: sorted(atoms) for name, atoms in sorted(names.items()) if not atoms <= {uses.DATA, f"={uses.DATA}"}}


def merge(seen: Seen, out: Path) -> None:
    """Add atoms to the files of the grammar."""
    for library, owners in sorted(seen.items()):
        file = out / f"{library}.json"
        content = (
            json.loads(file.read_text())
            if file.exists()
            else {"classes": {}, "functions": {}, "slots": {}, "dispatch": {}}
        )
        slots = content["slots"]
        for owner, names in owners.items():
            for name, atoms in names.items():
                names[name] = atoms | set(slots.get(owner, {}).get(name, ()))
            slots[owner] = slots.get(owner, {}) | acting(names)
        content["slots"] = {owner: dict(sorted(slots[owner].items())) for owner in sorted(slots) if slots[owner]}
        if content["slots"] or content["dispatch"]:
            file.write_text(shown(content))


def main() -> None:
    """Collect and merge."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--only", nargs="*", default=["*"], help="patterns of file names")
    parser.add_argument("--out", type=Path, default=OUT)
    args = parser.parse_args()
    seen: Seen = defaultdict(lambda: defaultdict(lambda: defaultdict(set)))
    count = written(args.folders, args.only, seen)
    merge(seen, args.out)
    print(f"{count} files")


if __name__ == "__main__":
    main()
