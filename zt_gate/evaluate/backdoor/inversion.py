"""Search for the smallest trigger of every family and every target class, in one batch, and try it on unseen images.

Neural Cleanse minimises a loss with a penalty that has to be tuned; here the size is a constraint that shrinks while
the trigger works and grows while it does not (after DDN, CVPR 2019), which needs a third of the steps.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from zt_gate.evaluate.backdoor.triggers import TriggerFamily

if TYPE_CHECKING:
    from zt_gate.evaluate.adapters.adapter import Adapter
    from zt_gate.evaluate.backdoor.report import SearchBudget

ANY = -1
"""The slot that asks for any change at all: where every class leads to another one, no single target stands out."""
_WORKS = 0.93
# Adam's betas in the reference code of Neural Cleanse.
_BETAS = (0.5, 0.9)
_SURE = 0.97
_SETTLE = 0.75
"""Share of the steps after which triggers settle a little above the least size, or higher until they work surely."""
_ROOM = 1.2
_VARIED = 1.5
"""Weight of variety among the answers under a trigger for any change."""


@dataclass(frozen=True, slots=True)
class Clean:
    """Clean images with the classes that count as theirs, split into those for the search and those held out."""

    images: Tensor
    labels: Tensor
    held_images: Tensor
    held_labels: Tensor


@dataclass(frozen=True, slots=True)
class Inverted:
    """The best triggers of one family."""

    family: TriggerFamily
    targets: Tensor
    """`(slots,)`; `ANY` for the last one, unless it was not asked for."""
    sizes: Tensor
    """A fifth more than the least size at which the trigger worked during the search."""
    parameters: list[Tensor]
    successes: Tensor
    """On held-out images, per slot."""
    images: Tensor
    """How many held-out images there were that are not of the target class."""
    moved: Tensor
    """`(classes, classes)`: what held-out images of a class became under the trigger for any change."""


def invert(
    adapter: Adapter,
    clean: Clean,
    families: Sequence[type[TriggerFamily]],
    targets: Sequence[int],
    budget: SearchBudget,
    seed: int,
    *,
    any_change: bool = True,
) -> list[Inverted]:
    """Search triggers for `targets` and for any change.

    Args:
        adapter: a differentiable model.
        clean: its images.
        families: which kinds of triggers.
        targets: target classes.
        budget: steps and batch.
        seed: decides starts and batches.
        any_change: whether to search for any change as well.
    """
    generator = torch.Generator().manual_seed(seed)
    slots = torch.tensor([*targets, *[ANY] * any_change], device=adapter.device)
    searches = [
        _TriggerSearch(kind(adapter.inputs, len(slots), generator, adapter.device), slots, budget.trigger_steps)
        for kind in families
    ]
    scale = _logit_scale(adapter, clean.images[: budget.rows])
    drawn = torch.randint(len(clean.images), (budget.trigger_steps, budget.trigger_batch), generator=generator)
    for step, rows in enumerate(drawn.to(adapter.device)):
        images, labels = clean.images[rows], clean.labels[rows]
        inputs = [search.candidates(images) for search in searches]
        scores = _scores(adapter, torch.cat(inputs), budget.rows).view(len(searches), len(slots), len(rows), -1)
        losses, works = zip(*(_judged(part / scale, slots, labels) for part in scores), strict=True)
        total = torch.stack(list(losses)).sum()
        wanted = [part for search in searches for part in search.parameters]
        gradients = list(torch.autograd.grad(total, wanted))
        for search, rate in zip(searches, works, strict=True):
            taken = [gradients.pop(0) for _ in search.parameters]
            search.advance(taken, rate, step)
    return [search.tried(adapter, clean, budget.rows) for search in searches]


def _logit_scale(adapter: Adapter, images: Tensor) -> Tensor:
    """Typical distance between the two best scores, so that the search does not depend on the logits' scale."""
    with torch.no_grad():
        best = adapter.logits(images).topk(2, dim=1).values
    return (best[:, 0] - best[:, 1]).median().clamp_min(1e-6) / 4


def _scores(adapter: Adapter, inputs: Tensor, rows: int) -> Tensor:
    return torch.cat([adapter.logits(part) for part in torch.split(inputs, rows)])


def _judged(scores: Tensor, slots: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Return the loss and the success rate per slot for scores `(slots, n, classes)`."""
    wanted = torch.where(slots[:, None] == ANY, labels[None], slots[:, None])
    hot = torch.zeros_like(scores, dtype=torch.bool).scatter_(2, wanted.unsqueeze(2), value=True)
    margin = scores.gather(2, wanted.unsqueeze(2))[:, :, 0] - scores.masked_fill(hot, -torch.inf).amax(2)
    any_slot = (slots == ANY)[:, None]
    margin = torch.where(any_slot, -margin, margin)
    counted = (any_slot | (labels[None] != slots[:, None])).to(scores.dtype)
    loss = (torch.nn.functional.softplus(-margin) * counted).sum(1) / counted.sum(1).clamp_min(1)
    # Any large change makes a model say one and the same; a backdoor from every class to another one does not.
    shares = scores.softmax(2).mean(1)
    sameness = math.log(scores.shape[2]) + (shares * shares.clamp_min(1e-9).log()).sum(1)
    loss = loss + _VARIED * sameness * any_slot[:, 0]
    works = ((margin > 0).to(scores.dtype) * counted).sum(1) / counted.sum(1).clamp_min(1)
    return loss, works.detach()


class _TriggerSearch:
    """The state of one family's search: parameters, Adam's moments, sizes and the best so far."""

    def __init__(self, family: TriggerFamily, slots: Tensor, steps: int) -> None:
        self.family, self.slots, self._steps = family, slots, steps
        self.sizes = torch.full((len(slots),), family.start, device=slots.device)
        self.parameters = [part.requires_grad_() for part in family.project(family.parameters, self.sizes)]
        self._first = [torch.zeros_like(part) for part in self.parameters]
        self._second = [torch.zeros_like(part) for part in self.parameters]
        self._smooth = torch.zeros(len(slots), device=slots.device)
        self._least = torch.full_like(self.sizes, torch.inf)
        self._best = [part.detach().clone() for part in self.parameters]
        self._last = int(_SETTLE * steps)

    def candidates(self, images: Tensor) -> Tensor:
        """Return `(slots * n, *shape)`."""
        return self.family.apply(self.parameters, images).flatten(0, 1)

    def advance(self, gradients: list[Tensor], works: Tensor, step: int) -> None:
        """Note what worked, take one step, and adapt the sizes."""
        with torch.no_grad():
            self._smooth = 0.6 * self._smooth + 0.4 * works
            if step < self._last:
                self._note(works)
            if step == self._last:
                self._settle()
            rate = self.family.rate * (1 - 0.9 * step / self._steps)
            moved = [self._adam(i, gradient, step, rate) for i, gradient in enumerate(gradients)]
            if step < self._last:
                self.sizes = self.sizes * torch.where(self._smooth >= _WORKS, 0.93, 1.02)
            elif step > self._last + 3:
                self.sizes = self.sizes * torch.where(self._smooth >= _SURE, 1.0, 1.02)
            self.sizes = self.sizes.clamp_max(2 * self.family.start)
            self.parameters = [part.requires_grad_() for part in self.family.project(moved, self.sizes)]

    def _note(self, works: Tensor) -> None:
        good = (torch.minimum(self._smooth, works) >= _WORKS) & (self.sizes < self._least)
        self._least = torch.where(good, self.sizes, self._least)
        for kept, now in zip(self._best, self.parameters, strict=True):
            kept.copy_(torch.where(good.view(-1, *[1] * (now.dim() - 1)), now, kept))

    def _settle(self) -> None:
        found = torch.isfinite(self._least)
        self.sizes = torch.where(found, self._least * _ROOM, self.sizes)
        for kept, now in zip(self._best, self.parameters, strict=True):
            now.copy_(torch.where(found.view(-1, *[1] * (now.dim() - 1)), kept, now))

    def _adam(self, i: int, gradient: Tensor, step: int, rate: float) -> Tensor:
        first, second = self._first[i], self._second[i]
        first.mul_(_BETAS[0]).add_(gradient, alpha=1 - _BETAS[0])
        second.mul_(_BETAS[1]).addcmul_(gradient, gradient, value=1 - _BETAS[1])
        ahead = first / (1 - _BETAS[0] ** (step + 1))
        spread = (second / (1 - _BETAS[1] ** (step + 1))).sqrt()
        return self.parameters[i] - rate * ahead / (spread + 1e-12)

    def tried(self, adapter: Adapter, clean: Clean, rows: int) -> Inverted:
        """Try the triggers on images that the search never saw."""
        labels, classes = clean.held_labels, adapter.classes
        # Images that are of the target class anyway say nothing about a trigger.
        counted = (self.slots[:, None] == ANY) | (labels[None] != self.slots[:, None])
        with torch.no_grad():
            inputs = self.family.apply(self.parameters, clean.held_images).flatten(0, 1)
            said = _scores(adapter, inputs, rows).argmax(1).view(len(self.slots), -1)
        right = torch.where(self.slots[:, None] == ANY, said != labels[None], said == self.slots[:, None])
        moved = torch.zeros(classes * classes, device=adapter.device)
        moved.index_add_(0, labels * classes + said[-1], torch.ones_like(labels, dtype=moved.dtype))
        return Inverted(
            self.family,
            self.slots,
            self.sizes,
            [part.detach() for part in self.parameters],
            (right & counted).sum(1),
            counted.sum(1),
            moved.view(classes, classes),
        )
