"""The actions on Alertmanager, for the registry; `alertmanager.alerts@1` is here."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime

from bot.domain.actions import (
    JSON,
    Action,
    ActionCall,
    ActionFailed,
    ActionResult,
    Effect,
    Risk,
    Transient,
)
from plugins.alertmanager.api import TRANSIENT, Api, Left
from plugins.alertmanager.matchers import SCHEMA, written
from plugins.alertmanager.silences import EXPIRATION, EXPIRE, SILENCE, Silences, take_back

_MOST_SHOWN = 50
_ALERTS: Mapping[str, JSON] = {
    "type": "object",
    "properties": {"matchers": SCHEMA},
    "required": ["matchers"],
    "additionalProperties": False,
}
_ACTIVE = (("active", "true"), ("silenced", "false"), ("inhibited", "false"))


def actions(api: Api, now: Callable[[], datetime], *, longest: int) -> Sequence[Action]:
    """Return the actions; `longest` is how many seconds a silence may last."""
    silences = Silences(api, now, longest=longest)
    return (
        Action(
            name="alertmanager.alerts",
            version=1,
            summary="Count the active alerts that match.",
            effect=Effect.READ,
            risk=Risk.R0,
            idempotent=True,
            arguments=_ALERTS,
            handler=Alerts(api).count,
            transient=TRANSIENT,
        ),
        Action(
            name="alertmanager.silence",
            version=1,
            summary="Mute the alerts that match for some time.",
            effect=Effect.MUTATE,
            risk=Risk.R1,
            idempotent=True,
            arguments=SILENCE,
            handler=silences.silence,
            dry_run=silences.preview,
            reconcile=silences.find,
            undo=take_back,
            transient=TRANSIENT,
        ),
        Action(
            name=EXPIRE,
            version=1,
            summary="End a silence.",
            effect=Effect.MUTATE,
            risk=Risk.R1,
            idempotent=True,
            arguments=EXPIRATION,
            handler=silences.expire,
            dry_run=silences.preview_expire,
            reconcile=silences.find_expired,
            transient=TRANSIENT | {Transient.CONFLICT},
        ),
    )


class Alerts:
    """Looks at the alerts that Alertmanager holds."""

    def __init__(self, api: Api) -> None:
        self._api = api

    async def count(self, call: ActionCall) -> ActionResult:
        """Count the active alerts that match, which are neither silenced nor inhibited.

        The value is their number. All matchers have to match, as in a silence; a
        value is exact unless `regex` is true, and excluded if `equal` is false.
        """
        filters = [("filter", written(matcher)) for matcher in call.arguments["matchers"]]
        alerts = await self._api.read("/alerts", [*_ACTIVE, *filters], left=Left(call.timeout))
        if not isinstance(alerts, list):
            raise ActionFailed("Alertmanager's answer about its alerts cannot be understood")
        labels = [alert.get("labels") for alert in alerts if isinstance(alert, dict)]
        count = len(labels)
        return ActionResult(
            summary=f"{count} active alert{'' if count == 1 else 's'}",
            value=float(count),
            data={"alerts": labels[:_MOST_SHOWN]},
        )
