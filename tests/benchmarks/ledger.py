"""Measure the ledger: appends beside bare commits, verification, proofs, signing, evidence.

    python -m tests.benchmarks.ledger [FOLDER]

Everything is real: encryption under people's keys, group commit with
`synchronous=FULL`, Ed25519. Bare commits are one row each on the same file
system in the same run, so that the ratio says more than the disk. What only
computes is given in CPU time beside the time it took, since others may use the
machine. FOLDER is where the databases are made; by itself, where temporary
files go.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from bot.domain.audits import verify
from bot.domain.checkpoints import Checkpoint
from bot.domain.ledger import Entry, Sealed, draft, seal
from bot.domain.merkle import consistency_proof, inclusion_proof, leaf_hash
from bot.ledger.audits import verify_bundle
from bot.ledger.bundles import Evidence, Scope, export_bundle
from bot.ledger.selecting import Tree
from bot.ledger.signing import FileKey, sign_text, verify_ed25519
from bot.ledger.subjects import SubjectKeys
from bot.services.checkpoints import CheckpointService
from bot.storage.sqlite import SqliteDatabase, verify_file
from tests.benchmarks.figures import Figure, percentile
from tests.fakes import FakeCalendars

ORIGIN = "tocsin.example/bench"
WRITERS = 64
APPENDS = 12_800
COMMITS = 1_000
LEAVES = 100_000
PROOFS = 2_000
EVIDENCE = 1_000
PEOPLE = 20


class Clock:
    """The machine's clock."""

    def now(self) -> datetime:
        """Return the current moment."""
        return datetime.now(UTC)


def entry(number: int) -> Entry:
    """Return an entry about a person, with a body of some 300 bytes."""
    return Entry(
        type="run.step_done",
        actor=f"person:U{number % PEOPLE}",
        at=datetime.now(UTC),
        incident=f"INC-{number % 50}",
        action="checkout.restart@1",
        risk=2,
        plan_digest="0" * 64,
        idem_key=f"{number:012x}:restart",
        body={"run": f"{number:012x}", "text": "Restart the worker: done. " * 8},
    )


def bare(folder: Path) -> float:
    """Return bare SQLite commits of one row each per second."""
    with closing(sqlite3.connect(folder / "bare.db", isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("CREATE TABLE rows (id INTEGER PRIMARY KEY, body BLOB)")
        row = os.urandom(800)
        began = time.perf_counter()
        for _ in range(COMMITS):
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("INSERT INTO rows (body) VALUES (?)", (row,))
            connection.execute("COMMIT")
        return COMMITS / (time.perf_counter() - began)


async def appends(database: SqliteDatabase) -> tuple[float, list[float]]:
    """Return appends per second with many writers at once, and each one's milliseconds."""
    numbers, waits = itertools.count(), list[float]()

    async def write() -> None:
        while (number := next(numbers)) < APPENDS:
            began = time.perf_counter()
            async with database.transaction() as tx:
                await tx.ledger.append(entry(number))
            waits.append((time.perf_counter() - began) * 1000)

    began = time.perf_counter()
    await asyncio.gather(*(write() for _ in range(WRITERS)))
    return APPENDS / (time.perf_counter() - began), waits


async def filled(database: SqliteDatabase, count: int) -> None:
    """Append entries up to a number, many to a transaction."""
    while (size := await database.archive.size()) < count:
        async with database.transaction() as tx:
            for number in range(size, min(count, size + 5_000)):
                await tx.ledger.append(entry(number))


def once(work: Callable[[], object]) -> tuple[float, float]:
    """Return how many seconds something takes, and how many of them it computes."""
    began, computed = time.perf_counter(), time.thread_time()
    work()
    return time.perf_counter() - began, time.thread_time() - computed


def each(work: Callable[[int], object], numbers: Sequence[int]) -> list[float]:
    """Return how many microseconds something takes for each number."""
    return [once(partial(work, number))[0] * 1e6 for number in numbers]


def micro(waits: Sequence[float], share: float) -> str:
    """Return a percentile of microseconds as text."""
    return f"{percentile(waits, share):.0f}"


def seconds(took: tuple[float, float]) -> str:
    """Return both times as text."""
    return f"{took[0]:.2f} (CPU {took[1]:.2f})"


def in_memory() -> tuple[list[Sealed], Tree]:
    """Return a log that is in memory, with its tree."""
    rows, ts, tree = list[Sealed](), "", Tree()
    for number in range(LEAVES):
        made = draft(entry(number), salt=os.urandom(16))
        row = seal(made, seq=number, previous_ts=ts or None, now=datetime.now(UTC))
        ts = row.leaf.partition(b'"ts":"')[2][:27].decode()
        rows.append(row)
        tree.append(row.leaf)
    return rows, tree


def verification() -> list[Figure]:
    """Measure verification in memory, and the parts of it; and proofs."""
    rows, tree = in_memory()
    nodes = {(level, at): h for level, h_s in enumerate(tree.levels) for at, h in enumerate(h_s)}
    all_of_it = once(lambda: verify(rows, lambda a, b: nodes.get((a, b)), size=LEAVES))
    hashing = once(lambda: [leaf_hash(row.leaf) for row in rows])
    draw = random.Random(1)
    some = [draw.randrange(LEAVES) for _ in range(PROOFS)]
    inclusion = each(lambda n: inclusion_proof(n, LEAVES, node=tree.node), some)
    consistency = each(lambda n: consistency_proof(n, LEAVES, node=tree.node), some)
    return [
        Figure("verify 100k leaves with bodies, in memory", seconds(all_of_it), "s", "≤ 1"),
        Figure("… of which hashing the leaves", seconds(hashing), "s"),
        Figure("inclusion proof, nodes in memory, p50", micro(inclusion, 0.5), "µs"),
        Figure("consistency proof, nodes in memory, p50", micro(consistency, 0.5), "µs"),
    ]


async def stored(database: SqliteDatabase, path: Path, keys: SubjectKeys) -> list[Figure]:
    """Measure verification of a database file, and proofs from its nodes."""
    await filled(database, LEAVES)
    opened = await asyncio.to_thread(once, lambda: verify_file(path, keys))
    closed = await asyncio.to_thread(once, lambda: verify_file(path))
    draw = random.Random(1)
    some = [draw.randrange(1, LEAVES) for _ in range(PROOFS // 4)]
    inclusion, consistency = list[float](), list[float]()
    for number in some:
        began = time.perf_counter()
        await database.archive.inclusion(number, LEAVES)
        between = time.perf_counter()
        await database.archive.consistency(number, LEAVES)
        inclusion.append((between - began) * 1e6)
        consistency.append((time.perf_counter() - between) * 1e6)
    return [
        Figure("verify a file of 100k, bodies decrypted", seconds(opened), "s", "≤ 1"),
        Figure("verify a file of 100k, bodies left closed", seconds(closed), "s", "≤ 1"),
        Figure(
            "inclusion proof from SQLite, p50", f"{percentile(inclusion, 0.5):.0f}", "µs", "≤ 500"
        ),
        Figure("inclusion proof from SQLite, p99", f"{percentile(inclusion, 0.99):.0f}", "µs"),
        Figure("consistency proof from SQLite, p50", f"{percentile(consistency, 0.5):.0f}", "µs"),
    ]


def signing(signer: FileKey) -> list[Figure]:
    """Measure signing a checkpoint."""
    said = Checkpoint(origin=ORIGIN, size=LEAVES, root=bytes(32))
    took = each(lambda _: sign_text(said.text(), signer).write(), range(PROOFS))
    return [Figure("sign a checkpoint, p50", micro(took, 0.5), "µs")]


async def evidence(folder: Path, signer: FileKey) -> list[Figure]:
    """Measure the export of a log, and the verification of the bundle."""
    database = SqliteDatabase(folder / "evidence.db", Clock(), SubjectKeys(folder / "keys"))
    database.open()
    service = CheckpointService(
        database, database.archive, Clock(), signer=signer, verify=verify_ed25519, origin=ORIGIN
    )
    await service.start()
    for size in range(64, EVIDENCE + 64, 64):
        await filled(database, min(size, EVIDENCE))
        await service.seal("bench")
    source = Evidence(database=database, archive=database.archive, calendars=FakeCalendars())
    bundle, began = folder / "bundle.tar", time.perf_counter()
    await export_bundle(bundle, source, scope=Scope(), redact=False)
    exported = time.perf_counter() - began
    await service.stop()
    await database.close()
    keys = [signer.verifier]
    verified = once(lambda: verify_bundle(bundle, keys=keys, verify=verify_ed25519))
    return [
        Figure("export 1,000 entries", f"{exported * 1000:.0f}", "ms"),
        Figure("verify a bundle of 1,000 entries", f"{verified[0] * 1000:.0f}", "ms"),
    ]


async def measure(folder: Path) -> list[Figure]:
    """Measure everything in a folder."""
    signer = FileKey.load_or_create(folder / "key.pem", ORIGIN)
    keys = SubjectKeys(folder / "keys")
    path = folder / "ledger.db"
    database = SqliteDatabase(path, Clock(), keys)
    database.open()
    try:
        commits = bare(folder)
        rate, waits = await appends(database)
        figures = [
            Figure("bare SQLite commits, one row each", f"{commits:,.0f}", "/s"),
            Figure(f"appends, {WRITERS} writers, encrypted", f"{rate:,.0f}", "/s"),
            Figure("… as a ratio to bare commits", f"{rate / commits:.1f}", "times"),
            Figure("… p50", f"{percentile(waits, 0.5):.1f}", "ms"),
            Figure("… p99", f"{percentile(waits, 0.99):.1f}", "ms"),
            *await stored(database, path, keys),
        ]
    finally:
        await database.close()
    return [*figures, *verification(), *signing(signer), *await evidence(folder, signer)]


def main(where: Path | None = None) -> list[Figure]:
    """Measure and return the figures."""
    with tempfile.TemporaryDirectory(prefix="tocsin-ledger-", dir=where) as folder:
        return asyncio.run(measure(Path(folder)))


def table(figures: Sequence[Figure]) -> str:
    """Return figures as a table in Markdown."""
    rows = [f"| {f.name} | {f.value} {f.unit} | {f.goal} |" for f in figures]
    return "\n".join(["| What | Measured | Goal |", "| --- | ---: | ---: |", *rows])


if __name__ == "__main__":
    print(table(main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)))
