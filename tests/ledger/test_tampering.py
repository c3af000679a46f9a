"""The table of tampers: each is found, and names the first bad entry.

Bundles are changed as somebody would who can also write the manifest; databases
are changed behind everybody's back. Where the attacker has the signing key too,
an anchor's checkpoint tells.
"""

from __future__ import annotations

import asyncio
import json
import random
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from bot.domain.audits import Verdict
from bot.domain.checkpoints import Checkpoint, LogProof, read_checkpoint
from bot.domain.merkle import consistency_proof, inclusion_proof, leaf_hash
from bot.domain.notes import Signature, SignedNote
from bot.ledger.bundles import Scope
from bot.ledger.findings import Audit
from bot.ledger.selecting import Tree
from bot.ledger.signing import FileKey
from bot.ledger.subjects import SubjectKeys
from bot.storage.sqlite import verify_file
from tests.fakes import FakeCalendars
from tests.ledger import independent
from tests.ledger.forging import (
    Files,
    audited,
    cut,
    manifest_of,
    moved,
    names,
    packed,
    put,
    sizes_in,
    unpacked,
    without,
)
from tests.ledger.honest import honest
from tests.services.sealing import key, running

TRUSTED = key().verifier
SIZES = (5, 12)  # of the log's two checkpoints
VICTIM = 7


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a closed honest log with checkpoints at `SIZES`, and its bundle."""
    folder = tmp_path_factory.mktemp("honest") / "w"

    async def made() -> None:
        async with honest(folder) as world:
            for number in range(SIZES[-1]):
                await world.note(by=f"person:U{number % 3 + 1}")
                if number + 1 == SIZES[0]:
                    await world.seal()
            await world.export()

    asyncio.run(made())
    return folder


@pytest.fixture
def files(there: Path) -> Files:
    return unpacked(there / "b.tar")


def after(files: Files, tmp_path: Path) -> Audit:
    return audited(packed(files, tmp_path / "changed.tar"), TRUSTED)


def flips(data: bytes) -> Iterator[bytes]:
    """Return the data with each of its bytes changed in turn, by a different bit each time."""
    for place in range(len(data)):
        changed = bytearray(data)
        changed[place] ^= 1 << (place % 8)
        yield bytes(changed)


# Bundles.


def test_the_bundle_is_honest_to_begin_with(there: Path) -> None:
    audit = audited(there / "b.tar", TRUSTED)
    assert (audit.exit_code, audit.entries, audit.checkpoints) == (0, 12, 2)
    assert independent.holds(there / "b.tar", str(TRUSTED))


@pytest.mark.parametrize(
    ("name", "first"),
    (
        (f"leaves/{VICTIM}", VICTIM),
        (f"bodies/{VICTIM}", VICTIM),
        (f"proofs/{VICTIM}.tlog-proof", VICTIM),
        ("checkpoints/5", 0),
        ("checkpoints/12", 5),
        ("consistency/5-12", 5),
    ),
)
def test_every_flipped_byte_is_found(files: Files, tmp_path: Path, name: str, first: int) -> None:
    for changed in flips(files[name]):
        broken = files | {name: changed}
        put(broken)
        audit = after(broken, tmp_path)
        assert (audit.exit_code, audit.first) == (1, first), (changed, audit.lines)


def test_every_flipped_byte_of_an_anchors_note_is_found(files: Files, tmp_path: Path) -> None:
    name = names(files, "anchors/")[-1]
    for changed in flips(files[name]):
        broken = files | {name: changed}
        put(broken)
        assert after(broken, tmp_path).exit_code == 1


def test_every_flipped_byte_of_the_tar_is_found_or_changes_no_file(
    there: Path, files: Files, tmp_path: Path
) -> None:
    data = (there / "b.tar").read_bytes()
    for place in range(0, len(data), 41):
        changed = bytearray(data)
        changed[place] ^= 1 << (place % 8)
        (tmp_path / "b.tar").write_bytes(changed)
        if audited(tmp_path / "b.tar", TRUSTED).exit_code == 0:
            assert unpacked(tmp_path / "b.tar") == files


def test_the_independent_verifier_finds_flipped_bytes_too(files: Files, tmp_path: Path) -> None:
    draw = random.Random(3)
    for name in (f"leaves/{VICTIM}", f"bodies/{VICTIM}", "checkpoints/5", "checkpoints/12"):
        for changed in draw.sample(list(flips(files[name])), 25):
            broken = files | {name: changed}
            put(broken)
            bundle = packed(broken, tmp_path / "b.tar")
            ours = audited(bundle, TRUSTED).exit_code == 0
            assert not ours
            # It reads base64 and UTF-8 less strictly, so it may pass what says the same.
            if name.startswith(("leaves", "bodies")):
                assert not independent.holds(bundle, str(TRUSTED))


def removed(files: Files) -> None:
    without(files, VICTIM)


def duplicated(files: Files) -> None:
    for name in ("leaves/{}", "bodies/{}", "proofs/{}.tlog-proof"):
        files[name.format(VICTIM)] = files[name.format(VICTIM - 1)]
    put(files)


def swapped(files: Files) -> None:
    moved(files, VICTIM, VICTIM + 2)


def only_leaves_swapped(files: Files) -> None:
    one, other = f"leaves/{VICTIM}", f"leaves/{VICTIM + 2}"
    files[one], files[other] = files[other], files[one]
    put(files)


def tail_gone(files: Files) -> None:
    for index in range(VICTIM, SIZES[-1]):
        without(files, index)


def body_gone(files: Files) -> None:
    del files[f"bodies/{VICTIM}"]
    put(files)


def body_said_to_be_erased(files: Files) -> None:
    del files[f"bodies/{VICTIM}"]
    put(files, erased=[VICTIM])


def rewritten_entry(files: Files) -> None:
    header = json.loads(files[f"leaves/{VICTIM}"])
    header["incident"] = "INC-2"
    files[f"leaves/{VICTIM}"] = json.dumps(header, separators=(",", ":"), sort_keys=True).encode()
    put(files)


def respelt_entry(files: Files) -> None:
    """The same header with a space in it: stored bytes count, not what they mean."""
    files[f"leaves/{VICTIM}"] = files[f"leaves/{VICTIM}"].replace(b":", b": ", 1)
    put(files)


@pytest.mark.parametrize(
    "change",
    (
        removed,
        duplicated,
        swapped,
        only_leaves_swapped,
        tail_gone,
        body_gone,
        body_said_to_be_erased,
        rewritten_entry,
        respelt_entry,
    ),
    ids=lambda change: change.__name__,
)
def test_a_changed_log_is_found_and_the_entry_named(
    files: Files, tmp_path: Path, change: Callable[[Files], None]
) -> None:
    change(files)
    audit = after(files, tmp_path)
    assert (audit.exit_code, audit.first) == (1, VICTIM), audit.lines


def replaced(old: bytes, new: bytes) -> Callable[[bytes], bytes]:
    def change(note: bytes) -> bytes:
        assert old in note
        return note.replace(old, new)

    return change


def noise(count: int) -> bytes:
    """Return signature lines of strangers."""
    lines = [
        Signature(name=f"stranger{n}", key_id=bytes([n] * 4), signature=bytes(64)).line
        for n in range(count)
    ]
    return "".join(lines).encode()


@pytest.mark.parametrize(
    "change",
    (
        replaced(b"\n", b"\r\n"),
        lambda note: note[:-1],
        lambda note: note + b"\n",
        replaced(b"\n12\n", b"\n012\n"),
        replaced(b"\n12\n", b"\n+12\n"),
        replaced(b"\n12\n", b"\n12 \n"),
        replaced(b"\n12\n", b"\n11\n"),
        lambda note: note + noise(100),
        lambda note: b"",
    ),
    ids=(
        "CRLF",
        "no final newline",
        "one newline more",
        "leading zero",
        "plus",
        "space",
        "another size",
        "101 signatures",
        "empty",
    ),
)
def test_a_checkpoint_that_is_written_otherwise_is_found(
    files: Files, tmp_path: Path, change: Callable[[bytes], bytes]
) -> None:
    files["checkpoints/12"] = change(files["checkpoints/12"])
    put(files)
    audit = after(files, tmp_path)
    assert (audit.exit_code, audit.first) == (1, 5), audit.lines


@pytest.mark.parametrize("strangers", (1, 15, 16, 99))
def test_signatures_of_strangers_do_no_harm(files: Files, tmp_path: Path, strangers: int) -> None:
    files["checkpoints/12"] += noise(strangers)
    put(files)
    assert after(files, tmp_path).exit_code == 0


@pytest.mark.parametrize("name", ("proofs/7.tlog-proof", "consistency/5-12"))
@pytest.mark.parametrize(
    "change",
    (
        lambda data: data.replace(b"\n", b"\r\n"),
        lambda data: data[:-1],
        lambda data: b"\n" + data,
        lambda data: data + data,
        lambda data: data.replace(b"=", b""),
    ),
    ids=("CRLF", "no final newline", "empty line", "twice", "no padding"),
)
def test_a_proof_that_is_written_otherwise_is_found(
    files: Files, tmp_path: Path, name: str, change: Callable[[bytes], bytes]
) -> None:
    files[name] = change(files[name])
    put(files)
    audit = after(files, tmp_path)
    assert (audit.exit_code, audit.first) == (1, VICTIM if "proofs" in name else 5)


# With the real key.


def signed(said: Checkpoint, by: FileKey) -> bytes:
    line = Signature(
        name=said.origin, key_id=by.verifier.id, signature=by.sign(said.text().encode())
    )
    return SignedNote(text=said.text(), signatures=(line,)).write()


def forged(files: Files, by: FileKey) -> None:
    """Change an entry and rewrite everything over it, with the key."""
    leaf = json.loads(files[f"leaves/{VICTIM}"])
    leaf["incident"] = "INC-2"
    files[f"leaves/{VICTIM}"] = json.dumps(leaf, separators=(",", ":"), sort_keys=True).encode()
    rebuild(files, by)


def rebuild(files: Files, by: FileKey) -> None:
    """Sign a log as it stands, with proofs of everything."""
    tree, sizes, notes = Tree(), sizes_in(files), {}
    entries = manifest_of(files)["entries"]
    for index in entries:
        tree.append(files[f"leaves/{index}"])
        if index + 1 in sizes:
            root = tree.root()
            said = Checkpoint(origin=TRUSTED.name, size=index + 1, root=root)
            notes[index + 1] = signed(said, by)
    for size, note in notes.items():
        files[f"checkpoints/{size}"] = note
    for old, new in pairwise(sizes):
        hashes = consistency_proof(old, new, node=tree.node)
        files[f"consistency/{old}-{new}"] = b"".join(_line(h) for h in hashes)
    for index in entries:
        hashes = inclusion_proof(index, tree.size, node=tree.node)
        proof = LogProof(index=index, hashes=hashes, checkpoint=notes[tree.size])
        files[f"proofs/{index}.tlog-proof"] = proof.write()
    put(files)


def _line(hashed: bytes) -> bytes:
    from base64 import b64encode

    return b64encode(hashed) + b"\n"


def test_history_rewritten_with_another_key_is_found(files: Files, tmp_path: Path) -> None:
    forged(files, key(9))
    for name in names(files, "anchors/"):
        del files[name]
    put(files)
    assert after(files, tmp_path).exit_code == 1


def test_history_rewritten_with_the_real_key_is_found_by_an_anchors_note(
    files: Files, tmp_path: Path
) -> None:
    forged(files, key())
    audit = after(files, tmp_path)
    assert (audit.exit_code, audit.first) == (1, SIZES[0])
    assert "a fork" in audit.lines[0]
    anchored = [files.pop(name) for name in names(files, "anchors/")]
    put(files)
    bundle = packed(files, tmp_path / "b.tar")
    # Without any word from an anchor it is a sound log: nobody could tell.
    assert audited(bundle, TRUSTED).exit_code == 0
    assert audited(bundle, TRUSTED, anchored=anchored).first == SIZES[0]


def test_a_tail_that_was_cut_off_is_found_by_an_anchors_note(files: Files, tmp_path: Path) -> None:
    newest = files["checkpoints/12"]
    cut(files, SIZES[0])
    audit = after(files, tmp_path)
    assert (audit.exit_code, audit.first) == (1, SIZES[0])
    assert "cut off" in audit.lines[0]
    for name in names(files, "anchors/"):
        del files[name]
    put(files)
    bundle = packed(files, tmp_path / "b.tar")
    assert audited(bundle, TRUSTED).exit_code == 0
    assert audited(bundle, TRUSTED, anchored=[newest]).first == SIZES[0]


def test_two_signed_checkpoints_of_one_size_are_a_fork(files: Files, tmp_path: Path) -> None:
    said = read_checkpoint(files["checkpoints/5"])
    other = Checkpoint(origin=said.origin, size=5, root=leaf_hash(b"another history"))
    files["anchors/elsewhere/5.note"] = signed(other, key())
    put(files)
    audit = after(files, tmp_path)
    assert (audit.exit_code, audit.first) == (1, 0)
    assert "a fork" in audit.lines[0]


def test_a_checkpoint_that_the_real_key_signed_for_another_root_is_found(
    files: Files, tmp_path: Path
) -> None:
    for size, first in ((5, 0), (12, 5)):
        broken = dict(files)
        other = Checkpoint(origin=TRUSTED.name, size=size, root=leaf_hash(b"another history"))
        broken[f"checkpoints/{size}"] = signed(other, key())
        put(broken)
        audit = after(broken, tmp_path)
        assert (audit.exit_code, audit.first) == (1, first), audit.lines


# One incident.


async def test_an_incidents_bundle_finds_what_was_taken_from_a_run(tmp_path: Path) -> None:
    async with honest(tmp_path / "w") as world:
        incident = await world.declare()
        id = await world.during(incident)
        await world.move()
        await world.approve(id)
        await world.work()
        files = unpacked(await world.export(Scope(incident=incident)))
    types = {json.loads(files[f"leaves/{n}"])["type"]: n for n in manifest_of(files)["entries"]}
    for type in ("run.planned", "policy.decided", "action.intent"):
        less = dict(files)
        without(less, types[type])
        assert after(less, tmp_path).exit_code == 2, type
    changed = dict(files)
    changed[f"bodies/{types['action.intent']}"] += b" "
    put(changed)
    assert after(changed, tmp_path).first == types["action.intent"]


async def test_an_approval_that_is_missing_from_a_whole_log_is_named_by_the_effect(
    tmp_path: Path,
) -> None:
    async with honest(tmp_path / "w") as world:
        id = await world.planned()
        await world.approve(id)
        await world.work()
        files = unpacked(await world.export())
    types = [json.loads(files[f"leaves/{n}"])["type"] for n in manifest_of(files)["entries"]]
    leaf = json.loads(files[f"leaves/{types.index('approval.granted')}"]) | {"type": "run.note"}
    files[f"leaves/{leaf['seq']}"] = json.dumps(
        leaf, separators=(",", ":"), sort_keys=True
    ).encode()
    rebuild(files, key())
    for name in names(files, "anchors/"):
        del files[name]
    put(files)
    audit = after(files, tmp_path)
    assert (audit.exit_code, audit.first) == (1, types.index("action.intent"))


# Databases.


@pytest.fixture
def database(there: Path, tmp_path: Path) -> Path:
    """A copy of the log's folder, to be damaged."""
    return Path(shutil.copytree(there, tmp_path / "copy"))


def verdict(folder: Path) -> Verdict:
    return verify_file(folder / "tocsin.db", SubjectKeys(folder / "keys"))


def sql(folder: Path, statement: str, *values: Any) -> Sequence[Any]:
    with closing(sqlite3.connect(folder / "tocsin.db")) as connection:
        found = connection.execute(statement, values).fetchall()
        connection.commit()
    return found


def test_the_database_is_honest_to_begin_with(database: Path) -> None:
    assert verdict(database).ok


@pytest.mark.parametrize("column", ("leaf", "salt", "body", "subjects"))
def test_every_flipped_byte_of_a_row_is_found(database: Path, column: str) -> None:
    where = f"FROM ledger_entries WHERE seq = {VICTIM}"
    [(stored,)] = sql(database, f"SELECT {column} {where}")
    text = isinstance(stored, str)
    for changed in flips(stored.encode() if text else stored):
        value = changed.decode(errors="replace") if text else changed
        sql(database, f"UPDATE ledger_entries SET {column} = ? WHERE seq = {VICTIM}", value)
        fault = verdict(database).fault
        assert fault is not None, (column, changed)
        assert fault.index == VICTIM


def test_every_flipped_byte_of_a_node_is_found(database: Path) -> None:
    for level, position, stored in sql(database, "SELECT level, position, hash FROM ledger_nodes"):
        write = "UPDATE ledger_nodes SET hash = ? WHERE level = ? AND position = ?"
        for changed in list(flips(stored))[:: 1 if level else 8]:
            sql(database, write, changed, level, position)
            fault = verdict(database).fault
            assert fault is not None
            assert fault.index == ((position + 1) << level) - 1
        sql(database, write, stored, level, position)


@pytest.mark.parametrize(
    ("statement", "first"),
    (
        (f"DELETE FROM ledger_entries WHERE seq = {VICTIM}", VICTIM),
        (f"DELETE FROM ledger_entries WHERE seq >= {VICTIM}", VICTIM),
        (f"UPDATE ledger_entries SET seq = 99 WHERE seq = {VICTIM}", VICTIM),
        ("INSERT INTO ledger_entries SELECT 12, leaf, salt, body, subjects "
         f"FROM ledger_entries WHERE seq = {VICTIM}", 12),
        (f"UPDATE ledger_entries SET body = NULL, salt = NULL WHERE seq = {VICTIM}", VICTIM),
        (f"UPDATE ledger_entries SET body = NULL WHERE seq = {VICTIM}", VICTIM),
        (f"DELETE FROM ledger_nodes WHERE level = 0 AND position = {VICTIM}", VICTIM),
        ("DELETE FROM ledger_nodes WHERE level = 1 AND position = 3", VICTIM),
        (f"UPDATE ledger_entries SET leaf = (SELECT leaf FROM ledger_entries WHERE seq = 8) "
         f"WHERE seq = {VICTIM}", VICTIM),
    ),
)  # fmt: skip
def test_rows_that_were_removed_repeated_or_exchanged_are_found(
    database: Path, statement: str, first: int
) -> None:
    sql(database, statement)
    fault = verdict(database).fault
    assert fault is not None
    assert fault.index == first


def test_rows_that_were_exchanged_are_found(database: Path) -> None:
    for old, new in ((VICTIM, 99), (VICTIM + 2, VICTIM), (99, VICTIM + 2)):
        sql(database, f"UPDATE ledger_entries SET seq = {new} WHERE seq = {old}")
    fault = verdict(database).fault
    assert fault is not None
    assert fault.index == VICTIM


def test_a_key_that_was_taken_away_does_not_look_like_an_erasure(database: Path) -> None:
    [(subject,)] = sql(database, f"SELECT subjects FROM ledger_entries WHERE seq = {VICTIM}")
    (database / "keys" / f"{sha256(subject.encode()).hexdigest()[:32]}.key").unlink()
    fault = verdict(database).fault
    assert fault is not None
    assert "no entry of an erasure" in fault.reason


def test_every_flipped_byte_of_a_stored_note_is_found(database: Path) -> None:
    [(stored,)] = sql(database, "SELECT note FROM checkpoints WHERE size = 12")

    async def reasons() -> Sequence[str]:
        async with running(database) as ledger:
            return await ledger.service.compare()

    for changed in list(flips(stored))[::9]:
        sql(database, "UPDATE checkpoints SET note = ? WHERE size = 12", changed)
        assert asyncio.run(reasons()), changed


async def test_a_damaged_database_exports_evidence_of_its_damage(database: Path) -> None:
    sql(database, f"UPDATE ledger_entries SET body = x'00' WHERE seq = {VICTIM}")
    sql(database, "UPDATE ledger_nodes SET hash = x'00' WHERE level = 1 AND position = 3")
    async with honest(database) as world:
        world.calendars = FakeCalendars()
        await world.written(Scope(), redact=False, name="damaged.tar")
    audit = audited(database / "damaged.tar", TRUSTED)
    assert (audit.exit_code, audit.first) == (1, VICTIM)


def test_rules_are_not_judged_over_what_is_not_sure(files: Files, tmp_path: Path) -> None:
    files[f"leaves/{VICTIM}"] = files[f"leaves/{VICTIM}"].replace(
        b'"type":"alert.opened"', b'"idem_key":"x","type":"action.outcome"'
    )
    put(files)
    audit = after(files, tmp_path)
    assert audit.exit_code == 1
    assert not any("outcome" in finding.reason for finding in audit.findings)
