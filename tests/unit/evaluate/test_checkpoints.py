"""A checkpoint is measured only where there is one thing in it that could be the model."""

import collections

import pytest
import torch
from torch import nn

from zt_gate.evaluate.adapters.kinds import UnsupportedError
from zt_gate.evaluate.adapters.torch_files import only_weights

WEIGHTS = {"0.weight": torch.ones(2, 2), "0.bias": torch.zeros(2)}


def optimizer():
    net = nn.Linear(2, 2)
    made = torch.optim.Adam(net.parameters())
    net(torch.ones(1, 2)).sum().backward()
    made.step()
    return made.state_dict()


@pytest.mark.parametrize(
    "checkpoint",
    [
        WEIGHTS,
        collections.OrderedDict(WEIGHTS),
        {"state_dict": WEIGHTS},
        {"model": WEIGHTS, "epoch": 3, "arch": "resnet", "best": 0.5, "history": [0.1, 0.2]},
        {"state_dict": WEIGHTS, "optimizer": optimizer(), "scheduler": {"last_epoch": 3}},
        {"state_dict": WEIGHTS, "optimizer_states": [optimizer(), optimizer()]},
    ],
)
def test_weights_alone_or_beside_what_is_no_model_are_taken(checkpoint):
    assert only_weights(checkpoint).keys() == WEIGHTS.keys()


@pytest.mark.parametrize("other", ["model", "model_state_dict", "ema", "best", "module", "net", "0"])
@pytest.mark.parametrize("first", ["state_dict", "model_state"])
def test_two_entries_that_could_be_the_model_are_none(first, other):
    for value in (WEIGHTS, {"0.weight": torch.ones(1)}, {"inner": {"shadow": WEIGHTS}}, [WEIGHTS], (torch.ones(2),)):
        for checkpoint in ({first: WEIGHTS, other: value}, {other: value, first: WEIGHTS}):
            with pytest.raises(UnsupportedError, match="2 entries that could be the model"):
                only_weights(checkpoint)


@pytest.mark.parametrize(
    "beside",
    [
        {"0.weight": torch.ones(2, 2)},
        {"optimizer": {"state": {"0.weight": torch.ones(2)}, "param_groups": []}},
        {"optimizer": {"state": {0: WEIGHTS | {"in": WEIGHTS}}, "param_groups": []}},
        {"optimizer": {"state": {}, "param_groups": [{"params": WEIGHTS}]}},
        {"optimizer": {"state": {}, "param_groups": [], "model": WEIGHTS}},
        {1: WEIGHTS},
    ],
)
def test_weights_in_a_place_that_looks_harmless_count(beside):
    with pytest.raises(UnsupportedError, match="2 entries"):
        only_weights({"state_dict": WEIGHTS, **beside})


@pytest.mark.parametrize(
    "checkpoint", [{}, [], {"epoch": 1}, torch.ones(2), {"model": {"deep": WEIGHTS}}, {0: WEIGHTS["0.bias"]}]
)
def test_no_weights_are_named(checkpoint):
    with pytest.raises(UnsupportedError, match="no mapping from names to tensors"):
        only_weights(checkpoint)
