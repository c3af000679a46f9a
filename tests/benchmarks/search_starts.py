"""Fresh processes: how long until search answers by words and by meaning, and what it holds.

    python -m tests.benchmarks.search_starts FOLDER BORN fill|start

is one such process. Time counts from the start of the search, and from the birth
of the process, which includes the interpreter, the imports, opening the database
and reading the documents from a file. Every start but the first finds its vectors
in the database, and mostly in the file beside it, too.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from typing_extensions import override

from bot.search.encoder import DEFAULT_MODEL, encoder_named

ROOT = Path(__file__).resolve().parents[2]

_STARTS = 3
_VECTORS = "vectors.bin"


@dataclass(frozen=True, kw_only=True)
class Start:
    """One start: seconds from its beginning to an answer, and its most memory till then."""

    before: float  # from the process's birth to the beginning
    first: float  # to an answer by words over what has been put by then
    words: float  # to one over all documents
    meaning: float
    memory_words: float  # megabytes
    memory_meaning: float
    cpu_words: float  # seconds of all its threads
    cpu_meaning: float

    @override
    def __str__(self) -> str:
        """Write one line of the table."""
        return (
            f"first {self.first:5.2f} s   all words {self.words:5.2f} s, "
            f"{self.memory_words:4.0f} MB   "
            f"meaning {self.meaning:5.2f} s, {self.memory_meaning:4.0f} MB   from birth "
            f"{self.before + self.words:5.2f} and {self.before + self.meaning:5.2f} s "
            f"(cpu {self.cpu_words:5.2f} and {self.cpu_meaning:5.2f})"
        )


def measure(size: int) -> dict[str, Start]:
    """Return the best start with the file of vectors, and with the database alone."""
    from tests.benchmarks.search_material import documents

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with (folder / "documents.jsonl").open("w", encoding="utf-8") as file:
            for one in documents(size):
                file.write(json.dumps([one.id, one.kind, one.title, one.text, one.services]) + "\n")
        _started(folder, "fill")
        with_file = [_started(folder, "start") for _ in range(_STARTS)]
        without = [_started(folder, "start", forget=True) for _ in range(_STARTS)]
    return {"file": _best(with_file), "database": _best(without)}


def _best(starts: list[Start]) -> Start:
    return min(starts, key=lambda start: start.meaning)


def _started(folder: Path, mode: str, *, forget: bool = False) -> Start:
    """Start a process that tells what it took."""
    if forget:
        (folder / _VECTORS).unlink(missing_ok=True)
    command = [sys.executable, "-m", "tests.benchmarks.search_starts", str(folder)]
    told = subprocess.run(
        [*command, str(time.time()), mode], cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True
    )
    return Start(**json.loads(told.stdout.splitlines()[-1]))


async def answer(folder: Path, born: float, *, factory: Callable[[Path], Any]) -> Start:
    """Do what the bot does when it starts, and note when it answers."""
    from bot.domain.documents import Document, Query
    from bot.search.engine import HybridSearch
    from tests.benchmarks.search_machine import peak_memory
    from tests.storage.opened import opened

    async with opened(folder) as database:
        lines = (folder / "documents.jsonl").read_text(encoding="utf-8").splitlines()
        fields = ("id", "kind", "title", "text", "services")
        documents = [Document(**dict(zip(fields, json.loads(x), strict=True))) for x in lines]
        last = documents[-1]
        query = Query(text=f"{last.title} {last.text}")

        before, begun = time.time() - born, time.perf_counter()
        search = HybridSearch(factory, folder, database=database)

        async def answered() -> tuple[float, float, float]:
            hits = (await search.find(query, kinds=(last.kind,), limit=10)).hits
            assert any(hit.document.id == last.id for hit in hits)
            return time.perf_counter() - begun, peak_memory(), time.process_time()

        await search.start()
        putting = asyncio.create_task(search.put(documents))
        while not (await search.find(query, kinds=(last.kind,), limit=10)).hits:
            pass  # each question waits for a slice of what is put
        first = time.perf_counter() - begun
        await putting
        words, memory_words, cpu_words = await answered()
        assert await search.wait_until_dense()
        meaning, memory, cpu = await answered()
        await search.stop()
    return Start(
        before=before,
        first=first,
        words=words,
        meaning=meaning,
        memory_words=memory_words,
        memory_meaning=memory,
        cpu_words=cpu_words,
        cpu_meaning=cpu,
    )


def main() -> None:
    """Be one of the processes; "fill" puts vectors into the database that cost no encoding."""
    folder, born, mode = Path(sys.argv[1]), float(sys.argv[2]), sys.argv[3]
    factory: Callable[[Path], Any] = encoder_named(DEFAULT_MODEL)
    if mode == "fill":
        from tests.benchmarks.search_material import SwitchedEncoder

        def inventing(cache: Path) -> Any:
            encoder = SwitchedEncoder(cache)
            encoder.real = False
            return encoder

        factory = inventing
    print(json.dumps(asdict(asyncio.run(answer(folder, born, factory=factory)))))


if __name__ == "__main__":
    main()
