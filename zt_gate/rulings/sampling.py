"""In which order samples are drawn: by a seed that nobody knew before the bytes were fixed, so that all can redo it."""

from __future__ import annotations

import hashlib


def drawn(seed: str, population: int) -> list[int]:
    """Return the numbers from 0 to `population - 1` in the order of a seed, each once.

    They are sorted by the SHA-256 of seed and number, so that the order is a random one for whoever does not hold the
    seed, and the same in every program.
    """
    base = seed.encode()
    return sorted(range(population), key=lambda number: hashlib.sha256(base + number.to_bytes(8, "big")).digest())


def derived(seed: str, purpose: str) -> int:
    """Return a number of 62 bits for one purpose, such as `batch 3`."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{purpose}".encode()).digest()[:8], "big") >> 2
