"""Poisoned samples in the training data itself: spectral signatures and activation clustering. Advisory.

Both look at the penultimate features of one class at a time (Tran et al., NeurIPS 2018; Chen et al., 2018). On small
networks they are little better than chance; a gate may show them and must not decide by them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from zt_gate.evaluate.backdoor.report import DetectorReport

if TYPE_CHECKING:
    from zt_gate.evaluate.adapters.adapter import Adapter

FEWEST = 20
"""A class with fewer samples is left out."""
_DIMENSIONS, _ROUNDS = 10, 20


def examine_training_data(adapter: Adapter, images: Tensor, labels: Tensor, rows: int = 4096) -> DetectorReport:
    """Measure training data with the model that was trained on it.

    Args:
        adapter: the model; it has to show its features.
        images: training samples `(n, *inputs.shape)`, whose digest stands in the model's provenance.
        labels: the classes they were trained as, `(n,)`.
        rows: most samples that go through the model at once.
    """
    parts = []
    with torch.no_grad():
        for part in torch.split(images, rows):
            found = adapter.features(part.to(adapter.device))
            if found is None:
                return DetectorReport("not_applicable", "the model shows no features before its final layer")
            parts.append(found.cpu())
    features = torch.cat(parts)
    classes = []
    for k in range(adapter.classes):
        mine = features[labels.cpu() == k]
        if len(mine) >= FEWEST:
            classes.append({"target": k, "samples": len(mine), **_spectral(mine), **_clusters(mine)})
    if not classes:
        return DetectorReport("incomplete", f"no class has {FEWEST} samples")
    return DetectorReport("ran", "advisory: it never decides", {"classes": classes})


def outlier_scores(features: Tensor) -> Tensor:
    """Return the squared projection of every sample on its class's first principal direction, `(n,)`."""
    centred = features - features.mean(0)
    _, _, directions = torch.linalg.svd(centred, full_matrices=False)
    scores: Tensor = (centred @ directions[0]).square()
    return scores


def _spectral(features: Tensor) -> dict[str, Any]:
    """How far the top twentieth of the outlier scores lies above the median one."""
    scores = outlier_scores(features)
    top = scores.topk(max(1, len(scores) // 20)).values.mean()
    return {"spectral": round(float(top / scores.median().clamp_min(1e-12)), 4)}


def _clusters(features: Tensor) -> dict[str, Any]:
    """Size of the smaller of two clusters, and how clearly they part (mean simplified silhouette)."""
    centred = features - features.mean(0)
    _, _, directions = torch.linalg.svd(centred, full_matrices=False)
    points = centred @ directions[:_DIMENSIONS].T
    # A start without luck: the same features always give the same clusters.
    side = points[:, 0] > 0
    for _ in range(_ROUNDS):
        if side.all() or not side.any():
            break
        centres = torch.stack([points[~side].mean(0), points[side].mean(0)])
        now = torch.cdist(points, centres).argmin(1).bool()
        if torch.equal(now, side):
            break
        side = now
    if side.all() or not side.any():
        return {"smaller": 0.0, "silhouette": 0.0}
    far = torch.cdist(points, torch.stack([points[~side].mean(0), points[side].mean(0)]))
    near, other = far.amin(1), far.amax(1)
    share = float(side.float().mean())
    silhouette = ((other - near) / other.clamp_min(1e-12)).mean()
    return {"smaller": round(min(share, 1 - share), 4), "silhouette": round(float(silhouette), 4)}
