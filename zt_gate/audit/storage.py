"""The log as a file: opened under a lock, continued at its last whole line, flushed to the disk.

Every writer takes `flock` on the file itself, so the kernel lets go of it when a writer dies. On network file systems
that lock may hold on one machine only; they are refused.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from zt_gate.audit.event import GENESIS, MAX_LINE, decode, digest
from zt_gate.domain import printable
from zt_gate.errors import AuditLogError

_NETWORK = {
    0x6969: "NFS",
    0x517B: "SMB",
    0xFE534D42: "SMB",
    0xFF534D42: "CIFS",
    0x5346414F: "AFS",
    0x73757245: "Coda",
    0x564C: "NCP",
}
"""Magic numbers of network file systems, from linux/magic.h and the kernel's cifs and ncpfs."""
_FIRST_LOOK = 8 << 10


@dataclass(frozen=True, slots=True)
class Tail:
    """Where a log goes on."""

    size: int
    """Bytes up to the end of the last whole line."""
    count: int
    last: str
    """SHA-256 of the last whole line, or `GENESIS`."""
    torn: bytes
    """What a crash left behind the last whole line; empty as a rule."""


@contextlib.contextmanager
def locked(path: Path) -> Iterator[int]:
    """Yield a descriptor of the log, created where it does not exist, that no other writer holds.

    Raises:
        AuditLogError: it is a link, no regular file, on a network file system, or cannot be opened or written.
    """
    shown = printable(path)
    # Two writers may both see no file; flushing the folder twice does no harm.
    created = not path.exists()
    try:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
    except OSError as error:
        raise AuditLogError(
            f"cannot open the audit log {shown}: {error.strerror}", "name a file in a writable folder"
        ) from error
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise AuditLogError(f"the audit log {shown} is no regular file", "name a file on a local disk")
        refuse_network(filesystem(fd), shown)
        fcntl.flock(fd, fcntl.LOCK_EX)
        if created:
            sync_folder(path.parent)
        yield fd
    except OSError as error:
        advice = "free some space" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "keep the log on a local disk"
        raise AuditLogError(f"cannot write the audit log {shown}: {error.strerror}", advice) from error
    finally:
        os.close(fd)


def refuse_network(magic: int, shown: str) -> None:
    """Refuse a file system on which two machines might both hold the lock.

    Raises:
        AuditLogError: the number is that of a network file system.
    """
    if magic in _NETWORK:
        raise AuditLogError(
            f"the audit log {shown} lies on {_NETWORK[magic]}, where a lock may not hold",
            "write a segment to a local disk, and bring segments together with: zt-gate audit merge",
        )


def filesystem(fd: int) -> int:
    """Return the magic number of the file system that a descriptor lies on (fstatfs(2)).

    Raises:
        OSError: the kernel does not say.
    """
    import ctypes

    # struct statfs starts with f_type, a long, and is well below 512 bytes on every Linux.
    answer = (ctypes.c_ulong * 64)()
    if ctypes.CDLL(None, use_errno=True).fstatfs(fd, ctypes.byref(answer)) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return int(answer[0]) & 0xFFFFFFFF


def read_tail(fd: int, path: Path) -> Tail:
    """Return where the log goes on; reads no more than its last lines.

    Raises:
        AuditLogError: it does not end in an event, so it is no log of this kind.
    """
    end = os.lseek(fd, 0, os.SEEK_END)
    # Most lines are short; only a long last line costs a second look.
    for room in (_FIRST_LOOK, 2 * MAX_LINE + 1):
        start = max(0, end - room)
        block = os.pread(fd, end - start, start)
        cut = block.rfind(b"\n") + 1
        first = block.rfind(b"\n", 0, cut - 1) + 1 if cut else 0
        if first or not start:
            break
    else:
        raise AuditLogError(f"{printable(path)} does not end in a line", "this is no audit log; name another file")
    line = block[first : cut - 1] if cut else b""
    if not cut:
        return Tail(0, 0, GENESIS, block)
    event = decode(line)
    if event is None:
        raise AuditLogError(f"{printable(path)} does not end in an event", "this is no audit log; name another file")
    return Tail(start + cut, event["seq"] + 1, digest(line), block[cut:])


def write_lines(fd: int, lines: bytes) -> None:
    """Append whole lines and flush them to the disk. One write, so that no reader sees half a line of a living writer.

    Raises:
        OSError: the disk is full or failing. What of it was written is a torn tail, which the next writer removes.
    """
    if os.write(fd, lines) != len(lines):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    os.fsync(fd)


def replace_file(path: Path, data: bytes, *, durable: bool) -> None:
    """Put a small file in place, whole or not at all.

    Args:
        path: where.
        data: what.
        durable: whether it must survive a loss of power; a file that can be derived again need not.

    Raises:
        OSError: it cannot be written.
    """
    # The caller holds the log's lock, so one fixed name is enough and no crash can litter the folder.
    temporary = path.with_name(path.name + ".new")
    with contextlib.suppress(FileNotFoundError):
        os.unlink(temporary)
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    try:
        if os.write(fd, data) != len(data):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        if durable:
            os.fsync(fd)
    finally:
        os.close(fd)
    os.replace(temporary, path)


def read_small(path: Path, limit: int, what: str) -> bytes | None:
    """Return a small file that stands beside a log, or None where there is none.

    Raises:
        AuditLogError: it cannot be read, is a link, or is longer than the limit.
    """
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or "not a path"
        raise AuditLogError(f"cannot read the {what} {printable(path)}: {why}", "check the path") from error
    with os.fdopen(fd, "rb") as stream:
        try:
            data = stream.read(limit + 1)
        except OSError as error:
            raise AuditLogError(f"cannot read the {what} {printable(path)}: {error.strerror}", "check it") from error
    if len(data) > limit:
        raise AuditLogError(f"{printable(path)} is too long for a {what}", "name another file")
    return data


def sync_folder(folder: Path) -> None:
    """Flush a folder, so that a file that was created in it survives a loss of power.

    Raises:
        OSError: it cannot be opened or flushed.
    """
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
