"""The Merkle tree against published vectors and against the RFC's own recursive words."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain import merkle
from bot.domain.merkle import Frontier

# The vectors of the Certificate Transparency reference implementation.
LEAVES = tuple(
    bytes.fromhex(text)
    for text in (
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    )
)
ROOTS = (
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)
INCLUSION = (
    (0, 1, ()),
    (
        0,
        8,
        (
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ),
    ),
    (
        5,
        8,
        (
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ),
    ),
    (2, 3, ("fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",)),
    (
        1,
        5,
        (
            "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ),
    ),
)
CONSISTENCY = (
    (1, 1, ()),
    (
        1,
        8,
        (
            "96a296d224f285c67bee93c30f8a309157f0daa35dc5b87e410b78630a09cfc7",
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "6b47aaf29ee3c2af9af889bc1fb9254dabd31177f16232dd6aab035ca39bf6e4",
        ),
    ),
    (
        6,
        8,
        (
            "0ebc5d3437fbe2db158b9f126a1d118e308181031d0a949f8dededebc558ef6a",
            "ca854ea128ed050b41b35ffc1b87b8eb2bde461e9e3b5596ece6b9d5975a0ae0",
            "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        ),
    ),
    (
        2,
        5,
        (
            "5f083f0a1a33ca076a95279832580db3e0ef4584bdff1f54c8a360f50de3031e",
            "bc1a0643b12e4d2d7c77918f44e0f4f79a838b6cf9ec5b5c283e1f4d88599e6b",
        ),
    ),
)
MOST = 300


class Naive:
    """RFC 9162 §2.1.1, §2.1.3.1 and §2.1.4.1, written as the text says it."""

    def __init__(self, leaves: Sequence[bytes]) -> None:
        self.leaves = leaves
        self.hash = cache(self._hash)

    @staticmethod
    def split(n: int) -> int:
        k = 1
        while k * 2 < n:
            k *= 2
        return k

    def _hash(self, start: int, end: int) -> bytes:
        if start == end:
            return sha256(b"").digest()
        if end - start == 1:
            return sha256(b"\0" + self.leaves[start]).digest()
        k = start + self.split(end - start)
        return sha256(b"\1" + self.hash(start, k) + self.hash(k, end)).digest()

    def path(self, m: int, start: int, end: int) -> tuple[bytes, ...]:
        if end - start == 1:
            return ()
        k = self.split(end - start)
        if m < k:
            return (*self.path(m, start, start + k), self.hash(start + k, end))
        return (*self.path(m - k, start + k, end), self.hash(start, start + k))

    def subproof(self, m: int, start: int, end: int, known: bool) -> tuple[bytes, ...]:
        if m == end - start:
            return () if known else (self.hash(start, end),)
        k = self.split(end - start)
        if m <= k:
            return (*self.subproof(m, start, start + k, known), self.hash(start + k, end))
        return (*self.subproof(m - k, start + k, end, False), self.hash(start, start + k))


class Tree:
    """A tree grown by the code under test, with every node it told us to store."""

    def __init__(self, leaves: Sequence[bytes]) -> None:
        self.nodes: dict[tuple[int, int], bytes] = {}
        self.asked = 0
        self.frontiers = [Frontier()]
        for leaf in leaves:
            frontier, new = self.frontiers[-1].append(merkle.leaf_hash(leaf))
            self.frontiers.append(frontier)
            for level, index, hash in new:
                assert (level, index) not in self.nodes
                self.nodes[level, index] = hash

    def node(self, level: int, index: int) -> bytes:
        self.asked += 1
        return self.nodes[level, index]


@pytest.fixture(scope="module")
def naive() -> Naive:
    return Naive([f"leaf {index}".encode() for index in range(MOST)])


@pytest.fixture(scope="module")
def tree(naive: Naive) -> Tree:
    return Tree(naive.leaves)


def flipped(data: bytes, position: int) -> bytes:
    at = position % len(data)
    return data[:at] + bytes([data[at] ^ (1 << position % 8)]) + data[at + 1 :]


def test_the_empty_tree_has_the_hash_of_nothing() -> None:
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert Frontier().root().hex() == empty
    assert merkle.root_of(()).hex() == empty


def test_published_roots_are_reproduced() -> None:
    hashes = [merkle.leaf_hash(leaf) for leaf in LEAVES]
    roots = [merkle.root_of(hashes[:size]).hex() for size in range(1, 9)]
    assert roots == list(ROOTS)


@pytest.mark.parametrize(("index", "size", "proof"), INCLUSION)
def test_published_inclusion_proofs_are_reproduced(
    index: int, size: int, proof: tuple[str, ...]
) -> None:
    made = merkle.inclusion_proof(index, size, node=Tree(LEAVES).node)
    assert [hash.hex() for hash in made] == list(proof)
    leaf, root = merkle.leaf_hash(LEAVES[index]), bytes.fromhex(ROOTS[size - 1])
    assert merkle.verify_inclusion(leaf, index=index, size=size, root=root, proof=made)


@pytest.mark.parametrize(("old", "new", "proof"), CONSISTENCY)
def test_published_consistency_proofs_are_reproduced(
    old: int, new: int, proof: tuple[str, ...]
) -> None:
    made = merkle.consistency_proof(old, new, node=Tree(LEAVES).node)
    assert [hash.hex() for hash in made] == list(proof)
    roots = [bytes.fromhex(ROOTS[size - 1]) for size in (old, new)]
    assert merkle.verify_consistency(
        old=old, old_root=roots[0], new=new, new_root=roots[1], proof=made
    )


def test_every_frontier_has_the_root_of_its_leaves(naive: Naive, tree: Tree) -> None:
    for size, frontier in enumerate(tree.frontiers):
        assert frontier.size == size
        assert len(frontier.hashes) == size.bit_count()
        assert frontier.root() == naive.hash(0, size) == merkle.root_at(size, tree.node)
        assert merkle.frontier_at(size, tree.node) == frontier


def test_new_nodes_are_exactly_the_complete_subtrees(naive: Naive, tree: Tree) -> None:
    complete = {
        (level, index): naive.hash(index << level, (index + 1) << level)
        for level in range(MOST.bit_length())
        for index in range(MOST >> level)
    }
    assert tree.nodes == complete


def test_every_leaf_of_every_size_is_proved_as_the_rfc_says(naive: Naive, tree: Tree) -> None:
    for size in range(1, MOST + 1):
        root = naive.hash(0, size)
        for index in range(size):
            proof = merkle.inclusion_proof(index, size, node=tree.node)
            assert proof == naive.path(index, 0, size)
            leaf = naive.hash(index, index + 1)
            assert merkle.verify_inclusion(leaf, index=index, size=size, root=root, proof=proof)


def test_every_pair_of_sizes_is_proved_as_the_rfc_says(naive: Naive, tree: Tree) -> None:
    for new in range(MOST + 1):
        for old in range(new + 1):
            proof = merkle.consistency_proof(old, new, node=tree.node)
            assert proof == (naive.subproof(old, 0, new, True) if 0 < old < new else ())
            assert merkle.verify_consistency(
                old=old,
                old_root=naive.hash(0, old),
                new=new,
                new_root=naive.hash(0, new),
                proof=proof,
            )


def test_a_proof_asks_for_few_nodes(tree: Tree) -> None:
    for index in range(MOST):
        tree.asked = 0
        merkle.inclusion_proof(index, MOST, node=tree.node)
        merkle.consistency_proof(index, MOST, node=tree.node)
        assert tree.asked <= 4 * MOST.bit_length()


@given(data=st.data(), size=st.integers(1, MOST), position=st.integers(0, 10_000))
def test_a_changed_inclusion_proof_is_refused(
    naive: Naive, tree: Tree, data: st.DataObject, size: int, position: int
) -> None:
    index = data.draw(st.integers(0, size - 1))
    root, leaf = naive.hash(0, size), naive.hash(index, index + 1)
    proof = merkle.inclusion_proof(index, size, node=tree.node)
    wrong = [
        (flipped(leaf, position), index, root, proof),
        (leaf, index, flipped(root, position), proof),
        (leaf, index, root, (*proof, leaf)),
        (leaf, index, root, (leaf, *proof)),
        (leaf, size, root, proof),
        (leaf, -1, root, proof),
    ]
    if proof:
        at = position % len(proof)
        changed = (*proof[:at], flipped(proof[at], position), *proof[at + 1 :])
        wrong += [(leaf, index, root, changed), (leaf, index, root, proof[1:])]
        wrong += [(leaf, index, root, proof[:-1]), (leaf, index ^ 1, root, proof)]
    for claimed, at, top, path in wrong:
        assert not merkle.verify_inclusion(claimed, index=at, size=size, root=top, proof=path)


@given(data=st.data(), new=st.integers(2, MOST), position=st.integers(0, 10_000))
def test_a_changed_consistency_proof_is_refused(
    naive: Naive, tree: Tree, data: st.DataObject, new: int, position: int
) -> None:
    old = data.draw(st.integers(1, new - 1))
    roots = naive.hash(0, old), naive.hash(0, new)
    proof = merkle.consistency_proof(old, new, node=tree.node)
    at = position % len(proof)
    changed = (*proof[:at], flipped(proof[at], position), *proof[at + 1 :])
    wrong: list[tuple[int, int, bytes, bytes, Sequence[bytes]]] = [
        (old, new, flipped(roots[0], position), roots[1], proof),
        (old, new, roots[0], flipped(roots[1], position), proof),
        (old, new, *roots, changed),
        (old, new, *roots, proof[1:]),
        (old, new, *roots, proof[:-1]),
        (old, new, *roots, (*proof, roots[0])),
        (old, new, *roots, ()),
        (new, old, roots[1], roots[0], proof),
        (old, old, *roots, proof),
        (0, new, *roots, proof),
    ]
    for first, last, old_root, new_root, path in wrong:
        assert not merkle.verify_consistency(
            old=first, old_root=old_root, new=last, new_root=new_root, proof=path
        )


@given(new=st.integers(2, MOST), position=st.integers(0, 10_000))
def test_a_rewritten_history_has_no_consistency_proof(
    naive: Naive, tree: Tree, new: int, position: int
) -> None:
    old = 1 + position % (new - 1)
    leaves = list(naive.leaves[:new])
    leaves[position % old] += b" rewritten"
    rewritten = Tree(leaves)
    assert not merkle.verify_consistency(
        old=old,
        old_root=tree.frontiers[old].root(),
        new=new,
        new_root=rewritten.frontiers[new].root(),
        proof=merkle.consistency_proof(old, new, node=rewritten.node),
    )


def test_proofs_beyond_the_tree_are_refused(tree: Tree) -> None:
    with pytest.raises(ValueError, match="5 leaves has no leaf 5"):
        merkle.inclusion_proof(5, 5, node=tree.node)
    with pytest.raises(ValueError, match="from size 6 to size 5"):
        merkle.consistency_proof(6, 5, node=tree.node)


def test_a_proof_for_a_smaller_tree_does_not_show_a_larger_one(naive: Naive, tree: Tree) -> None:
    leaf, root = naive.hash(0, 1), naive.hash(0, 4)
    proof = merkle.inclusion_proof(0, 4, node=tree.node)
    assert merkle.verify_inclusion(leaf, index=0, size=4, root=root, proof=proof)
    assert not merkle.verify_inclusion(leaf, index=0, size=8, root=root, proof=proof)
    proof = merkle.consistency_proof(1, 4, node=tree.node)
    assert not merkle.verify_consistency(old=1, old_root=leaf, new=8, new_root=root, proof=proof)
