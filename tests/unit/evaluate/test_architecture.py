"""Networks from declarations: the same numbers as the hand-written network, or a refusal."""

import pytest
import torch
from torch import nn

from tests.support import models
from zt_gate.evaluate.adapters.architecture import before_last, build_network, last_layer


class Block(nn.Module):
    """A residual block as people write it."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(4, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8)
        self.down = nn.Conv2d(4, 8, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.bn1(self.conv1(x)) + self.down(x)


class Residual(nn.Module):
    """A small residual network as people write it."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3)
        self.layer1 = nn.Sequential(Block())
        self.fc = nn.Linear(8, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.layer1(torch.relu(self.stem(x))))
        return self.fc(x.mean(dim=(2, 3)))


LAYERS = (
    {"type": "conv", "name": "stem", "in": 1, "out": 4, "kernel": 3},
    {"type": "relu"},
    {
        "type": "residual",
        "name": "layer1.0",
        "layers": [
            {"type": "conv", "name": "conv1", "in": 4, "out": 8, "kernel": 3, "padding": 1, "bias": False},
            {"type": "batch_norm", "name": "bn1", "features": 8},
        ],
        "shortcut": [{"type": "conv", "name": "down", "in": 4, "out": 8, "kernel": 1}],
    },
    {"type": "relu"},
    {"type": "adaptive_avg_pool"},
    {"type": "flatten"},
    {"type": "linear", "name": "fc", "in": 8, "out": 10},
)


@pytest.mark.parametrize(
    ("model", "layers"),
    [(models.convolutional(), models.LAYERS), (Residual().eval(), LAYERS)],
    ids=["plain", "residual"],
)
def test_a_declared_network_answers_as_the_written_one(model, layers):
    network = build_network(layers, model.state_dict()).eval()
    x = torch.rand(3, 1, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(network(x), model(x))
        torch.testing.assert_close(last_layer(network)(before_last(network, x)), model(x))


@pytest.mark.parametrize(
    ("layers", "said"),
    [
        (LAYERS[1:], "do not fit"),
        (({"type": "exec"},), "no layer type"),
        (({"type": "linear", "in": -1, "out": 2},), "whole number"),
        (({"type": "linear", "in": 1 << 40, "out": 2},), "whole number"),
        (({"type": "linear", "name": "a", "in": 2, "out": 2},) * 2, "two layers"),
        (({"type": "linear", "name": "forward", "in": 2, "out": 2},), "no layer can be called forward"),
        ((), "layers"),
        (({"type": "linear", "in": 1 << 20, "out": 1 << 20},), "do not fit"),
    ],
    ids="missing unknown negative huge twice taken none unallocated".split(),  # noqa: SIM905 - easier to read
)
def test_what_does_not_fit_is_refused(layers, said):
    with pytest.raises(ValueError, match=said):
        build_network(layers, Residual().state_dict())


def test_layers_may_be_called_as_people_call_them():
    names = ("features.0", "features.1", "pool", "flat", "last")
    layers = tuple({**layer, "name": name} for layer, name in zip(models.LAYERS, names, strict=True))
    state = models.convolutional().state_dict()
    renamed = {name.replace("0.", "features.0.").replace("4.", "last."): value for name, value in state.items()}
    x = torch.rand(3, 1, 8, 8)
    torch.testing.assert_close(build_network(layers, renamed)(x), models.convolutional()(x))
