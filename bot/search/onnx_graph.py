"""Build the packaged sentence encoder as one fused ONNX graph, once per machine.

The graph is assembled straight from the weights, without torch: ONNX Runtime's
fused operators (`com.microsoft`) run BERT in a few nodes per layer. It is kept
in a cache under the sha256 of the weights, with its own checksum beside it.
"""

from __future__ import annotations

import hashlib
import logging
import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto, TensorProto

logger = logging.getLogger(__name__)

PACKAGED_WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"

_BUILDER = "g1"  # Part of the cached file's name; raise it when the graph changes.
_FUSED = "com.microsoft"
_LAYERS = 6
_HEADS = 12
_EPSILON = 1e-12

Weight = npt.NDArray[np.float32]


class WeightsMismatch(Exception):
    """The weights on disk are not the ones this graph was measured with."""


def fused_graph(weights: Path, *, cache_directory: Path) -> Path | bytes:
    """Return the graph for the packaged weights, building it if it is not cached.

    A cached graph that is torn or altered does not match its checksum and is
    built again. Both files are written by rename, so that two processes
    starting together harm neither each other nor a reader. Where the cache
    cannot be written the graph itself is returned, at some 80 MB more of memory.

    Raises:
        WeightsMismatch: the weights do not have the packaged model's sha256.
        OSError: the weights cannot be read.
    """
    graph = cache_directory / f"minilm-{PACKAGED_WEIGHTS_SHA256[:16]}-{_BUILDER}.onnx"
    checksum = graph.with_suffix(".sha256")
    if _intact(graph, checksum):
        return graph
    found = _sha256(weights)
    if found != PACKAGED_WEIGHTS_SHA256:
        raise WeightsMismatch(f"{weights} has sha256 {found}, not {PACKAGED_WEIGHTS_SHA256}")
    content = build_graph(weights)
    try:
        cache_directory.mkdir(parents=True, exist_ok=True)
        _write(graph, content)
        _write(checksum, hashlib.sha256(content).hexdigest().encode())
    except OSError as error:
        logger.warning("the encoder is built anew at each start, its cache fails: %s", error)
        return content
    return graph


def build_graph(weights: Path) -> bytes:
    """Assemble the serialized graph: token ids and mask in, unit vectors of 384 out."""
    from safetensors.numpy import load_file  # noqa: PLC0415 - needed once per machine

    drawing = _Drawing(load_file(weights))
    hidden = drawing.embeddings()
    for layer in range(_LAYERS):
        hidden = drawing.layer(layer, hidden)
    drawing.mean_pooling(hidden)
    content: bytes = drawing.model().SerializeToString()
    return content


@dataclass
class _Drawing:
    """A graph under construction; each method adds one part and names its output."""

    weights: dict[str, Weight]
    nodes: list[NodeProto] = field(default_factory=list)
    constants: list[TensorProto] = field(default_factory=list)

    def embeddings(self) -> str:
        """Add word and position embeddings; token type 0, the only one, joins the positions."""
        from onnx import TensorProto  # noqa: PLC0415 - needed once per machine

        self._node("Cast", ["input_ids"], "ids", to=TensorProto.INT32)
        self._node("Cast", ["attention_mask"], "mask", to=TensorProto.INT32)
        self._node("Cast", ["attention_mask"], "float_mask", to=TensorProto.FLOAT)
        token_type = self.weights["embeddings.token_type_embeddings.weight"][0]
        positions = self.weights["embeddings.position_embeddings.weight"] + token_type
        inputs = [
            "ids",
            "",
            self._weight("embeddings.word_embeddings.weight"),
            self._constant("positions", positions),
            "",
            self._weight("embeddings.LayerNorm.weight"),
            self._weight("embeddings.LayerNorm.bias"),
            "",
        ]
        self._node("EmbedLayerNormalization", inputs, "embedded", "mask_index", epsilon=_EPSILON)
        return "embedded"

    def layer(self, number: int, hidden: str) -> str:
        """Add one transformer layer: self-attention, then the feed-forward pair."""
        name = f"encoder.layer.{number}."
        heads = self._attention(name, hidden)
        attended = self._project(f"{name}attention.output.dense", heads)
        middle = self._normalized(f"{name}attention.output", attended, hidden)
        inner = self._project(f"{name}intermediate.dense", middle)
        bias = self._weight(f"{name}intermediate.dense.bias")
        gelu = self._node("BiasGelu", [inner, bias], f"{name}gelu")
        outer = self._project(f"{name}output.dense", gelu)
        return self._normalized(f"{name}output", outer, middle)

    def mean_pooling(self, hidden: str) -> None:
        """Add masked pooling to a unit vector; a sum scaled to length 1 is the mean so scaled."""
        axis = self._constant("axis", np.array([1], dtype=np.int64))
        self._node("Unsqueeze", ["float_mask", axis], "mask_row")
        self._node("MatMul", ["mask_row", hidden], "summed_row")
        self._node("Squeeze", ["summed_row", axis], "summed")
        self._node("LpNormalization", ["summed"], "embedding", axis=1, p=2)

    def model(self) -> ModelProto:
        """Close the graph into a model."""
        from onnx import TensorProto, helper  # noqa: PLC0415 - needed once per machine

        shape = ["batch", "sequence"]
        inputs = [
            helper.make_tensor_value_info(name, TensorProto.INT64, shape)
            for name in ("input_ids", "attention_mask")
        ]
        output = helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["batch", 384])
        graph = helper.make_graph(self.nodes, "minilm", inputs, [output], self.constants)
        versions = [helper.make_opsetid("", 17), helper.make_opsetid(_FUSED, 1)]
        return helper.make_model(graph, opset_imports=versions, ir_version=8)

    def _attention(self, name: str, hidden: str) -> str:
        """Add the fused attention over query, key and value side by side."""
        parts = [f"{name}attention.self.{part}" for part in ("query", "key", "value")]
        joined = np.concatenate([self.weights[f"{part}.weight"].T for part in parts], axis=1)
        bias = np.concatenate([self.weights[f"{part}.bias"] for part in parts])
        inputs = [
            hidden,
            self._constant(f"{name}qkv", joined),
            self._constant(f"{name}qkv.bias", bias),
            "mask",
        ]
        return self._node("Attention", inputs, f"{name}heads", num_heads=_HEADS)

    def _project(self, name: str, source: str) -> str:
        """Multiply by a dense layer's weights; its bias joins the operator that follows."""
        transposed = self._constant(f"{name}.weight", self.weights[f"{name}.weight"].T)
        return self._node("MatMul", [source, transposed], f"{name}.product")

    def _normalized(self, name: str, source: str, skipped: str) -> str:
        """Add bias and skip connection and normalize, in one operator."""
        inputs = [
            source,
            skipped,
            self._weight(f"{name}.LayerNorm.weight"),
            self._weight(f"{name}.LayerNorm.bias"),
            self._weight(f"{name}.dense.bias"),
        ]
        return self._node("SkipLayerNormalization", inputs, f"{name}.sum", epsilon=_EPSILON)

    def _weight(self, name: str) -> str:
        return self._constant(name, self.weights[name])

    def _constant(self, name: str, value: npt.NDArray[np.generic]) -> str:
        from onnx import numpy_helper  # noqa: PLC0415 - needed once per machine

        self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def _node(self, operator: str, inputs: list[str], *outputs: str, **settings: Any) -> str:
        from onnx import helper  # noqa: PLC0415 - needed once per machine

        standard = {"Cast", "MatMul", "Unsqueeze", "Squeeze", "LpNormalization"}
        domain = "" if operator in standard else _FUSED
        self.nodes.append(
            helper.make_node(operator, inputs, list(outputs), outputs[0], domain=domain, **settings)
        )
        return outputs[0]


def _intact(graph: Path, checksum: Path) -> bool:
    """Tell whether the graph on disk is the one that was written."""
    try:
        return _sha256(graph) == checksum.read_text(encoding="ascii")
    except (OSError, UnicodeDecodeError):
        return False


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _write(path: Path, content: bytes) -> None:
    """Put the whole content under a name, or nothing."""
    descriptor, partial = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        Path(partial).replace(path)
    except BaseException:
        Path(partial).unlink(missing_ok=True)
        raise
