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
    OutcomeUnknown,
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
_LONGEST_SUMMARY = 300
_ROUNDED = timedelta(seconds=1)  # times are kept in milliseconds

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
        "duration": {"type": "integer", "minimum": 1, "maximum": 30 * 86_400},
    },
    "required": ["silence"],
    "additionalProperties": False,
}


@dataclass(frozen=True, kw_only=True)
class Silence:
    """A silence as Alertmanager shows it, with its times as the texts they are."""

    id: str
    state: str
    matchers: Sequence[Matcher]
    comment: str
    creator: str
    starts_at: str
    ends_at: str
    updated_at: str

    @property
    def ended(self) -> bool:
        """Say whether it mutes nothing any more."""
        return self.state == "expired"

    @property
    def lasts(self) -> timedelta:
        """Return how long it lasts from its beginning.

        Raises:
            ActionFailed: its times are none.
        """
        try:
            return datetime.fromisoformat(self.ends_at) - datetime.fromisoformat(self.starts_at)
        except (ValueError, TypeError) as error:
            raise ActionFailed(f"silence {self.id} has times that cannot be understood") from error

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
        for made in await self._find(f"{BY_KEY}{call.key}", left=left):
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
        for made in await self._find(f"{BY_KEY}{call.key}", left=Left(call.timeout)):
            detail = f"silence {made.id} of {made.shown}"
            return Reconciliation(happened=Happened.YES, detail=detail)
        return Reconciliation(happened=Happened.NO, detail="this run has made no silence")

    async def preview_expire(self, call: ActionCall) -> DryRun:
        """Show the silence, and bind the end to it as it is now."""
        found = await self._known(call, Left(call.timeout))
        check_length(found, call.arguments)
        verb = "  has ended already" if found[0].ended else "  its alerts are notified again"
        lines = [
            line for each in found for line in (f"- silence {each.shown}", f"  {each.comment}")
        ]
        return DryRun(
            diff="\n".join((*lines, verb)),
            pinned={"updated_at": _newest(found)},
            targets=tuple(f"silence {each.id}" for each in found),
        )

    async def expire(self, call: ActionCall) -> ActionResult:
        """End a silence, named by its id, or all that a run has made (`key:…`).

        It is ended only as the plan saw it: one that somebody changed since is
        left alone, and so is one that lasts longer than the `duration` that is
        given, since somebody has extended it. One that has ended already is no
        fault. There is no undo; a new silence is made instead.
        """
        left = Left(call.timeout)
        found = await self._known(call, left)
        names = " and ".join(each.id for each in found)
        if found[0].ended:
            return ActionResult(summary=f"silence {names} had ended already"[:_LONGEST_SUMMARY])
        expected = call.arguments.get("updated_at")
        if expected is None:
            raise ActionFailed("updated_at is missing: the plan was made without a dry run")
        if (newest := _newest(found)) != expected:
            reason = f"silence {names} was changed at {newest}; it was left alone"
            raise ActionFailed(reason[:_LONGEST_SUMMARY], transient=Transient.CONFLICT)
        check_length(found, call.arguments)
        await self._end(found, left)
        summary = f"silence {names} of {shown(found[0].matchers)} is ended"
        return ActionResult(summary=summary[:_LONGEST_SUMMARY])

    async def _end(self, silences: Sequence[Silence], left: Left) -> None:
        """End silences one by one; behind the first, a failure leaves the whole half done.

        Raises:
            ActionFailed: none is ended.
            OutcomeUnknown: some may be.
        """
        first, *others = silences
        await self._api.change("DELETE", f"/silence/{first.id}", left=left)
        try:
            for each in others:
                await self._api.change("DELETE", f"/silence/{each.id}", left=left)
        except ActionFailed as no:
            raise OutcomeUnknown(f"silence {first.id} is ended; {no.reason}") from no

    async def find_expired(self, call: ActionCall) -> Reconciliation:
        """Look whether the silence still mutes anything."""
        for found in await self._find(call.arguments["silence"], left=Left(call.timeout)):
            happened = Happened.YES if found.ended else Happened.NO
            return Reconciliation(happened=happened, detail=f"silence {found.id} is {found.state}")
        # Alertmanager forgets ended silences after --data.retention, 5 days by default.
        return Reconciliation(happened=Happened.UNKNOWN, detail="there is no such silence")

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

    async def _known(self, call: ActionCall, left: Left) -> Sequence[Silence]:
        """Return the silences that are meant: those in force, or one that has ended."""
        named = call.arguments["silence"]
        found = await self._find(named, left=left)
        if not found:
            raise ActionFailed(f"Alertmanager has no silence {named}")
        return [each for each in found if not each.ended] or found[:1]

    async def _find(self, named: str, *, left: Left) -> Sequence[Silence]:
        """Return a silence by its id, or those with our key; what is in force comes first.

        There is more than one where an attempt came late behind its own deadline.
        """
        if not named.startswith(BY_KEY):
            shown = await self._api.read(f"/silence/{named}", left=left)
            return [] if shown is None else [_silence(shown)]
        silences = await self._api.read("/silences", left=left)
        marker = _marker(named.removeprefix(BY_KEY))
        ours = [
            silence
            for silence in map(_silence, silences or ())
            if silence.creator == CREATOR and silence.comment.endswith(marker)
        ]
        return sorted(ours, key=lambda silence: silence.ended)


def check_length(silences: Sequence[Silence], arguments: Arguments) -> None:
    """Refuse to end what lasts longer than it was made for: somebody has extended it.

    Raises:
        ActionFailed: one does.
    """
    duration = arguments.get("duration")
    for each in silences:
        if duration is None or each.ended:
            continue
        if each.lasts > timedelta(seconds=duration) + _ROUNDED:
            reason = f"silence {each.id} was extended until {each.ends_at}; it was left alone"
            raise ActionFailed(reason, transient=Transient.CONFLICT)


def _newest(silences: Sequence[Silence]) -> str:
    """Return the last change of all, which any further change comes behind."""
    return max(each.updated_at for each in silences)


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
        starts_at=str(shown.get("startsAt", "")),
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
    arguments = {"silence": f"{BY_KEY}{call.key}", "duration": call.arguments["duration"]}
    return Undo(uses=f"{EXPIRE}@1", arguments=arguments)
