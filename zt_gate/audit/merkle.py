"""The Merkle tree of RFC 6962 section 2.1 in one pass: it keeps the hashes of O(log n) subtrees, never the tree."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence


def leaf_hash(data: bytes) -> bytes:
    """Return the hash of one entry; 32 bytes."""
    # The prefixes 0 and 1 keep a leaf from passing for an inner node (second preimage, RFC 6962 section 2.1).
    return hashlib.sha256(b"\0" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of two neighbouring subtrees; 32 bytes."""
    return hashlib.sha256(b"\1" + left + right).digest()


class Frontier:
    """The perfect subtrees that a tree of some size consists of, largest first: one per set bit of the size.

    That is all that is needed to add a leaf and to know the root. Given the index of a leaf to watch, the inclusion
    proof of that leaf falls out of the same pass.
    """

    def __init__(self, size: int = 0, subtrees: Sequence[bytes] = (), *, watch: int | None = None) -> None:
        if size < 0 or len(subtrees) != size.bit_count() or any(len(item) != 32 for item in subtrees):
            raise ValueError("the subtrees do not fit the size")
        self.size = size
        self.subtrees = list(subtrees)
        self._watch = watch
        self._path: list[bytes] = []

    def add(self, data: bytes) -> None:
        """Append one entry: amortised two hashes."""
        # Like a binary counter: each set low bit of the size is a full subtree that merges with the new node.
        node, start, width = leaf_hash(data), self.size, 1
        while start & width:
            left = self.subtrees.pop()
            if self._watch is not None and start - width <= self._watch < start + width:
                self._path.append(node if self._watch < start else left)
            node = node_hash(left, node)
            start, width = start - width, width * 2
        self.subtrees.append(node)
        self.size += 1

    def root(self) -> bytes:
        """Return the Merkle tree hash; of an empty tree the hash of nothing."""
        return self._fold([])

    def proof(self) -> list[bytes]:
        """Return the inclusion proof of the watched leaf in the tree as it is now (RFC 6962 section 2.1.1).

        Raises:
            ValueError: no leaf is watched, or it has not come yet.
        """
        if self._watch is None or not 0 <= self._watch < self.size:
            raise ValueError("the watched leaf is not in the tree")
        path = list(self._path)
        self._fold(path)
        return path

    def _fold(self, path: list[bytes]) -> bytes:
        """Join the subtrees from the right, and collect what stands beside the watched leaf on the way."""
        if not self.subtrees:
            return hashlib.sha256(b"").digest()
        starts, start = [], 0
        for bit in range(self.size.bit_length() - 1, -1, -1):
            if self.size >> bit & 1:
                starts.append(start)
                start += 1 << bit
        node, middle = self.subtrees[-1], starts[-1]
        for left, start in zip(reversed(self.subtrees[:-1]), reversed(starts[:-1]), strict=True):
            if self._watch is not None and start <= self._watch < self.size:
                path.append(node if self._watch < middle else left)
            node, middle = node_hash(left, node), start
        return node


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Iterable[bytes], root: bytes) -> bool:
    """Whether a proof shows a leaf at an index of the tree with this size and root (RFC 9162 section 2.1.3.2).

    Args:
        leaf: the leaf's hash, from `leaf_hash`.
        index: zero-based.
        size: number of leaves in the tree.
        proof: hashes from the leaf's sibling up to the root's child.
        root: the tree's hash.
    """
    if not 0 <= index < size:
        return False
    position, last, node = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if position & 1 or position == last:
            node = node_hash(sibling, node)
            while not position & 1 and position:
                position, last = position >> 1, last >> 1
        else:
            node = node_hash(node, sibling)
        position, last = position >> 1, last >> 1
    # A proof that is too short ends before the root's level; its hash alone could belong to a subtree.
    return last == 0 and node == root
