"""`alertmanager.silence@1` and `alertmanager.expire@1`: mute by matchers, and end that.

Alertmanager knows no key of ours, so it is written behind the comment: by it a
silence is found again after a crash, and taken back.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from bot.domain.actions import (
    JSON,
    ActionCall,
    ActionFailed,
    ActionResult,
    Arguments,
    DryRun,
    Happened,
    Reconciliation,
    Transient,
    Undo,
)
from plugins.alertmanager.api import Api, Left
from plugins.alertmanager.matchers import (
    SCHEMA,
    Matcher,
    as_received,
    as_sent,
    check_narrow,
    shown,
    written,
)

CREATOR = "tocsin"
EXPIRE = "alertmanager.expire"
BY_KEY = "key:"
_MOST_TARGETS = 100
_LONGEST_TARGET = 200

SILENCE: Mapping[str, JSON] = {
    "type": "object",
    "properties": {
        "matchers": SCHEMA,
        "duration": {"type": "integer", "minimum": 1, "maximum": 30 * 86_400},
        "comment": {"type": "string", "minLength": 1, "maxLength": 500},
    },
    "required": ["matchers", "duration", "comment"],
    "additionalProperties": False,
}
EXPIRATION: Mapping[str, JSON] = {
    "type": "object",
    "properties": {
        "silence": {
            "type": "string",
            "pattern": "^([0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|key:.+)$",
            "maxLength": 400,
        },
        "updated_at": {"type": "string", "minLength": 1, "maxLength": 40},
    },
    "required": ["silence"],
    "additionalProperties": False,
}


@dataclass(frozen=True, kw_only=True)
class Silence:
    """A silence as Alertmanager shows it; its times stay texts, to be compared only."""

    id: str
    state: str
    matchers: Sequence[Matcher]
    comment: str
    creator: str
    ends_at: str
    updated_at: str

    @property
    def ended(self) -> bool:
        """Say whether it mutes nothing any more."""
        return self.state == "expired"

    @property
    def shown(self) -> str:
        """Return what it mutes, and until when."""
        return f"{shown(self.matchers)} until {self.ends_at}"


class Silences:
    """Makes and ends silences. `longest` is in seconds."""

    def __init__(self, api: Api, now: Callable[[], datetime], *, longest: int) -> None:
        self._api = api
        self._now = now
        self._longest = longest

    async def preview(self, call: ActionCall) -> DryRun:
        """Name the alerts that would be muted now, of how many there are."""
        matchers = self._checked(call.arguments)
        left = Left(call.timeout)
        filters = [("filter", written(matcher)) for matcher in matchers]
        muted = await self._alerts(filters, left=left)
        everything = await self._alerts((), left=left)
        diff = (
            f"+ silence {shown(matchers)}\n"
            f"  for {timedelta(seconds=call.arguments['duration'])}: {call.arguments['comment']}\n"
            f"  {len(muted)} of {len(everything)} alerts match now"
        )
        targets = tuple(sorted(muted)[:_MOST_TARGETS]) or (f"alerts with {shown(matchers)}",)
        return DryRun(diff=diff, targets=targets, out_of=max(len(everything), len(targets)))

    async def silence(self, call: ActionCall) -> ActionResult:
        """Mute the alerts that match, for `duration` seconds from now.

        One matcher has to be an exact value, and the duration is limited by the
        settings. A silence is made once per run, however often it is tried: the
        run is written behind the comment. It begins and ends by this host's
        clock. The undo is `alertmanager.expire@1`.
        """
        matchers = self._checked(call.arguments)
        left = Left(call.timeout)
        made = await self._find(f"{BY_KEY}{call.key}", left=left)
        if made is not None:
            return _made(made.id, made.matchers)
        begins = self._now()
        ends = begins + timedelta(seconds=call.arguments["duration"])
        body = {
            "matchers": as_sent(matchers),
            "startsAt": begins.isoformat(),
            "endsAt": ends.isoformat(),
            "createdBy": CREATOR,
            "comment": f"{call.arguments['comment']} {_marker(call.key)}",
        }
        answer = await self._api.change("POST", "/silences", body, left=left)
        id = answer.get("silenceID", "") if isinstance(answer, dict) else ""
        return _made(str(id), matchers)

    async def find(self, call: ActionCall) -> Reconciliation:
        """Look for the silence of this run; one that has ended was made too."""
        made = await self._find(f"{BY_KEY}{call.key}", left=Left(call.timeout))
        if made is None:
            return Reconciliation(happened=Happened.NO, detail="this run has made no silence")
        return Reconciliation(happened=Happened.YES, detail=f"silence {made.id} of {made.shown}")

    async def preview_expire(self, call: ActionCall) -> DryRun:
        """Show the silence, and bind the end to it as it is now."""
        found = await self._known(call, Left(call.timeout))
        verb = "  has ended already" if found.ended else "  its alerts are notified again"
        diff = f"- silence {found.shown}\n  {found.comment}\n{verb}"
        pinned = {"silence": found.id, "updated_at": found.updated_at}
        return DryRun(diff=diff, pinned=pinned, targets=(f"silence {found.id}",))

    async def expire(self, call: ActionCall) -> ActionResult:
        """End a silence, named by its id or by the run that made it (`key:…`).

        It is ended only as the plan saw it: one that somebody changed since is
        left alone. One that has ended already is no fault. There is no undo; a
        new silence is made instead.
        """
        left = Left(call.timeout)
        found = await self._known(call, left)
        if found.ended:
            return ActionResult(summary=f"silence {found.id} had ended already")
        expected = call.arguments.get("updated_at")
        if expected is None:
            raise ActionFailed("updated_at is missing: the plan was made without a dry run")
        if found.updated_at != expected:
            reason = f"silence {found.id} was changed at {found.updated_at}; it was left alone"
            raise ActionFailed(reason, transient=Transient.CONFLICT)
        await self._api.change("DELETE", f"/silence/{found.id}", left=left)
        return ActionResult(summary=f"silence {found.id} of {shown(found.matchers)} is ended")

    async def find_expired(self, call: ActionCall) -> Reconciliation:
        """Look whether the silence still mutes anything."""
        found = await self._find(call.arguments["silence"], left=Left(call.timeout))
        if found is None:
            # Alertmanager forgets ended silences after --data.retention, 5 days by default.
            return Reconciliation(happened=Happened.UNKNOWN, detail="there is no such silence")
        happened = Happened.YES if found.ended else Happened.NO
        return Reconciliation(happened=happened, detail=f"silence {found.id} is {found.state}")

    def _checked(self, arguments: Arguments) -> Sequence[Matcher]:
        matchers: Sequence[Matcher] = arguments["matchers"]
        check_narrow(matchers)
        if arguments["duration"] > self._longest:
            raise ActionFailed(
                f"a duration of {arguments['duration']} s is longer than "
                f"plugins.alertmanager.longest_silence ({self._longest} s)"
            )
        return matchers

    async def _alerts(self, filters: Sequence[tuple[str, str]], *, left: Left) -> Sequence[str]:
        alerts = await self._api.read("/alerts", filters, left=left)
        return [_name(alert) for alert in alerts or () if isinstance(alert, dict)]

    async def _known(self, call: ActionCall, left: Left) -> Silence:
        named = call.arguments["silence"]
        found = await self._find(named, left=left)
        if found is None:
            raise ActionFailed(f"Alertmanager has no silence {named}")
        return found

    async def _find(self, named: str, *, left: Left) -> Silence | None:
        """Return a silence by its id or our key; one in force comes before one that has ended."""
        if not named.startswith(BY_KEY):
            shown = await self._api.read(f"/silence/{named}", left=left)
            return None if shown is None else _silence(shown)
        silences = await self._api.read("/silences", left=left)
        marker = _marker(named.removeprefix(BY_KEY))
        ours = [
            silence
            for silence in map(_silence, silences or ())
            if silence.creator == CREATOR and silence.comment.endswith(marker)
        ]
        return min(ours, key=lambda silence: silence.ended, default=None)


def _marker(key: str) -> str:
    return f"[tocsin {key}]"


def _silence(shown: JSON) -> Silence:
    if not isinstance(shown, dict) or not isinstance(shown.get("status"), dict):
        raise ActionFailed("Alertmanager's answer about a silence cannot be understood")
    return Silence(
        id=str(shown.get("id", "")),
        state=str(shown["status"].get("state", "")),
        matchers=as_received(shown.get("matchers") or ()),
        comment=str(shown.get("comment", "")),
        creator=str(shown.get("createdBy", "")),
        ends_at=str(shown.get("endsAt", "")),
        updated_at=str(shown.get("updatedAt", "")),
    )


def _name(alert: Mapping[str, JSON]) -> str:
    """Return an alert by its name and labels, in one line."""
    labels = alert.get("labels")
    labels = dict(labels) if isinstance(labels, dict) else {}
    name = labels.pop("alertname", "an alert")
    rest = ", ".join(f"{key}={value}" for key, value in sorted(labels.items()))
    return " ".join(f"{name} ({rest})".split())[:_LONGEST_TARGET] if rest else str(name)


def _made(id: str, matchers: Sequence[Matcher]) -> ActionResult:
    return ActionResult(summary=f"silence {id} of {shown(matchers)} is made", data={"silence": id})


def take_back(call: ActionCall, result: ActionResult) -> Undo | None:
    """End the silence of this run, found by its key, which a crash cannot lose."""
    return Undo(uses=f"{EXPIRE}@1", arguments={"silence": f"{BY_KEY}{call.key}"})
