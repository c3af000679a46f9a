"""People and user groups of the workspace, remembered for a short while."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar

from bot.domain.people import Person, PersonId
from bot.slack.api import Api

_PEOPLE = timedelta(minutes=10)
_GROUPS = timedelta(seconds=60)
# Who may approve hangs on this, so a person who was taken out is out at once.
_MEMBERS = timedelta(seconds=10)
_MOST = 10_000

T = TypeVar("T")


class _Memory(Generic[T]):
    """Remembers what was looked up for a time."""

    def __init__(self, span: timedelta, now: Callable[[], datetime]) -> None:
        self._span = span
        self._now = now
        self._kept: dict[str, tuple[datetime, T]] = {}

    async def get(self, key: str, look_up: Callable[[], Awaitable[T]]) -> T:
        """Return what is remembered and still fresh, or look it up."""
        now = self._now()
        kept = self._kept.get(key)
        if kept and now - kept[0] < self._span:
            return kept[1]
        value = await look_up()
        if len(self._kept) >= _MOST:
            self._kept.clear()
        self._kept[key] = (now, value)
        return value


class Directory:
    """Looks people and user groups up."""

    def __init__(self, api: Api, now: Callable[[], datetime]) -> None:
        self._api = api
        self._people: _Memory[Person] = _Memory(_PEOPLE, now)
        self._groups: _Memory[Mapping[str, str]] = _Memory(_GROUPS, now)
        self._members: _Memory[Sequence[PersonId]] = _Memory(_MEMBERS, now)

    async def person(self, id: PersonId) -> Person:
        """Look a person up."""

        async def look_up() -> Person:
            return _person((await self._api.call("users.info", user=id))["user"])

        return await self._people.get(id, look_up)

    async def members_of(self, group: str) -> Sequence[PersonId]:
        """Return the members of a user group by its handle; nobody for an unknown one."""
        id = (await self._groups.get("", self._list)).get(_handle(group))
        if id is None:
            return ()

        async def look_up() -> Sequence[PersonId]:
            answer = await self._api.call("usergroups.users.list", usergroup=id)
            return tuple(PersonId(user) for user in answer.get("users", ()))

        return await self._members.get(id, look_up)

    async def groups_of(self, person: PersonId, among: Collection[str]) -> frozenset[str]:
        """Return which of the named user groups a person belongs to."""
        return frozenset([name for name in among if person in await self.members_of(name)])

    async def _list(self) -> Mapping[str, str]:
        answer = await self._api.call("usergroups.list")
        return {_handle(group["handle"]): group["id"] for group in answer.get("usergroups", ())}


def _handle(name: str) -> str:
    return name.removeprefix("@").casefold()


def _person(user: Mapping[str, Any]) -> Person:
    profile = user.get("profile") or {}
    names = (user.get("real_name"), profile.get("real_name"), profile.get("display_name"))
    return Person(
        id=PersonId(user["id"]),
        name=next((name for name in names if name), user.get("name") or user["id"]),
        bot=bool(user.get("is_bot") or user.get("is_workflow_bot") or user["id"] == "USLACKBOT"),
    )
