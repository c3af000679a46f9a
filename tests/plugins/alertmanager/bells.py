"""A real Alertmanager with a few alerts, its silences, and the actions on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import httpx

from bot.domain.actions import Action, ActionCall
from plugins.alertmanager.actions import actions
from plugins.alertmanager.plugin import AlertmanagerSettings, asked
from tests.servers import Server

TOKEN = "4pi t%oken+="
HOSTILE = 'q"uo\\te\n{}=~,\u202e ü $(id) {{ .Labels }}'
LABELS = (
    {"alertname": "HighLatency", "env": "prod", "instance": "a"},
    {"alertname": "HighLatency", "env": "prod", "instance": "b"},
    {"alertname": "HighLatency", "env": "dev", "instance": "c"},
    {"alertname": "DiskFull", "path": HOSTILE},
)


class Bells:
    """The server, with a client of the test's own."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.client = httpx.Client(base_url=f"{server.url}/api/v2", trust_env=False)

    def ring(self) -> None:
        """Fire the alerts."""
        self.client.post("/alerts", json=[{"labels": each} for each in LABELS]).raise_for_status()

    def silences(self) -> Sequence[Mapping[str, Any]]:
        """Return the silences that are in force."""
        found: list[dict[str, Any]] = self.client.get("/silences").json()
        return [each for each in found if each["status"]["state"] != "expired"]

    def quiet(self) -> None:
        """End every silence."""
        for each in self.silences():
            self.client.delete(f"/silence/{each['id']}").raise_for_status()

    def mute(self, **changed: Any) -> str:
        """Make a silence like a person would, or change one of an `id`, and return its id."""
        now = datetime.now(UTC)
        matcher = {"name": "alertname", "value": "DiskFull", "isRegex": False, "isEqual": True}
        body = {
            "matchers": [matcher],
            "startsAt": now.isoformat(),
            "endsAt": now.replace(year=now.year + 1).isoformat(),
            "createdBy": "dana",
            "comment": "the disk is being replaced",
        }
        answer = self.client.post("/silences", json={**body, **changed})
        answer.raise_for_status()
        return str(answer.json()["silenceID"])

    def close(self) -> None:
        """End the connection."""
        self.client.close()


def settings(port: int, **other: Any) -> AlertmanagerSettings:
    """Return settings for an Alertmanager on a port of loopback."""
    given = {"url": f"http://127.0.0.1:{port}", "api_token": TOKEN}
    return AlertmanagerSettings.model_validate({**given, **other})


def offered(made: AlertmanagerSettings) -> dict[str, Action]:
    """Return the actions by reference, on the real time, which Alertmanager goes by."""
    longest = made.longest_silence
    found = actions(asked(made), lambda: datetime.now(UTC), longest=longest)
    return {action.reference: action for action in found}


def asking(*, key: str = "run-1:step", **arguments: Any) -> ActionCall:
    """Return a call."""
    return ActionCall(key=key, arguments=arguments, timeout=5)
