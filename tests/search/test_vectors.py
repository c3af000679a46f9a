"""Vectors come from the file, the database or the encoder, in this order, and are the same."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import threading
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from typing_extensions import override

from bot.ports import Database
from bot.search import snapshot
from bot.search.vectors import Vault, VectorCache
from tests.search.encoders import DIMENSION, WordEncoder
from tests.storage.opened import opened

Vectors = npt.NDArray[np.float32]

MODEL = "sha256 of some weights"
TEXTS = tuple(f"disk {number} is full of logs" for number in range(30))


class Encoding:
    """An encoder as the engine hands it over, which counts and can fail."""

    def __init__(self) -> None:
        self.encoder = WordEncoder()
        self.fails_after = 10**9

    @property
    def encoded(self) -> list[str]:
        return self.encoder.encoded

    async def __call__(self, texts: Sequence[str]) -> Vectors | None:
        if len(self.encoded) >= self.fails_after:
            return None
        return self.encoder.encode(texts)


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    async with opened(tmp_path / "store") as running:
        yield running


def vault(database: Database | None, path: Path | None, model: str = MODEL) -> Vault:
    return Vault(database, path, model=model, dimension=DIMENSION)


async def asked(vault: Vault, texts: Sequence[str] = TEXTS) -> tuple[Vectors | None, list[str]]:
    """Open a vault, ask it for texts, close it, and say what had to be encoded."""
    encoding = Encoding()
    await vault.open()
    vectors = await vault.vectors(texts, encoding)
    await vault.close()
    return vectors, encoding.encoded


async def corrupt(database: Database, text: str, content: bytes) -> None:
    async with database.transaction() as tx:
        await tx.embeddings.add(MODEL, {hashlib.sha256(text.encode()).digest(): content})


async def test_a_save_that_nobody_waits_for_any_more_is_finished_before_the_end(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, begun, go, save = (
        tmp_path / "vectors",
        threading.Event(),
        threading.Event(),
        snapshot.save,
    )

    def slow(*content: Any) -> None:
        begun.set()
        assert go.wait(20)
        save(*content)

    monkeypatch.setattr(snapshot, "save", slow)
    held = vault(database, path)
    await held.open()
    await held.vectors(TEXTS, Encoding())
    saving = asyncio.create_task(held.save())
    assert await asyncio.to_thread(begun.wait, 20)
    saving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await saving
    closing = asyncio.create_task(held.close())
    go.set()
    await closing
    found = snapshot.load(path, MODEL, DIMENSION)
    assert found is not None
    assert len(found.keys) == len(TEXTS)


async def test_a_text_is_encoded_once_and_its_vector_is_the_same_wherever_it_comes_from(
    database: Database, tmp_path: Path
) -> None:
    path = tmp_path / "vectors"
    made, encoded = await asked(vault(database, path), [*TEXTS, *TEXTS])
    assert encoded == list(TEXTS)
    assert made is not None
    exact = WordEncoder().encode([*TEXTS, *TEXTS])
    assert np.allclose(made, exact, atol=1e-3)
    for source in (vault(database, path), vault(database, None), vault(None, path)):
        again, encoded = await asked(source, [*TEXTS, *TEXTS])
        assert encoded == []
        assert again is not None
        assert again.tobytes() == made.tobytes()


async def test_without_database_and_file_everything_is_encoded() -> None:
    for _ in range(2):
        made, encoded = await asked(vault(None, None))
        assert made is not None
        assert encoded == list(TEXTS)


async def test_without_a_database_the_file_remembers_old_and_new(tmp_path: Path) -> None:
    path = tmp_path / "vectors"
    await asked(vault(None, path), TEXTS[:10])
    _, encoded = await asked(vault(None, path), TEXTS[5:20])
    assert encoded == list(TEXTS[10:20])
    _, encoded = await asked(vault(None, path), TEXTS)
    assert encoded == list(TEXTS[20:])


async def test_the_database_serves_what_a_lost_or_broken_file_does_not(
    database: Database, tmp_path: Path
) -> None:
    path = tmp_path / "vectors"
    await asked(vault(database, path))
    content = path.read_bytes()
    for broken in (b"", content[:-1], content[:100] + b"?" + content[101:], b"foreign" * 99):
        path.write_bytes(broken)
        _, encoded = await asked(vault(database, path))
        assert encoded == []
        assert path.read_bytes() == content


async def test_another_model_shares_nothing(database: Database, tmp_path: Path) -> None:
    path = tmp_path / "vectors"
    await asked(vault(database, path))
    _, encoded = await asked(vault(database, path, "another model"))
    assert encoded == list(TEXTS)


async def test_a_vector_of_the_wrong_size_or_not_finite_is_encoded_anew_and_replaced(
    database: Database,
) -> None:
    await asked(vault(database, None))
    nan = np.full(DIMENSION, np.nan, dtype="<f2").tobytes()
    for content in (b"", b"\0" * (2 * DIMENSION - 2), b"\0" * (2 * DIMENSION + 2), nan):
        await corrupt(database, TEXTS[3], content)
        _, encoded = await asked(vault(database, None))
        assert encoded == [TEXTS[3]]
        _, encoded = await asked(vault(database, None))
        assert encoded == []


async def test_a_broken_vector_in_the_database_does_not_spoil_the_file(
    database: Database, tmp_path: Path
) -> None:
    await corrupt(database, "short", b"\0\0")
    await corrupt(database, "wild", np.full(DIMENSION, np.inf, dtype="<f2").tobytes())
    path = tmp_path / "vectors"
    await asked(vault(database, path), TEXTS)
    vectors, encoded = await asked(vault(None, path), [*TEXTS, "short", "wild"])
    assert encoded == ["short", "wild"]
    assert vectors is not None
    assert np.isfinite(vectors).all()


async def test_what_was_encoded_before_a_failure_is_kept(database: Database) -> None:
    encoding = Encoding()
    encoding.fails_after = 16
    failing = vault(database, None)
    assert await failing.vectors(TEXTS, encoding) is None
    assert len(encoding.encoded) == 16
    _, encoded = await asked(vault(database, None))
    assert encoded == list(TEXTS[16:])


async def test_no_transaction_is_open_while_the_encoder_works(database: Database) -> None:
    class Writing(Encoding):
        @override
        async def __call__(self, texts: Sequence[str]) -> Vectors | None:
            async with database.transaction() as tx:
                await tx.embeddings.add("other", {b"k" * 32: b"\0" * 8})
            return await super().__call__(texts)

    assert await vault(database, None).vectors(TEXTS, Writing()) is not None


async def test_an_encoder_that_lies_about_its_dimension_is_refused(database: Database) -> None:
    async def encode(texts: Sequence[str]) -> Vectors:
        return np.zeros((len(texts), 5), dtype=np.float32)

    with pytest.raises(ValueError, match=r"\(1, 5\), not 64 wide"):
        await vault(database, None).vectors(TEXTS, encode)


async def test_more_texts_than_one_statement_takes_and_texts_no_encoding_can_hold(
    database: Database,
) -> None:
    cache = VectorCache(database, MODEL, dimension=3)
    texts = [f"text {number}" for number in range(1203)] + ["lone \ud800 surrogate", ""]
    kept = {text: np.array([n, 1, 2], dtype=np.float32) for n, text in enumerate(texts)}
    await cache.keep(kept)
    known = await cache.known([*texts, "unknown"])
    assert known.keys() == kept.keys()
    assert all((known[text] == kept[text]).all() for text in texts)


async def test_a_file_that_cannot_be_written_is_no_reason_to_fail(
    database: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    blocked = tmp_path / "a file"
    blocked.write_text("not a directory")
    with caplog.at_level(logging.WARNING):
        made, _ = await asked(vault(database, blocked / "vectors"))
    assert made is not None
    assert "cannot be saved" in caplog.text


async def test_nothing_new_is_not_saved_again(database: Database, tmp_path: Path) -> None:
    path = tmp_path / "vectors"
    await asked(vault(database, path))
    before = path.stat().st_ino
    await asked(vault(database, path))
    assert path.stat().st_ino == before
