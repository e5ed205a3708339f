"""The scanners that scan_peers.py measures: how they are installed and run, and what their answers amount to."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent / "build" / "peers"
QUIET = {
    **os.environ, "CI": "1", "PROMPTFOO_DISABLE_TELEMETRY": "1", "DO_NOT_TRACK": "1", "NO_COLOR": "1",
    "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1",
}  # fmt: skip
ORDER = ("flagged", "blocked", "silent")


@dataclass(frozen=True, slots=True)
class Tool:
    """One scanner."""

    command: str
    """Its console script."""
    words: tuple[str, ...]
    """The arguments before the path that is scanned."""
    packages: tuple[str, ...] = ()
    flagged: frozenset[int] = frozenset({1})
    folders: bool = True
    """Whether it takes folders; otherwise each file is given to it and the worst answer counts."""

    @property
    def name(self) -> str:
        """What it is called in the tables."""
        return " ".join([self.command, *[word for word in self.words if word == "--strict"]])

    @property
    def home(self) -> Path:
        """The `bin` folder of its environment."""
        return ROOT / self.packages[0] / "bin" if self.packages else Path(sys.executable).parent


TOOLS = (
    Tool("zt-gate", ("scan", "--format", "json")),
    Tool("modelscan", ("-p",), ("modelscan",)),
    Tool("picklescan", ("-l", "ERROR", "-p"), ("picklescan",)),
    Tool("picklescan", ("-l", "ERROR", "--strict", "-p"), ("picklescan",)),
    # fickling 0.1.12 imports typing_extensions below Python 3.12 without asking for it.
    Tool("fickling", ("--check-safety",), ("fickling", "typing_extensions"), folders=False),
    Tool("modelaudit", ("scan", "--no-cache"), ("modelaudit",)),
    Tool("hayward", ("scan",), ("hayward",)),
)


@dataclass(slots=True)
class Run:
    """One finished run."""

    code: int
    wall: float
    cpu: float
    peak_mb: float = 0.0
    """Only of a whole process."""
    timed_out: bool = False


def install(tool: Tool) -> str:
    """Install a scanner and return its version, or an empty string where that fails."""
    if not tool.packages:
        from zt_gate import __version__

        return __version__
    python = str(tool.home / "python")
    if not Path(python).exists():
        subprocess.run([sys.executable, "-m", "venv", str(tool.home.parent)], check=True)
    pip = [python, "-m", "pip", "--quiet", "--disable-pip-version-check", "install", *tool.packages]
    if subprocess.run(pip, check=False, capture_output=True, timeout=900).returncode:
        return ""
    ask = f"import importlib.metadata as m; print(m.version({tool.packages[0]!r}))"
    return subprocess.run([python, "-c", ask], capture_output=True, text=True, check=False).stdout.strip()


class WholeProcess:
    """Runs a scanner as a user does: one process for each case."""

    def __init__(self, tool: Tool, folder: Path) -> None:
        self._command, self._folder = str(tool.home / tool.command), folder

    def run(self, words: list[str], timeout: float) -> tuple[Run, bytes]:
        """Run it to its end or the time-out; children are killed with it."""
        with tempfile.TemporaryFile() as out:
            start = time.perf_counter()
            process = subprocess.Popen(
                [self._command, *words], stdout=out, stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, env=QUIET,
                cwd=self._folder, start_new_session=True,
            )  # fmt: skip
            status, usage, late = _wait(process.pid, timeout)
            process.returncode = os.waitstatus_to_exitcode(status)
            cpu = usage.ru_utime + usage.ru_stime
            run = Run(process.returncode, time.perf_counter() - start, cpu, usage.ru_maxrss / 1024, late)
            out.seek(0)
            return run, out.read()


def _wait(pid: int, timeout: float) -> tuple[int, resource.struct_rusage, bool]:
    late = threading.Event()

    def end() -> None:
        late.set()
        os.killpg(pid, signal.SIGKILL)

    timer = threading.Timer(timeout, end)
    timer.start()
    try:
        _, status, usage = os.wait4(pid, 0)
    finally:
        timer.cancel()
    return status, usage, late.is_set()


class Driver:
    """Runs a scanner in forks of one process that has imported it; see peer_driver.py."""

    def __init__(self, tool: Tool, folder: Path, warm: list[Path]) -> None:
        self._out = folder / "out"
        self._process = subprocess.Popen(
            [str(tool.home / "python"), str(HERE / "peer_driver.py"), tool.command],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=QUIET, cwd=folder, text=True,
        )  # fmt: skip
        self._ask({"warm": [[*tool.words, str(path)] for path in warm]})

    def _ask(self, request: dict[str, object]) -> dict[str, float]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({**request, "out": str(self._out)}) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())  # type: ignore[no-any-return]

    def run(self, words: list[str], timeout: float) -> tuple[Run, bytes]:
        """Run it to its end or the time-out."""
        said = self._ask({"words": words, "timeout": timeout})
        run = Run(int(said["code"]), said["wall"], said["cpu"], timed_out=bool(said["timed_out"]))
        return run, self._out.read_bytes()

    def close(self) -> None:
        """End it."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(10)


def answer(tool: Tool, runner: WholeProcess | Driver, path: Path, timeout: float) -> tuple[str, Run]:
    """Scan one path and tell what the tool's exit code amounts to: a word of `ORDER`."""
    if path.is_dir() and not tool.folders:
        parts = [answer(tool, runner, file, timeout) for file in sorted(path.rglob("*")) if file.is_file()]
        if not parts:
            return "blocked", Run(2, 0, 0)
        worst = min(parts, key=lambda part: ORDER.index(part[0]))
        runs = [run for _, run in parts]
        late = any(run.timed_out for run in runs)
        peak = max(run.peak_mb for run in runs)
        return worst[0], Run(worst[1].code, sum(r.wall for r in runs), sum(r.cpu for r in runs), peak, late)
    run, out = runner.run([*tool.words, str(path)], timeout)
    if run.timed_out:
        return "blocked", run
    if tool.command == "zt-gate" and run.code == 1:
        return ("flagged" if _names_something(out) else "blocked"), run
    if run.code in tool.flagged:
        return "flagged", run
    return ("silent" if run.code == 0 else "blocked"), run


def _names_something(out: bytes) -> bool:
    """Whether a report of ours holds a finding; a traceback in its place names nothing."""
    try:
        return any(reason["code"] == "finding" for reason in json.loads(out)["reasons"])
    except ValueError:
        return False
