"""Search for trigger phrases in small text classifiers: every token by itself, then phrases in the space of embeddings.

Each token of the vocabulary is put into texts of all classes; the one that pushes a class furthest is tried on
unseen texts. Where no token stands out, longer phrases are searched: every position is a mixture over the vocabulary,
sharpened while it is optimised for all target classes in one batch; then the best tokens of each position are tried
for real, one position after the other. A phrase counts by what its tokens do, never by what the mixture did.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import torch
from torch import Tensor
from torch.nn import functional

from zt_gate.rulings.backdoor_triggers_text import SAID, SURE, own_word, stands_out

if TYPE_CHECKING:
    from zt_gate.evaluate.backdoor.inversion import Clean
    from zt_gate.evaluate.backdoor.report import SearchBudget

LENGTHS = (2, 3)
"""Tokens of a longer phrase; the shortest that works is kept."""
MOST_TOKENS = 60_000
"""With a larger vocabulary, only as many tokens are tried by themselves: the first, which are mostly the frequent."""
_TRIED = 12
_SCANNED, _FINALISTS = 64, 16


@runtime_checkable
class TokenModel(Protocol):
    """What a text adapter offers beside the common interface, where its embeddings can be reached."""

    classes: int
    device: str

    def tokens(self, batch: Tensor) -> Tensor:
        """Return numbers of tokens `(n, length)`, int64, for inputs as the adapter takes them."""

    def embedding(self) -> Tensor:
        """Return the token embeddings `(vocabulary, width)`."""

    def logits_of_embedded(self, embedded: Tensor) -> Tensor:
        """Return scores `(n, classes)` for embedded tokens `(n, length, width)`; differentiable."""


def phrases(
    model: TokenModel, clean: Clean, targets: Sequence[int], budget: SearchBudget, seed: int
) -> list[dict[str, Any]]:
    """Return, per target class, a token that stands out, the shortest phrase that works, or the best of the longest.

    Args:
        model: a text classifier.
        clean: token ids `(n, length)` with their classes; a phrase overwrites those behind the first.
        targets: target classes.
        budget: steps and batch.
        seed: decides starts and batches.
    """
    table = model.embedding().detach()
    best = {k: _token(model, table, clean, k, found) for k, found in _scan(model, table, clean, targets, budget)}
    open_targets = [k for k in targets if not _enough(best[k])]
    for length in LENGTHS:
        if not open_targets:
            break
        mixtures = _mixtures(model, table, clean, open_targets, length, budget, seed)
        for k, mixture in zip(open_targets, mixtures, strict=True):
            tokens = _snapped(model, table, clean, k, mixture)
            best[k] |= _tried(model, table, clean, k, tokens)
        open_targets = [k for k in open_targets if best[k]["successes"] < SURE * best[k]["images"]]
    return [best[k] for k in targets]


def _scan(
    model: TokenModel, table: Tensor, clean: Clean, targets: Sequence[int], budget: SearchBudget
) -> Iterator[tuple[int, tuple[Tensor, int]]]:
    """Yield for each class the tokens that push it furthest, and how many turn nearly every text to it."""
    texts, labels = clean.images[:_SCANNED], clean.labels[:_SCANNED]
    many = min(len(table), MOST_TOKENS)
    at_once = max(1, budget.rows // len(texts))
    with torch.no_grad():
        before = model.logits_of_embedded(table[texts])
        parts = []
        for tokens in torch.split(torch.arange(many, device=texts.device), at_once):
            stamped = texts.repeat(len(tokens), 1)
            stamped[:, _place(texts)] = tokens.repeat_interleave(len(texts))
            after = model.logits_of_embedded(table[stamped]).view(len(tokens), len(texts), -1)
            parts.append(_pushes(before, after, labels, targets))
    pushes, turned = (torch.cat(part) for part in zip(*parts, strict=True))
    holds = _holding(clean, many)
    for i, k in enumerate(targets):
        own = torch.tensor([own_word(*said) for said in _counts(clean, holds, k)], device=pushes.device)
        # At least two of them are compared, and be they words of the class.
        ranked = pushes[:, i].masked_fill(own, -torch.inf) if int((~own).sum()) >= 2 else pushes[:, i]
        furthest = ranked.topk(min(_FINALISTS, int(torch.isfinite(ranked).sum()))).indices
        yield k, (furthest, int(((turned[:, i] >= SURE) & ~own).sum()))


def _holding(clean: Clean, many: int) -> Tensor:
    """Return which clean texts hold which of the first `many` tokens, `(texts, many)`."""
    texts = torch.cat([clean.images, clean.held_images])
    holds = torch.zeros((len(texts), int(texts.max()) + 1), dtype=torch.bool, device=texts.device)
    holds.scatter_(1, texts, value=True)
    return functional.pad(holds, (0, max(0, many - holds.shape[1])))[:, :many]


def _counts(clean: Clean, holds: Tensor, k: int) -> Iterator[tuple[int, int, int, int]]:
    """Yield for each token the clean texts of a class and of others that hold it, with how many there are of each."""
    mine = torch.cat([clean.labels, clean.held_labels]) == k
    within, without = holds[mine].sum(0).tolist(), holds[~mine].sum(0).tolist()
    many, others = int(mine.sum()), int((~mine).sum())
    return ((said, many, elsewhere, others) for said, elsewhere in zip(within, without, strict=True))


def _pushes(before: Tensor, after: Tensor, labels: Tensor, targets: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Return per token and target the median change of the margin, and the share of texts that were turned.

    Args:
        before: scores `(n, classes)`.
        after: scores `(tokens, n, classes)`.
        labels: classes of the texts `(n,)`.
        targets: target classes; the results are `(tokens, targets)`.
    """
    pushes, turned = [], []
    for k in targets:
        others = labels != k
        if not others.any():
            pushes.append(torch.zeros(len(after), device=after.device))
            turned.append(torch.zeros(len(after), device=after.device))
            continue
        moved = _margin(after[:, others], k) - _margin(before[others], k)
        pushes.append(moved.median(1).values)
        turned.append((after[:, others].argmax(2) == k).float().mean(1))
    return torch.stack(pushes, 1), torch.stack(turned, 1)


def _margin(scores: Tensor, k: int) -> Tensor:
    rest = scores.clone()
    rest[..., k] = -torch.inf
    return scores[..., k] - rest.amax(-1)


def _token(model: TokenModel, table: Tensor, clean: Clean, k: int, found: tuple[Tensor, int]) -> dict[str, Any]:
    """Compare the finalists on all texts of the search, and try the best on unseen ones."""
    finalists, alike = found
    with torch.no_grad():
        before = model.logits_of_embedded(table[clean.images])
        after = torch.stack([model.logits_of_embedded(table[_stamped(clean.images, [int(t)])]) for t in finalists])
    pushes, _ = _pushes(before, after, clean.labels, [k])
    order = pushes[:, 0].argsort(descending=True)
    ranked = [float(pushes[i, 0]) for i in order[:2]]
    token = int(finalists[order[0]])
    said = next(_counts(clean, torch.cat([clean.images, clean.held_images]).eq(token).any(1, keepdim=True), k))
    return {
        **_tried(model, table, clean, k, [token]),
        "push": round(ranked[0], 4), "second": round(ranked[-1], 4), "alike": alike,
        "said": dict(zip(SAID, said, strict=True)),
    }  # fmt: skip


def _enough(slot: dict[str, Any]) -> bool:
    if own_word(*(slot["said"][name] for name in SAID)):
        return False
    return stands_out(slot["successes"], slot["images"], slot["push"], slot["second"], slot["alike"])


def _mixtures(
    model: TokenModel, table: Tensor, clean: Clean, targets: Sequence[int], length: int, budget: SearchBudget, seed: int
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
        wide = phrase.unsqueeze(1).expand(-1, len(rows), -1, -1)
        at = _place(clean.images, length)
        stamped = torch.cat([many[:, :, :at], wide, many[:, :, at + length :]], 2)
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
    return model.logits_of_embedded(table[_stamped(texts, tokens)]).argmax(1)


def _stamped(texts: Tensor, tokens: Sequence[int]) -> Tensor:
    stamped = texts.clone()
    at = _place(texts, len(tokens))
    stamped[:, at : at + len(tokens)] = torch.tensor(list(tokens), device=texts.device, dtype=texts.dtype)
    return stamped


def _place(texts: Tensor, length: int = 1) -> int:
    """Return where a phrase begins: behind the first token, which may mark the beginning, where there is room."""
    return int(texts.shape[1] > length)
