"""What the worker does to itself before it imports anything that reads models: give up all that it will not need."""

from __future__ import annotations

import array
import ctypes
import os
import resource
import socket
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zt_gate.evaluate.sandbox import landlock, seccomp
from zt_gate.evaluate.sandbox.kernel import checked, libc
from zt_gate.isolation.limits import lower_limits
from zt_gate.rulings.sandbox_levels import LANDLOCK, LIMITS, SECCOMP, USER

_CAPABILITY_VERSION_3 = 0x20080522
_CAPSET = {"x86_64": 126, "aarch64": 91}


@dataclass(frozen=True, slots=True)
class SandboxBounds:
    """What a worker may use, and reach."""

    memory: int = 12 << 30
    """Bytes of address space."""
    cpu_seconds: int = 6 * 3600
    file_bytes: int = 64 << 20
    """Size of a file in its scratch folder."""
    threads: int = 1
    readable: tuple[str, ...] = ()
    """Files and folders that may be read."""
    scratch: str = ""
    """The one folder in which files may be written."""
    devices: tuple[str, ...] = ()
    """Device files of a GPU; none for the CPU."""

    @classmethod
    def of(cls, value: dict[str, Any]) -> SandboxBounds:
        """Read the bounds that the parent sent."""
        lists = {name: tuple(value[name]) for name in ("readable", "devices")}
        return cls(**(value | lists))


def confine(bounds: SandboxBounds, parent: socket.socket) -> dict[str, str]:
    """Confine this process for good.

    The listener for denied system calls is handed to the parent, with one byte that says whether there is one.

    Returns:
        Each layer that holds, and what is known of it; a layer that could not be had is under `no LAYER`, with why.
    """
    found: dict[str, str] = {}
    _try(found, LIMITS, lambda: _limit(bounds))
    _try(found, USER, _drop_privileges)
    _try(found, LANDLOCK, lambda: _fence(bounds))
    _try(found, SECCOMP, lambda: _filter(parent))
    if SECCOMP not in found:
        # The parent waits for this byte before it reads on, so it has to be sent without a listener too.
        parent.sendmsg([b"-"])
    return found


def _try(found: dict[str, str], layer: str, put: Any) -> None:
    try:
        found[layer] = put()
    # `resource` raises ValueError where the kernel refuses a limit. A layer that fails lowers the level that the parent
    # computes.
    except (OSError, ValueError) as error:
        found[f"no {layer}"] = str(error)


def _limit(bounds: SandboxBounds) -> str:
    wanted = {
        resource.RLIMIT_CPU: bounds.cpu_seconds,
        resource.RLIMIT_FSIZE: bounds.file_bytes,
        resource.RLIMIT_NOFILE: 256,
        # A core dump could put the whole memory of the worker on the runner's disk.
        resource.RLIMIT_CORE: 0,
        # It binds no process of uid 0; seccomp does.
        resource.RLIMIT_NPROC: 64 + 4 * bounds.threads,
    }
    if not bounds.devices:  # a driver maps more than the machine has
        wanted[resource.RLIMIT_AS] = bounds.memory
    lower_limits(wanted)
    return f"{bounds.memory >> 20} MiB, {bounds.cpu_seconds} s"


def _drop_privileges() -> str:
    """Give up every capability. As root that leaves the owner of root's files, whom Landlock fences in."""
    number = _CAPSET.get(os.uname().machine)
    if number is None:
        raise OSError(38, "no way to drop capabilities is known on this kind of machine")
    # Version 3 takes 64 capabilities as two structs of three 32-bit sets; all zero means none at all.
    head, data = struct.pack("<Ii", _CAPABILITY_VERSION_3, 0), bytes(24)
    checked(libc().syscall(ctypes.c_long(number), ctypes.c_char_p(head), ctypes.c_char_p(data)))
    return f"uid {os.getuid()}, no capability"


def _fence(bounds: SandboxBounds) -> str:
    devices = ["/dev/null", "/dev/zero", "/dev/urandom", *bounds.devices]
    scratch = [Path(bounds.scratch)] if bounds.scratch else []
    return f"ABI {landlock.restrict(map(Path, bounds.readable), scratch, map(Path, devices))}"


def _filter(parent: socket.socket) -> str:
    listener = seccomp.install()
    handed = array.array("i", [listener])
    parent.sendmsg([b"+"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, handed)])
    # Whoever holds the listener answers denied calls, and may answer "continue": the worker must not keep it.
    os.close(listener)
    return f"{len(seccomp.DENIED)} calls denied"
