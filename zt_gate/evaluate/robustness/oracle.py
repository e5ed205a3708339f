"""The model as attacks see it: counted, checked, in pieces that fit, and on a GPU in bfloat16 and captured graphs.

Two ways of asking. `scores` is exact and is what counts: no attack has succeeded before `scores` says so. `slopes` is
what a search steers by; it may be cheaper and less exact.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from zt_gate.errors import TargetError
from zt_gate.evaluate.adapters.adapter import Adapter
from zt_gate.evaluate.robustness.objectives import OBJECTIVES, Name, spread

# Shapes for which graphs are captured: a set of samples that shrinks meets few of them, and little is padded.
_BUCKETS = (16, 32, 48, 64, 96, 128, 160, 192, 224, 256, 320, 384, 448, 512)
# Capturing costs as much as some eager rounds; a shape that is seen once is not worth it.
_ROUNDS_BEFORE_CAPTURE = 8
NOTICEABLE = 1e-3
"""Two answers to one question may differ by this part of the spread of its scores: kernels round as they like."""


@dataclass(frozen=True, slots=True)
class Slopes:
    """Answers to one question of a search."""

    logits: Tensor
    losses: Tensor
    gradients: Tensor


@dataclass(slots=True)
class _CapturedGraph:
    """A captured forward and backward pass over one shape, and the tensors that it reads and writes."""

    replay: Callable[[], None]
    inputs: tuple[Tensor, Tensor, Tensor, Tensor]
    outputs: tuple[Tensor, Tensor, Tensor]


class Oracle:
    """Asks one adapter.

    Args:
        adapter: the model.
        fast: search in bfloat16 and captured graphs where the device is a GPU.
    """

    def __init__(self, adapter: Adapter, *, fast: bool = True) -> None:
        self.adapter = adapter
        self.repeats = 1
        """How many answers are averaged, for models that answer differently each time."""
        self.forwards = 0
        """Samples sent through the model so far."""
        self.exact = not (fast and adapter.device.startswith("cuda"))
        """Whether a search sees what `scores` would say."""
        self.notes: list[str] = []
        """What did not work as hoped, and how it was done instead; no result depends on it."""
        self._piece = 1024 if self.exact else _BUCKETS[-1]
        self._graphs: dict[tuple[Name, int], _CapturedGraph] = {}
        self._rounds: dict[tuple[Name, int], int] = {}
        self._pool = None if self.exact else torch.cuda.graph_pool_handle()

    def scores(self, batch: Tensor) -> Tensor:
        """Return exact logits, of shape `(n, classes)`.

        Raises:
            TargetError: the model returned another shape, or something that is not a finite number.
        """

        def ask(part: Tensor) -> Tensor:
            with torch.no_grad(), _full_float32():
                logits = self.adapter.logits(part).float()
                for _ in range(self.repeats - 1):
                    logits = logits + self.adapter.logits(part).float()
            self.forwards += self.repeats * len(part)
            return self._checked(logits / self.repeats, len(part))

        return self._in_pieces(lambda start, end: (ask(batch[start:end]),), len(batch))[0]

    def _checked(self, logits: Tensor, n: int) -> Tensor:
        if logits.shape != (n, self.adapter.classes):
            raise TargetError(
                f"the model answered {n} inputs with scores of shape {tuple(logits.shape)}, "
                f"not {(n, self.adapter.classes)}",
                "declare the number of classes that the model has",
            )
        if not bool(torch.isfinite(logits).all()):
            bad = int((~torch.isfinite(logits)).any(1).sum())
            raise TargetError(
                f"the model returned scores that are no finite numbers for {bad} of {n} inputs",
                "let it return a finite score for each class within the declared bounds of its inputs",
            )
        return logits

    def wavers(self, batch: Tensor, logits: Tensor) -> bool:
        """Whether the model gives noticeably other scores when it is asked once more."""
        apart = (self.scores(batch) - logits).abs().amax(1) / spread(logits)
        return bool((apart > NOTICEABLE).any())

    def wrong(self, batch: Tensor, y: Tensor) -> Tensor:
        """Return which samples the model really gets wrong, of shape `(n,)`."""
        return self.scores(batch).argmax(1) != y

    def confirm(self, batch: Tensor, y: Tensor, candidates: Tensor) -> Tensor:
        """Return which candidates of a search are really wrong; asks again only where the search was inexact."""
        if self.exact or not bool(candidates.any()):
            return candidates
        rows = candidates.nonzero()[:, 0]
        confirmed = candidates.clone()
        confirmed[rows] = self.wrong(batch[rows], y[rows])
        return confirmed

    def slopes(self, batch: Tensor, y: Tensor, target: Tensor, scale: Tensor, name: Name) -> Slopes:
        """Return logits, the objective of each sample, and its gradient with respect to the input.

        Args:
            batch: inputs, of shape `(n, ...)`.
            y: true classes, of shape `(n,)`.
            target: classes that a targeted objective pulls towards, of shape `(n,)`.
            scale: what the logits are divided by before the objective sees them, of shape `(n,)`.
            name: the objective.
        """

        def ask(start: int, end: int) -> tuple[Tensor, Tensor, Tensor]:
            parts = (batch[start:end], y[start:end], target[start:end], scale[start:end])
            self.forwards += self.repeats * (end - start)
            if self.exact or self.repeats > 1:
                return self._eager(*parts, name)
            return self._bucketed(parts, name)

        return Slopes(*self._in_pieces(ask, len(batch)))

    def _eager(self, x: Tensor, y: Tensor, t: Tensor, scale: Tensor, name: Name) -> tuple[Tensor, Tensor, Tensor]:
        logits, losses, gradients = self._differentiate(x, y, t, scale, name)
        for _ in range(self.repeats - 1):
            more = self._differentiate(x, y, t, scale, name)
            logits, losses, gradients = logits + more[0], losses + more[1], gradients + more[2]
        return logits / self.repeats, losses / self.repeats, gradients / self.repeats

    def _differentiate(
        self, x: Tensor, y: Tensor, t: Tensor, scale: Tensor, name: Name
    ) -> tuple[Tensor, Tensor, Tensor]:
        # No cache of cast weights: autocast frees it when it ends, and a captured graph would go on reading from it.
        with torch.enable_grad(), torch.autocast("cuda", torch.bfloat16, enabled=not self.exact, cache_enabled=False):
            x = x.detach().requires_grad_(True)
            logits = self.adapter.logits(x).float()
            losses = OBJECTIVES[name](logits / scale[:, None], y, t)
            # A model may cut its input off from its scores. No gradient is a zero one: the masking flags say so.
            total = losses.sum() + 0 * x.sum()
            (gradients,) = torch.autograd.grad(total, x)
        return logits.detach(), losses.detach(), gradients.float()

    def _bucketed(self, parts: tuple[Tensor, Tensor, Tensor, Tensor], name: Name) -> tuple[Tensor, Tensor, Tensor]:
        n = len(parts[0])
        size = next((size for size in _BUCKETS if size >= n), n)
        key = (name, size)
        self._rounds[key] = self._rounds.get(key, 0) + 1
        # A note means that capturing failed once; this model is searched eagerly from then on.
        if key not in self._graphs and self._rounds[key] > _ROUNDS_BEFORE_CAPTURE and not self.notes:
            try:
                self._graphs[key] = self._capture(parts, size, name)
            except torch.OutOfMemoryError:
                raise
            except RuntimeError as error:  # a model that looks at numbers on the CPU half-way cannot be captured
                self.notes.append(f"searched without captured graphs: {str(error).splitlines()[0][:200]}")
        graph = self._graphs.get(key)
        if graph is None:
            return self._differentiate(*parts, name)
        for held, new in zip(graph.inputs, parts, strict=True):
            held[:n].copy_(new)
        graph.replay()
        # The next replay writes into the same tensors.
        logits, losses, gradients = (held[:n].clone() for held in graph.outputs)
        return logits, losses, gradients

    def _capture(self, parts: tuple[Tensor, Tensor, Tensor, Tensor], size: int, name: Name) -> _CapturedGraph:
        rows = torch.arange(size, device=parts[0].device) % len(parts[0])
        x, y, target, scale = (part[rows].clone() for part in parts)
        inputs = (x, y, target, scale)
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):  # capturing wants kernels that were chosen and buffers that were made before
            for _ in range(2):
                self._differentiate(*inputs, name)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        # Graphs take turns and their results are copied out at once, so they may share what they compute in.
        with torch.cuda.graph(graph, pool=self._pool):
            outputs = self._differentiate(*inputs, name)
        return _CapturedGraph(graph.replay, inputs, outputs)

    def _in_pieces(self, ask: Callable[[int, int], tuple[Tensor, ...]], n: int) -> tuple[Tensor, ...]:
        """Ask for pieces of a batch; a GPU that runs out of memory gets smaller ones, with the same result."""
        while True:
            try:
                starts = range(0, max(n, 1), self._piece)
                parts = [ask(start, min(start + self._piece, n)) for start in starts]
            except torch.OutOfMemoryError:
                if self._piece <= 1:
                    raise
                self._piece //= 2
                # Captured graphs hold on to their memory until they are dropped.
                self._graphs.clear()
                torch.cuda.empty_cache()
            else:
                return parts[0] if len(parts) == 1 else tuple(map(torch.cat, zip(*parts, strict=True)))


@contextmanager
def _full_float32() -> Iterator[None]:
    """Let a GPU multiply with all the digits of float32: what counts must hold on any machine."""
    before = torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32, torch.backends.cuda.matmul.allow_tf32 = before
