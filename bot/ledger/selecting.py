"""Which entries belong to an export, and the tree over all of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from bot.domain.actions import JSON
from bot.domain.errors import Refused
from bot.domain.ledger import NotAHeader, read, timestamp
from bot.domain.merkle import Frontier, leaf_hash
from bot.ledger.histories import Fields
from bot.ledger.manifests import Scope
from bot.ports import LedgerArchive

AT_ONCE = 2_000  # entries read in one go
# What concerns every effect, or the log as a whole.
_ALWAYS = ("switch.", "glass.", "authorisation.", "key.", "log.", "policy.adopted", "privacy.")


class Tree:
    """The tree over the leaves' own bytes: nothing that the database says of it is believed.

    `levels` are the hashes of its complete subtrees, the leaves' first.
    """

    def __init__(self) -> None:
        self._frontier = Frontier()
        self.levels: list[list[bytes]] = []

    def append(self, leaf: bytes) -> None:
        """Add the next leaf."""
        self._frontier, new = self._frontier.append(leaf_hash(leaf))
        for level, _, hashed in new:
            if level == len(self.levels):
                self.levels.append([])
            self.levels[level].append(hashed)

    def node(self, level: int, index: int) -> bytes:
        """Return the hash of a complete subtree."""
        return self.levels[level][index]

    def root(self) -> bytes:
        """Return the root over all leaves so far."""
        return self._frontier.root()

    @property
    def size(self) -> int:
        """Count the leaves."""
        return self._frontier.size


@dataclass
class Survey:
    """What was found while reading the log once: its tree, and what links its entries."""

    tree: Tree = field(default_factory=Tree)
    always: list[int] = field(default_factory=list)
    incidents: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    links: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    linked: dict[int, tuple[str, ...]] = field(default_factory=dict)
    start: int | None = None

    def take(self, index: int, leaf: bytes, since: str | None) -> None:
        """Take the next entry in; `since` is a time as headers write it."""
        self.tree.append(leaf)
        header = _header(leaf)
        if self.start is None and since is not None and str(header.get("ts", "")) >= since:
            self.start = index
        if str(header.get("type", "")).startswith(_ALWAYS):
            self.always.append(index)
        if "incident" in header:
            self.incidents[str(header["incident"])].append(index)
        links = tuple(_links(header))
        if links:
            self.linked[index] = links
        for link in links:
            self.links[link].append(index)

    def related(self, entries: Sequence[int]) -> list[int]:
        """Return entries with all that the rules need to judge them, in order."""
        found, pending, followed = {*entries, *self.always}, list(entries), set[str]()
        while pending:
            for link in self.linked.get(pending.pop(), ()):
                if link in followed:
                    continue
                followed.add(link)
                pending += [index for index in self.links[link] if index not in found]
                found.update(self.links[link])
        return sorted(found)


async def survey(archive: LedgerArchive, size: int, scope: Scope) -> Survey:
    """Read the first entries of a log.

    Raises:
        Refused: an entry is missing, so that there is no tree.
    """
    since = None if scope.since is None else timestamp(scope.since)
    found = Survey()
    for start in range(0, size, AT_ONCE):
        for sealed in await archive.entries(start=start, before=min(start + AT_ONCE, size)):
            if sealed.seq != found.tree.size or not isinstance(sealed.leaf, bytes):
                break
            found.take(sealed.seq, sealed.leaf, since)
        if found.tree.size < min(start + AT_ONCE, size):
            raise Refused(f"The ledger has no entry {found.tree.size}, so nothing can be proven.")
    return found


def selected(found: Survey, scope: Scope) -> tuple[dict[str, JSON], list[int]]:
    """Return the scope as a manifest has it, and the entries it takes.

    Raises:
        Refused: there is nothing in it.
    """
    size = found.tree.size
    if scope.incident is not None:
        own = found.incidents.get(scope.incident)
        if not own:
            raise Refused(f"The ledger has no entry of {scope.incident[:40]}.")
        return {"incident": scope.incident}, found.related(own)
    if scope.since is None and scope.start is None:
        return {}, list(range(size))
    start = scope.start if scope.start is not None else found.start
    if start is None or not 0 <= start < size:
        raise Refused("The ledger has no entry since then.")
    plain: dict[str, JSON] = {"start": start}
    if scope.since is not None:
        plain["since"] = timestamp(scope.since)
    return plain, found.related(range(start, size))


def spans(entries: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Return entries, in order, as spans that are worth reading in one go."""
    start = before = None
    for index in entries:
        if start is not None and before is not None:
            if index < before + 16 and index < start + AT_ONCE:
                before = index + 1
                continue
            yield start, before
        start, before = index, index + 1
    if start is not None and before is not None:
        yield start, before


def _links(header: Fields) -> Iterator[str]:
    for name in ("plan_digest", "decision_id"):
        if name in header:
            yield f"{name} {header[name]}"
    if str(header.get("type", "")).endswith((".intent", ".outcome")):
        yield f"effect {header.get('idem_key')}"


def _header(leaf: bytes) -> Fields:
    """Return the header; a damaged one has no fields, and is found when the export is verified."""
    try:
        return read(leaf)
    except NotAHeader:
        return {}
