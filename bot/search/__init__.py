"""Search by words and by meaning: what happened before, and what helped.

In reading order: `engine` (the asynchronous face, `HybridSearch`), `index`
(what it keeps, and one query from beginning to end), `tokens` and `lexical`
(BM25), `chunks`, `encoder`, `onnx_graph` and `dense` (sentence vectors in
FAISS), `blend` (one ranking out of both).

Importing this package or `engine` loads no native library: a bot or a command
that never searches never pays for NumPy, FAISS or ONNX Runtime. Torch is
loaded only for a model other than the packaged one.
"""
