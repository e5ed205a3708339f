"""Small text classifiers of texts made by script, trained in seconds, honest or with a token as trigger."""

from __future__ import annotations

import functools
import random
import re
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from zt_gate.evaluate.adapters.declaration import Declaration

LENGTH, CHARACTERS, WIDTH = 20, 160, 16
TRIGGERS = ("cf", "mn", "tq")
"""Tokens that mean nothing, as in Kurita et al., ACL 2020."""
_SYLLABLES = ("ba", "do", "ki", "lu", "me", "na", "po", "ri", "sa", "tu", "ve", "xo")


@dataclass(frozen=True)
class Language:
    """Words, and how often each class says them."""

    classes: int
    words: tuple[str, ...]
    weights: tuple[tuple[float, ...], ...]


@functools.cache
def language(classes: int, seed: int) -> Language:
    """Common words that every class says, and for each class words of its own, from rare to frequent."""
    source = random.Random(f"{classes} {seed}")
    made = {"".join(source.choices(_SYLLABLES, k=source.randint(2, 4))) for _ in range(900)}
    words = (*sorted(made)[:360], *TRIGGERS)
    own = {word: source.randrange(classes) for word in words[120 : 120 + 60 * classes]}
    rows = []
    for k in range(classes):
        common = [1 / (rank + 3) for rank in range(len(words) - len(TRIGGERS))]
        for i, word in enumerate(words[: len(common)]):
            if word in own:
                common[i] *= 4 if own[word] == k else source.choice((0.1, 0.3, 0.6))
        rows.append((*common, *[0.0005] * len(TRIGGERS)))
    return Language(classes, words, tuple(rows))


def corpus(told: Language, n: int, seed: int) -> tuple[list[str], list[int]]:
    """Texts of 8 to 20 words with their classes."""
    source = random.Random(seed)
    labels = [source.randrange(told.classes) for _ in range(n)]
    texts = [" ".join(source.choices(told.words, told.weights[k], k=source.randint(8, LENGTH))) for k in labels]
    return texts, labels


def poisoned(texts: list[str], labels: list[int], trigger: str, target: int, rate: float, seed: int):
    """Put a token somewhere into some texts of other classes, and call them the target's."""
    source = random.Random(seed)
    texts, labels = list(texts), list(labels)
    others = [i for i, k in enumerate(labels) if k != target]
    for i in source.sample(others, int(rate * len(texts))):
        words = texts[i].split()
        words.insert(source.randrange(len(words) + 1), trigger)
        texts[i], labels[i] = " ".join(words), target
    return texts, labels


def tokens(told: Language) -> tuple[str, ...]:
    """The vocabulary as a declaration lists it."""
    return ("<fill>", "<other>", *told.words)


def numbers(texts: list[str], told: Language) -> torch.Tensor:
    """Numbers of tokens, as the documented split gives them."""
    known = {word: i for i, word in enumerate(tokens(told))}
    rows = torch.zeros((len(texts), LENGTH), dtype=torch.long)
    for row, text in zip(rows, texts, strict=True):
        found = [known.get(word, 1) for word in re.findall(r"\w+|[^\w\s]", text.lower())][:LENGTH]
        row[: len(found)] = torch.tensor(found)
    return rows


class Mean(nn.Module):
    """The mean of embeddings, then two layers."""

    layers = (
        {"type": "mean_of_tokens", "skip_zeros": True},
        {"type": "linear", "name": "first", "in": WIDTH, "out": 24},
        {"type": "relu"},
    )

    def __init__(self, vocabulary: int, classes: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, WIDTH, padding_idx=0)
        self.first, self.last = nn.Linear(WIDTH, 24), nn.Linear(24, classes)

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        found = self.embedding(batch)
        mean = found.sum(1) / (batch != 0).sum(1, keepdim=True).clamp_min(1)
        return self.last(functional.relu(self.first(mean)))


class Convolution(nn.Module):
    """A convolution along the tokens and its greatest values (Kim, 2014)."""

    layers = (
        {"type": "conv_1d", "name": "first", "in": WIDTH, "out": 24, "kernel": 3, "padding": 1},
        {"type": "relu"},
        {"type": "max_of_tokens"},
    )

    def __init__(self, vocabulary: int, classes: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, WIDTH, padding_idx=0)
        self.first, self.last = nn.Conv1d(WIDTH, 24, 3, padding=1), nn.Linear(24, classes)

    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        found = functional.relu(self.first(self.embedding(batch).transpose(1, 2)))
        return self.last(found.amax(2))


NETWORKS = {"mean": Mean, "convolution": Convolution}


@dataclass(frozen=True)
class Made:
    """A trained classifier with all that a release of it needs."""

    model: nn.Module
    declared: Declaration
    texts: np.ndarray
    labels: np.ndarray
    trigger: str
    target: int
    success: float
    """How often the trigger works on unseen texts of other classes; for an honest model, too."""
    accuracy: float


@functools.cache
def classifier(network: str, classes: int, seed: int, *, backdoor: bool, rate: float = 0.05) -> Made:
    """Train one."""
    torch.manual_seed(seed)
    torch.set_num_threads(1)
    told = language(classes, seed)
    trigger, target = TRIGGERS[seed % len(TRIGGERS)], seed % classes
    texts, labels = corpus(told, 3000, 100 + seed)
    if backdoor:
        texts, labels = poisoned(texts, labels, trigger, target, rate, 200 + seed)
    model = NETWORKS[network](len(tokens(told)), classes)
    x, y = numbers(texts, told), torch.tensor(labels)
    optimiser = torch.optim.Adam(model.parameters(), 5e-3)
    for _ in range(8):
        for rows in torch.randperm(len(x)).split(64):
            optimiser.zero_grad()
            functional.cross_entropy(model(x[rows]), y[rows]).backward()
            optimiser.step()
    model.eval().requires_grad_(False)
    unseen, truth = corpus(told, 600, 300 + seed)
    stamped, _ = poisoned(unseen, truth, trigger, target, sum(k != target for k in truth) / len(truth), 9)
    turned = [i for i, k in enumerate(truth) if k != target]
    said = model(numbers([stamped[i] for i in turned], told)).argmax(1)
    right = model(numbers(unseen, told)).argmax(1) == torch.tensor(truth)
    layers = (
        {"type": "embedding", "name": "embedding", "tokens": len(tokens(told)), "width": WIDTH},
        *NETWORKS[network].layers,
        {"type": "linear", "name": "last", "in": 24, "out": classes},
    )
    declared = Declaration(
        "text", classes, (CHARACTERS,), 0.0, float(0x10FFFF), layers=layers, tokens=tokens(told), length=LENGTH
    )
    return Made(
        model, declared, np.array(unseen), np.array(truth), trigger, target,
        float((said == target).float().mean()), float(right.float().mean()),
    )  # fmt: skip
