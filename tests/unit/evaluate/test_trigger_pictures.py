"""Whatever arrays a worker gives, a statement gets small pictures or none."""

import numpy as np
import pytest

from zt_gate.domain import parse_picture
from zt_gate.evaluate.adapters.declaration import Declaration
from zt_gate.evaluate.backdoor_check import trigger_pictures


def drawn(channels, side, *, low=0.0, high=1.0, **arrays):
    declared = Declaration("image", 10, (channels, side, side), low, high)
    example = np.full((channels, side, side), low, np.float32)
    found = trigger_pictures({name.replace("_", "."): array for name, array in arrays.items()}, example, declared)
    return {name: parse_picture({**pixels, "kind": "pixels", "title": "t"}) for name, pixels in found.items()}


def test_a_patch_is_shown_alone_and_on_an_image():
    mask = np.zeros((1, 4, 4), np.float32)
    mask[0, 0, 3] = 1.0
    seen = drawn(1, 4, patch_mask=mask, patch_pattern=np.ones((1, 4, 4), np.float32))
    assert seen["patch.seen"].rows == ("808080ff", *["80808080"] * 3)
    assert seen["patch.example"].rows == ("00000000",) * 4
    assert seen["patch.stamped"].rows == ("000000ff", *["00000000"] * 3)


def test_values_are_drawn_between_their_bounds():
    seen = drawn(3, 2, low=-1.0, high=1.0, additive_pattern=np.full((3, 2, 2), 0.25, np.float32))
    assert seen["additive.seen"].rows == ("ffffffffffff",) * 2
    assert seen["additive.stamped"].rows == ("202020202020",) * 2


@pytest.mark.parametrize(("channels", "side", "size"), [(2, 6, 6), (3, 200, 50), (1, 64, 64)])
def test_large_images_lose_pixels_and_odd_ones_their_colour(channels, side, size):
    seen = drawn(channels, side, additive_pattern=np.zeros((channels, side, side), np.float32))["additive.seen"]
    assert (seen.channels, len(seen.rows)) == (channels if channels == 3 else 1, size)


def test_other_shapes_and_values_that_are_no_numbers_are_harmless():
    assert drawn(1, 4, patch_mask=np.zeros((1, 9, 9), np.float32), patch_pattern=np.zeros((1, 4, 4), np.float32)) == {}
    assert drawn(1, 4, additive_pattern=np.zeros((4,), np.float32)) == {}
    assert drawn(1, 2, additive_pattern=np.full((1, 2, 2), np.nan, np.float32))["additive.seen"].rows == ("0000",) * 2
