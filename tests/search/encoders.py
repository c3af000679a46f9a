"""Encoders that behave, without a model."""

import hashlib
import threading
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from bot.search.encoder import EncoderUnavailable

DIMENSION = 64


class WordEncoder:
    """Give each word a fixed direction, and the words of one meaning the same."""

    model = "words"
    dimension = DIMENSION

    def __init__(self, *, meanings: dict[str, str] | None = None) -> None:
        self.meanings = meanings or {}
        self.encoded: list[str] = []
        self.batches: list[int] = []
        self.threads: set[str] = set()

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        self.encoded.extend(texts)
        self.batches.append(len(texts))
        self.threads.add(threading.current_thread().name)
        vectors = np.zeros((len(texts), DIMENSION), dtype=np.float32)
        for row, text in enumerate(texts):
            for word in text.lower().split():
                vectors[row, _direction(self.meanings.get(word, word))] += 1
        lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
        unit: npt.NDArray[np.float32] = vectors / np.maximum(lengths, 1.0)
        return unit


class BlockedEncoder(WordEncoder):
    """Encode nothing until it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.released = threading.Event()

    @override
    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        self.released.wait(10)
        return super().encode(texts)


class GatedEncoder(WordEncoder):
    """Stop before each text while the gate is closed; `reached` says that one waits there."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()
        self.gate.set()
        self.reached = threading.Event()

    @override
    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        if not self.gate.is_set():
            self.reached.set()
            self.gate.wait(10)
        return super().encode(texts)


class FailingEncoder(WordEncoder):
    """Fail from the moment `failing` is set."""

    failing = False

    @override
    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        if self.failing:
            raise EncoderUnavailable("out of order")
        return super().encode(texts)


def _direction(word: str) -> int:
    return int.from_bytes(hashlib.sha256(word.encode()).digest()[:4], "big") % DIMENSION
