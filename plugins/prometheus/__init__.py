"""Asks Prometheus for one number: the read-only action of diagnoses and verifications."""

from plugins.prometheus.plugin import Prometheus

PLUGIN = Prometheus
