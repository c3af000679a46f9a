"""What is loaded when: a command that does not search pays for nothing."""

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {"numpy", "faiss", "onnx", "onnxruntime", "tokenizers", "safetensors", "bm25s", "scipy"}
TORCH = {"torch", "transformers", "sentence_transformers"}


def loaded_after(program: str) -> set[str]:
    """Run a program in a fresh interpreter and return the heavy modules it loaded."""
    report = f"\nimport sys; print(*({HEAVY | TORCH!r} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", program + report], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


USE = """
import asyncio
from pathlib import Path
from bot.domain.documents import Document, Query
from bot.search.encoder import encoder_named
from bot.search.engine import HybridSearch

async def use():
    search = HybridSearch(encoder_named("minilm-onnx"), Path({cache!r}))
    await search.put([Document(id="a", kind="runbook", title="Disk", text="The disk is full.")])
    {start}
    found = await search.find(Query(text="no space left"), kinds=["runbook"], limit=1)
    assert len(found.hits) == {hits}, found
    await search.stop()

asyncio.run(use())
"""


@pytest.mark.parametrize(
    "module", ("bot.search", "bot.search.engine", "bot.search.encoder", "bot.domain.documents")
)
def test_importing_search_loads_nothing_heavy(module: str) -> None:
    assert loaded_after(f"import {module}") == set()


def test_making_a_search_loads_nothing_heavy(tmp_path: Path) -> None:
    program = USE.split("    await search.put", maxsplit=1)[0] + "asyncio.run(use())"
    assert loaded_after(program.format(cache=str(tmp_path))) == set()


def test_searching_by_words_loads_numpy_alone(tmp_path: Path) -> None:
    program = USE.format(cache=str(tmp_path), start="", hits=0)
    assert loaded_after(program) == {"numpy"}


def test_the_default_encoder_never_loads_torch(tmp_path: Path) -> None:
    start = "await search.start(); assert await search.wait_until_dense()"
    program = USE.format(cache=str(tmp_path), start=start, hits=1)
    loaded = loaded_after(program)
    assert {"onnxruntime", "tokenizers", "faiss"} <= loaded
    assert not loaded & TORCH
