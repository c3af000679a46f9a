"""Prometheus Alertmanager: its alerts come in, and silences go out.

Alerts come by `POST /hooks/alertmanager`, webhook format 4. Point a
`webhook_config` of Alertmanager at it. The sender is authenticated by a bearer
token (`http_config.authorization`), since Alertmanager signs nothing.

In reading order: `payloads` and `fields` (what comes in), `api` (asking
Alertmanager), `matchers`, `silences` (`alertmanager.silence@1`,
`alertmanager.expire@1`), `actions` (`alertmanager.alerts@1`), `plugin`.
"""

from plugins.alertmanager.plugin import Alertmanager

PLUGIN = Alertmanager
