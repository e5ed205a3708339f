"""Attack tables through their scores alone: trees, pipelines, anything, within what is feasible.

A row of a table is no image. Some columns cannot be changed by whom they describe, some only in one direction, some are
counts, some are one of several categories. A search that ignores this reports attacks that nobody could carry out.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from zt_gate.evaluate.adapters.adapter import Adapter
from zt_gate.evaluate.robustness.apgd import Catch
from zt_gate.evaluate.robustness.ladder import LadderResult
from zt_gate.evaluate.robustness.objectives import best_other
from zt_gate.evaluate.robustness.oracle import Oracle
from zt_gate.evaluate.robustness.threat import Ball, ThreatModel, column

# The share of columns that one query changes begins at one half and is halved at these shares of the queries.
_HALVED_AT = (0.05, 0.15, 0.3, 0.5, 0.75)


@dataclass(frozen=True, slots=True)
class Feasible:
    """What may be done to a row; columns are named by their index."""

    low: tuple[float, ...]
    """Least value of each column."""
    high: tuple[float, ...]
    scale: tuple[float, ...] = ()
    """The unit of each column: the radius is `eps` times it. Empty: 1 for all."""
    immutable: tuple[int, ...] = ()
    integer: tuple[int, ...] = ()
    """Columns that change by whole numbers."""
    step: tuple[float, ...] = ()
    """What one whole number is in each column, in the units of the inputs. Empty: 1 for all."""
    growing: tuple[int, ...] = ()
    """Columns that can only become greater, such as an age."""
    shrinking: tuple[int, ...] = ()
    one_hot: tuple[tuple[int, ...], ...] = ()
    """Groups of columns of which one is 1 and the others are 0. They do not count towards the radius."""
    switches: int = 1
    """How many of these groups may change their category."""

    def __post_init__(self) -> None:
        columns = len(self.low)
        grouped = [index for group in self.one_hot for index in group]
        named = [*self.immutable, *self.integer, *self.growing, *self.shrinking, *grouped]
        if len(self.high) != columns or {len(self.scale), len(self.step)} - {0, columns}:
            raise ValueError("low, high, scale and step name different numbers of columns")
        if not all(0 <= index < columns for index in named):
            raise ValueError(f"a constraint names a column that is none of the {columns}")
        if len(set(grouped)) != len(grouped):
            raise ValueError("a column belongs to two groups of categories")
        if not all(low <= high for low, high in zip(self.low, self.high, strict=True)):
            raise ValueError("a column's least value is above its greatest")

    @property
    def fixed(self) -> tuple[int, ...]:
        """Columns that no number may move: immutable ones, and categories, which are switched instead."""
        return (*self.immutable, *(index for group in self.one_hot for index in group))


@dataclass(frozen=True, slots=True)
class _Rows:
    """Rows, and where their numbers may go, in units of each column."""

    ball: Ball
    feasible: Feasible
    scale: Tensor

    @classmethod
    def of(cls, x: Tensor, threat: ThreatModel, feasible: Feasible) -> _Rows:
        scale = x.new_tensor(feasible.scale or [1.0] * x.shape[1])
        low, high = (x.new_tensor(bound).expand_as(x) / scale for bound in (feasible.low, feasible.high))
        unit = x / scale
        if threat.norm == "Linf":
            low, high = torch.maximum(low, unit - threat.eps), torch.minimum(high, unit + threat.eps)
        # A row that lies outside of the declared bounds may stay where it is, and come nearer to them.
        low, high = torch.minimum(low, unit).clone(), torch.maximum(high, unit).clone()
        for still in (feasible.fixed, feasible.growing):
            low[:, list(still)] = unit[:, list(still)]
        for still in (feasible.fixed, feasible.shrinking):
            high[:, list(still)] = unit[:, list(still)]
        return cls(Ball(threat, unit, low, high, (-torch.inf, torch.inf)), feasible, scale)

    def rows(self, keep: Tensor) -> _Rows:
        return _Rows(self.ball.rows(keep), self.feasible, self.scale)

    def settle(self, points: Tensor, categories: Tensor) -> Tensor:
        """Return feasible rows: numbers from points in units, categories from rows that already are."""
        moved = (self.ball.project(points) - self.ball.x) * self.scale
        whole = list(self.feasible.integer)
        # Towards the clean row, so that neither radius nor bound is left; 1e-4 forgives what division rounded off.
        step = moved.new_tensor(self.feasible.step or [1.0] * moved.shape[1])[whole]
        counted = moved[:, whole] / step
        moved[:, whole] = (counted + 1e-4 * counted.sign()).trunc() * step
        result = self.ball.x * self.scale + moved
        kept = list(self.feasible.fixed)
        result[:, kept] = categories[:, kept]
        return result


def attack_table(
    adapter: Adapter, x: Tensor, y: Tensor, threat: ThreatModel, feasible: Feasible, queries: int, seed: int
) -> LadderResult:
    """Search for feasible rows that a model gets wrong, asking for its scores only.

    Args:
        adapter: the model; its gradients are not asked for.
        x: rows of shape `(n, columns)`.
        y: their classes, of shape `(n,)`.
        threat: the norm and the radius, in units of `feasible.scale`.
        feasible: what may be done to a row.
        queries: how often each row may be asked about.
        seed: the source of luck.

    Raises:
        TargetError: the model's answers are no scores.
        ValueError: the constraints speak of another number of columns.
    """
    if x.dim() != 2 or x.shape[1] != len(feasible.low):
        raise ValueError(f"rows of shape {tuple(x.shape[1:])} under constraints on {len(feasible.low)} columns")
    oracle, luck = Oracle(adapter, fast=False), torch.Generator().manual_seed(seed)
    correct = oracle.scores(x).argmax(1) == y
    catch, held = Catch.none(x), correct.nonzero()[:, 0]
    rows, best = _Rows.of(x[held], threat, feasible), x[held]
    margin = torch.full((len(held),), torch.inf, device=x.device)
    for query in range(queries):
        if not len(held):
            break
        candidate = _propose(rows, best, x[held], query / queries, _drawn(len(x), x.shape[1], luck, held))
        scores = oracle.scores(candidate)
        now = scores.gather(1, y[held, None])[:, 0] - best_other(scores, y[held])
        # Equal counts as better: trees answer in plateaus, and standing still never leaves one.
        better, fooled = now <= margin, scores.argmax(1) != y[held]
        best, margin = torch.where(column(better, best), candidate, best), torch.where(better, now, margin)
        if bool(fooled.any()):
            catch.add(held[fooled], candidate[fooled])
            keep = (~fooled).nonzero()[:, 0]
            held, best, margin, rows = held[keep], best[keep], margin[keep], rows.rows(keep)
    fooled_by = torch.where(catch.fooled, 0, -1)
    name = (f"random-search-{queries}",)
    return LadderResult(correct, fooled_by, catch.adversarial, name, oracle.forwards, 0, False)


def _drawn(n: int, columns: int, luck: torch.Generator, rows: Tensor) -> Tensor:
    """Draw for all rows, so that nobody's luck depends on who is still there."""
    return torch.rand((n, 4, columns), generator=luck).to(rows.device)[rows]


def _propose(rows: _Rows, best: Tensor, clean: Tensor, elapsed: float, drawn: Tensor) -> Tensor:
    """Change a random part of each row, to the ends of what is allowed or to somewhere between."""
    share = 0.5 / 2 ** sum(elapsed >= mark for mark in _HALVED_AT)
    ball, unit = rows.ball, best / rows.scale
    reach = ball.threat.eps
    low, high = torch.maximum(ball.low, ball.x - reach), torch.minimum(ball.high, ball.x + reach)
    place = torch.where(drawn[:, 1] < 0.7, drawn[:, 2].round(), drawn[:, 2])
    chosen = drawn[:, 0] <= torch.maximum(drawn[:, 0].amin(1, keepdim=True), drawn.new_tensor(share))
    points = torch.where(chosen, low + place * (high - low), unit)
    return rows.settle(points, _switched(rows.feasible, best, clean, drawn[:, 3]))


def _switched(feasible: Feasible, best: Tensor, clean: Tensor, drawn: Tensor) -> Tensor:
    """Switch some groups to another category, where the number of switches allows."""
    result = best.clone()
    free = [group for group in feasible.one_hot if not set(group) & set(feasible.immutable)]
    if not free or not feasible.switches:
        return result
    for number, group in enumerate(free):
        columns = list(group)
        wanted = torch.zeros_like(best[:, columns]).scatter(1, drawn[:, columns].argmax(1)[:, None], 1.0)
        # Each row tries one group at a time: that of the greatest first number.
        first = torch.stack([drawn[:, other[0]] for other in free], dim=1).argmax(1) == number
        proposed = torch.where(column(first & (drawn[:, columns[-1]] < 0.5), wanted), wanted, best[:, columns])
        candidate = result.clone()
        candidate[:, columns] = proposed
        changed = torch.stack([(candidate[:, list(g)] != clean[:, list(g)]).any(1) for g in free], dim=1).sum(1)
        result = torch.where(column(changed <= feasible.switches, result), candidate, result)
    return result
