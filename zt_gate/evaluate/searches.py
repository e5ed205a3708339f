"""Which attack a model gets: the ladder where there are gradients, else a search by scores that suits its task."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING

import torch

from zt_gate.evaluate.data import to_codes, to_text
from zt_gate.evaluate.robustness import (
    PLANS,
    AttackStage,
    Feasible,
    LadderResult,
    MaskingFlags,
    Plan,
    ThreatModel,
    attack_batch,
    attack_table,
    attack_texts,
    masking_flags,
)
from zt_gate.rulings.attacks import QUERIES, WORDS

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from torch import Tensor

    from zt_gate.evaluate.adapters.adapter import Adapter
    from zt_gate.evaluate.adapters.declaration import Declaration


def flags(adapter: Adapter, x: Tensor, y: Tensor, norm: str, eps: float, seed: int) -> MaskingFlags:
    """Look for signs of masked gradients; a model without gradients gets that as its one sign."""
    if norm == "words":
        return MaskingFlags(("no_gradients",), {}, 0, 0)
    return masking_flags(adapter, x, y, ThreatModel(norm, eps), seed)  # type: ignore[arg-type]  # it checks the norm itself


def attack(
    adapter: Adapter,
    x: Tensor,
    y: Tensor,
    norm: str,
    eps: float,
    plan: str,
    seed: int,
    done: Collection[str] = (),
    declared: Declaration | None = None,
) -> LadderResult:
    """Attack a batch.

    Args:
        adapter: the model.
        x: samples as the adapter takes them.
        y: their classes.
        norm: `Linf`, `L2`, `L1`, or for texts `words`.
        eps: the radius; for texts the share of words that may change.
        plan: how hard; where there are gradients the name of the ladder.
        seed: the source of luck.
        done: names of attacks that these samples withstood already; they are left out.
        declared: with the constraints of a table, where there are any.

    Raises:
        ValueError: the norm does not suit the task.
    """
    if (norm == "words") != (adapter.task == "text"):
        raise ValueError(f"the norm {norm} does not suit a task of the kind {adapter.task}")
    if adapter.task == "text":
        return _texts(adapter, x, y, eps)
    threat = ThreatModel(norm, eps)  # type: ignore[arg-type]  # it checks the norm itself
    if adapter.differentiable:
        whole = PLANS[plan]
        rest = tuple(stage for stage in whole.stages if stage.name not in done)
        return attack_batch(adapter, x, y, threat, replace(whole, stages=rest), seed)
    if x.dim() == 2:
        return attack_table(adapter, x, y, threat, _feasible(adapter, x.shape[1], declared), QUERIES[plan], seed)
    search = Plan("search", (AttackStage("square", QUERIES[plan]),), fast=False)
    return attack_batch(adapter, x, y, threat, search, seed)


def _feasible(adapter: Adapter, columns: int, declared: Declaration | None) -> Feasible:
    """Return what may be done to a row as an adapter takes it: within bounds, and by the declared constraints."""
    low, high = (adapter.inputs.low,) * columns, (adapter.inputs.high,) * columns
    if declared is None or not declared.constraints:
        return Feasible(low, high)
    spans = zip(declared.least, declared.greatest, strict=True)
    steps = tuple(1 / (greatest - least) if greatest > least else 1.0 for least, greatest in spans)
    return Feasible(low, high, step=steps, **asdict(declared.constraints))


def _texts(adapter: Adapter, x: Tensor, y: Tensor, share: float) -> LadderResult:
    def rows(texts: Sequence[str]) -> Tensor:
        return torch.from_numpy(to_codes(texts, x.shape[1]))

    texts = [to_text(row) for row in x.numpy()]
    found = attack_texts(lambda some: adapter.logits(rows(some)), texts, y.tolist(), share=share)
    fooled = torch.tensor(found.fooled, dtype=torch.bool)
    adversarial = torch.where(fooled[:, None], rows(found.adversarial), x)
    return LadderResult(
        torch.tensor(found.correct, dtype=torch.bool),
        torch.where(fooled, 0, -1),
        adversarial,
        (WORDS,),
        found.queries,
        0,
        autoattack_equivalent=False,
    )
