"""People and user groups of the workspace, remembered for a short while."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Generic, TypeVar

from bot.domain.people import Person, PersonId
from bot.ports import ChatError
from bot.slack.api import Api

_PEOPLE = timedelta(minutes=10)
# Who may approve hangs on this, so a person who was taken out is out at once.
_FRESH = timedelta(seconds=10)
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
    """Looks people and user groups up.

    `accounts` names, by id, the first account of somebody who has several.
    """

    def __init__(
        self, api: Api, now: Callable[[], datetime], accounts: Mapping[str, str] | None = None
    ) -> None:
        self._api = api
        self._accounts = accounts or {}
        self._people: _Memory[Person] = _Memory(_PEOPLE, now)
        self._members: _Memory[Person] = _Memory(_FRESH, now)
        self._groups: _Memory[Mapping[str, Sequence[PersonId]]] = _Memory(_FRESH, now)

    async def person(self, id: PersonId) -> Person:
        """Look a person up."""
        return await self._people.get(id, lambda: self._look_up(id))

    async def member(self, id: PersonId) -> Person:
        """Return a person as they are in the workspace now, seconds old at most."""
        return await self._members.get(id, lambda: self._look_up(id))

    async def members_of(self, group: str) -> Sequence[PersonId]:
        """Return the members of a user group by its handle; nobody for an unknown one."""
        return (await self._groups.get("", self._list)).get(_handle(group), ())

    async def groups_of(self, person: PersonId) -> frozenset[str]:
        """Return the handles of the user groups a person belongs to now."""
        groups = await self._groups.get("", self._list)
        return frozenset(handle for handle, members in groups.items() if person in members)

    async def with_address(self, email: str) -> PersonId | None:
        """Return whose e-mail address this is, or None."""
        try:
            answer = await self._api.call("users.lookupByEmail", email=email)
        except ChatError as error:
            if error.error == "users_not_found":
                return None
            raise
        return PersonId(answer["user"]["id"])

    async def _look_up(self, id: PersonId) -> Person:
        user = (await self._api.call("users.info", user=id))["user"]
        ours = self._api.identity.team
        return _person(user, ours=ours, account=self._accounts.get(id, ""))

    async def _list(self) -> Mapping[str, Sequence[PersonId]]:
        """Ask for all user groups with their members: one call, however many there are."""
        answer = await self._api.call("usergroups.list", include_users=True)
        return {
            _handle(group["handle"]): tuple(PersonId(user) for user in group.get("users", ()))
            for group in answer.get("usergroups", ())
        }


def _handle(name: str) -> str:
    return name.removeprefix("@").casefold()


def _person(user: Mapping[str, Any], *, ours: str, account: str) -> Person:
    """Read a person as Slack describes them.

    Slack calls a stranger only who shares no channel with the app; somebody of
    another organisation in a shared channel is told by their team.
    """
    grid = user.get("enterprise_user") or {}
    team = user.get("team_id") or ours
    foreign = team != ours and ours not in (grid.get("teams") or ())
    profile = user.get("profile") or {}
    names = (user.get("real_name"), profile.get("real_name"), profile.get("display_name"))
    return Person(
        id=PersonId(user["id"]),
        name=next((name for name in names if name), user.get("name") or user["id"]),
        bot=bool(user.get("is_bot") or user.get("is_workflow_bot") or user["id"] == "USLACKBOT"),
        guest=bool(user.get("is_restricted") or user.get("is_ultra_restricted")),
        stranger=bool(user.get("is_stranger")) or foreign,
        active=not user.get("deleted"),
        account=account or grid.get("id", ""),
    )
