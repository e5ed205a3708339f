"""RFC 6962 hashing against the RFC's own definition, written out plainly here."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zt_gate.audit.merkle import Frontier, leaf_hash, verify_inclusion


def sha(data):
    return hashlib.sha256(data).digest()


def split(size):
    """The largest power of two below the size."""
    return 1 << (size - 1).bit_length() - 1


def tree_hash(leaves):
    """MTH of section 2.1."""
    if len(leaves) < 2:
        return sha(b"\0" + leaves[0]) if leaves else sha(b"")
    k = split(len(leaves))
    return sha(b"\1" + tree_hash(leaves[:k]) + tree_hash(leaves[k:]))


def path(m, leaves):
    """PATH of section 2.1.1."""
    if len(leaves) == 1:
        return []
    k = split(len(leaves))
    if m < k:
        return [*path(m, leaves[:k]), tree_hash(leaves[k:])]
    return [*path(m - k, leaves[k:]), tree_hash(leaves[:k])]


def grown(leaves, watch=None):
    tree = Frontier(watch=watch)
    for leaf in leaves:
        tree.add(leaf)
    return tree


# Roots of the trees over the first n of these entries, from the certificate-transparency reference tests.
ENTRIES = [bytes.fromhex(text) for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657")]
ROOTS = [
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
]


def test_roots_are_those_of_the_reference_tests():
    assert [grown(ENTRIES[: n + 1]).root().hex() for n in range(7)] == ROOTS
    assert Frontier().root() == sha(b"")


@pytest.mark.parametrize("size", range(1, 34))
def test_roots_and_proofs_are_those_of_the_definition(size):
    leaves = [bytes([n]) for n in range(size)]
    root = tree_hash(leaves)
    for index in range(size):
        tree = grown(leaves, watch=index)
        assert tree.root() == root
        assert tree.proof() == path(index, leaves)
        assert verify_inclusion(leaf_hash(leaves[index]), index, size, tree.proof(), root)


@given(st.integers(1, 300), st.data())
def test_a_changed_proof_never_holds(size, data):
    index = data.draw(st.integers(0, size - 1))
    leaves = [n.to_bytes(2, "big") for n in range(size)]
    tree = grown(leaves, watch=index)
    proof, root = tree.proof(), tree.root()
    other = data.draw(st.integers(0, size - 1).filter(lambda n: n != index)) if size > 1 else size
    assert not verify_inclusion(leaf_hash(leaves[index]), other, size, proof, root)
    assert not verify_inclusion(leaf_hash(b"other"), index, size, proof, root)
    assert not verify_inclusion(leaf_hash(leaves[index]), index, size, [*proof, sha(b"x")], root)
    if proof:
        assert not verify_inclusion(leaf_hash(leaves[index]), index, size, proof[:-1], root)
        assert not verify_inclusion(leaf_hash(leaves[index]), index, size, [sha(b"x"), *proof[1:]], root)


@pytest.mark.parametrize("size", [2, 3, 100])
def test_the_root_of_a_smaller_tree_is_not_that_of_a_larger_one(size):
    """A proof that ends too early ends in some subtree, whose hash may be known as a root."""
    leaf = leaf_hash(b"a")
    assert verify_inclusion(leaf, 0, 1, [], leaf)
    assert not verify_inclusion(leaf, 0, size, [], leaf)
    assert not verify_inclusion(leaf, -1, 1, [], leaf)
    assert not verify_inclusion(leaf, 1, 1, [], leaf)


@given(st.integers(0, 200), st.integers(0, 200))
def test_a_frontier_goes_on_where_it_was_left(before, more):
    leaves = [n.to_bytes(2, "big") for n in range(before + more)]
    left = grown(leaves[:before])
    again = Frontier(left.size, left.subtrees)
    for leaf in leaves[before:]:
        again.add(leaf)
    assert again.root() == tree_hash(leaves)


@pytest.mark.parametrize(("size", "subtrees"), [(1, []), (0, [b"x" * 32]), (3, [b"x" * 32]), (1, [b"x"]), (-1, [])])
def test_subtrees_that_do_not_fit_are_refused(size, subtrees):
    with pytest.raises(ValueError, match="do not fit"):
        Frontier(size, subtrees)


def test_no_proof_without_its_leaf():
    for tree in (grown([b"a"]), grown([b"a"], watch=1)):
        with pytest.raises(ValueError, match="not in the tree"):
            tree.proof()
