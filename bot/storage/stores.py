"""Which store it is, by where it is: the path of a file, or a URL of PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

from bot.domain.audits import Verdict
from bot.domain.errors import Unreadable
from bot.ports import Clock, Database, LedgerArchive, Privacy
from bot.storage import sqlite
from bot.storage.ledger import UNKEYED

if TYPE_CHECKING:
    from types import ModuleType

Location: TypeAlias = Path | str
_SCHEMES = ("postgresql://", "postgres://")


class Store(Database, Protocol):
    """A database as whoever opens it sees it."""

    def open(self) -> None:
        """Bring the schema up to date, making what is not there."""
        ...

    async def close(self) -> None:
        """Finish the commits under way and let go of it."""
        ...

    def on_commit(self, listener: Callable[[], None]) -> None:
        """Call a listener after every commit that changed something, in the event loop."""
        ...

    async def purge(self) -> None:
        """Leave nothing of erased rows where it can be helped."""
        ...

    @property
    def archive(self) -> LedgerArchive:
        """Return the ledger as it stands, to be read and proven."""
        ...


def located(text: str) -> Location:
    """Return where a database is, as a person wrote it."""
    return text if text.startswith(_SCHEMES) else Path(text)


def shown(where: Location) -> str:
    """Return where a database is, for people: without any secret."""
    return str(where) if isinstance(where, Path) else str(_postgres().shown(where))


def is_there(where: Location) -> bool:
    """Say whether there is a file; a server is asked when it is needed."""
    return where.exists() if isinstance(where, Path) else True


def store_at(
    where: Location,
    clock: Clock,
    privacy: Privacy = UNKEYED,
    *,
    nearest: Literal["memory", "database"] = "memory",
) -> Store:
    """Return the store of a place; nothing is opened yet.

    With `nearest="database"` one of PostgreSQL shall search vectors itself.

    Raises:
        Unreadable: what speaks to it is not installed.
    """
    if isinstance(where, Path):
        return sqlite.SqliteDatabase(where, clock, privacy)
    made: Store = _postgres().PostgresDatabase(where, clock, privacy, nearest=nearest)
    return made


def verify_at(where: Location, privacy: Privacy = UNKEYED) -> Verdict:
    """Verify the ledger in a database, whoever may have it open.

    Raises:
        Unreadable: it is no database of ours at all.
    """
    if isinstance(where, Path):
        return sqlite.verify_file(where, privacy)
    verdict: Verdict = _postgres().verify_url(where, privacy)
    return verdict


def entries_at(
    where: Location, privacy: Privacy = UNKEYED, *, incident: str, last: int
) -> Sequence[Mapping[str, object]]:
    """Return the newest entries of a database as plain objects, oldest first.

    Raises:
        Unreadable: it is no database of ours at all, or an entry is not JSON.
    """
    if isinstance(where, Path):
        return sqlite.read_entries(where, privacy, incident=incident, last=last)
    entries: Sequence[Mapping[str, object]] = _postgres().entries_at(
        where, privacy, incident=incident, last=last
    )
    return entries


def _postgres() -> ModuleType:
    """Load what speaks to PostgreSQL, only where it is used."""
    try:
        from bot.storage import postgres  # noqa: PLC0415
    except ImportError as error:
        if error.name is None or not error.name.startswith("psycopg"):
            raise
        reason = "PostgreSQL needs psycopg; install Tocsin with the extra `postgres`"
        raise Unreadable("the database", reason) from None
    return postgres
