"""The ledger, its entries, its proofs and its checkpoint in the browser."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.checkpoints import LogProof, open_checkpoint
from bot.domain.entries import LOOKED_THROUGH
from bot.domain.errors import NotFound, Refused
from bot.domain.ledger import Entry
from bot.domain.merkle import verify_inclusion
from bot.domain.notes import VerifierKey
from bot.ledger.signing import verify_ed25519
from plugins.governance.pages_queries import address, entry_number, number, word
from plugins.governance.views_record import older
from plugins.governance.views_texts import pretty, visible
from tests.fakes import NOON
from tests.plugins.governance.pages_opened import AUDITOR, HOSTILE, RESPONDER, Opened
from tests.services.sealing import key, sql
from tests.stage import Stage, stage_in
from tests.storage.opened import opened as database_in

DANA = "person:U001"


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """Set a stage up whose bodies are encrypted, as they are in service."""
    async with database_in(tmp_path) as database:
        yield Stage(database, database._clock)  # type: ignore[arg-type]  # it is a FakeClock


@pytest.fixture
def opened(stage: Stage) -> Opened:
    return Opened(stage.context, stage.dana, stage.clock)


def entry(number: int = 0, **changes: Any) -> Entry:
    fields: dict[str, Any] = {
        "type": "run.requested", "actor": DANA, "at": NOON, "incident": "INC-1",
        "body": {"text": f"asked for number {number}"},
    }  # fmt: skip
    return Entry(**{**fields, **changes})


async def append(stage: Stage, *entries: Entry) -> None:
    async with stage.database.transaction() as tx:
        for one in entries:
            await tx.ledger.append(one)


async def filled(stage: Stage, count: int) -> None:
    await append(stage, *(entry(n) for n in range(count)))


# The list


async def test_an_empty_ledger_says_so(opened: Opened) -> None:
    assert "Nothing has been recorded yet." in await opened.text("ledger")
    assert "There is no checkpoint yet" in await opened.text("checkpoint")


async def test_entries_are_listed_newest_first_with_people_as_pseudonyms(
    stage: Stage, opened: Opened
) -> None:
    await append(
        stage,
        entry(),
        entry(type="action.intent", actor="bot", on_behalf_of=DANA, action="lamp.on@1", risk=2,
              idem_key="r1:one", decision_id="d1"),
    )  # fmt: skip
    html = await opened.html("ledger")
    text = await opened.text("ledger")
    assert "1 2026-11-20 12:00:00 UTC action.intent lamp.on@1 · R2 INC-1 bot d1 0 2026" in text
    assert 'href="/pages/governance/entry?seq=1"' in html
    assert 'href="/pages/governance/decision?id=d1"' in html
    assert "U001" not in html
    assert "asked for number" not in html


async def test_the_form_narrows_the_list_down(stage: Stage, opened: Opened) -> None:
    await append(
        stage,
        entry(incident="INC-2", type="run.failed"),
        entry(type="action.intent", actor="bot", idem_key="k", decision_id="d1"),
        entry(type="switch.halted", incident=None, actor="system"),
    )
    for query, found in (
        ({"incident": "inc-2"}, [0]),
        ({"type": "action."}, [1]),
        ({"actor": "system"}, [2]),
        ({"decision": "d1"}, [1]),
        ({"incident": "INC-1", "type": "run."}, []),
        ({"incident": ""}, [2, 1, 0]),
    ):
        html = await opened.html("ledger", **query)
        shown = [n for n in (2, 1, 0) if f'"/pages/governance/entry?seq={n}"' in html]
        assert shown == found, query
    assert 'value="inc-2"' in await opened.html("ledger", incident="inc-2")


async def test_pages_follow_each_other_without_a_gap(stage: Stage, opened: Opened) -> None:
    await filled(stage, 120)
    seen: list[int] = []
    query: dict[str, str] = {}
    for _ in range(3):
        view = await opened.answer("ledger", **query)
        data = view.data  # type: ignore[union-attr]  # a page, no file
        seen += [row.seq for row in data["rows"]]
        last = data["older"]
        query = {"before": last.rpartition("=")[2]} if last else {}
    assert seen == list(range(119, -1, -1))
    assert last is None
    assert "Newest" in await opened.text("ledger", before="20")
    assert "Newest" not in await opened.text("ledger")


async def test_older_pages_keep_what_was_asked_for(stage: Stage, opened: Opened) -> None:
    await filled(stage, 60)
    html = await opened.html("ledger", incident="INC-1")
    assert 'href="/pages/governance/ledger?incident=INC-1&amp;before=10"' in html


def test_a_search_that_found_too_little_goes_on_where_it_stopped() -> None:
    assert older([], top=5000, limit=50, looked_through=LOOKED_THROUGH) == 3000
    assert older([4100, 4001], top=5000, limit=50, looked_through=LOOKED_THROUGH) == 3000
    assert older(list(range(99, 49, -1)), top=100, limit=50, looked_through=2000) == 50
    assert older([3], top=2000, limit=50, looked_through=2000) is None
    assert older([], top=0, limit=50, looked_through=2000) is None


async def test_where_nothing_fits_the_page_says_how_far_it_looked(
    stage: Stage, opened: Opened
) -> None:
    await filled(stage, 3)
    assert "None of the entries 0 to 2 fits." in await opened.text("ledger", actor="nobody")
    assert "There is no entry before the first." in await opened.text("ledger", before="0")


@pytest.mark.parametrize("path", ("ledger", "entry", "leaf", "proof"))
@pytest.mark.parametrize(
    "text",
    ("x", "-1", "1.5", "1e3", "²", "0x1", "9" * 16, "1 2", "\u0661", "1;2", "x" * 500, "\x00"),
)
async def test_what_is_no_number_is_refused_in_one_sentence(
    stage: Stage, opened: Opened, path: str, text: str
) -> None:
    await filled(stage, 1)
    name = "before" if path == "ledger" else "seq"
    with pytest.raises(Refused) as refused:
        await opened.answer(path, **{name: text})
    assert refused.value.reason.count(".") == 1 + text[:40].count(".")
    assert len(refused.value.reason) < 120


@pytest.mark.parametrize("name", ("incident", "type", "actor", "decision"))
@pytest.mark.parametrize("text", ("x" * 129, "a\nb", "a\x00b", "\ud800", "\N{ZERO WIDTH SPACE}a"))
async def test_what_nobody_can_read_is_no_filter(opened: Opened, name: str, text: str) -> None:
    with pytest.raises(Refused, match="plain text"):
        await opened.answer("ledger", **{name: text})


@given(st.dictionaries(st.sampled_from(["seq", "before", "incident"]), st.text(max_size=200)))
def test_no_address_breaks_the_reading_of_addresses(query: dict[str, str]) -> None:
    for read in (entry_number, lambda q: number(q, "before"), lambda q: word(q, "incident")):
        try:
            read(query)
        except Refused as refused:
            assert refused.reason  # noqa: PT017  # anything else would be a fault


# One entry


async def test_an_auditor_sees_header_body_and_leaf_of_an_entry(
    stage: Stage, opened: Opened
) -> None:
    await append(stage, entry(7, plan_digest="ab" * 32, risk=3, outcome="asked"))
    text = await opened.text("entry", AUDITOR, seq="0")
    leaf = await stage.context.records.leaf(0)
    assert "Entry 0: run.requested" in text
    assert "Who person:" in text
    assert "Risk R3" in text
    assert "Digest of the plan abababababab…" in text
    assert '"text": "asked for number 7"' in text
    assert f'"actor": "{DANA}"' in text
    assert leaf.decode() in text
    assert leaf.hex() in text
    assert hashlib.sha256(leaf).hexdigest() in text
    assert hashlib.sha256(b"\0" + leaf).hexdigest() in text


async def test_a_responder_sees_the_header_and_nothing_about_people(
    stage: Stage, opened: Opened
) -> None:
    await append(stage, entry(7))
    html = await opened.html("entry", RESPONDER, seq="0")
    assert "What it says about people is for auditors." in html
    for secret in ("U001", "number 7", "/leaf?", "/proof?"):
        assert secret not in html


async def test_neighbours_are_linked_where_there_are_any(stage: Stage, opened: Opened) -> None:
    await filled(stage, 3)
    first, last = await opened.html("entry", seq="0"), await opened.html("entry", seq="2")
    assert "entry?seq=1" in first
    assert "Entry before" not in first
    assert "entry?seq=1" in last
    assert "Next entry" not in last


@pytest.mark.parametrize("path", ("entry", "leaf", "proof"))
async def test_an_entry_that_is_not_there_is_not_found(
    stage: Stage, opened: Opened, path: str
) -> None:
    await filled(stage, 1)
    for seq in ("1", "999999999999999"):
        with pytest.raises(NotFound):
            await opened.answer(path, seq=seq)
    with pytest.raises(Refused, match="names no ledger entry"):
        await opened.answer(path)


async def test_an_erased_body_is_said_to_be_erased(stage: Stage, opened: Opened) -> None:
    await append(stage, entry(7))
    async with stage.database.transaction() as tx:
        await tx.ledger.erase([0])
    text = await opened.text("entry", seq="0")
    assert "It was erased; the header and every proof of it still hold." in text
    assert "number 7" not in text


async def test_a_body_whose_key_is_elsewhere_is_not_called_erased(
    stage: Stage, opened: Opened, tmp_path: Path
) -> None:
    await append(stage, entry(7))
    async with stage_in(tmp_path) as there:  # the same database, opened without the keys
        text = await Opened(there.context, there.dana, there.clock).text("entry", seq="0")
    assert "It is there but encrypted, and its key is not here." in text


async def test_a_damaged_entry_is_shown_as_damaged(
    stage: Stage, opened: Opened, tmp_path: Path
) -> None:
    await filled(stage, 2)
    sql(tmp_path, "UPDATE ledger_entries SET leaf = x'7b7d' WHERE seq = 0")
    assert "damaged" in await opened.text("ledger")
    text = await opened.text("entry", seq="0")
    assert "This entry is not what was written: the leaf is not the canonical form" in text
    assert (await opened.file("leaf", seq="0")).content == b"{}"


async def test_hostile_words_in_an_entry_stay_words(stage: Stage, opened: Opened) -> None:
    words = HOSTILE[:-1]  # a header takes nothing that hides
    await append(
        stage,
        entry(type="action.intent", incident=words, action=words, outcome=words, idem_key=words,
              decision_id=words, plan_digest=words, policy_digest=words, model_version=words,
              body={HOSTILE: HOSTILE, "deep": [HOSTILE, {"x": None}]}),
    )  # fmt: skip
    for html in (await opened.html("ledger"), await opened.html("entry", seq="0")):
        assert "<script>" not in html
        assert html.count("&lt;script&gt;") >= 4
    assert "\\u202e" in await opened.text("entry", seq="0")
    found = await opened.html("ledger", incident=words)  # filters are asked for in upper case
    assert "<script>" not in found
    assert "None of the entries 0 to 0 fits." in found


# Proofs


async def test_a_downloaded_proof_leads_from_the_downloaded_leaf_to_the_signed_root(
    stage: Stage, opened: Opened
) -> None:
    await filled(stage, 11)
    await stage.context.checkpoints.seal("a test")
    [vkey] = await stage.context.checkpoints.vkeys()
    for seq in range(11):
        leaf = await opened.file("leaf", seq=str(seq))
        file = await opened.file("proof", seq=str(seq))
        proof = LogProof.parse(file.content)
        checkpoint, _ = open_checkpoint(proof.checkpoint, [VerifierKey.parse(vkey)], verify_ed25519)
        assert proof.index == seq
        assert verify_inclusion(
            hashlib.sha256(b"\0" + leaf.content).digest(), index=seq, size=checkpoint.size,
            root=checkpoint.root, proof=proof.hashes,
        )  # fmt: skip
        assert (leaf.name, file.name) == (f"entry-{seq}.leaf", f"entry-{seq}.tlog-proof")


async def test_what_no_checkpoint_covers_has_no_proof_yet(stage: Stage, opened: Opened) -> None:
    await filled(stage, 2)
    await stage.context.checkpoints.seal("a test")
    await filled(stage, 1)
    assert "proof?seq=1" in await opened.html("entry", seq="1")
    assert "No checkpoint covers this entry yet" in await opened.text("entry", seq="2")
    with pytest.raises(Refused, match="No checkpoint covers this entry yet"):
        await opened.file("proof", seq="2")


async def test_a_tree_with_a_hole_gives_no_proof_and_no_traceback(
    stage: Stage, opened: Opened, tmp_path: Path
) -> None:
    await filled(stage, 5)
    await stage.context.checkpoints.seal("a test")
    sql(tmp_path, "DELETE FROM ledger_nodes WHERE level = 0 AND position = 1")
    with pytest.raises(Refused, match="damaged"):
        await opened.file("proof", seq="0")


# The checkpoint


async def test_the_newest_note_is_shown_as_it_is_handed_out(stage: Stage, opened: Opened) -> None:
    await filled(stage, 2)
    await stage.context.checkpoints.seal("a test")
    await filled(stage, 1)
    file = await opened.file("checkpoint/note")
    text = await opened.text("checkpoint")
    assert file.name == "checkpoint-2.note"
    assert " ".join(file.content.decode().split()) in text
    assert str(key().verifier) in text
    assert "Under the newest checkpoint 2 (1 not yet)" in text
    assert "No anchor is configured" in text
    open_checkpoint(file.content, [key().verifier], verify_ed25519)


async def test_without_a_checkpoint_there_is_no_note(opened: Opened) -> None:
    with pytest.raises(Refused, match="no checkpoint yet"):
        await opened.file("checkpoint/note")


async def test_a_ledger_that_was_rewritten_is_said_to_be_contradicted(
    stage: Stage, opened: Opened, tmp_path: Path
) -> None:
    await filled(stage, 3)
    await stage.context.checkpoints.seal("a test")
    sql(tmp_path, "UPDATE ledger_nodes SET hash = zeroblob(32) WHERE level = 1")
    await filled(stage, 1)
    with pytest.raises(Refused):
        await stage.context.checkpoints.seal("again")
    text = await opened.text("checkpoint")
    assert "contradicted" in text
    assert "no effect happens until somebody restores the ledger" in text


# Texts


@given(st.text())
def test_nothing_hides_in_a_text_that_is_shown(text: str) -> None:
    shown = visible(text)
    assert all(c.isprintable() or c in "\n\t" for c in shown)
    assert visible(shown) == shown


@given(st.recursive(st.none() | st.integers() | st.text(), st.lists, max_leaves=9))
def test_json_for_reading_is_still_that_json(value: object) -> None:
    if all(c.isprintable() or c == "\n" for c in json.dumps(value, ensure_ascii=False)):
        assert json.loads(pretty(value)) == value


@given(st.text(max_size=20))
def test_an_address_holds_whatever_it_is_given(text: str) -> None:
    made = address("entry", seq=0, incident=text)
    assert made.startswith("/pages/governance/entry?seq=0")
    assert made.isascii()
    assert made.count("?") == 1
    assert '"' not in made
