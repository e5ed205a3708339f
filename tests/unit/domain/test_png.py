"""Pictures are PNG that a strict reader takes."""

import struct
import zlib

import pytest

from zt_gate.domain.png import png


def channel(value):
    return [[value, 0.5, 1.0, 0.0]] * 5


@pytest.mark.parametrize(("count", "colour"), [(1, 0), (2, 0), (3, 2), (5, 0)])
def test_a_picture_is_a_png_of_enlarged_values(count, colour):
    data = png([channel(0.2)] * count, enlarge=3)
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    assert struct.unpack(">IIBB", data[16:26]) == (12, 15, 8, colour)
    length = struct.unpack(">I", data[33:37])[0]
    rows = zlib.decompress(data[41 : 41 + length])
    bytes_of_line = 12 * (3 if colour else 1)
    assert len(rows) == 15 * (1 + bytes_of_line)
    assert rows[1] == round(0.2 * 255)
    assert rows[bytes_of_line] == 0
    assert struct.unpack(">I", data[29:33])[0] == zlib.crc32(data[12:29])


@pytest.mark.parametrize(("value", "level"), [(-3.0, 0), (7.0, 255), (float("nan"), 0), (float("inf"), 255)])
def test_values_outside_are_clipped(value, level):
    data = png([[[value]]], enlarge=1)
    assert zlib.decompress(data[41 : 41 + struct.unpack(">I", data[33:37])[0]])[1] == level


@pytest.mark.parametrize("channels", [[], [[]], [[[]]], [[[0.0], [0.0, 1.0]]], [[[0.0]], [[0.0, 0.0]]]])
def test_what_is_no_picture_is_refused(channels):
    with pytest.raises(ValueError, match="same length"):
        png(channels)
