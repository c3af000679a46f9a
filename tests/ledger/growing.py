"""A log in memory that grows, forgets its end, and goes on differently."""

from __future__ import annotations

from collections.abc import Sequence

from bot.domain.checkpoints import Checkpoint
from bot.domain.merkle import Frontier, consistency_proof, leaf_hash, root_at
from bot.ports import SignedCheckpoint
from bot.services.origins import signed
from tests.fakes import NOON
from tests.services.sealing import ORIGIN, key


class Log:
    """A log in memory that can forget its end and go on differently."""

    def __init__(self, size: int = 0, *, leaves: str = "leaf", origin: str = ORIGIN) -> None:
        self.origin = origin
        self.nodes: dict[tuple[int, int], bytes] = {}
        self.frontier = Frontier()
        self.grow(size, leaves)

    def grow(self, count: int, leaves: str = "leaf") -> Log:
        for _ in range(count):
            leaf = leaf_hash(f"{leaves} {self.frontier.size}".encode())
            self.frontier, new = self.frontier.append(leaf)
            self.nodes.update({(level, at): h for level, at, h in new})
        return self

    def node(self, level: int, at: int) -> bytes:
        if (level, at) not in self.nodes:
            raise ValueError("there is no such node")
        return self.nodes[level, at]

    async def proof(self, old: int, new: int) -> Sequence[bytes]:
        return consistency_proof(old, new, node=self.node)

    def at(self, size: int, *seeds: int) -> SignedCheckpoint:
        root = root_at(size, self.node)
        checkpoint = Checkpoint(origin=self.origin, size=size, root=root)
        note = signed(checkpoint, [key(seed) for seed in seeds or (1,)])
        return SignedCheckpoint(origin=self.origin, size=size, root=root, note=note, at=NOON)


LOG = Log(100)
OTHER = Log(100, leaves="other")
