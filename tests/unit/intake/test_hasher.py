import hashlib

from hypothesis import given
from hypothesis import strategies as st

from zt_gate.intake.hasher import Algorithm, Hasher


@given(st.lists(st.binary(min_size=1, max_size=64), max_size=20), st.sampled_from([0, 5, 1 << 30]))
def test_any_split_gives_the_digest_of_the_whole(parts, expected_size):
    with Hasher(expected_size) as digest:
        for part in parts:
            for start in range(0, len(part), len(digest.buffer)):
                piece = part[start : start + len(digest.buffer)]
                target = digest.buffer[: len(piece)]
                target[:] = piece
                digest.update(target)
        assert digest.hexdigests()[Algorithm.SHA256] == hashlib.sha256(b"".join(parts)).hexdigest()
