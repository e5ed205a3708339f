"""Examine one model with every detector that its kind, its data and the budget allow."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from zt_gate.evaluate.backdoor.detectors import final_layer, intrinsic_directions, margins, neurons, shift
from zt_gate.evaluate.backdoor.inversion import Clean, Inverted, invert
from zt_gate.evaluate.backdoor.phrases import TokenModel, phrases
from zt_gate.evaluate.backdoor.report import BackdoorReport, DetectorReport, SearchBudget
from zt_gate.evaluate.backdoor.triggers import IMAGE_FAMILIES, TABLE_FAMILIES
from zt_gate.rulings.backdoor_ruling import beside
from zt_gate.rulings.backdoor_scores import FEWEST_CLASSES

if TYPE_CHECKING:
    from torch import Tensor

    from zt_gate.evaluate.adapters.adapter import Adapter

USED = "used"


def compared(adapter: Adapter, reference: Adapter, clean: Tensor | None) -> str:
    """Return `used`, or why a reference cannot be compared.

    Args:
        adapter: the candidate.
        reference: the approved release.
        clean: inputs of the candidate; the reference has to answer them.
    """
    if reference.classes != adapter.classes:
        return f"it has {reference.classes} classes and not {adapter.classes}"
    if reference.inputs.shape != adapter.inputs.shape:
        return f"it takes inputs of shape {reference.inputs.shape} and not {adapter.inputs.shape}"
    if not reference.differentiable and not isinstance(reference, TokenModel):
        return "it gives no gradients"
    if why := _other_network(adapter.layer_kinds(), reference.layer_kinds()):
        return why
    return USED if clean is None else _asked(reference, clean[:2])


def _other_network(mine: tuple[str, ...], theirs: tuple[str, ...]) -> str:
    if not mine or not theirs:
        return "it cannot be told what kind of network it is"
    if mine == theirs:
        return ""
    at = next((i for i, pair in enumerate(zip(mine, theirs, strict=False)) if pair[0] != pair[1]), None)
    if at is None:
        return f"it is another kind of network: {len(theirs)} layers and not {len(mine)}"
    return f"it is another kind of network: its layer {at + 1} is {theirs[at]} and not {mine[at]}"


def _asked(reference: Adapter, clean: Tensor) -> str:
    try:
        with torch.no_grad():
            scores = reference.logits(clean.to(reference.device, torch.float32))
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        return f"it does not take these inputs: {str(error).splitlines()[0][:120]}"
    shape = tuple(scores.shape)
    return USED if shape == (len(clean), reference.classes) else f"it returns scores of shape {shape}"


FEWEST_CLEAN = 40
"""With fewer clean images a trigger could not be confirmed."""
_COLLAPSED = 0.95
_MANY_CLASSES = 100
_ADVISORY = "advisory: it never decides"
_TRIGGERS = ("patch", "additive", "warp")


def examine(
    adapter: Adapter,
    clean: Tensor | None = None,
    labels: Tensor | None = None,
    reference: Adapter | None = None,
    budget: SearchBudget | None = None,
    seed: int = 0,
) -> BackdoorReport:
    """Measure a model; the verdict is `zt_gate.rulings.backdoor_ruling.judge_backdoor`'s.

    Args:
        adapter: the model.
        clean: samples of its task that nobody tampered with, `(n, *adapter.inputs.shape)`; None where there are none.
        labels: their classes `(n,)`; None means that what the model says counts.
        reference: the last approved release of the same task, for comparison.
        budget: how much work it may cost.
        seed: decides every random choice.
    """
    budget = budget or SearchBudget()
    mine = _measured(adapter, clean, labels, budget, seed)
    if reference is None:
        return mine
    why = compared(adapter, reference, clean)
    if why != USED:
        return replace(mine, facts={**mine.facts, "reference": why})
    return _beside(mine, _measured(reference, clean, labels, budget, seed))


def _measured(
    adapter: Adapter, clean: Tensor | None, labels: Tensor | None, budget: SearchBudget, seed: int
) -> BackdoorReport:
    walk = _BackdoorWalk(adapter, budget, seed)
    walk.prepare(clean, labels)
    if adapter.task == "text":
        walk.measure("phrases", walk.phrases)
        return BackdoorReport(walk.facts, walk.detectors, walk.tensors)
    walk.measure("margin", walk.margins)
    walk.measure("margin_clean", walk.clean_margins)
    walk.measure_triggers()
    walk.measure("shift", walk.shift)
    walk.measure("neurons", walk.neurons)
    walk.detectors["final_layer"] = walk.final_layer()
    return BackdoorReport(walk.facts, walk.detectors, walk.tensors)


def _beside(mine: BackdoorReport, approved: BackdoorReport) -> BackdoorReport:
    merged = beside(mine.to_json(), approved.to_json())["detectors"]
    detectors = {
        name: replace(detector, numbers={**detector.numbers, "reference": merged[name]["reference"]})
        if "reference" in merged[name]
        else detector
        for name, detector in mine.detectors.items()
    }
    return replace(mine, facts={**mine.facts, "reference": USED}, detectors=detectors)


@dataclass(slots=True)
class _BackdoorWalk:
    """What is known so far."""

    adapter: Adapter
    budget: SearchBudget
    seed: int
    facts: dict[str, Any] = field(default_factory=dict)
    detectors: dict[str, DetectorReport] = field(default_factory=dict)
    tensors: dict[str, Tensor] = field(default_factory=dict)
    clean: Clean | None = None
    targets: list[int] = field(default_factory=list)
    started: float = field(default_factory=time.monotonic)

    def prepare(self, images: Tensor | None, labels: Tensor | None) -> None:
        """Split the clean images, and note what is there."""
        self.facts = {
            "classes": self.adapter.classes, "task": self.adapter.task, "seed": self.seed,
            "budget": self.budget.to_json(), "clean": 0, "held_out": 0, "collapsed": False, "reference": "none",
        }  # fmt: skip
        self.targets = list(range(self.adapter.classes))
        if images is not None:
            self.clean = _split(self.adapter, images, labels, self.budget, self.seed)
        if self.clean is not None:
            self.facts |= {"clean": len(self.clean.images), "held_out": len(self.clean.held_images)}
            # A model that calls nearly everything one class does so under any trigger, so no search says anything.
            self.facts["collapsed"] = _collapsed(self.adapter, self.clean)

    def missing(self) -> DetectorReport | None:
        """Return why nothing that needs gradients and bounds can run, if so."""
        spec = self.adapter.inputs
        if self.adapter.classes < 2:
            return DetectorReport("not_applicable", "a model of one class has nothing to be led astray to")
        if not self.adapter.differentiable and not isinstance(self.adapter, TokenModel):
            return DetectorReport("incomplete", "the model gives no gradients")
        if not (math.isfinite(spec.low) and math.isfinite(spec.high) and spec.low < spec.high):
            return DetectorReport("incomplete", "the inputs have no bounds; declare them")
        return None

    def measure(self, name: str, work: Callable[[], DetectorReport]) -> None:
        """Run one detector within the time that is left."""
        missing = self.missing()
        if missing is None and time.monotonic() - self.started > self.budget.seconds:
            missing = DetectorReport("incomplete", f"the budget of {self.budget.seconds:g} s was spent before it began")
        start = time.monotonic()
        found = missing or work()
        self.detectors[name] = replace(found, seconds=time.monotonic() - start)

    def margins(self) -> DetectorReport:
        """MM-BD."""
        runs = margins(self.adapter, self.targets, self.budget, self.seed)
        return DetectorReport("ran", "", {"targets": self.targets, "runs": _listed(runs)})

    def clean_margins(self) -> DetectorReport:
        """MM-BD without what is each class's own, in units of the median plain margin."""
        if self.clean is None or not self.budget.clean_margin_steps:
            return DetectorReport(
                "not_applicable", "it was not asked for" if self.clean else "there are no clean samples"
            )
        own = intrinsic_directions(self.adapter, self.clean.images, self.clean.labels)
        if own is None:
            return DetectorReport("not_applicable", "the model shows no features before its final layer")
        runs = margins(self.adapter, self.targets, self.budget, self.seed, own[self.targets])
        usual = torch.tensor(self.detectors["margin"].numbers["runs"]).median().clamp_min(1e-6)
        return DetectorReport("ran", "", {"targets": self.targets, "runs": _listed(runs / usual.to(runs.device))})

    def shift(self) -> DetectorReport:
        """How far inputs of no class can be pushed."""
        images = None if self.clean is None else self.clean.images
        return DetectorReport("ran", _ADVISORY, shift(self.adapter, images, self.seed))

    def neurons(self) -> DetectorReport:
        """Which neurons clean samples need, and what the others say."""
        found = neurons(self.adapter, self.clean) if self.clean is not None else None
        if found is None:
            return DetectorReport("not_applicable", "it needs clean samples, and features before the final layer")
        return DetectorReport("ran", _ADVISORY, found)

    def final_layer(self) -> DetectorReport:
        """Outliers among the rows of the final layer; nothing is run."""
        final = self.adapter.final_linear()
        if final is None:
            return DetectorReport("not_applicable", "there is no final linear layer")
        return DetectorReport("ran", _ADVISORY, final_layer(*final))

    def phrases(self) -> DetectorReport:
        """Trigger phrases, where the embeddings of a text classifier can be reached."""
        if not isinstance(self.adapter, TokenModel):
            return DetectorReport("incomplete", "the embeddings of this text classifier cannot be reached")
        if self.clean is None:
            return DetectorReport("incomplete", f"it needs at least {FEWEST_CLEAN} clean samples")
        return DetectorReport(
            "ran", "", {"slots": phrases(self.adapter, self.clean, self.targets, self.budget, self.seed)}
        )

    def measure_triggers(self) -> None:
        """Invert triggers of all families at once; their time is shared equally."""
        held: dict[str, DetectorReport] = {}

        def work() -> DetectorReport:
            held.update(self._triggers())
            return DetectorReport("ran")

        self.measure("triggers", work)
        outcome = self.detectors.pop("triggers")
        for name in _TRIGGERS:
            self.detectors[name] = replace(held.get(name, outcome), seconds=outcome.seconds / len(_TRIGGERS))

    def _likely(self) -> list[int]:
        """Return the classes that triggers are searched for: all, or those with the largest margins."""
        if len(self.targets) <= self.budget.most_classes:
            return self.targets
        ran = self.detectors["margin"].numbers.get("runs")
        if ran is None:
            return self.targets[: self.budget.most_classes]
        largest = torch.tensor(ran).median(0).values.topk(self.budget.most_classes).indices
        return sorted(self.targets[i] for i in largest.tolist())

    def _triggers(self) -> dict[str, DetectorReport]:
        if self.clean is None:
            return dict.fromkeys(
                _TRIGGERS, DetectorReport("incomplete", f"it needs at least {FEWEST_CLEAN} clean samples")
            )
        targets = self._likely()
        families = IMAGE_FAMILIES if len(self.adapter.inputs.shape) == 3 else TABLE_FAMILIES
        mine = invert(self.adapter, self.clean, families, targets, self.budget, self.seed)
        said = dict.fromkeys(_TRIGGERS, DetectorReport("not_applicable", "the inputs are no images"))
        left_out = self.adapter.classes - len(targets)
        few = (
            f"weaker: {left_out} of {self.adapter.classes} classes with small margins were left out" if left_out else ""
        )
        for found in mine:
            numbers = {"slots": _slots(found), "moved": _occurring(found.moved).long().tolist()}
            said[found.family.name] = DetectorReport("ran", few, numbers)
            self.tensors |= _pictures(found)
        return said


def _split(adapter: Adapter, images: Tensor, labels: Tensor | None, budget: SearchBudget, seed: int) -> Clean | None:
    if len(images) < FEWEST_CLEAN:
        return None
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))[: budget.clean_images]
    images = images[order.to(images.device)].to(adapter.device, torch.float32)
    if labels is None:
        with torch.no_grad():
            answers = torch.cat([adapter.logits(part).argmax(1) for part in torch.split(images, budget.rows)])
    else:
        answers = labels[order.to(labels.device)].to(adapter.device)
    if isinstance(adapter, TokenModel):
        images = adapter.tokens(images)
    # They were shuffled above, so every other one is a fair split.
    return Clean(images[::2], answers[::2], images[1::2], answers[1::2])


def _collapsed(adapter: Adapter, clean: Clean) -> bool:
    with torch.no_grad():
        if isinstance(adapter, TokenModel):
            said = adapter.logits_of_embedded(adapter.embedding()[clean.images]).argmax(1)
        else:
            said = adapter.logits(clean.images).argmax(1)
    return bool(torch.bincount(said, minlength=adapter.classes).max() >= _COLLAPSED * len(said))


def _slots(found: Inverted) -> list[dict[str, Any]]:
    rows = zip(
        found.targets.tolist(), found.sizes.tolist(), found.successes.tolist(), found.images.tolist(), strict=True
    )
    return [
        {"target": target, "size": round(size, 6), "successes": successes, "images": images}
        for target, size, successes, images in rows
    ]


def _occurring(moved: Tensor) -> Tensor:
    """Return what became of which class; of very many classes those that occur, for the others say nothing."""
    if len(moved) <= _MANY_CLASSES:
        return moved
    occurs = (moved.sum(0) + moved.sum(1)) > 0
    kept = occurs.float().argsort(descending=True, stable=True)[: max(int(occurs.sum()), FEWEST_CLASSES)].sort().values
    return moved[kept][:, kept]


def _pictures(found: Inverted) -> dict[str, Tensor]:
    """Return the smallest confirmed trigger of a family."""
    works = found.successes / found.images.clamp_min(1) >= 0.9
    best = int(torch.where(works, found.sizes, torch.inf).argmin())
    name, parts = found.family.name, [part[best].cpu() for part in found.parameters]
    names = ("mask", "pattern") if name == "patch" else ("pattern",)
    return {f"{name}.{label}": part for label, part in zip(names, parts, strict=True)}


def _listed(values: Tensor) -> list[list[float]]:
    return [[round(value, 6) for value in row] for row in values.tolist()]
