"""Bundles from strangers: whatever they hold, they are judged and never obeyed."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import AsyncIterator
from pathlib import Path

import hypothesis.strategies as st
import pytest
import rfc8785
from hypothesis import HealthCheck, given, settings

from bot.calendars import CalendarFolder, windows_of
from bot.domain.notes import VerifierKey
from bot.ledger.bundle_files import MOST_BYTES
from bot.ledger.bundles import Scope
from bot.ledger.findings import Kind
from bot.ledger.manifests import BadManifest, Manifest
from tests.fakes import FakeClock
from tests.ledger.forging import (
    Files,
    audited,
    laid_out,
    manifest_of,
    names,
    packed,
    put,
    unpacked,
)
from tests.ledger.honest import honest
from tests.services.gate_world import step
from tests.services.sealing import key

TRUSTED = key().verifier


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """The files of a small honest bundle."""
    import asyncio

    async def made() -> Files:
        async with honest(tmp_path_factory.mktemp("w")) as world:
            await world.note()
            await world.seal()
            id = await world.planned()
            await world.approve(id)
            await world.work()
            return unpacked(await world.export())

    return asyncio.run(made())


def tar_of(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:") as tar:
        for info, data in members:
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


def member(name: str, data: bytes = b"", **fields: object) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.size = len(data)
    for field, value in fields.items():
        setattr(info, field, value)
    return info, data


def rewritten(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


@pytest.mark.parametrize(
    "name",
    (
        "/etc/passwd",
        "../leaves/1",
        "leaves/../../x",
        "leaves//1",
        "./leaves/1",
        "leaves/01",
        "leaves/-1",
        "leaves/1\n",
        "anchors/../1",
        "anchors/./1",
        "anchors/.a/1",
        "policies/calendars/x/..",
        "decisions/a b.json",
        "leaves/\u0661",
        "C:\\x",
        "",
    ),
)
def test_a_name_that_is_not_of_the_layout_is_refused(
    files: Files, tmp_path: Path, name: str
) -> None:
    good = [member(n, d) for n, d in files.items()]
    bundle = rewritten(tmp_path / "b.tar", tar_of(*good, member(name, b"x")))
    audit = audited(bundle, TRUSTED)
    assert audit.exit_code == 1
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    "type",
    (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE, tarfile.CONTTYPE),
)
def test_links_and_devices_are_refused(files: Files, tmp_path: Path, type: bytes) -> None:
    good = [member(n, d) for n, d in files.items() if n != "leaves/0"]
    bad = member("leaves/0", b"", type=type, linkname="/etc/passwd")
    audit = audited(rewritten(tmp_path / "b.tar", tar_of(*good, bad)), TRUSTED)
    assert audit.exit_code == 1
    assert "not an ordinary file" in audit.lines[0]


def test_a_link_in_a_folder_is_not_followed(files: Files, tmp_path: Path) -> None:
    folder = laid_out(files, tmp_path / "b")
    (tmp_path / "outside").write_bytes(files["leaves/0"])
    (folder / "leaves/0").unlink()
    (folder / "leaves/0").symlink_to(tmp_path / "outside")
    assert "not an ordinary file" in audited(folder, TRUSTED).lines[0]


def test_a_repeated_file_is_refused(files: Files, tmp_path: Path) -> None:
    good = [member(n, d) for n, d in files.items()]
    bundle = rewritten(tmp_path / "b.tar", tar_of(*good, member("leaves/1", files["leaves/1"])))
    audit = audited(bundle, TRUSTED)
    assert (audit.exit_code, audit.first) == (1, 1)


def test_a_file_beyond_its_limit_is_not_read(files: Files, tmp_path: Path) -> None:
    good = [member(n, d) for n, d in files.items() if n != "bodies/7"]
    bomb = member("bodies/7", bytes(MOST_BYTES + 1))
    audit = audited(rewritten(tmp_path / "b.tar", tar_of(*good, bomb)), TRUSTED)
    assert "at most" in audit.lines[0]


def test_a_size_that_the_tar_does_not_have_is_refused(files: Files, tmp_path: Path) -> None:
    data = packed(files, tmp_path / "a.tar").read_bytes()
    for keep in range(0, len(data), 509):
        audit = audited(rewritten(tmp_path / "b.tar", data[:keep]), TRUSTED)
        # What is cut off behind the last file is padding.
        assert audit.exit_code == 1 or not any(data[keep:])


def test_compression_is_refused(files: Files, tmp_path: Path) -> None:
    import gzip

    data = packed(files, tmp_path / "a.tar").read_bytes()
    assert audited(rewritten(tmp_path / "b", gzip.compress(data)), TRUSTED).exit_code == 1


def test_a_second_tar_behind_the_first_is_found(files: Files, tmp_path: Path) -> None:
    data = packed(files, tmp_path / "a.tar").read_bytes()
    audit = audited(rewritten(tmp_path / "b.tar", data + data), TRUSTED)
    assert "bytes of no file" in audit.lines[0]


def test_bytes_that_hide_between_files_are_found(files: Files, tmp_path: Path) -> None:
    data = bytearray(packed(files, tmp_path / "a.tar").read_bytes())
    with tarfile.open(tmp_path / "a.tar") as tar:
        place = next(m.offset_data + m.size for m in tar if m.name == "leaves/0")
    data[place] = 7
    audit = audited(rewritten(tmp_path / "b.tar", bytes(data)), TRUSTED)
    assert "bytes of no file" in audit.lines[0]


@pytest.mark.parametrize(
    "junk", (b"", b"\0" * 1024, b"PK\x03\x04", b"x" * 5000, bytes(range(256)) * 8)
)
def test_what_is_no_bundle_at_all_is_said_to_be_none(tmp_path: Path, junk: bytes) -> None:
    audit = audited(rewritten(tmp_path / "b.tar", junk), TRUSTED)
    assert audit.exit_code == 1
    assert len(audit.lines) == 2


def test_a_file_that_is_not_listed_or_not_there_is_found(files: Files, tmp_path: Path) -> None:
    more = {**files, "decisions/extra.json": b"{}"}
    assert "does not list" in audited(packed(more, tmp_path / "a.tar"), TRUSTED).lines[0]
    less = {name: data for name, data in files.items() if name != "bodies/2"}
    audit = audited(packed(less, tmp_path / "b.tar"), TRUSTED)
    assert audit.first == 2


@pytest.mark.parametrize(
    "name", ("leaves/\u00b2", "leaves/" + "9" * 5000, "\x1b[2J", "leaves/\u202e7", "../x", "")
)
def test_a_manifest_may_list_anything_and_nothing_comes_of_it(
    files: Files, tmp_path: Path, name: str
) -> None:
    plain = manifest_of(files)
    plain["files"][name] = "0" * 64
    changed = files | {"manifest.json": rfc8785.dumps(plain)}
    audit = audited(packed(changed, tmp_path / "a.tar"), TRUSTED)
    assert audit.exit_code == 1
    assert all(line.isprintable() for line in audit.lines)


def test_a_bundle_without_a_manifest_is_refused(files: Files, tmp_path: Path) -> None:
    less = {name: data for name, data in files.items() if name != "manifest.json"}
    audit = audited(packed(less, tmp_path / "a.tar"), TRUSTED)
    assert audit.lines[0] == "NOT OK: manifest.json: the file is missing"


@pytest.mark.parametrize(
    "changes",
    (
        {"format": "tocsin-evidence/v2"},
        {"size": -1},
        {"size": True},
        {"size": "5"},
        {"entries": [1, 0]},
        {"entries": [0, 0]},
        {"entries": [0.5]},
        {"scope": {"incident": "INC-1", "start": 3}},
        {"scope": {"else": 1}},
        {"scope": []},
        {"files": []},
        {"extra": 1},
        {"origin": None},
    ),
    ids=str,
)
def test_a_manifest_that_is_not_in_its_form_is_refused(
    files: Files, changes: dict[str, object]
) -> None:
    with pytest.raises(BadManifest):
        Manifest.parse(rfc8785.dumps(manifest_of(files) | changes))


@pytest.mark.parametrize(
    "data",
    (b"", b"[]", b"{", b"\xff", b"[" * 100_000, b"NaN", b'{"size":' + b"9" * 5000 + b"}"),
    ids=range(7),
)
def test_what_is_no_manifest_is_refused(data: bytes) -> None:
    with pytest.raises(BadManifest):
        Manifest.parse(data)


def test_a_manifest_has_one_way_to_be_written(files: Files) -> None:
    plain = manifest_of(files)
    for data in (
        json.dumps(plain).encode(),
        files["manifest.json"] + b"\n",
        files["manifest.json"].replace(b'"size":', b'"size":1,"size":'),
        rfc8785.dumps(plain | {"origin": "x"}).replace(b'"x"', b'"\\ud800"'),
    ):
        with pytest.raises(BadManifest):
            Manifest.parse(data)


def test_a_key_that_the_bundle_brings_is_not_believed(files: Files, tmp_path: Path) -> None:
    audit = audited(packed(files, tmp_path / "a.tar"), key(9).verifier)
    assert audit.exit_code == 1
    assert any("no trusted key" in line for line in audit.lines)
    assert any("was not used" in line for line in audit.lines)


def test_a_key_of_another_log_does_not_count(files: Files, tmp_path: Path) -> None:
    other = VerifierKey(name="other.example/log", public=TRUSTED.public)
    assert audited(packed(files, tmp_path / "a.tar"), other).exit_code == 1


def test_no_key_at_all_verifies_nothing(files: Files, tmp_path: Path) -> None:
    assert audited(packed(files, tmp_path / "a.tar")).exit_code == 1


def test_an_anchors_checkpoint_may_be_brought_along(files: Files, tmp_path: Path) -> None:
    bundle = packed(files, tmp_path / "a.tar")
    notes = [files[name] for name in names(files, "checkpoints/")]
    assert audited(bundle, TRUSTED, anchored=notes).exit_code == 0
    audit = audited(bundle, TRUSTED, anchored=[notes[0].replace(b"\n1\n", b"\n2\n")])
    assert audit.exit_code == 1


def test_a_missing_consistency_proof_is_incomplete(files: Files, tmp_path: Path) -> None:
    less = dict(files)
    [name] = names(less, "consistency/")
    del less[name]
    put(less)
    audit = audited(packed(less, tmp_path / "a.tar"), TRUSTED)
    assert {finding.kind for finding in audit.findings} == {Kind.INCOMPLETE}


def test_a_missing_checkpoint_between_two_is_incomplete(files: Files, tmp_path: Path) -> None:
    less = {n: d for n, d in files.items() if n != "checkpoints/1"}
    put(less)
    audit = audited(packed(less, tmp_path / "a.tar"), TRUSTED)
    assert audit.exit_code == 2


def test_bodies_said_to_be_redacted_are_not_fine(files: Files, tmp_path: Path) -> None:
    less = {n: d for n, d in files.items() if n != "bodies/0"}
    put(less, redacted=[0])
    audit = audited(packed(less, tmp_path / "a.tar"), TRUSTED)
    assert (audit.exit_code, audit.findings[0].index) == (2, 0)


def test_policies_that_have_not_their_digest_are_found(files: Files, tmp_path: Path) -> None:
    more = {**files, f"policies/{'0' * 64}/a.cedar": b"permit(principal, action, resource);"}
    put(more)
    assert audited(packed(more, tmp_path / "a.tar"), TRUSTED).exit_code == 1


FREEZE = """BEGIN:VCALENDAR
VERSION:2.0
PRODID:-//test//EN
BEGIN:VEVENT
UID:1
DTSTAMP:20261101T000000Z
SUMMARY:Black Friday
CATEGORIES:FREEZE
DTSTART:20261201T000000Z
DTEND:20261202T000000Z
END:VEVENT
END:VCALENDAR
"""


@pytest.fixture
async def dated(tmp_path: Path) -> AsyncIterator[Files]:
    """The files of a bundle with a calendar in force."""
    folder = tmp_path / "calendars"
    folder.mkdir()
    (folder / "team freeze.ics").write_text(FREEZE.replace("\n", "\r\n"), newline="")
    async with honest(tmp_path / "w") as world:
        world.calendars = CalendarFolder(folder, stale_after=None, clock=FakeClock())  # type: ignore[assignment]  # as the fake
        id = await world.planned(step())
        await world.approve(id)
        await world.work()
        yield unpacked(await world.export(Scope()))


async def test_the_calendars_in_force_are_brought_along_and_asked_again(
    dated: Files, tmp_path: Path
) -> None:
    assert names(dated, "policies/calendars/")[0].endswith("/team%20freeze.ics")
    bundle = packed(dated, tmp_path / "a.tar")
    audit = audited(bundle, TRUSTED, calendars_at=windows_of)
    assert audit.exit_code == 0, audit.lines


async def test_a_calendar_that_was_changed_is_found(dated: Files, tmp_path: Path) -> None:
    [name] = names(dated, "policies/calendars/")
    dated[name] = dated[name].replace(b"20261201", b"20261101")
    put(dated)
    assert audited(packed(dated, tmp_path / "a.tar"), TRUSTED).exit_code == 1


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_no_bundle_can_break_the_verifier(
    files: Files, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    changed = dict(files)
    for _ in range(data.draw(st.integers(1, 3))):
        name = data.draw(st.sampled_from(sorted(set(changed) - {"manifest.json"})))
        other = data.draw(st.sampled_from(sorted(set(changed) - {"manifest.json"})))
        what = data.draw(st.sampled_from(["drop", "swap", "junk", "cut", "double"]))
        if what == "drop" and len(changed) > 2:
            del changed[name]
        elif what == "swap":
            changed[name], changed[other] = changed[other], changed[name]
        elif what == "junk":
            changed[name] = data.draw(st.binary(max_size=200))
        elif what == "cut":
            changed[name] = changed[name][: data.draw(st.integers(0, len(changed[name])))]
        else:
            changed[name] += changed[name]
    put(changed)
    audit = audited(packed(changed, tmp_path_factory.mktemp("b") / "a.tar"), TRUSTED)
    spoiled = {n for n in files if files[n] != changed.get(n)} - {"manifest.json"}
    # Keys in the bundle are believed by nobody, and anchors' words may be left out.
    harmless = all(n == "key.vkey" or n.startswith("anchors/") for n in spoiled)
    assert audit.exit_code in ((0, 1, 2) if harmless else (1, 2))
