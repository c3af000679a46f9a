"""How a change is made: read, compare with what was seen, write what was read, and no other.

The digest of the part that a change touches is what a plan is bound to. The
resource version alone would not do: it also moves when a pod becomes ready, and
what is broken enough to need a runbook moves all the time. The resource version
of the reading right before the effect goes along with the write, so that the
API server itself refuses it when anything came in between.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime

from bot.domain.actions import JSON, ActionCall, Arguments, Happened, Reconciliation, Transient
from plugins.kubernetes.clusters import Cluster
from plugins.kubernetes.exchange import Conflict, Conversation
from plugins.kubernetes.objects import digest, merged
from plugins.kubernetes.scope import Scope, Target

# The annotation by which an effect is found again, and what it says.
EFFECT = "tocsin/effect"
MARKED = f"its annotation {EFFECT} gets the mark of this effect"

# Why a change may fail now and work later; `unavailable` is about the reading before it.
TRANSIENT = frozenset(Transient)

_TRIES = 3  # of a change that something overtook between our reading and our writing


@dataclass(frozen=True, kw_only=True)
class Access:
    """A cluster, what of it may be touched, and a clock. `timeout` is in seconds."""

    cluster: Cluster
    scope: Scope
    timeout: float
    now: Callable[[], datetime]

    @asynccontextmanager
    async def talk(self, call: ActionCall) -> AsyncIterator[Conversation]:
        """Open a conversation that ends with the call."""
        async with self.cluster.talk(min(call.timeout, self.timeout)) as talk:
            yield talk


# Makes the merge patch of what was read, or None where there is nothing to do.
# Raises ActionFailed where what was read is not what may be changed.
Build = Callable[[Mapping[str, JSON]], JSON]


@dataclass(frozen=True, kw_only=True)
class Changed:
    """An object before and after a change; they are equal where there was nothing to do."""

    before: JSON
    after: JSON


def mark(key: str) -> str:
    """Return what an effect is recognised by in an annotation."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:32]


async def change(talk: Conversation, path: str, build: Build) -> Changed:
    """Change an object, with the version that was read as the condition.

    Raises:
        Conflict: it is not what the plan saw, or never stands still.
        OutcomeUnknown: it may have been changed.
    """
    return await _changed(talk, path, build, talk.patch)


async def rehearse(talk: Conversation, path: str, build: Build) -> Changed:
    """Return what a change would make of an object; the server says so, and changes nothing.

    Raises:
        ActionFailed: it would be refused.
    """
    return await _changed(talk, path, build, talk.rehearse)


async def _changed(
    talk: Conversation, path: str, build: Build, send: Callable[[str, JSON], Awaitable[JSON]]
) -> Changed:
    for left in reversed(range(_TRIES)):
        live = await talk.get(path)
        patch = build(live)
        if patch is None:
            return Changed(before=live, after=live)
        version = {"metadata": {"resourceVersion": live["metadata"]["resourceVersion"]}}
        try:
            return Changed(before=live, after=await send(path, merged(patch, version)))
        except Conflict:
            if not left:
                raise
    raise AssertionError("the last try returns or raises")


def check_uid(live: Mapping[str, JSON], arguments: Arguments, target: Target) -> None:
    """Refuse another object of the same name.

    Raises:
        Conflict: it is another one.
    """
    uid = arguments.get("uid")
    if uid is not None and live["metadata"]["uid"] != uid:
        raise Conflict(f"{target.shown} was replaced by another one of its name")


def check_seen(part: JSON, arguments: Arguments, target: Target) -> None:
    """Refuse when the part that is changed is not as the dry run saw it.

    Raises:
        Conflict: it was changed since.
    """
    seen = arguments.get("seen")
    if seen is not None and digest(part) != seen:
        raise Conflict(f"{target.shown} was changed since the plan was made")


def yes(detail: str) -> Reconciliation:
    """Answer that the effect took place."""
    return Reconciliation(happened=Happened.YES, detail=detail)


def no(detail: str) -> Reconciliation:
    """Answer that the effect did not take place."""
    return Reconciliation(happened=Happened.NO, detail=detail)


def unknown(detail: str) -> Reconciliation:
    """Answer that the world does not tell."""
    return Reconciliation(happened=Happened.UNKNOWN, detail=detail)


def replaced(live: Mapping[str, JSON], arguments: Arguments) -> bool:
    """Say whether an object is another one than the plan saw."""
    uid = arguments.get("uid")
    return uid is not None and bool(live["metadata"]["uid"] != uid)


def shown(target: Target, difference: str, *notes: str) -> str:
    """Return a difference with its object above it and what else is to be known below."""
    return "\n".join((target.shown, difference or "(nothing changes)", *notes))
