"""A cache folder whose records are authenticated with a key that only the user can read.

A cached result replaces a check, so a forged record could forge a verdict. The folder must therefore belong to the
user and be writable by nobody else, and every record carries an HMAC under a key that only the user can read: someone
who can write files there but not read the key cannot forge a record. The HMAC covers the subject of the record too; a
record that does not verify is treated as absent.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import secrets
import stat
from pathlib import Path
from typing import Any

from zt_gate.codecs.strict_json import parse_json
from zt_gate.domain import canonical_json, printable
from zt_gate.errors import ToolError, UsageError

_KEY = "key"
_KEY_BYTES = 32
_MAX_ENTRY = 1 << 20
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
# O_NONBLOCK: a FIFO in the folder must not make the open hang.
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class AuthenticatedCache:
    """A folder of records. Its descriptor is held open, so that nobody can replace the folder.

    Args:
        folder: created with mode 0700 where it does not exist.
        what: name of the folder in messages.
        advice: the fix if the folder cannot be used.

    Raises:
        UsageError: others can write to the folder or read its key, so its records cannot be trusted.
        ToolError: it cannot be created or read.
    """

    def __init__(
        self, folder: Path, what: str = "cache", advice: str = "name a folder of your own, or leave out --cache"
    ) -> None:
        self._shown = f"{what} {printable(folder)}"
        try:
            with contextlib.suppress(FileExistsError):
                os.makedirs(folder, mode=0o700)
            self._fd = os.open(folder, _FOLDER)
            try:
                self._check(os.fstat(self._fd), 0o022, "the folder")
                self._mac_key = self._load_key()
            except BaseException:
                os.close(self._fd)
                raise
        except OSError as error:
            raise ToolError(f"cannot use the {self._shown}: {error.strerror}", advice) from error

    def _check(self, status: os.stat_result, forbidden: int, what: str) -> None:
        if status.st_uid != os.geteuid() or stat.S_IMODE(status.st_mode) & forbidden:
            raise UsageError(
                f"{what} of the {self._shown} is open to others, who could put false results there",
                "name a folder that only you can write to, for instance one that zt-gate creates itself",
            )

    def _load_key(self) -> bytes:
        with contextlib.suppress(FileExistsError):
            self._write(_KEY, secrets.token_bytes(_KEY_BYTES), replace=False)
        key = self._read(_KEY, 0o077, "the key")
        if len(key) != _KEY_BYTES:
            raise UsageError(f"the key of the {self._shown} is damaged", "remove the folder; it is made anew")
        return key

    def derived(self, purpose: str) -> bytes:
        """Return a 32-byte key derived for one purpose; it does not reveal the folder's own key."""
        return hmac.new(self._mac_key, b"derived\0" + purpose.encode(), hashlib.sha256).digest()

    def get(self, subject: list[Any]) -> Any:
        """Return the record about a subject, or None if there is no record that verifies.

        Args:
            subject: what the record is about, as a JSON value; its first item names the kind of record.
        """
        try:
            record = parse_json(self._read(self._name(subject), 0o022, "an entry"))
            value, mac = record["value"], record["mac"]
            if record.keys() != {"value", "mac"} or not hmac.compare_digest(mac, self._mac(subject, value)):
                return None
        except (OSError, UsageError, ValueError, TypeError, KeyError, AttributeError):
            return None
        return value

    def put(self, subject: list[Any], value: Any) -> None:
        """Store a record and replace an older one. A failure is ignored: the cache is optional."""
        with contextlib.suppress(OSError, ValueError):
            data = canonical_json({"value": value, "mac": self._mac(subject, value)})
            if len(data) <= _MAX_ENTRY:
                self._write(self._name(subject), data, replace=True)

    def close(self) -> None:
        """Close the folder's descriptor."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _name(self, subject: list[Any]) -> str:
        # The prefixes keep uses of one key apart: no name can serve as the MAC of an entry, or as a derived key.
        return hmac.new(self._mac_key, b"name\0" + canonical_json(subject), hashlib.sha256).hexdigest()

    def _mac(self, subject: list[Any], value: Any) -> str:
        return hmac.new(self._mac_key, b"entry\0" + canonical_json([subject, value]), hashlib.sha256).hexdigest()

    def _read(self, name: str, forbidden: int, what: str) -> bytes:
        fd = os.open(name, _READ, dir_fd=self._fd)
        with os.fdopen(fd, "rb") as stream:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode) or status.st_size > _MAX_ENTRY:
                raise UsageError(f"{what} of the {self._shown} is no small file", "remove the folder")
            self._check(status, forbidden, what)
            return stream.read(_MAX_ENTRY)

    def _write(self, name: str, data: bytes, *, replace: bool) -> None:
        """Write a file atomically.

        Raises:
            OSError: it cannot be written; `FileExistsError` where it is there already and may not be replaced.
        """
        temporary = f".{name}.{secrets.token_hex(8)}"
        fd = os.open(temporary, _NEW, 0o600, dir_fd=self._fd)
        try:
            with os.fdopen(fd, "wb") as stream:
                stream.write(data)
            if replace:
                os.rename(temporary, name, src_dir_fd=self._fd, dst_dir_fd=self._fd)
            else:
                # link() fails if the name exists, where rename() would replace it: two first runs agree on one key.
                os.link(temporary, name, src_dir_fd=self._fd, dst_dir_fd=self._fd)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary, dir_fd=self._fd)
