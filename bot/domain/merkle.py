"""The Merkle tree of RFC 9162 (and RFC 6962), as pure functions.

A tree of n > 1 leaves splits at the largest power of two below n. Only
*complete* subtrees are stored: the node at `(level, index)` covers the leaves
from `index << level` up to, not including, `(index + 1) << level`, and never
changes once it exists. Every other hash is folded from those on demand, so
appends, proofs and roots take O(log n).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import TypeAlias

EMPTY_ROOT = sha256(b"").digest()

# Looks up the hash of a complete subtree by level and index.
Node: TypeAlias = Callable[[int, int], bytes]
# A complete subtree that has just come into being: level, index, hash.
NewNode: TypeAlias = tuple[int, int, bytes]


def leaf_hash(leaf: bytes) -> bytes:
    """Return the hash of a leaf's bytes."""
    return sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an interior node."""
    return sha256(b"\x01" + left + right).digest()


@dataclass(frozen=True, kw_only=True)
class Frontier:
    """What one must know of a tree to append to it: its complete subtrees.

    `hashes` has one entry for each binary digit 1 of `size`, the largest
    subtree (leftmost) first.
    """

    size: int = 0
    hashes: tuple[bytes, ...] = ()

    def append(self, leaf: bytes) -> tuple[Frontier, tuple[NewNode, ...]]:
        """Add a leaf by its hash; return the tree after it and the nodes to store.

        The first new node is the leaf itself at level 0; the others are the
        complete subtrees that it closes, from the bottom up.
        """
        level, index, known, current = 0, self.size, len(self.hashes), leaf
        new = [(0, index, leaf)]
        while index & 1:
            level, index, known = level + 1, index >> 1, known - 1
            current = node_hash(self.hashes[known], current)
            new.append((level, index, current))
        grown = Frontier(size=self.size + 1, hashes=(*self.hashes[:known], current))
        return grown, tuple(new)

    def root(self) -> bytes:
        """Return the root of the tree; of an empty tree, the hash of nothing."""
        return _fold(self.hashes) if self.hashes else EMPTY_ROOT


def root_of(leaf_hashes: Iterable[bytes]) -> bytes:
    """Return the root of the tree over some leaves, given by their hashes."""
    frontier = Frontier()
    for leaf in leaf_hashes:
        frontier, _ = frontier.append(leaf)
    return frontier.root()


def frontier_at(size: int, node: Node) -> Frontier:
    """Return the frontier a tree had at some size, from its stored nodes."""
    return Frontier(size=size, hashes=tuple(node(*place) for place in _cover(0, size)))


def root_at(size: int, node: Node) -> bytes:
    """Return the root a tree had at some size, from its stored nodes."""
    return frontier_at(size, node).root()


def inclusion_proof(index: int, size: int, *, node: Node) -> tuple[bytes, ...]:
    """Prove that a leaf is in the tree of some size (RFC 9162 §2.1.3.1).

    The hashes lead from the leaf's sibling up to the root's child.

    Raises:
        ValueError: there is no such leaf in a tree of that size.
    """
    if not 0 <= index < size:
        raise ValueError(f"a tree of {size} leaves has no leaf {index}")
    start, end = 0, size
    siblings: list[tuple[int, int]] = []
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            siblings.append((middle, end))
            end = middle
        else:
            siblings.append((start, middle))
            start = middle
    return tuple(_hash_range(first, last, node) for first, last in reversed(siblings))


def consistency_proof(old: int, new: int, *, node: Node) -> tuple[bytes, ...]:
    """Prove that the tree of size `new` only appended to that of size `old`.

    RFC 9162 §2.1.4.1. Nothing needs proving, and the proof is empty, where the
    sizes are equal or the old tree was empty.

    Raises:
        ValueError: the sizes are not in order.
    """
    if not 0 <= old <= new:
        raise ValueError(f"there is no consistency proof from size {old} to size {new}")
    if old == 0:
        return ()
    start, end = 0, new
    parts: list[tuple[int, int]] = []
    while old < end:
        middle = start + _split(end - start)
        if old <= middle:
            parts.append((middle, end))
            end = middle
        else:
            parts.append((start, middle))
            start = middle
    if start > 0:  # otherwise this is the old root, which the verifier has
        parts.append((start, end))
    return tuple(_hash_range(first, last, node) for first, last in reversed(parts))


def verify_inclusion(
    leaf: bytes, *, index: int, size: int, root: bytes, proof: Sequence[bytes]
) -> bool:
    """Say whether a proof shows a leaf (by its hash) in a tree (RFC 9162 §2.1.3.2)."""
    if not 0 <= index < size:
        return False
    fn, sn, current = index, size - 1, leaf
    for sibling in proof:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            current = node_hash(sibling, current)
            while fn and not fn & 1:
                fn, sn = fn >> 1, sn >> 1
        else:
            current = node_hash(current, sibling)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and current == root


def verify_consistency(
    *, old: int, old_root: bytes, new: int, new_root: bytes, proof: Sequence[bytes]
) -> bool:
    """Say whether a proof shows one tree to be the start of another (RFC 9162 §2.1.4.2).

    The empty tree is the start of every tree; its proof must be empty too.
    """
    if old == new:
        return not proof and old_root == new_root and (old > 0 or old_root == EMPTY_ROOT)
    if old == 0:
        return not proof and old_root == EMPTY_ROOT and new > 0
    if not 0 < old < new or not proof:
        return False
    # A complete old tree is a node of the new one: its root starts the path.
    path = list(proof) if old & (old - 1) else [old_root, *proof]
    return _climb(old, new, path) == (old_root, new_root)


def _climb(old: int, new: int, path: Sequence[bytes]) -> tuple[bytes, bytes] | None:
    """Return the two roots a consistency path leads to, or None where it cannot fit."""
    fn, sn = old - 1, new - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    old_root = new_root = path[0]
    for sibling in path[1:]:
        if sn == 0:
            return None
        if fn & 1 or fn == sn:
            old_root, new_root = node_hash(sibling, old_root), node_hash(sibling, new_root)
            while fn and not fn & 1:
                fn, sn = fn >> 1, sn >> 1
        else:
            new_root = node_hash(new_root, sibling)
        fn, sn = fn >> 1, sn >> 1
    return (old_root, new_root) if sn == 0 else None


def _split(size: int) -> int:
    """Return the largest power of two below a size of at least two."""
    return 1 << ((size - 1).bit_length() - 1)


def _cover(start: int, end: int) -> list[tuple[int, int]]:
    """Return the complete subtrees, from left to right, that make up a subtree's leaves."""
    places: list[tuple[int, int]] = []
    while start < end:
        level = (end - start).bit_length() - 1
        places.append((level, start >> level))
        start += 1 << level
    return places


def _hash_range(start: int, end: int, node: Node) -> bytes:
    return _fold([node(*place) for place in _cover(start, end)])


def _fold(hashes: Sequence[bytes]) -> bytes:
    """Join complete subtrees, the smallest (rightmost) first."""
    current = hashes[-1]
    for left in reversed(hashes[:-1]):
        current = node_hash(left, current)
    return current
