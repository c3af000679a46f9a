"""The demo's surroundings: a small real service, what watches it, and a panel over both.

Nothing here knows the assistant. Read in this order: ``checkout`` is the service
with its ``orders``, ``worker``, ``supervision``, ``admin``, ``metrics`` and
``traffic``; ``rules`` says when it is ill; ``alerting`` starts Prometheus and
Alertmanager, or ``watcher`` in their place; ``panel`` is what a page shows.
``guard`` and ``processes`` see to it that no child outlives its parent.
"""
