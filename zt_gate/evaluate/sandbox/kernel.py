"""System calls that Python has no function for, through libc's `syscall`, on x86-64 and arm64."""

from __future__ import annotations

import ctypes
import os
import platform
from typing import Any

PR_SET_NO_NEW_PRIVS = 38

# Number on x86-64, and on arm64 (linux/arch/x86/entry/syscalls/syscall_64.tbl, include/uapi/asm-generic/unistd.h).
# None: arm64 never had it.
NUMBERS: dict[str, tuple[int, int | None]] = {
    "accept": (43, 202),
    "accept4": (288, 242),
    "acct": (163, 89),
    "add_key": (248, 217),
    "bind": (49, 200),
    "bpf": (321, 280),
    "chmod": (90, None),
    "chown": (92, None),
    "chroot": (161, 51),
    "clone": (56, 220),
    "clone3": (435, 435),
    "connect": (42, 203),
    "delete_module": (176, 106),
    "execve": (59, 221),
    "execveat": (322, 281),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "fchown": (93, 55),
    "fchownat": (260, 54),
    "finit_module": (313, 273),
    "fork": (57, None),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fsopen": (430, 430),
    "fspick": (433, 433),
    "fsetxattr": (190, 7),
    "init_module": (175, 105),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "io_uring_setup": (425, 425),
    "kexec_file_load": (320, 294),
    "kexec_load": (246, 104),
    "keyctl": (250, 219),
    "kill": (62, 129),
    "lchown": (94, None),
    "listen": (50, 201),
    "lsetxattr": (189, 6),
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "mount": (165, 40),
    "mount_setattr": (442, 442),
    "move_mount": (429, 429),
    "mq_open": (240, 180),
    "msgget": (68, 186),
    "name_to_handle_at": (303, 264),
    "open_by_handle_at": (304, 265),
    "open_tree": (428, 428),
    "perf_event_open": (298, 241),
    "personality": (135, 92),
    "pidfd_getfd": (438, 438),
    "pidfd_open": (434, 434),
    "pidfd_send_signal": (424, 424),
    "pivot_root": (155, 41),
    "process_madvise": (440, 440),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "ptrace": (101, 117),
    "reboot": (169, 142),
    "request_key": (249, 218),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "semget": (64, 190),
    "sendto": (44, 206),
    "sendmmsg": (307, 269),
    "setns": (308, 268),
    "setxattr": (188, 5),
    "shmget": (29, 194),
    "socket": (41, 198),
    "swapoff": (168, 225),
    "swapon": (167, 224),
    "tgkill": (234, 131),
    "tkill": (200, 130),
    "umount2": (166, 39),
    "unshare": (272, 97),
    "userfaultfd": (323, 282),
    "utime": (132, None),
    "utimensat": (280, 88),
    "utimes": (235, None),
    "vfork": (58, None),
    "seccomp": (317, 277),
    "landlock_create_ruleset": (444, 444),
    "landlock_add_rule": (445, 445),
    "landlock_restrict_self": (446, 446),
}
_MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
"""Column of the table, and what the kernel calls the architecture (include/uapi/linux/audit.h)."""


def audit_arch() -> int | None:
    """Return the kernel's name of this architecture, or None where it is none of the two."""
    found = _MACHINES.get(platform.machine())
    return found[1] if found else None


def number_of(name: str) -> int | None:
    """Return the number of a system call on this machine, or None where it has none."""
    found = _MACHINES.get(platform.machine())
    return NUMBERS[name][found[0]] if found else None


def name_of(number: int) -> str:
    """Return the name of a system call of the table, for people."""
    names = (name for name in NUMBERS if number_of(name) == number)
    return next(names, f"system call {number}")


def syscall(name: str, *arguments: Any) -> int:
    """Make a system call.

    Raises:
        OSError: the kernel refused it, or the machine does not have it.
    """
    number = number_of(name)
    if number is None:
        raise OSError(38, f"{name} is not known on {platform.machine()}")
    return checked(libc().syscall(ctypes.c_long(number), *arguments))


def prctl(option: int, value: int) -> None:
    """Set a property of this process (prctl(2)).

    Raises:
        OSError: the kernel refused it.
    """
    # The kernel answers EINVAL unless the arguments that an option does not use are zero.
    checked(libc().prctl(option, value, 0, 0, 0))


def libc() -> ctypes.CDLL:
    """Return the C library, with errno kept."""
    # Without use_errno the interpreter could overwrite errno before `checked` reads it.
    return ctypes.CDLL(None, use_errno=True)


def checked(result: int) -> int:
    """Return a result that is no error.

    Raises:
        OSError: it is one; errno says which.
    """
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result
