"""The file of vectors: old or new content, or none, whatever happened to it."""

import hashlib
import logging
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from bot.search.snapshot import Snapshot, load, save

MODEL = "weights of sha256 53aa"


def snapshot(count: int, *, seed: int = 0, dimension: int = 8) -> Snapshot:
    chance = np.random.default_rng(seed)
    return Snapshot(
        keys=tuple(hashlib.sha256(bytes([seed, number % 256])).digest() for number in range(count)),
        vectors=chance.normal(size=(count, dimension)).astype(np.float16),
    )


def same(one: Snapshot | None, other: Snapshot) -> bool:
    return (
        one is not None
        and one.keys == other.keys
        and one.vectors.tobytes() == other.vectors.tobytes()
    )


@pytest.mark.parametrize("count", (0, 1, 300))
def test_what_was_saved_is_loaded_and_nobody_else_may_read_it(tmp_path: Path, count: int) -> None:
    path = tmp_path / "new" / "vectors"
    save(path, MODEL, snapshot(count))
    assert same(load(path, MODEL, 8), snapshot(count))
    assert path.stat().st_mode & 0o077 == 0
    assert [file.name for file in path.parent.iterdir()] == ["vectors"]


def test_saving_again_replaces_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "vectors"
    save(path, MODEL, snapshot(20))
    save(path, MODEL, snapshot(3, seed=1))
    assert same(load(path, MODEL, 8), snapshot(3, seed=1))


def test_a_single_flipped_bit_anywhere_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "vectors"
    save(path, MODEL, snapshot(3))
    content = path.read_bytes()
    for place in range(len(content)):
        for bit in (0x01, 0x80):
            changed = bytearray(content)
            changed[place] ^= bit
            path.write_bytes(changed)
            assert load(path, MODEL, 8) is None, place


def test_a_file_cut_anywhere_or_continued_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "vectors"
    save(path, MODEL, snapshot(2))
    content = path.read_bytes()
    for length in range(len(content)):
        path.write_bytes(content[:length])
        assert load(path, MODEL, 8) is None, length
    path.write_bytes(content + b"\0")
    assert load(path, MODEL, 8) is None


def resealed(content: bytes, place: int, value: bytes) -> bytes:
    """Change a file the way its author would, checksum and all."""
    body = bytearray(content[:-32])
    body[place : place + len(value)] = value
    return bytes(body) + hashlib.sha256(body).digest()


@pytest.mark.parametrize(
    ("place", "value", "reason"),
    (
        (0, b"NOTOURS!", "another kind of file"),
        (8, (2).to_bytes(4, "little"), "its version is 2, not 1"),
        (12, (16).to_bytes(4, "little"), "its dimension is 16, not 8"),
        (16, (4).to_bytes(8, "little"), "torn"),
        (16, (2**64 - 1).to_bytes(8, "little"), "torn"),
    ),
)
def test_a_file_that_is_sealed_but_unfit_is_not_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, place: int, value: bytes, reason: str
) -> None:
    path = tmp_path / "vectors"
    save(path, MODEL, snapshot(3))
    path.write_bytes(resealed(path.read_bytes(), place, value))
    with caplog.at_level(logging.INFO):
        assert load(path, MODEL, 8) is None
    assert reason in caplog.text


def test_the_log_names_every_reason(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "vectors"
    caplog.set_level(logging.DEBUG)
    assert load(path, MODEL, 8) is None
    assert "no vectors" in caplog.messages[-1]
    save(path, MODEL, snapshot(3))
    assert load(path, "another model", 8) is None
    assert "made by another model" in caplog.messages[-1]
    assert load(path, MODEL, 9) is None
    assert "its dimension is 8, not 9" in caplog.messages[-1]
    content = bytearray(path.read_bytes())
    content[-40] ^= 1
    path.write_bytes(content)
    assert load(path, MODEL, 8) is None
    assert "checksum" in caplog.messages[-1]
    assert load(tmp_path, MODEL, 8) is None
    assert "directory" in caplog.messages[-1]


def test_what_cannot_be_written_leaves_what_was_there(tmp_path: Path) -> None:
    path = tmp_path / "vectors"
    save(path, MODEL, snapshot(3))
    (tmp_path / "vectors.partial").mkdir()
    with pytest.raises(OSError, match="directory"):
        save(path, MODEL, snapshot(9, seed=1))
    assert same(load(path, MODEL, 8), snapshot(3))


def test_keys_that_do_not_fit_the_vectors_are_refused_before_anything_is_lost(
    tmp_path: Path,
) -> None:
    path = tmp_path / "vectors"
    save(path, MODEL, snapshot(3))
    three, two = snapshot(3), snapshot(2)
    with pytest.raises(ValueError, match="2 keys of 64 bytes for 3 vectors"):
        save(path, MODEL, Snapshot(keys=two.keys, vectors=three.vectors))
    assert same(load(path, MODEL, 8), three)


SAVE_FOR_EVER = """
import sys
from pathlib import Path
from bot.search.snapshot import save
from tests.search.test_snapshot import MODEL, snapshot

one, other = snapshot(20_000, seed=1), snapshot(15_000, seed=2)
print("ready", flush=True)
while True:
    save(Path(sys.argv[1]), MODEL, one)
    save(Path(sys.argv[1]), MODEL, other)
"""


def test_a_process_killed_while_it_saves_leaves_the_old_or_the_new(tmp_path: Path) -> None:
    path = tmp_path / "vectors"
    save(path, MODEL, snapshot(20_000, seed=1))
    either = snapshot(20_000, seed=1), snapshot(15_000, seed=2)
    chance, torn = random.Random(0), 0
    for _ in range(8):
        saver = subprocess.Popen(
            [sys.executable, "-c", SAVE_FOR_EVER, str(path)], stdout=subprocess.PIPE
        )
        assert saver.stdout is not None
        with saver.stdout:
            saver.stdout.readline()
            time.sleep(chance.uniform(0, 0.05))
            os.kill(saver.pid, signal.SIGKILL)
            saver.wait()
        torn += path.with_name("vectors.partial").exists()
        loaded = load(path, MODEL, 8)
        assert any(same(loaded, one) for one in either)
    assert torn, "no kill came in the middle of a save"
    save(path, MODEL, snapshot(1))
    assert same(load(path, MODEL, 8), snapshot(1))
