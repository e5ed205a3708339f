"""What two processes say to each other survives, and what is no message is refused before it is believed."""

import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zt_gate.evaluate.sandbox.wire import MAX_HEADER, Incoming, Message, WireError, encode

DTYPES = ("float32", "float64", "int64", "int32", "uint8")


def flat(message: Message) -> bytes:
    return b"".join(bytes(piece) for piece in encode(message))


def read(data: bytes, limit: int = 1 << 20, step: int = 7) -> Message | None:
    incoming = Incoming(limit)
    while data and incoming.message() is None:
        size = min(step, incoming.wanted)
        incoming.feed(data[:size])
        data = data[size:]
    return incoming.message()


@given(
    st.sampled_from(DTYPES),
    st.lists(st.integers(0, 4), max_size=4),
    st.dictionaries(st.text(max_size=5), st.integers(-(2**40), 2**40), max_size=4),
    st.integers(1, 100),
)
def test_a_message_arrives_as_it_was_sent(dtype, shape, head, step):
    tensor = np.arange(int(np.prod(shape)), dtype=dtype).reshape(shape)
    got = read(flat(Message(head, {"x": tensor})), step=step)
    assert got is not None
    assert got.head == head
    assert got.tensors["x"].dtype == dtype
    np.testing.assert_array_equal(got.tensors["x"], tensor)


@given(st.binary(max_size=300))
def test_noise_is_refused_or_incomplete(data):
    try:
        got = read(data)
    except WireError:
        return
    assert got is None or isinstance(got.head, dict)


@given(st.data())
def test_a_changed_byte_of_a_header_never_yields_more_than_was_allowed(data):
    whole = bytearray(flat(Message({"a": 1}, {"x": np.zeros((2, 3), np.float32)})))
    whole[data.draw(st.integers(0, len(whole) - 25))] = data.draw(st.integers(0, 255))
    try:
        got = read(bytes(whole), limit=64)
    except WireError:
        return
    assert got is None or sum(item.nbytes for item in got.tensors.values()) <= 64


def header(text: bytes) -> bytes:
    return struct.pack("<I", len(text)) + text


@pytest.mark.parametrize(
    "data",
    [
        struct.pack("<I", MAX_HEADER + 1),
        header(b"[]"),
        header(b'{"head": {}, "tensors": [], "more": 1}'),
        header(b'{"head": {}, "head": {}, "tensors": []}'),
        header(b'{"head": NaN, "tensors": []}'),
        header(b'{"head": {}, "tensors": [{"name": "x", "dtype": "object", "shape": []}]}'),
        header(b'{"head": {}, "tensors": [{"name": "x", "dtype": "uint8", "shape": [-1]}]}'),
        header(b'{"head": {}, "tensors": [{"name": "x", "dtype": "uint8", "shape": [true]}]}'),
        header(b'{"head": {}, "tensors": [{"name": "x", "dtype": "uint8", "shape": [1, 1, 1, 1, 1, 1, 1]}]}'),
        header(b'{"head": {}, "tensors": [{"name": "x", "dtype": "float64", "shape": [262144]}]}'),
        header(b'{"head": {}, "tensors": ' + b'[{"name": "x", "dtype": "uint8", "shape": []}, ' * 2 + b"1]}"),
    ],
    ids=["long", "list", "field", "twice", "nan", "type", "negative", "bool", "deep", "large", "same name"],
)
def test_what_is_no_message_is_refused(data):
    with pytest.raises(WireError):
        read(data)


def test_what_cannot_be_sent_is_said_here():
    with pytest.raises(WireError, match="complex64"):
        encode(Message({}, {"x": np.zeros(1, np.complex64)}))
