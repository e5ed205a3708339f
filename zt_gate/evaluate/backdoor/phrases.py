"""Search for trigger phrases in small text classifiers: in the space of embeddings, then confirmed token by token.

Every position of a phrase is a mixture over the vocabulary, sharpened while it is optimised for all target classes in
one batch; then the best tokens of each position are tried for real, one position after the other. A phrase counts by
what its tokens do, never by what the mixture did.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.nn import functional

if TYPE_CHECKING:
    from zt_gate.evaluate.backdoor.budget import Budget
    from zt_gate.evaluate.backdoor.inversion import Clean

LENGTHS = (1, 2, 3)
"""Tokens of a phrase; the shortest that works is kept."""
_TRIED = 12


@runtime_checkable
class TokenModel(Protocol):
    """What a text adapter offers beside the common interface, where its embeddings can be reached."""

    classes: int
    device: str

    def embedding(self) -> Tensor:
        """Return the token embeddings `(vocabulary, width)`."""

    def logits_of_embedded(self, embedded: Tensor) -> Tensor:
        """Return scores `(n, classes)` for embedded tokens `(n, length, width)`; differentiable."""


def phrases(model: TokenModel, clean: Clean, targets: Sequence[int], budget: Budget, seed: int) -> list[dict[str, Any]]:
    """Return, per target class, the shortest phrase that works on held-out texts, or the best of the longest.

    Args:
        model: a text classifier.
        clean: token ids `(n, length)` with their classes; a phrase overwrites the first tokens.
        targets: target classes.
        budget: steps and batch.
        seed: decides starts and batches.
    """
    table = model.embedding().detach()
    best: dict[int, dict[str, Any]] = {}
    for length in LENGTHS:
        open_targets = [k for k in targets if k not in best or best[k]["successes"] < 0.9 * best[k]["images"]]
        if not open_targets:
            break
        mixtures = _mixtures(model, table, clean, open_targets, length, budget, seed)
        for k, mixture in zip(open_targets, mixtures, strict=True):
            tokens = _snapped(model, table, clean, k, mixture)
            best[k] = _tried(model, table, clean, k, tokens)
    return [best[k] for k in targets]


def _mixtures(
    model: TokenModel, table: Tensor, clean: Clean, targets: Sequence[int], length: int, budget: Budget, seed: int
) -> Tensor:
    """Return logits over the vocabulary, `(targets, length, vocabulary)`."""
    generator = torch.Generator().manual_seed(seed)
    start = 0.1 * torch.randn((len(targets), length, len(table)), generator=generator)
    mixture = start.to(model.device).requires_grad_()
    optimiser = torch.optim.Adam([mixture], lr=0.3)
    wanted = torch.tensor(list(targets), device=model.device)
    steps = budget.trigger_steps
    drawn = torch.randint(len(clean.images), (steps, budget.trigger_batch), generator=generator).to(model.device)
    for step, rows in enumerate(drawn):
        texts = table[clean.images[rows]]
        sharp = 1 + 3 * step / steps
        phrase = (mixture * sharp).softmax(2) @ table
        many = texts.unsqueeze(0).expand(len(targets), *texts.shape)
        stamped = torch.cat([phrase.unsqueeze(1).expand(-1, len(rows), -1, -1), many[:, :, length:]], 2)
        scores = model.logits_of_embedded(stamped.flatten(0, 1)).view(len(targets), len(rows), -1)
        loss = functional.cross_entropy(scores.flatten(0, 1), wanted.repeat_interleave(len(rows)))
        (mixture.grad,) = torch.autograd.grad(loss, mixture)
        optimiser.step()
    return mixture.detach()


def _snapped(model: TokenModel, table: Tensor, clean: Clean, target: int, mixture: Tensor) -> list[int]:
    """Choose real tokens, one position after the other, by what they do to texts of the search."""
    tokens = [int(token) for token in mixture.argmax(1)]
    others = clean.images[clean.labels != target][:64]
    if not len(others):
        return tokens
    for place in range(len(tokens)):
        choices = mixture[place].topk(min(_TRIED, len(table))).indices.tolist()
        tried = [[*tokens[:place], int(choice), *tokens[place + 1 :]] for choice in choices]
        with torch.no_grad():
            rates = [float((_said(model, table, others, some) == target).float().mean()) for some in tried]
        tokens = tried[max(range(len(tried)), key=rates.__getitem__)]
    return tokens


def _tried(model: TokenModel, table: Tensor, clean: Clean, target: int, tokens: list[int]) -> dict[str, Any]:
    others = clean.held_images[clean.held_labels != target]
    with torch.no_grad():
        hits = int((_said(model, table, others, tokens) == target).sum()) if len(others) else 0
    return {"target": target, "tokens": tokens, "size": len(tokens), "successes": hits, "images": len(others)}


def _said(model: TokenModel, table: Tensor, texts: Tensor, tokens: Sequence[int]) -> Tensor:
    stamped = texts.clone()
    stamped[:, : len(tokens)] = torch.tensor(list(tokens), device=texts.device, dtype=texts.dtype)
    return model.logits_of_embedded(table[stamped]).argmax(1)
