"""What the search knows of known errors, and what it is asked about them.

It is brought up to date from the records whenever it is asked, so that every
bot of a house knows what another one was told.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from bot.domain.alerts import AlertGroup, GroupId
from bot.domain.documents import Document, Kind, Query
from bot.domain.errors import NotFound
from bot.domain.findings import Finding
from bot.domain.incidents import Incident
from bot.domain.known_errors import Account, KnownError
from bot.domain.relevance import query_of, worth_showing
from bot.plugin import PluginContext
from plugins.similar.known_messages import found_known
from plugins.similar.known_near import likest, with_title

_KINDS = (Kind.KNOWN_ERROR,)
_BEST = 5
_NAMES_FROM = 20  # incidents whose alerts' names a known error goes by, the newest ones
# Names are read from every linked alert, which is too much for each alert of a storm.
_NAMES_KEPT = timedelta(minutes=1)


class KnownIndex:
    """Known errors as the search finds them."""

    def __init__(self, context: PluginContext) -> None:
        self._context = context
        self._learned: dict[str, tuple[int, tuple[str, ...]]] = {}
        self._named_at: datetime | None = None

    async def all(self) -> Mapping[str, KnownError]:
        """Return every known error by id; the search learns those that are new or changed.

        A change is a new version at once, and other names of linked alerts,
        which no version tells, within `_NAMES_KEPT`.
        """
        known = await self._context.known_errors.all()
        looked = known if self._names_are_old() else [k for k in known if self._is_new(k)]
        pairs = [(one, await self._document(one)) for one in looked]
        learned = {one.id: (one.version, document.names) for one, document in pairs}
        new = [d for one, d in pairs if self._learned.get(one.id) != learned[one.id]]
        if new:
            await self._context.search.put(new)
        self._learned |= learned
        return {one.id: one for one in known}

    def _is_new(self, known: KnownError) -> bool:
        version, _ = self._learned.get(known.id, (0, ()))
        return version != known.version

    def _names_are_old(self) -> bool:
        """Say whether to look at all names again; who is told so does it."""
        now = self._context.clock.now()
        if self._named_at is not None and now < self._named_at + _NAMES_KEPT:
            return False
        self._named_at = now
        return True

    async def _document(self, known: KnownError) -> Document:
        """Return it as the search keeps it, under the names of the alerts it showed itself by."""
        incidents = await self._context.known_errors.incidents(known.id)
        return replace(known.document, names=await self._names(incidents[:_NAMES_FROM]))

    async def _names(self, incidents: Iterable[Incident]) -> tuple[str, ...]:
        names = []
        for id in (group for incident in incidents for group in incident.groups):
            try:
                group = await self._context.alerts.get(GroupId(id))
            except NotFound:
                continue
            names += [alert.name for alert in group.alerts if "alertname" in alert.labels]
        return tuple(dict.fromkeys(names))

    async def finding(self, group: AlertGroup) -> Finding | None:
        """Return the known error that an alert group is about, if that is clear.

        What people have said of its incident counts; without that, what the
        search is sure of.
        """
        known = await self.all()
        linked = [one for one in known.values() if group.incident in one.incidents]
        if linked:
            return linked[-1].note
        if not known:
            return None
        query = query_of(group)
        found = await self._context.search.find(query, kinds=_KINDS, limit=1)
        if not worth_showing(found, query.names):
            return None
        best = known.get(found.hits[0].document.id)
        return found_known(best, found) if best else None

    async def near(self, account: Account, incident: Incident) -> KnownError | None:
        """Return the known error that an account may be about, asked outside of transactions."""
        known = await self.all()
        if not known:
            return None
        same = with_title(account.title, known.values()) or likest(account, known.values())
        if same is not None:
            return same
        query = Query(
            text=f"{account.title}\n{account.cause}",
            services=tuple(filter(None, (incident.service,))),
            at=self._context.clock.now(),
        )
        found = await self._context.search.find(query, kinds=_KINDS, limit=1)
        return known.get(found.hits[0].document.id) if found.sure and found.hits else None

    async def likeliest(
        self, incident: Incident, known: Mapping[str, KnownError]
    ) -> Sequence[KnownError]:
        """Return all known errors: the search's best, then the open ones that struck last."""
        if not known:
            return ()
        query = Query(
            text=f"{incident.title}\n{incident.summary}".strip(),
            names=await self._names([incident]),
            services=tuple(filter(None, (incident.service,))),
            at=self._context.clock.now(),
        )
        found = await self._context.search.find(query, kinds=_KINDS, limit=_BEST)
        struck = [one.known for one in await self._context.known_errors.struck()]
        ids = [hit.document.id for hit in found.hits]
        ids += [one.id for one in sorted(struck, key=lambda one: not one.open)]
        return [known[id] for id in dict.fromkeys(ids) if id in known]
