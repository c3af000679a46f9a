"""The packaged encoder: as exact as its reference, cached, and checked."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from bot.search.encoder import (
    EncoderUnavailable,
    OnnxEncoder,
    RememberingEncoder,
    SentenceTransformersEncoder,
    encoder_named,
    packaged_model,
)
from bot.search.onnx_graph import WeightsMismatch, fused_graph
from tests.search.encoders import WordEncoder

WEIGHTS = packaged_model() / "model.safetensors"


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache directory that all tests of this module share, with the graph in it."""
    directory = tmp_path_factory.mktemp("encoder")
    fused_graph(WEIGHTS, cache_directory=directory)
    return directory


def test_the_fused_graph_equals_sentence_transformers(cache: Path) -> None:
    texts = [
        "",
        "disk full",
        "KubePodCrashLooping: Pod default/api is restarting 1.2 times / 5 minutes.",
        "Größe ﬁle 磁盘已满 🔥 \x00",
        "the quick brown fox " * 40,  # between 128 and 256 tokens
        "replication lag on the primary database grows " * 200,  # cut at 256 tokens
        *(f"queue {'backlog ' * n}of worker {n}" for n in range(30)),
    ]
    fused = OnnxEncoder(cache).encode(texts)
    reference = SentenceTransformersEncoder(str(packaged_model()), cache).encode(texts)
    cosines = (fused * reference).sum(axis=1)
    assert cosines.min() >= 0.999999
    assert np.linalg.norm(fused, axis=1) == pytest.approx(np.ones(len(texts)))


def test_a_vector_does_not_depend_on_its_neighbours(cache: Path) -> None:
    encoder = OnnxEncoder(cache)
    texts = ["disk full", "word " * 300, "dns", "certificate expiry in three days"]
    together = encoder.encode(texts)
    alone = np.concatenate([encoder.encode([text]) for text in texts])
    assert (together * alone).sum(axis=1).min() >= 0.999999
    assert encoder.encode([]).shape == (0, 384)


@pytest.mark.parametrize("model", ("minilm-onnx", str(packaged_model())))
def test_two_threads_encode_at_once(model: str, cache: Path) -> None:
    """Documents on one, and queries on the other."""
    encoder = encoder_named(model)(cache)
    long = [f"{'replication lag ' * (10 + n % 30)}on worker {n}" for n in range(24)]
    short = [f"disk {n} is full" for n in range(24)]
    begin = threading.Barrier(2)

    def encoded(texts: list[str]) -> np.ndarray:
        begin.wait(20)
        return np.concatenate([encoder.encode([text]) for text in texts])

    with ThreadPoolExecutor(2) as threads:
        both = [threads.submit(encoded, texts) for texts in (long, short)]
    alone = encoder.encode([*long, *short])
    together = np.concatenate([each.result() for each in both])
    assert (together * alone).sum(axis=1).min() >= 0.999999


def test_the_graph_is_built_once(cache: Path) -> None:
    graph = fused_graph(WEIGHTS, cache_directory=cache)
    assert isinstance(graph, Path)
    built = graph.stat().st_mtime_ns
    assert fused_graph(Path("/nowhere"), cache_directory=cache) == graph
    assert graph.stat().st_mtime_ns == built


@pytest.mark.parametrize("damage", ("torn", "bit", "checksum"))
def test_a_damaged_graph_is_built_again(tmp_path: Path, damage: str) -> None:
    graph = fused_graph(WEIGHTS, cache_directory=tmp_path)
    assert isinstance(graph, Path)
    whole = graph.read_bytes()
    if damage == "torn":
        graph.write_bytes(whole[:1000])
    elif damage == "bit":
        graph.write_bytes(whole[:5_000_000] + b"\xff\x00" + whole[5_000_002:])
    else:
        graph.with_suffix(".sha256").unlink()
    assert fused_graph(WEIGHTS, cache_directory=tmp_path) == graph
    assert graph.read_bytes() == whole
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        [graph.name, graph.with_suffix(".sha256").name]
    )


def test_other_weights_are_refused(tmp_path: Path) -> None:
    other = tmp_path / "model.safetensors"
    other.write_bytes(b"other")
    with pytest.raises(WeightsMismatch, match="not 53aa5117"):
        fused_graph(other, cache_directory=tmp_path)


def test_a_cache_that_cannot_be_written_costs_only_memory(tmp_path: Path) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a directory")
    assert isinstance(fused_graph(WEIGHTS, cache_directory=blocked), bytes)
    assert OnnxEncoder(blocked).encode(["disk full"]).shape == (1, 384)


def test_a_model_that_cannot_be_loaded_says_so(tmp_path: Path) -> None:
    with pytest.raises(EncoderUnavailable, match="missing"):
        encoder_named(str(tmp_path / "missing"))(tmp_path)


def test_a_text_is_encoded_once() -> None:
    inner = WordEncoder()
    encoder = RememberingEncoder(inner)
    first = encoder.encode(["a", "b", "a"])
    second = encoder.encode(["b", "c", "a"])
    assert inner.encoded == ["a", "b", "c"]
    assert (first[0] == second[2]).all()
    assert (first[1] == second[0]).all()
    assert encoder.encode([]).shape[0] == 0
