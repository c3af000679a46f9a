"""Asks Prometheus for one number: the read-only actions of diagnoses and verifications.

In reading order: `api` (one GET), `queries` (`prometheus.query@1`), `ranges`
(`prometheus.range@1`), `plugin` (settings).
"""

from plugins.prometheus.plugin import Prometheus

PLUGIN = Prometheus
