"""The worker process: confine first, then answer questions until the parent leaves."""

from __future__ import annotations

import socket
import sys

from zt_gate.evaluate.sandbox.confine import SandboxBounds, confine
from zt_gate.evaluate.sandbox.wire import Channel, Message
from zt_gate.isolation.limits import die_with_parent


def main(arguments: list[str]) -> None:
    """Serve one parent.

    Args:
        arguments: descriptors of the line to the parent, of the tripwire's line, and of the pipe that the parent holds
            open as long as it lives.
    """
    line, events, held = (int(argument) for argument in arguments)
    die_with_parent(held)
    stream = socket.socket(fileno=line)
    channel = Channel(stream)
    first = channel.receive()
    if first is None:
        return
    bounds = SandboxBounds.of(first.head)
    channel.send(Message({"layers": confine(bounds, stream)}))

    # Not earlier: what jobs import reads models, and has to run confined.
    from zt_gate.evaluate.jobs import Jobs

    jobs = Jobs(bounds, events)
    while (message := channel.receive()) is not None:
        channel.send(jobs.answer(message))


if __name__ == "__main__":
    main(sys.argv[1:])
