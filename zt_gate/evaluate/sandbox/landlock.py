"""Landlock: the kernel lets this thread, and all that it starts, at the named files and at nothing else.

It needs no privilege and cannot be taken back. It knows nothing of changing modes, owners and times of files, which is
why seccomp denies those.

Source: https://docs.kernel.org/userspace-api/landlock.html
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterable
from pathlib import Path

from zt_gate.evaluate.sandbox.kernel import PR_SET_NO_NEW_PRIVS, prctl, syscall

_WRITE_FILE, _READ_FILE, _READ_DIR, _IOCTL = 1 << 1, 1 << 2, 1 << 3, 1 << 15
_EXECUTE, _REFER, _TRUNCATE = 1 << 0, 1 << 13, 1 << 14
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | _IOCTL
# Bits 0 to 12, EXECUTE to MAKE_SYM, are what ABI 1 knows.
_FIRST_ABI = (1 << 13) - 1
_VERSION = 1
_PATH_BENEATH = 1


def abi() -> int:
    """Return the version of Landlock that the kernel offers; 0 for none."""
    try:
        return syscall("landlock_create_ruleset", None, ctypes.c_size_t(0), ctypes.c_uint32(_VERSION))
    except OSError:
        # ENOSYS: the kernel is older than Landlock; EOPNOTSUPP: it is built in and was not switched on at boot.
        return 0


def restrict(readable: Iterable[Path], writable: Iterable[Path], devices: Iterable[Path]) -> int:
    """Deny every file but the named ones and what lies below them, every TCP port, and signals to others.

    Nothing may be executed. A path that does not exist is left out.

    Args:
        readable: files and folders.
        writable: folders in which files may be made and removed.
        devices: device files that may be read, written and controlled.

    Returns:
        The version of Landlock that was used.

    Raises:
        OSError: the kernel has none, or refused.
    """
    version = abi()
    if version == 0:
        raise OSError(38, "the kernel offers no Landlock")
    handled = _FIRST_ABI
    # One right that this kernel does not know would make it refuse the whole ruleset (EINVAL).
    for since, right in ((2, _REFER), (3, _TRUNCATE), (5, _IOCTL)):
        handled |= right if version >= since else 0
    # Required of whoever has no CAP_SYS_ADMIN, and capabilities were given up before.
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    # struct landlock_ruleset_attr: files; TCP bind and connect since 4; abstract sockets and signals since 6.
    scopes = (handled, 3, 3)[: 1 if version < 4 else 2 if version < 6 else 3]
    attributes = struct.pack(f"<{len(scopes)}Q", *scopes)
    rules = syscall(
        "landlock_create_ruleset", ctypes.c_char_p(attributes), ctypes.c_size_t(len(attributes)), ctypes.c_uint32(0)
    )
    try:
        # No rule grants EXECUTE. Shared libraries are mapped rather than executed, so imports still work.
        for path in readable:
            _allow(rules, path, (_READ_FILE | _READ_DIR) & handled)
        for path in writable:
            _allow(rules, path, handled & ~_EXECUTE)
        for path in devices:
            _allow(rules, path, (_READ_FILE | _WRITE_FILE | _IOCTL) & handled)
        syscall("landlock_restrict_self", ctypes.c_int(rules), ctypes.c_uint32(0))
    finally:
        os.close(rules)
    return version


def _allow(rules: int, path: Path, rights: int) -> None:
    try:
        # O_PATH names a file without opening it, so no device or FIFO notices.
        fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return  # what is not there, or not for this user, needs no rule
    try:
        # The kernel refuses rights of folders on anything else (EINVAL).
        if not path.is_dir():
            rights &= _OF_FILES
        rule = struct.pack("<Qi", rights, fd)  # struct landlock_path_beneath_attr, packed
        syscall(
            "landlock_add_rule",
            ctypes.c_int(rules),
            ctypes.c_int(_PATH_BENEATH),
            ctypes.c_char_p(rule),
            ctypes.c_uint32(0),
        )
    finally:
        os.close(fd)
