"""How a worker process is started: as which user, inside bubblewrap or not, with which files in reach."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import zt_gate

_DYNAMIC_USERS = (61184, 4096)
"""Users that nobody owns files as: what systemd hands out to services (systemd.exec(5), DynamicUser=)."""
_PROBE_SECONDS = 20
_SYSTEM = ("/usr", "/lib", "/lib64", "/etc/ld.so.cache", "/etc/localtime", "/etc/os-release")
_MACHINE = ("/proc/self", "/proc/meminfo", "/proc/cpuinfo", "/proc/stat", "/proc/filesystems", "/sys/devices/system")
_DRIVER = ("/proc", "/sys", "/etc/vulkan", "/etc/OpenCL", "/run/nvidia-persistenced")


def interpreter_files() -> list[str]:
    """Return the folders that Python and what is installed for it are read from."""
    folders = {sys.prefix, sys.base_prefix, str(Path(zt_gate.__file__).parent)}
    # Debian's own packages, and what a .pth file adds. Not the rest of the path, which may have the current folder.
    folders |= {path for path in sys.path if path.endswith(("/site-packages", "/dist-packages"))}
    folders |= {sysconfig.get_path(name) for name in ("purelib", "platlib", "stdlib", "platstdlib")}
    return sorted(folders)


def readable_files(devices: Sequence[str]) -> list[str]:
    """Return everything that a worker may read besides the model."""
    return [*_SYSTEM, *_MACHINE, *interpreter_files(), *(_DRIVER if devices else ())]


def device_files() -> list[str]:
    """Return the device files of NVIDIA GPUs on this machine."""
    names = sorted(Path("/dev").glob("nvidia*"))
    return [str(path) for path in names if path.is_char_device() or path.is_dir()]


def worker_user(models: Sequence[Path] = ()) -> int | None:
    """Return the user that a worker runs as, or None to stay who we are.

    Only root can become somebody else. Where Python or a model lies out of others' reach, the worker stays root's,
    without any capability.

    Args:
        models: frozen copies, which will be handed over to the user; their parents will not.
    """
    if os.geteuid() != 0 or not all(parent.stat().st_mode & 0o001 for model in models for parent in model.parents):
        return None
    uid = _DYNAMIC_USERS[0] + os.getpid() % _DYNAMIC_USERS[1]
    # Only a trial tells whether another user can run this interpreter, for instance one below /root.
    return uid if _usable(uid) else None


@functools.cache
def _usable(uid: int) -> bool:
    probe = [sys.executable, "-I", "-B", "-c", "import zt_gate"]
    return _succeeds(probe, uid)


@functools.cache
def namespaces_work(uid: int | None) -> bool:
    """Whether bubblewrap is installed and the kernel lets this user make namespaces."""
    if shutil.which("bwrap") is None:
        return False
    return _succeeds([*wrapped([], "", []), sys.executable, "-I", "-B", "-c", "import zt_gate"], uid)


def wrapped(readable: Sequence[str], scratch: str, devices: Sequence[str]) -> list[str]:
    """Return the bubblewrap command in front of a worker: namespaces of its own, and no files but the named ones."""
    # --new-session: on a shared terminal the worker could type commands into our shell (TIOCSTI, CVE-2017-5226).
    command = ["bwrap", "--unshare-all", "--die-with-parent", "--new-session", "--dev", "/dev", "--proc", "/proc"]
    bound = [path for path in (*_SYSTEM, "/sys/devices/system", *interpreter_files(), *readable) if path]
    for path in dict.fromkeys(bound):
        # bubblewrap makes fresh ones; binding the host's would put other processes and devices in reach.
        if not path.startswith(("/proc", "/dev")):
            # -try: not every distribution has /lib64 and each file of /etc.
            command += ["--ro-bind-try", path, path]
    for path in devices:
        command += ["--dev-bind-try", path, path]
    if scratch:
        command += ["--bind", scratch, scratch]
    return [*command, "--chdir", "/"]


def environment(threads: int, scratch: str) -> dict[str, str]:
    """Return a worker's whole environment: nothing of ours, so no secret in it either."""
    # OpenMP threads spin at barriers: on a busy machine two of them were nine times slower than one.
    counts = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "LOKY_MAX_CPU_COUNT")
    return {
        "PATH": "/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "HOME": scratch,
        # Whoever asks for the user's name would ask a name service, which is a socket.
        "LOGNAME": "worker",
        "USER": "worker",
        "TMPDIR": scratch,
        "TORCHINDUCTOR_CACHE_DIR": scratch,
        # onnxruntime (1.32) sends telemetry from a thread of its own; in here that is a denied socket.
        "ORT_DISABLE_TELEMETRY": "1",
        "DO_NOT_TRACK": "1",
        "CUBLAS_WORKSPACE_CONFIG": ":4096:8",  # torch.use_deterministic_algorithms asks for it
        **dict.fromkeys(counts, str(threads)),
    }


def _succeeds(command: Sequence[str], uid: int | None) -> bool:
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter
            command,
            env=environment(1, "/nonexistent"),
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=_PROBE_SECONDS,
            check=False,
            **identity(uid),
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return bool(done.returncode == 0)


def identity(uid: int | None) -> dict[str, Any]:
    """Return the arguments of `subprocess` that make a child another user's."""
    return {} if uid is None else {"user": uid, "group": uid, "extra_groups": []}
