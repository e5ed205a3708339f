"""Corruptions stay in bounds and grow with their severity; certificates hold for a model whose radius is known."""

import pytest
import torch

from tests.support.small_models import CLASSES, Shown, labelled, small_net
from zt_gate.evaluate.adapters.adapter import InputSpec
from zt_gate.evaluate.robustness import certify, withstands_corruption
from zt_gate.evaluate.robustness.corruptions import KINDS, SEVERITIES, corrupted
from zt_gate.rulings import attacks as domain
from zt_gate.rulings.attacks import CORRUPTIONS

UNIT = InputSpec((3, 20, 28), 0.0, 1.0)


@pytest.fixture(scope="module")
def images():
    coarse = torch.rand((12, 3, 5, 7), generator=torch.Generator().manual_seed(0))
    return 0.1 + 0.8 * torch.nn.functional.interpolate(coarse, size=(20, 28), mode="bilinear")


@pytest.mark.parametrize("kind", list(KINDS))
def test_a_corruption_stays_in_bounds_and_grows(images, kind):
    changes = []
    for severity in SEVERITIES:
        result = corrupted(images, kind, severity, UNIT, 0)
        assert result.shape == images.shape
        assert float(result.min()) >= 0
        assert float(result.max()) <= 1
        assert torch.equal(result, corrupted(images, kind, severity, UNIT, 0))
        changes.append(float((result - images).abs().mean()))
    assert changes[0] > 0
    # Neighbours may be close where sizes are rounded; the weakest and the strongest never are.
    assert changes[0] < changes[2] < changes[4]


@pytest.mark.parametrize("kind", list(KINDS))
def test_other_bounds_give_the_same_pictures(images, kind):
    wide = corrupted(images * 255, kind, 3, InputSpec(UNIT.shape, 0.0, 255.0), 0)
    assert torch.allclose(wide / 255, corrupted(images, kind, 3, UNIT, 0), atol=1e-4)


def test_blocks_are_rounded_as_jpeg_rounds_them():
    flat = torch.full((1, 1, 16, 16), 0.5)
    assert torch.allclose(corrupted(flat, "jpeg", 1, InputSpec((1, 16, 16), 0, 1), 0), flat, atol=0.02)


def test_answers_are_those_of_the_model():
    net = small_net()
    x, y = labelled(net, 50)
    right = withstands_corruption(Shown(net), x, y, 0)
    assert right.shape == (50, len(CORRUPTIONS), len(SEVERITIES))
    again = net(corrupted(x, "contrast", 5, Shown(net).inputs, 0)).argmax(1) == y
    assert torch.equal(right[:, CORRUPTIONS.index("contrast"), 4], again)
    assert 0 < float(right.float().mean()) < 1


def test_the_names_of_corruptions_are_those_that_a_gate_knows():
    assert tuple(KINDS) == CORRUPTIONS
    assert len(SEVERITIES) == domain.SEVERITIES


@pytest.mark.parametrize(("kind", "severity"), [("fog", 1), ("blur", 0)])
def test_unknown_corruptions_are_refused(images, kind, severity):
    with pytest.raises(ValueError, match="there is no corruption"):
        corrupted(images, kind, severity, UNIT, 0)


def test_tables_cannot_be_corrupted_like_images():
    with pytest.raises(ValueError, match="no images"):
        corrupted(torch.zeros(3, 7), "blur", 1, InputSpec((7,), 0, 1), 0)


def test_a_certificate_is_below_the_distance_to_a_flat_border():
    """For a linear model the smoothed one is the model itself, so the true radius is the distance to its border."""

    def scores(batch):
        lead = batch.flatten(1)[:, 0]
        return torch.stack((lead, -lead), 1)

    x = torch.zeros(4, 1, 8, 8)
    x[:, 0, 0, 0] = torch.tensor([0.1, 0.4, -0.8, 0.0])
    found = certify(Shown(scores, classes=2), x, 0.25, 0)
    assert [item.guess for item in found] == [0, 0, 1, -1]
    for item, distance in zip(found, (0.1, 0.4, 0.8, 0.0), strict=True):
        assert item.radius <= distance
    # With 1,000 votes nothing beyond about 2.4 sigma can be certified.
    assert found[1].radius > 0.25
    assert 0.5 < found[2].radius < 0.65


def test_a_model_of_many_classes_is_certified_by_its_own_answers():
    net = small_net()
    x, _ = labelled(net, 3)
    assert all(item.guess in range(-1, CLASSES) for item in certify(Shown(net), x, 0.05, 0, first=20, votes=60))
