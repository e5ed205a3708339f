"""A model that misbehaves is named; an honest one is not."""

import numpy as np
import pytest
import torch
from torch import nn

from tests.support import models
from zt_gate.evaluate.remote import Patience, RemoteModel, TroubleError
from zt_gate.evaluate.sandbox.parent import Sandbox


class Odd(nn.Module):
    """The honest network, with something done to its scores."""

    def __init__(self, how: str) -> None:
        super().__init__()
        self.inner, self.how = models.convolutional(), how

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scores = self.inner(x)
        if self.how == "nan":
            scores = scores / (scores - scores)
        if self.how == "narrow":
            scores = scores[:, :7]
        if self.how == "probabilities":
            scores = torch.softmax(scores, dim=1)
        if self.how == "random":
            scores = scores + torch.rand_like(scores)
        while self.how == "endless" and bool(scores.max() < 1e9):
            scores = scores * 1
        return scores


def examined(folder, how: str, size: int = 8, patience: Patience | None = None) -> np.ndarray:
    torch.jit.script(Odd(how)).save(str(folder / "m.pt"))
    with Sandbox(folder, namespaces=False) as sandbox:
        held = patience or Patience()
        model = RemoteModel(sandbox, "torchscript", folder / "m.pt", models.IMAGE, device="cpu", patience=held)
        return model.examine(models.digits()[0][:size])


@pytest.mark.parametrize(
    ("how", "rule"), [("nan", "EVL-101"), ("narrow", "EVL-102"), ("probabilities", "EVL-103"), ("random", "EVL-104")]
)
def test_odd_scores_are_named(tmp_path, how, rule):
    with pytest.raises(TroubleError) as trouble:
        examined(tmp_path, how)
    assert trouble.value.rule == rule


def test_an_endless_answer_is_not_waited_for(tmp_path):
    with pytest.raises(TroubleError, match="no answer to logits: after 2 s") as trouble:
        examined(tmp_path, "endless", patience=Patience(answer=2))
    assert trouble.value.rule == "EVL-106"


def test_honest_scores_are_not(tmp_path):
    assert examined(tmp_path, "").shape == (8, 10)
