"""Alerts from Prometheus Alertmanager: `POST /hooks/alertmanager`, webhook format 4.

Point a `webhook_config` of Alertmanager at it. The sender is authenticated by a
bearer token (`http_config.authorization`), since Alertmanager signs nothing.
"""

from plugins.alertmanager.plugin import Alertmanager

PLUGIN = Alertmanager
