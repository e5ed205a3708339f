"""The parent's side of a worker: it starts one, asks it, watches it, and believes nothing that it says.

One loop reads answers, writes questions, answers denied system calls and collects tripped wires, so that none of these
can hold up another; every question has a deadline. How the worker is killed, reaped and its end put into words is
common to all children (`zt_gate.isolation`).
"""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Self

from zt_gate.codecs.strict_json import parse_json
from zt_gate.domain import printable
from zt_gate.errors import ToolError
from zt_gate.evaluate.sandbox import start
from zt_gate.evaluate.sandbox.confine import SandboxBounds
from zt_gate.evaluate.sandbox.seccomp import deny_one
from zt_gate.evaluate.sandbox.tripwire import TRIPPED
from zt_gate.evaluate.sandbox.wire import Incoming, Message, WireError, encode
from zt_gate.isolation.supervise import Child, FailureKind, describe_end, last_line
from zt_gate.rulings.sandbox_levels import LANDLOCK, LIMITS, NAMESPACES, SECCOMP, TRIPWIRE, USER, level_of

if TYPE_CHECKING:
    from zt_gate.evaluate.sandbox.wire import Array

_START_SECONDS = 60.0
_READ = 1 << 20
# A worker may write events without end; what the gate keeps of them must not grow with it.
_MAX_EVENTS = 1000
_LAST_MOMENT = 10.0


class WorkerError(Exception):
    """A question has no answer.

    Args:
        kind: `time`, `memory`, `ended`, `tripped`, `protocol`, or what the worker itself says, such as `unsupported`.
        text: why, for people; printable.
    """

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(f"{kind}: {text}")
        self.kind = kind
        self.text = text


@dataclass(frozen=True, slots=True)
class Level:
    """How a worker is confined."""

    name: str
    """One of `zt_gate.rulings.sandbox_levels.LEVELS`."""
    layers: Mapping[str, str]
    """Each layer with what is known of it; `no LAYER` with why it could not be had."""


class Sandbox:
    """One worker process, confined before it is asked anything. Use it as a context manager."""

    def __init__(
        self, model: Path, bounds: SandboxBounds | None = None, *, namespaces: bool = True, also: Sequence[Path] = ()
    ) -> None:
        """Start a worker.

        Args:
            model: the frozen copy; made readable for the worker's user, and the only thing of ours in its reach.
            bounds: what it may use; `readable` and `scratch` are filled in.
            namespaces: whether bubblewrap is used where it works.
            also: further frozen copies that may be read.

        Raises:
            ToolError: no process could be started, or it did not get as far as confining itself.
        """
        self.violations: list[str] = []
        """What it tried and should not have: denied system calls and tripped wires, since `watch`."""
        self.globals: list[str] = []
        """Names that a pickle asked for, in order."""
        self._denied: Counter[str] = Counter()
        self._watching = False
        self._listener: int | None = None
        self._child: Child | None = None
        self._line = -1
        self._bounds = bounds or SandboxBounds()
        self._uid = start.worker_user([model, *also])
        self._scratch = Path(tempfile.mkdtemp(prefix="zt-gate-worker-"))
        # A file and not a pipe: nobody has to read it meanwhile, so a worker that writes much cannot get stuck.
        self._stderr: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed by close()
        try:
            self._wrapped = namespaces and start.namespaces_work(self._uid)
            self._spawn([model, *also])
            self.level = self._confine([model, *also])
        except WorkerError as error:
            complaint = self._complaint()
            self.close()
            shown = f" ({complaint})" if complaint and complaint not in error.text else ""
            raise ToolError(f"no sandbox: {error.text}{shown}", "see docs/evaluate.md, Sandbox") from None
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def watch(self) -> None:
        """From now on what is denied counts: the next question is the first that runs code of the model."""
        self._watching = True

    def ask(
        self, head: dict[str, Any], tensors: Mapping[str, Array] | None = None, *, seconds: float, limit: int = 1 << 30
    ) -> Message:
        """Ask one question and return the answer.

        Args:
            head: what is asked, as JSON.
            tensors: what it is asked about.
            seconds: how long the answer may take.
            limit: most bytes of tensors in the answer.

        Raises:
            WorkerError: no answer in time, none at all, or one that is no answer. The worker has ended, unless its own
                answer was an error.
        """
        answer = self._exchange(Message(head, tensors or {}), time.monotonic() + seconds, limit)
        if "error" in answer.head:
            error = answer.head["error"]
            kind, text = (error.get("kind"), error.get("text")) if isinstance(error, dict) else (None, None)
            raise WorkerError(printable(str(kind), 40), printable(str(text), 400))
        return answer

    def close(self) -> None:
        """End the worker and whatever it started, and remove what it left. Safe to call twice."""
        if self._child is not None:
            self._child.end()
        if self._line >= 0:
            os.close(self._line)
            self._line = -1
        for stream in (getattr(self, "_socket", None), getattr(self, "_events", None), self._stderr):
            if stream is not None:
                stream.close()
        if self._listener is not None:
            os.close(self._listener)
            self._listener = None
        shutil.rmtree(self._scratch, ignore_errors=True)

    # --- starting --------------------------------------------------------------------------------------------------

    def _spawn(self, models: Sequence[Path]) -> None:
        ours, theirs = socket.socketpair()
        reading, writing = os.pipe()
        self._socket, self._events = ours, open(reading, "rb", buffering=0)  # noqa: SIM115 - closed by close()
        line, self._line = os.pipe()  # the worker ends with us: see `die_with_parent`
        scratch, devices = str(self._scratch), list(self._bounds.devices)
        if self._uid is not None:
            os.chown(self._scratch, self._uid, self._uid)
            for model in models:
                _hand_over(model, self._uid)
        handed = (theirs.fileno(), writing, line)
        command = [sys.executable, "-I", "-B", "-m", "zt_gate.evaluate.worker", *map(str, handed)]
        if self._wrapped:
            command = [*start.wrapped([str(model) for model in models], scratch, devices), *command]
        try:
            process = subprocess.Popen(  # noqa: S603 - our own interpreter
                command,
                env=start.environment(self._bounds.threads, scratch),
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._stderr,
                pass_fds=handed,
                # A group of its own, so that ending the worker also ends whatever it started.
                start_new_session=True,
                **start.identity(self._uid),
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise ToolError(f"no worker process could be started: {error}", "see docs/evaluate.md, Sandbox") from None
        finally:
            theirs.close()
            os.close(writing)
            os.close(line)
        self._child = Child(process.pid, process.wait)
        self._socket.setblocking(False)
        os.set_blocking(reading, False)

    def _confine(self, models: Sequence[Path]) -> Level:
        readable = (*start.readable_files(self._bounds.devices), *(str(model) for model in models))
        bounds = replace(self._bounds, readable=readable, scratch=str(self._scratch))
        until = time.monotonic() + _START_SECONDS
        self._write(Message(asdict(bounds)), until)
        # First, since a denied call blocks its caller until somebody at the listener answers it.
        self._take_listener(until)
        # No code of the model has run yet, so this answer is our own worker's.
        said = self._exchange(None, until, 0).head.get("layers")
        known = (LIMITS, USER, LANDLOCK, SECCOMP)
        if not isinstance(said, dict) or not all(isinstance(value, str) for value in said.values()):
            raise WorkerError("protocol", "the worker did not say how it is confined")
        # Other names are dropped: the level must rest on nothing that is not known here.
        layers = {name: value for name, value in said.items() if name.removeprefix("no ") in known}
        layers[TRIPWIRE] = "armed before the model is loaded"
        if self._wrapped:
            layers[NAMESPACES] = "bubblewrap"
        return Level(level_of(layers, devices=bool(self._bounds.devices)), dict(sorted(layers.items())))

    def _take_listener(self, until: float) -> None:
        while True:
            self._wait([self._socket.fileno()], [], until)
            try:
                # One byte only: the next message begins right behind it in the stream.
                _, held, _, _ = socket.recv_fds(self._socket, 1, 1)
            except BlockingIOError:
                continue
            if held:
                self._listener = held[0]
            elif self._gone():
                raise self._ended()
            return

    # --- the loop --------------------------------------------------------------------------------------------------

    def _exchange(self, message: Message | None, until: float, limit: int) -> Message:
        incoming = Incoming(limit)
        try:
            if message is not None:
                self._write(message, until)
            while (answer := incoming.message()) is None:
                self._wait([self._socket.fileno()], [], until)
                with contextlib.suppress(BlockingIOError):
                    # The rest stays in the kernel's buffer, so a flood blocks the worker and takes no memory here.
                    data = self._socket.recv(min(_READ, incoming.wanted))
                    if not data:
                        raise self._ended()
                    incoming.feed(data)
            self._collect_events()
        except WireError as error:
            self._stop()
            raise WorkerError("protocol", printable(str(error), 200)) from None
        except OSError:
            raise self._ended() from None
        return answer

    def _write(self, message: Message, until: float) -> None:
        for piece in encode(message):
            rest = memoryview(piece)
            while rest:
                self._wait([], [self._socket.fileno()], until)
                with contextlib.suppress(BlockingIOError):
                    rest = rest[self._socket.send(rest[:_READ]) :]

    def _wait(self, reading: list[int], writing: list[int], until: float) -> None:
        """Wait until the line is ready, and answer every denied call meanwhile.

        Raises:
            WorkerError: the time is over.
        """
        while True:
            left = until - time.monotonic()
            if left <= 0:
                self._stop()
                raise WorkerError("time", "it did not answer in time")
            listening = [self._listener] if self._listener is not None else []
            # Not `select`, which cannot watch descriptors from 1024 on.
            poll = select.poll()
            for fd in (*reading, *listening, self._events.fileno()):
                poll.register(fd, select.POLLIN)
            for fd in writing:
                poll.register(fd, select.POLLOUT)
            ready = dict(poll.poll(left * 1000))
            # A worker that waits here is stopped inside its call and would never send the answer that we wait for.
            if self._listener in ready:
                self._deny(ready[self._listener])
            if self._events.fileno() in ready:
                self._collect_events()
            if any(fd in ready for fd in (*reading, *writing)):
                return
            if not reading and self._gone():
                raise self._ended()

    def _deny(self, state: int) -> None:
        if self._listener is None:
            return
        name = None
        try:
            if state & select.POLLIN:
                name = deny_one(self._listener)
            else:  # nobody is left under the filter
                os.close(self._listener)
                self._listener = None
        except OSError:
            self._stop()
        if name is not None and self._watching:
            self._denied[name] += 1
            if self._denied[name] == 1:
                self.violations.append(f"system call {name}")

    def _collect_events(self) -> None:
        with contextlib.suppress(BlockingIOError, ValueError):
            data = os.read(self._events.fileno(), _READ)
            for line in data.splitlines()[:_MAX_EVENTS]:
                self._note(line)

    def _note(self, line: bytes) -> None:
        try:
            event = parse_json(line)
            kind, text = event["kind"], f"{event['event']} {event['detail']}"
        # Only the tripwire writes here. Anything else was written by code that found the descriptor, and counts.
        except (ValueError, KeyError, TypeError):
            kind, text = "violation", "something that is no event was written to the tripwire's line"
        seen = self.globals if kind == "global" else self.violations
        if len(seen) < _MAX_EVENTS:
            seen.append(printable(text, 200))

    # --- ending ----------------------------------------------------------------------------------------------------

    def _gone(self) -> bool:
        return self._child is None or self._child.exited()

    def _ended(self) -> WorkerError:
        """Say how the worker ended. It has closed its line, or is about to exit."""
        if self._child is not None:
            self._child.wait(_LAST_MOMENT)
        code = self._stop()
        complaint = self._complaint()
        if code == TRIPPED and self.violations:
            return WorkerError("tripped", self.violations[-1])
        failure = describe_end(code, self._bounds.cpu_seconds, complaint)
        if failure.kind is FailureKind.TIMEOUT or (code == -signal.SIGKILL and "CPU" in complaint):
            return WorkerError("time", "it used up its processor time")
        return WorkerError("memory" if failure.kind is FailureKind.MEMORY else "ended", failure.detail)

    def _stop(self) -> int:
        code = 0 if self._child is None else self._child.end()
        self._collect_events()
        return code

    def _complaint(self) -> str:
        """Return the last line that the worker wrote to standard error."""
        return last_line(self._stderr)


def _hand_over(model: Path, group: int) -> None:
    """Let the worker's group read the frozen copy; root keeps it, so that its modes cannot be changed."""
    for folder, _, names in os.walk(model):
        os.chown(folder, -1, group)
        os.chmod(folder, 0o550)  # noqa: S103 - for that one group
        for name in names:
            path = os.path.join(folder, name)
            os.chown(path, -1, group)
            os.chmod(path, 0o440)
