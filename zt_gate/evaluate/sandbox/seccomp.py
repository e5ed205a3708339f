"""A seccomp filter that denies processes, sockets and the rest of the kernel's doors, and tells the parent who knocked.

What it denies is answered by the parent (user notification): the call fails with EPERM, and the parent has it on
record, whatever the code in the worker does with the error. No tripwire inside the process can promise that.

Source: https://docs.kernel.org/userspace-api/seccomp_filter.html
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import struct

from zt_gate.evaluate.sandbox.kernel import PR_SET_NO_NEW_PRIVS, audit_arch, name_of, number_of, prctl, syscall

DENIED = [
    "execve",
    "execveat",
    "fork",
    "vfork",
    "socket",
    "connect",
    "bind",
    "listen",
    "accept",
    "accept4",
    "sendto",
    "sendmmsg",
    # Where the worker has no user of its own, the parent and our other processes belong to the same user.
    "ptrace",
    "process_vm_readv",
    "process_vm_writev",
    "process_madvise",
    "kill",
    "tkill",
    "tgkill",
    "rt_sigqueueinfo",
    "rt_tgsigqueueinfo",
    "pidfd_open",
    "pidfd_send_signal",
    "pidfd_getfd",
    # No capability is left for these, but a new user namespace would bring all of them back.
    "mount",
    "umount2",
    "move_mount",
    "open_tree",
    "fsopen",
    "fsconfig",
    "fsmount",
    "fspick",
    "mount_setattr",
    "pivot_root",
    "chroot",
    "unshare",
    "setns",
    "keyctl",
    "add_key",
    "request_key",
    "bpf",
    "perf_event_open",
    # It can stop the kernel in the middle of a copy, which is how exploits win races against it.
    "userfaultfd",
    # io_uring opens files and sockets from inside the kernel, where no seccomp filter sees the calls.
    "io_uring_setup",
    "io_uring_enter",
    "io_uring_register",
    "init_module",
    "finit_module",
    "delete_module",
    "kexec_load",
    "kexec_file_load",
    "reboot",
    "swapon",
    "swapoff",
    "acct",
    # READ_IMPLIES_EXEC would make every readable page executable.
    "personality",
    # A handle names an inode without a path; containers have been left this way.
    "open_by_handle_at",
    "name_to_handle_at",
    # Files without a path are not judged by Landlock.
    "memfd_create",
    "memfd_secret",
    # These objects outlive their process, so nobody would clean up after the worker.
    "shmget",
    "msgget",
    "semget",
    "mq_open",
    # Landlock has no right for any of the following.
    "chmod",
    "fchmod",
    "fchmodat",
    "fchmodat2",
    "chown",
    "fchown",
    "lchown",
    "fchownat",
    "setxattr",
    "lsetxattr",
    "fsetxattr",
    "utime",
    "utimes",
    "utimensat",
]
"""`sendmsg` is not among them: the one socket that exists leads to the parent, which has to be handed the listener."""

# BPF_LD|W|ABS; BPF_JMP|K with JEQ, JGE and JSET; BPF_RET|K (linux/bpf_common.h).
_LOAD, _JUMP_EQUAL, _JUMP_AT_LEAST, _JUMP_ANY, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
# Offsets in struct seccomp_data: number, architecture, instruction pointer (8 bytes), arguments.
_NUMBER, _ARCH, _FIRST_ARGUMENT = 0, 4, 16
# KILL_PROCESS: the older KILL_THREAD (0) would leave the other threads running.
_ALLOW, _NOTIFY, _ERRNO, _KILL = 0x7FFF0000, 0x7FC00000, 0x00050000, 0x80000000
_CLONE_THREAD = 0x00010000
_X32 = 0x40000000
_SET_MODE_FILTER, _NEW_LISTENER = 1, 1 << 3
# _IOWR('!', 0, struct seccomp_notif), of 80 bytes, and _IOWR('!', 1, struct seccomp_notif_resp), of 24.
_NOTIF_RECV, _NOTIF_SEND = 0xC0502100, 0xC0182101
_NOTIF_SIZE, _RESPONSE = 80, "<QqiI"

Step = tuple[int, int, int, int]
"""struct sock_filter: code, jump if true, jump if false, constant."""


def program(arch: int) -> list[Step]:
    """Return the filter for this machine: a list of what is denied, since an interpreter needs most of the rest."""
    head: list[Step] = [
        # The same number is another call on another architecture (32-bit calls on x86-64), so this is asked first.
        (_LOAD, 0, 0, _ARCH),
        (_JUMP_EQUAL, 1, 0, arch),
        (_RETURN, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
        # x86-64 has a second table of numbers, which would pass all of what follows.
        (_JUMP_AT_LEAST, 0, 1, _X32),
        (_RETURN, 0, 0, _KILL),
    ]
    body: list[Step] = []
    # clone3 hides its flags behind a pointer; without it the C library uses clone, whose flags a filter can read.
    for number, action in ((number_of("clone3"), _ERRNO | errno.ENOSYS), *((number_of(n), _NOTIFY) for n in DENIED)):
        if number is not None:
            body += [(_JUMP_EQUAL, 0, 1, number), (_RETURN, 0, 0, action)]
    clone = number_of("clone") or 0
    tail: list[Step] = [
        (_JUMP_EQUAL, 0, 3, clone),
        # The flags are in the low 32 bits, which come first on both machines: they are little-endian.
        (_LOAD, 0, 0, _FIRST_ARGUMENT),
        # Numerical libraries need threads; a clone without this flag is a new process.
        (_JUMP_ANY, 1, 0, _CLONE_THREAD),
        (_RETURN, 0, 0, _NOTIFY),
        (_RETURN, 0, 0, _ALLOW),
    ]
    return head + body + tail


def install() -> int:
    """Put this process under the filter, for good, and return the descriptor at which its parent listens.

    Raises:
        OSError: the kernel refused, or the machine is of another kind.
    """
    arch = audit_arch()
    if arch is None:
        raise OSError(38, "there is no filter for this kind of machine")
    steps = b"".join(struct.pack("<HBBI", *step) for step in program(arch))
    # The kernel follows a pointer to these bytes, so they need a name that lives until after the call.
    held = ctypes.create_string_buffer(steps, len(steps))
    fprog = struct.pack("<HxxxxxxQ", len(steps) // 8, ctypes.addressof(held))
    # Without CAP_SYS_ADMIN, which was given up before, the kernel accepts no filter otherwise (seccomp(2)).
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    return syscall("seccomp", ctypes.c_uint(_SET_MODE_FILTER), ctypes.c_uint(_NEW_LISTENER), ctypes.c_char_p(fprog))


def deny_one(listener: int) -> str | None:
    """Answer one denied call that waits at the listener, and return its name; None where it went away.

    Raises:
        OSError: the listener cannot be used any more.
    """
    # The kernel refuses a buffer that is not zeroed (seccomp_unotify(2)).
    notice = bytearray(_NOTIF_SIZE)
    try:
        fcntl.ioctl(listener, _NOTIF_RECV, notice)
        # struct seccomp_notif: id, pid, flags, then struct seccomp_data, which begins with the number.
        ident, _pid, _flags, number = struct.unpack_from("<QIIi", notice)
        # The arguments are not looked at: other threads can change them meanwhile, and the answer is always no.
        fcntl.ioctl(listener, _NOTIF_SEND, bytearray(struct.pack(_RESPONSE, ident, 0, -errno.EPERM, 0)))
    except OSError as error:
        # ENOENT: the caller was killed, or a signal interrupted its call, before it was answered.
        if error.errno in (errno.ENOENT, errno.EINTR, errno.EINPROGRESS):
            return None
        raise
    return name_of(number)
