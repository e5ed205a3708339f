"""Which approved releases a model is compared with: others are set aside, with the reason."""

import pytest
import torch
from torch import nn

from tests.support.poisoned_models import SIDE, SmallAdapter
from zt_gate.evaluate.adapters.architecture import layer_kinds
from zt_gate.evaluate.backdoor.examine import compared


def network(width=8, activation=nn.ReLU, kernel=3, more=()):
    return nn.Sequential(
        nn.Conv2d(1, width, kernel, padding=kernel // 2), activation(), nn.Dropout(), nn.MaxPool2d(2), *more,
        nn.Flatten(), nn.Linear(width * (SIDE // 2) ** 2, 10),
    ).eval()  # fmt: skip


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (network(), "used"),
        (network(width=20), "used"),
        (nn.Sequential(*[layer for layer in network() if not isinstance(layer, nn.Dropout)]), "used"),
        (network(activation=nn.GELU), "its layer 2 is GELU and not ReLU"),
        (network(kernel=5), "its layer 1 is Conv2d 5x5 and not Conv2d 3x3"),
        (network(more=(nn.BatchNorm2d(8),)), "its layer 4 is BatchNorm2d and not Flatten"),
        (nn.Sequential(*network(), nn.ReLU()), "another kind of network: 6 layers and not 5"),
        (nn.Sequential(*list(network())[:-1], nn.Linear(9, 10)), "it does not take these inputs"),
        (nn.Sequential(*list(network())[:-1], nn.Linear(8 * (SIDE // 2) ** 2, 7)), "it returns scores of shape"),
        (lambda batch: batch, "it cannot be told what kind of network it is"),
    ],
    ids="same width dropout activation kernel norm longer inputs scores unknown".split(),  # noqa: SIM905
)
def test_another_kind_of_network_is_no_reference(other, said):
    assert said in compared(SmallAdapter(network()), SmallAdapter(other), torch.rand(3, 1, SIDE, SIDE))


def test_a_scripted_and_an_exported_network_have_kinds_of_layers_too():
    plain = network()
    assert layer_kinds(torch.jit.script(plain)) == layer_kinds(plain) == ("Conv2d 3x3", "ReLU", "MaxPool2d", "Flatten",
                                                                         "Linear")  # fmt: skip
    exported = [
        layer_kinds(torch.export.export(model, (torch.zeros(2, 1, SIDE, SIDE),)).module())
        for model in (plain, network(width=5), network(activation=nn.GELU))
    ]
    assert exported[0]
    assert exported[0] == exported[1]
    assert exported[0] != exported[2]
