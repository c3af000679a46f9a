"""Keys that cannot be made or read: one transaction is refused, and it says which file."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import pytest

from bot.domain.ledger import Entry
from bot.ledger.signing import BadKey
from tests.fakes import NOON
from tests.faults.house import House, house_at
from tests.faults.sweeping import holds_what_it_did
from tests.faults.test_locks_and_disks import nobody
from tests.storage.opened import entry as known_entry


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder that others than its owner can reach, which pytest's own are not."""
    folder = Path(tempfile.mkdtemp(prefix="tocsin-keys-"))
    folder.chmod(0o755)
    yield folder / "house"
    shutil.rmtree(folder)


def entry(person: str, about: str = "") -> Entry:
    """Return an entry by a person, about another where one is named."""
    return Entry(
        type="switch.pulled",
        actor=f"person:{person}",
        at=NOON,
        about=(f"person:{about}",) if about else (),
    )


async def write(house: House, record: Entry, slot: str) -> None:
    """Write a row and an entry in one transaction."""
    async with house.database.transaction() as tx:
        await tx.slots.take("job", slot)
        await tx.ledger.append(record)


async def taken(house: House, slot: str) -> bool:
    """Say whether a row was written before; it is now."""
    async with house.database.transaction() as tx:
        return not await tx.slots.take("job", slot)


def key_file(house: House, reference: str) -> Path:
    """Return where a subject's key is."""
    return house.folder / "keys" / f"{sha256(reference.encode()).hexdigest()[:32]}.key"


async def test_a_key_that_cannot_be_made_refuses_only_its_own_transaction(place: Path) -> None:
    async with house_at(place, NOON) as house:
        await write(house, entry("U1"), "first")
        with nobody(place):
            (place / "keys").chmod(0o500)
            results = await asyncio.gather(
                write(house, entry("U1"), "old hand"),
                write(house, entry("U9"), "newcomer"),
                write(house, known_entry(), "another old hand"),
                return_exceptions=True,
            )
            (place / "keys").chmod(0o700)
            assert [type(r) for r in results] == [type(None), PermissionError, type(None)]
            assert str(key_file(house, "person:U9")) in str(results[1])
            await write(house, entry("U9"), "later")
        assert [await taken(house, s) for s in ("old hand", "newcomer", "another old hand")] == [
            True,
            False,
            True,
        ]
        holds_what_it_did(place)


@pytest.mark.parametrize("content", (b"", b"half a key", b"x" * 33), ids=["empty", "torn", "long"])
async def test_a_torn_key_refuses_only_its_own_transaction(place: Path, content: bytes) -> None:
    async with house_at(place, NOON) as house:
        await write(house, entry("U1"), "first")
        torn = key_file(house, "person:U9")
        torn.touch(mode=0o600)
        torn.write_bytes(content)
        results = await asyncio.gather(
            write(house, entry("U1"), "before"),
            write(house, entry("U9"), "torn"),
            write(house, entry("U1"), "after"),
            return_exceptions=True,
        )
        assert results[0] is None
        assert isinstance(results[1], BadKey)
        assert str(torn) in str(results[1])
        assert results[2] is None
        torn.unlink()
        await write(house, entry("U9"), "mended")
        assert [await taken(house, s) for s in ("before", "torn", "after")] == [True, False, True]
        holds_what_it_did(place)


async def test_a_torn_key_of_somebody_who_is_only_told_of_refuses_only_its_own_transaction(
    place: Path,
) -> None:
    """Bodies are closed right before the commit, when a group of transactions is one."""
    async with house_at(place, NOON) as house:
        await write(house, entry("U1"), "first")
        torn = key_file(house, "person:U9")
        torn.touch(mode=0o600)
        torn.write_bytes(b"half a key")
        results = await asyncio.gather(
            write(house, entry("U1"), "before"),
            write(house, entry("U1", about="U9"), "torn"),
            write(house, entry("U1"), "after"),
            return_exceptions=True,
        )
        assert isinstance(results[1], BadKey)
        assert str(torn) in str(results[1])
        assert (results[0], results[2]) == (None, None)
        torn.unlink()
        await write(house, entry("U1", about="U9"), "mended")
        assert [await taken(house, s) for s in ("before", "torn", "after")] == [True, False, True]
        holds_what_it_did(place)


async def test_a_house_without_its_keys_folder_names_it(place: Path) -> None:
    async with house_at(place, NOON):
        pass
    (place / "keys").chmod(0o755)
    with pytest.raises(BadKey, match=r"keys: others may enter it .*chmod 700"):
        async with house_at(place, NOON):
            pass
