"""What a run has measured so far, flushed batch by batch: a run that was killed goes on where it ended.

What is recalled gets signed, so every line carries an HMAC over itself and the line before, under a key that the runner
keeps elsewhere. Whoever can write the file and not read the key can only cut its end off, which is then measured again.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from zt_gate.codecs.strict_json import parse_json
from zt_gate.domain import canonical_json, printable
from zt_gate.errors import ToolError, UsageError
from zt_gate.evaluate.attack import AttackedBatch
from zt_gate.evaluate.sample import pack, unpack

if TYPE_CHECKING:
    from zt_gate.evaluate.sandbox.wire import Array

_MAX_BYTES = 1 << 30
_START_ANEW = "name another folder with --out, or remove the file: everything is then measured again"


class Journal:
    """A file with one line for each thing that was measured; its first line says of which run."""

    def __init__(self, path: Path, run: dict[str, Any], key: bytes) -> None:
        """Open it, and read what an earlier attempt of the same run left.

        Args:
            path: the file; created where there is none.
            run: everything that the numbers depend on, such as the subject and the ticket.
            key: authenticates the lines; nobody who can write the file may know it.

        Raises:
            UsageError: it belongs to another run, or a line was not written under this key.
            ToolError: it cannot be read or written.
        """
        self._known: dict[str, dict[str, Any]] = {}
        self._path, self._key, self._last = path, key, ""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("a+b")
            self._file.seek(0)
            lines = self._file.read(_MAX_BYTES).split(b"\n")
        except OSError as error:
            raise ToolError(
                f"cannot use {printable(path)}: {error.strerror}", "name another folder with --out"
            ) from None
        try:
            self._go_on(lines, run)
        except BaseException:
            self._file.close()
            raise

    def _go_on(self, lines: list[bytes], run: dict[str, Any]) -> None:
        # What follows the last line feed was being written when the run was killed.
        whole, torn = lines[:-1], lines[-1]
        entries = [self._verified(number, line) for number, line in enumerate(whole, 1)]
        # Compared as JSON gives it back, since tuples come back as lists.
        if entries and entries[0].get("run") != json.loads(canonical_json(run)):
            raise UsageError(f"{printable(self._path)} belongs to another run", _START_ANEW)
        if torn:
            self._file.truncate(sum(len(line) + 1 for line in whole))
        if not entries:
            self._write({"run": run})
        self._known = {entry["key"]: entry for entry in entries[1:] if isinstance(entry.get("key"), str)}

    def _verified(self, number: int, line: bytes) -> dict[str, Any]:
        """Return what a line says, once it is known that this runner wrote it, and after which line."""
        entry = _parsed(line)
        mac = entry.pop("mac", None)
        # As bytes, because compare_digest raises TypeError for text that is not ASCII.
        if not isinstance(mac, str) or not hmac.compare_digest(mac.encode(), self._mac(entry).encode()):
            raise UsageError(
                f"line {number} of {printable(self._path)} was not written by this runner, so it is not believed",
                _START_ANEW,
            )
        self._last = mac
        return entry

    def _mac(self, entry: dict[str, Any]) -> str:
        text = json.dumps(entry, sort_keys=True)
        # The line before goes in too, so that no line can be left out, repeated or moved.
        return hmac.new(self._key, f"{self._last}\n{text}".encode(), hashlib.sha256).hexdigest()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def recall(self, key: str) -> dict[str, Any] | None:
        """Return what was written under a key, or None."""
        return self._known.get(key)

    def note(self, key: str, value: dict[str, Any]) -> None:
        """Write something down, to the disk.

        Raises:
            ToolError: it cannot be written.
        """
        self._write({"key": key, **value})
        self._known[key] = {"key": key, **value}

    def recall_batch(self, key: str) -> AttackedBatch | None:
        """Return a batch that was attacked before, or None where that is not, or not wholly, written down."""
        entry = self.recall(key)
        if entry is None:
            return None
        try:
            sample = unpack(base64.b64decode(entry["sample"], validate=True))
            return AttackedBatch(sample, tuple(entry["stages"]), entry["forwards"], entry["unconfirmed"])
        except (ValueError, KeyError, TypeError):
            return None

    def note_batch(self, key: str, batch: AttackedBatch) -> None:
        """Write down what became of a batch.

        Raises:
            ToolError: it cannot be written.
        """
        value = {
            "sample": base64.b64encode(pack(batch.sample)).decode(),
            "stages": list(batch.stages),
            "forwards": batch.forwards,
            "unconfirmed": batch.unconfirmed,
        }
        self.note(key, value)

    def recall_bits(self, key: str) -> Array | None:
        """Return zeros and ones that were written down before, or None where they are not there."""
        entry = self.recall(key)
        if entry is None:
            return None
        try:
            flat = np.frombuffer(base64.b64decode(entry["bits"], validate=True), np.uint8)
            return flat.reshape(entry["shape"])
        except (ValueError, KeyError, TypeError):
            return None

    def note_bits(self, key: str, bits: Array) -> None:
        """Write zeros and ones down, uint8 of any shape.

        Raises:
            ToolError: it cannot be written.
        """
        self.note(key, {"bits": base64.b64encode(bits.tobytes()).decode(), "shape": list(bits.shape)})

    def _write(self, value: dict[str, Any]) -> None:
        try:
            mac = self._mac(value)
            self._file.write(json.dumps({**value, "mac": mac}, sort_keys=True).encode() + b"\n")
            self._file.flush()
            os.fsync(self._file.fileno())
            self._last = mac
        except OSError as error:
            raise ToolError(f"cannot write {printable(self._path)}: {error.strerror}", "free space there") from None


def _parsed(line: bytes) -> dict[str, Any]:
    try:
        value = parse_json(line, constants=True)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
