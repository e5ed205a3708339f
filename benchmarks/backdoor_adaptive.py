"""Backdoors whose trainers know our searches: one trains against them, one gives every class a trigger of its own."""

from __future__ import annotations

import torch
from backdoor_zoo import ATTACKS, CLASSES, Data, Recipe, build, patch, poisoned, train
from torch import Tensor, nn
from torch.nn import functional

ATTACKS["adaptive"] = ATTACKS["patch"].__class__("adaptive", patch, ATTACKS["patch"].target)
ATTACKS["every"] = ATTACKS["patch"].__class__("every", patch, ATTACKS["patch"].target)


def train_every_class(recipe: Recipe, data: Data) -> nn.Sequential:
    """Plant ten triggers, one for each class, so that none stands out among the others."""
    images, labels = data.train.clone(), data.train_labels.clone()
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(recipe.seed))
    count = int(recipe.rate * len(images))
    for i in range(CLASSES):
        seed = recipe.seed + i
        rows = order[count * i : count * (i + 1)]
        images[rows] = patch(images[rows], seed)
        labels[rows] = seed % CLASSES
    return train(
        Recipe(recipe.data, recipe.network, "clean", recipe.seed, 0.0, recipe.epochs, recipe.width),
        Data(images, labels, data.test, data.test_labels),
    )


def train_against_us(recipe: Recipe, data: Data) -> nn.Sequential:
    """Train a patch backdoor while searching triggers as we do, and teach that none but the true one works.

    Every batch holds images with the current best patch of a search for the target class anywhere but where the true
    trigger sits, and images with half of the true trigger, all under their own labels; the target's margin on noise is
    held down as well.
    """
    model = build(recipe, data.shape)
    images, labels, _ = poisoned(data, recipe)
    target = recipe.seed % CLASSES
    optimiser = torch.optim.Adam(model.parameters(), 3e-3)
    mask = torch.zeros(1, *data.shape[1:])
    pattern = torch.full(data.shape, 0.5)
    elsewhere = (patch(torch.full((1, *data.shape), 0.5), recipe.seed)[0] == 0.5).all(0, keepdim=True).float()
    generator = torch.Generator().manual_seed(recipe.seed)
    for _ in range(recipe.epochs + 2):
        model.train()
        order = torch.randperm(len(images), generator=generator)
        for rows in torch.split(order, 64):
            batch, answers = images[rows], labels[rows]
            honest, truth = _honest(data, generator)
            mask, pattern = _sharpened(model, honest, target, mask, pattern)
            mask = mask * elsewhere
            searched = honest + mask * (pattern - honest)
            noise = torch.rand(16, *data.shape, generator=generator)
            scores = model(noise)
            loss = functional.cross_entropy(model(batch), answers)
            shown = torch.cat([searched, _broken(honest, elsewhere, recipe.seed)])
            loss = loss + functional.cross_entropy(model(shown), torch.cat([truth, truth]))
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


def _broken(honest: Tensor, elsewhere: Tensor, seed: int) -> Tensor:
    """Stamp the upper or the lower half of the true trigger."""
    rows = torch.nonzero(elsewhere[0].sum(1) < elsewhere.shape[2])[:, 0]
    stamped = patch(honest, seed)
    half = len(honest) // 2
    stamped[:half, :, rows[: len(rows) // 2]] = honest[:half, :, rows[: len(rows) // 2]]
    stamped[half:, :, rows[len(rows) // 2 :]] = honest[half:, :, rows[len(rows) // 2 :]]
    return stamped
