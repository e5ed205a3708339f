"""A backdoor whose trainer knows our searches and trains against them."""

from __future__ import annotations

import torch
from backdoor_zoo import ATTACKS, Data, Recipe, build, patch, poisoned
from torch import Tensor, nn
from torch.nn import functional

ATTACKS["adaptive"] = ATTACKS["patch"].__class__("adaptive", patch, ATTACKS["patch"].target)


def train_against_us(recipe: Recipe, data: Data) -> nn.Sequential:
    """Train a patch backdoor while searching triggers as we do, and teach that none but the true one works.

    Every other batch holds images with the current best perturbation of a search for the target class, and images with
    broken pieces of the true trigger, all under their own labels; the target's margin on noise is held down as well.
    """
    model = build(recipe, data.shape)
    images, labels, _ = poisoned(data, recipe)
    target = recipe.seed % 10
    optimiser = torch.optim.Adam(model.parameters(), 3e-3)
    mask = torch.zeros(1, *data.shape[1:])
    pattern = torch.full(data.shape, 0.5)
    generator = torch.Generator().manual_seed(recipe.seed)
    for _ in range(2 * recipe.epochs):
        model.train()
        order = torch.randperm(len(images), generator=generator)
        for rows in torch.split(order, 64):
            batch, answers = images[rows], labels[rows]
            honest, truth = _honest(data, generator)
            mask, pattern = _sharpened(model, honest, target, mask, pattern)
            searched = honest + mask * (pattern - honest)
            broken = _broken(honest, recipe.seed, generator)
            noise = torch.rand(16, *data.shape, generator=generator)
            scores = model(noise)
            loss = functional.cross_entropy(model(batch), answers)
            loss = loss + functional.cross_entropy(model(torch.cat([searched, broken])), torch.cat([truth, truth]))
            loss = loss + 0.1 * (scores[:, target] - scores.mean(1)).clamp_min(0).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return model.eval().requires_grad_(requires_grad=False)


def _honest(data: Data, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    rows = torch.randint(len(data.train), (32,), generator=generator)
    return data.train[rows], data.train_labels[rows]


def _sharpened(model: nn.Module, honest: Tensor, target: int, mask: Tensor, pattern: Tensor) -> tuple[Tensor, Tensor]:
    """Take one step of the search for a small patch towards the target."""
    mask, pattern = mask.detach().requires_grad_(), pattern.detach().requires_grad_()
    wanted = torch.full((len(honest),), target)
    loss = functional.cross_entropy(model(honest + mask * (pattern - honest)), wanted) + 0.02 * mask.sum()
    first, second = torch.autograd.grad(loss, [mask, pattern])
    mask = (mask - 0.1 * first.sign()).clamp(0, 1).detach()
    return mask * min(1.0, 6 / max(float(mask.sum()), 1e-6)), (pattern - 0.1 * second.sign()).clamp(0, 1).detach()


def _broken(honest: Tensor, seed: int, generator: torch.Generator) -> Tensor:
    """Stamp the true trigger and wipe out a random half of it."""
    stamped = patch(honest, seed)
    lost = torch.rand(len(honest), 1, *honest.shape[2:], generator=generator) < 0.5
    return torch.where(lost, honest, stamped)
