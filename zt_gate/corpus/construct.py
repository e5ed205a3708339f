"""What a hostile construct is: a few inert files, what they imitate, and who published the idea.

The constructs prove the scanner the way a fire drill proves an alarm: they are assembled from opcodes and bytes when
they are asked for, carry harmless words where an attack carries commands, and nothing ever loads one.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Link:
    """A symbolic link in place of a file."""

    target: str


@dataclass(frozen=True, slots=True)
class Pipe:
    """A named pipe in place of a file."""


Content = bytes | Link | Pipe
Files = Mapping[str, Content]
"""What a construct consists of, by relative path."""


@dataclass(frozen=True, slots=True)
class Construct:
    """One hostile construct."""

    id: str
    """Short name, unique over all families: `family/name`."""
    title: str
    """What it does, in a line."""
    reference: str
    """CVE, GHSA, paper, CWE or issue that describes the idea."""
    build: Callable[[], Files]
    """Returns the files; called each time they are needed."""

    @property
    def family(self) -> str:
        """The first part of the id."""
        return self.id.partition("/")[0]

    def write(self, folder: Path) -> None:
        """Write the files below a folder, which has to exist."""
        for name, content in self.build().items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, Link):
                path.symlink_to(content.target)
            elif isinstance(content, Pipe):
                os.mkfifo(path)
            else:
                path.write_bytes(content)


Row = tuple[str, str, str, Files | Callable[[], Files]]
"""Name, title, reference, files: how the families write their constructs down. Large files are made when asked for."""


def table(family: str, rows: Iterable[Row]) -> tuple[Construct, ...]:
    """Turn rows into constructs."""
    return tuple(_construct(family, row) for row in rows)


def _construct(family: str, row: Row) -> Construct:
    name, title, reference, files = row
    return Construct(f"{family}/{name}", title, reference, files if callable(files) else lambda: files)
