"""Search by words and by meaning: what happened before, and what helped.

In reading order: `engine` (the asynchronous face, `HybridSearch`), `index`
(what it keeps, and one query from beginning to end), `rows` and `filters` (the
documents), `tokens`, `sections` and `lexical` (BM25), `chunks`, `encoder`,
`onnx_graph`, `vectors` and `snapshot` (what need not be encoded again), `dense`
with `whitening`, `exact` and `approximate` (sentence vectors in FAISS),
`entities` and `surroundings` (what else connects two faults), `signals` and
`ranker` (one ranking), `confidence` (how sure it is), `explain` (why).
`training` is for `tocsin search eval | train` alone.

Importing this package or `engine` loads no native library: a bot or a command
that never searches never pays for NumPy, FAISS or ONNX Runtime. Torch is
loaded only for a model other than the packaged one.
"""
