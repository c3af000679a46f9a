"""The ledger: what a header holds, and that every change to a log is found and named."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, timezone
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain import audits, ledger
from bot.domain.audits import Verdict
from bot.domain.canonical import NotCanonical, canonical
from bot.domain.ledger import Entry, Sealed
from bot.domain.merkle import EMPTY_ROOT, Frontier, leaf_hash, root_of

NOON = datetime(2025, 3, 4, 12, 0, tzinfo=UTC)
SALT = bytes(range(16))


@dataclass
class Log:
    """A stored log: rows and nodes, as a database would give them back."""

    rows: list[Sealed]
    nodes: dict[tuple[int, int], bytes]
    size: int

    def verify(self) -> Verdict:
        return audits.verify(
            self.rows, lambda level, index: self.nodes.get((level, index)), size=self.size
        )

    def fault_at(self) -> int | None:
        verdict = self.verify()
        assert verdict.ok == (verdict.fault is None)
        return None if verdict.fault is None else verdict.fault.index

    def reason(self) -> str:
        fault = self.verify().fault
        assert fault is not None
        return fault.reason

    def with_leaf(self, index: int, leaf: bytes) -> Log:
        """Forge one leaf and rebuild the tree around it, as someone careful would."""
        rows = list(self.rows)
        rows[index] = replace(rows[index], leaf=leaf)
        return Log(rows, tree_of(rows), self.size)


def tree_of(rows: Sequence[Sealed]) -> dict[tuple[int, int], bytes]:
    frontier, nodes = Frontier(), {}
    for row in rows:
        frontier, new = frontier.append(leaf_hash(row.leaf))
        nodes.update({(level, index): hash for level, index, hash in new})
    return nodes


def entry(number: int = 0, **changes: Any) -> Entry:
    return Entry(
        **{
            "type": "alert.acknowledged",
            "actor": f"person:U{number}",
            "at": NOON + timedelta(seconds=number),
            "incident": "INC-1",
            "body": {"note": f"took it, {number} times"},
            **changes,
        }
    )


def log_of(entries: Sequence[Entry]) -> Log:
    rows: list[Sealed] = []
    previous: str | None = None
    for seq, each in enumerate(entries):
        salt = sha256(b"salt %d" % seq).digest()[:16]
        draft = ledger.draft(each, salt=salt)
        row = ledger.seal(draft, seq=seq, previous_ts=previous, now=max(each.at, NOON))
        previous = str(ledger.read(row.leaf)["ts"])
        rows.append(row)
    return Log(rows, tree_of(rows), len(rows))


def effects(count: int) -> list[Entry]:
    pairs = []
    for number in range(count):
        key = f"run-{number}:restart"
        pairs.append(entry(2 * number, type="action.intent", idem_key=key, risk=2, action="r@1"))
        pairs.append(
            entry(2 * number + 1, type="action.outcome", idem_key=key, outcome="succeeded")
        )
    return pairs


def sealed(each: Entry, *, seq: int = 0, previous: str | None = None, now: datetime = NOON) -> Any:
    row = ledger.seal(ledger.draft(each, salt=SALT), seq=seq, previous_ts=previous, now=now)
    return ledger.read(row.leaf)


def flipped(data: bytes, at: int, bit: int = 0) -> bytes:
    return data[:at] + bytes([data[at] ^ (1 << bit)]) + data[at + 1 :]


# What a header holds


def test_a_full_header_has_the_keys_of_version_1() -> None:
    each = entry(
        type="action.intent",
        actor="bot",
        on_behalf_of="person:U1",
        action="kubernetes.restart@1",
        risk=3,
        plan_digest="a" * 64,
        policy_digest="b" * 64,
        decision_id="d-1",
        outcome="allowed",
        idem_key="run-1:restart",
        model_version="none",
    )
    header = sealed(each)
    assert header == {
        "v": 1,
        "seq": 0,
        "ts": "2025-03-04T12:00:00.000000Z",
        "type": "action.intent",
        "actor_ref": "bot",
        "on_behalf_of": "person:" + sha256(b"person:U1").hexdigest()[:16],
        "incident": "INC-1",
        "action": "kubernetes.restart@1",
        "risk": 3,
        "plan_digest": "a" * 64,
        "policy_digest": "b" * 64,
        "decision_id": "d-1",
        "outcome": "allowed",
        "idem_key": "run-1:restart",
        "model_version": "none",
        "body_sha256": header["body_sha256"],
    }


def test_what_does_not_apply_is_left_out_of_the_header() -> None:
    assert set(sealed(entry(incident=None))) == {
        "v",
        "seq",
        "ts",
        "type",
        "actor_ref",
        "body_sha256",
    }


def test_the_body_is_committed_to_with_its_salt() -> None:
    draft = ledger.draft(entry(body={"b": 1, "a": "x"}), salt=SALT)
    assert draft.body == b'{"a":"x","actor":"person:U0","b":1}'
    row = ledger.seal(draft, seq=0, previous_ts=None, now=NOON)
    assert ledger.read(row.leaf)["body_sha256"] == sha256(SALT + draft.body).hexdigest()


def test_people_are_pseudonyms_in_the_header_and_readable_in_the_body() -> None:
    draft = ledger.draft(entry(actor="person:UALICE", on_behalf_of="person:UBOB"), salt=SALT)
    assert b"UALICE" not in draft.header
    assert b"UBOB" not in draft.header
    body = json.loads(draft.body)
    assert (body["actor"], body["on_behalf_of"]) == ("person:UALICE", "person:UBOB")


@pytest.mark.parametrize("actor", ("bot", "system", "plugin:triage", "bot:tocsin"))
def test_software_stays_readable_in_the_header(actor: str) -> None:
    draft = ledger.draft(entry(actor=actor, body={}), salt=SALT)
    assert json.loads(draft.header)["actor_ref"] == actor
    assert draft.body == b"{}"


def test_a_pseudonym_is_stable_and_differs_between_people() -> None:
    refs = {ledger.actor_ref(f"person:U{number}") for number in (1, 1, 2)}
    assert len(refs) == 2


TEXTS = st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=40)


MOMENTS = st.datetimes(timezones=st.just(UTC))
DETAILS = st.fixed_dictionaries(
    {"at": MOMENTS, "risk": st.none() | st.integers(0, 4)},
    optional=dict.fromkeys(
        ("incident", "action", "plan_digest", "outcome", "idem_key", "decision_id"), TEXTS
    ),
)


@given(details=DETAILS, now=MOMENTS, previous=st.none() | MOMENTS, seq=st.integers(0, 10**12))
def test_a_leaf_is_the_canonical_form_of_its_header(
    *, details: dict[str, Any], now: datetime, previous: datetime | None, seq: int
) -> None:
    draft = ledger.draft(entry(**details), salt=SALT)
    assert draft.header == canonical(json.loads(draft.header))
    before = None if previous is None else ledger.timestamp(previous)
    row = ledger.seal(draft, seq=seq, previous_ts=before, now=now)
    assert row.leaf == canonical(json.loads(row.leaf))
    header = ledger.read(row.leaf)
    texts = {name: text for name, text in details.items() if isinstance(text, str)}
    assert {name: header[name] for name in texts} == texts
    assert header["ts"] >= (before or "")


# Time


def test_time_is_written_in_utc_whatever_the_offset() -> None:
    berlin = timezone(timedelta(hours=1))
    header = sealed(
        entry(at=datetime(2025, 3, 4, 13, 0, 0, 5, tzinfo=berlin)), now=NOON.replace(microsecond=9)
    )
    assert header["ts"] == "2025-03-04T12:00:00.000005Z"
    assert "skew" not in header


def test_an_entry_is_never_dated_before_the_one_before_it() -> None:
    header = sealed(entry(), seq=1, previous="2025-03-05T00:00:00.000000Z")
    assert header["ts"] == "2025-03-05T00:00:00.000000Z"
    assert header["skew"] is True


def test_a_clock_that_is_ahead_does_not_date_an_entry_into_the_future() -> None:
    header = sealed(entry(at=NOON + timedelta(days=1)), now=NOON)
    assert header["ts"] == "2025-03-04T12:00:00.000000Z"
    assert header["skew"] is True


# What is refused


@pytest.mark.parametrize(
    ("changes", "message"),
    (
        ({"type": "Alert"}, "type: 'Alert'"),
        ({"type": "alert"}, "type: 'alert'"),
        ({"type": "alert.Acked\n"}, "type:"),
        ({"actor": "alice"}, "actor: 'alice'"),
        ({"actor": "person:"}, "actor: 'person:'"),
        ({"actor": "system:alice@example.com"}, "actor:"),
        ({"on_behalf_of": "U123"}, "on_behalf_of: 'U123'"),
        ({"at": datetime(2025, 1, 1)}, "at: "),
        ({"risk": 5}, "risk: 5"),
        ({"incident": ""}, "incident: "),
        ({"outcome": "x" * 257}, "outcome: "),
        ({"idem_key": "a\nb"}, "idem_key: "),
        ({"model_version": "\ud800"}, "model_version: "),
        ({"body": {"actor": "me"}}, "body: the key 'actor'"),
    ),
)
def test_a_bad_entry_is_refused_by_the_name_of_its_field(
    changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the message is compared below
        entry(**changes)
    assert str(caught.value).startswith(message)


@pytest.mark.parametrize(
    ("changes", "missing"),
    (
        ({"type": "action.intent"}, "idem_key"),
        ({"type": "action.outcome", "outcome": "failed"}, "idem_key"),
        ({"type": "action.outcome", "idem_key": "k"}, "outcome"),
    ),
)
def test_an_effect_without_its_key_or_outcome_is_not_recorded(
    changes: dict[str, Any], missing: str
) -> None:
    with pytest.raises(ValueError, match=f"^{missing}: an entry of type action"):
        ledger.draft(entry(**changes), salt=SALT)


def test_a_body_that_is_not_json_is_refused_by_its_path() -> None:
    with pytest.raises(NotCanonical, match=r"^\$\.load\[0\]: is nan"):
        ledger.draft(entry(body={"load": [float("nan")]}), salt=SALT)


def test_a_salt_of_the_wrong_length_is_refused() -> None:
    with pytest.raises(ValueError, match="15 bytes instead of 16"):
        ledger.draft(entry(), salt=SALT[1:])


@pytest.mark.parametrize("header", (b"{", b"[1]", b'{"type":"a.b"}', b"\xff"))
def test_a_damaged_draft_cannot_be_sealed(header: bytes) -> None:
    draft = replace(ledger.draft(entry(), salt=SALT), header=header)
    with pytest.raises(ledger.NotAHeader):
        ledger.seal(draft, seq=0, previous_ts=None, now=NOON)


@pytest.mark.parametrize(
    "forge",
    (
        lambda leaf: leaf.replace(b":", b": ", 1),
        lambda leaf: leaf + b"\n",
        lambda leaf: leaf.replace(b'"seq":0', b'"seq":00'),
        lambda leaf: leaf.replace(b'"seq":0', b'"seq":0.0'),
        lambda leaf: leaf.replace(b'"seq":0', b'"seq":-0'),
        lambda leaf: leaf.replace(b'"v":1', b'"v":2'),
        lambda leaf: leaf.replace(b'"v":1', b'"v":1,"x":1'),
        lambda leaf: leaf.replace(b"INC-1", b"INC\\u002d1"),
        lambda leaf: leaf.replace(b"INC-1", b"INC\\/1"),
        lambda leaf: leaf.replace(b"INC-1", b"INC\xed\xa0\x80"),
        lambda leaf: leaf.replace(b'"incident":"INC-1"', b'"incident":null'),
        lambda leaf: leaf.replace(b'"INC-1",', b'"INC-1","incident":"INC-1",'),
        lambda leaf: leaf.replace(b"-03-04T", b"-13-04T"),
        lambda leaf: leaf.replace(b"INC-1", b"I" * 65_600),
        lambda leaf: canonical({**json.loads(leaf), "skew": False}),
        lambda leaf: json.dumps(json.loads(leaf)).encode(),
        lambda leaf: b"",
    ),
)
def test_a_leaf_that_is_not_exactly_canonical_is_found(forge: Callable[[bytes], bytes]) -> None:
    log = log_of([entry()])
    forged = log.with_leaf(0, forge(log.rows[0].leaf))
    assert forged.rows != log.rows
    assert "canonical form" in forged.reason()
    with pytest.raises(ledger.NotAHeader):
        ledger.read(forged.rows[0].leaf)


# Verification


def test_an_empty_log_holds() -> None:
    assert log_of([]).verify() == Verdict(entries=0, root=EMPTY_ROOT)


ENTRIES = st.lists(
    st.builds(
        entry,
        st.integers(0, 5),
        type=st.sampled_from(("alert.acknowledged", "approval.granted", "incident.declared")),
        at=MOMENTS,
        risk=st.none() | st.integers(0, 4),
        body=st.dictionaries(
            st.sampled_from(("a", "b")), st.text(st.characters(codec="utf-8"), max_size=5)
        ),
    ),
    max_size=40,
)


@given(ENTRIES, st.integers(0, 8), st.sets(st.integers(0, 55)))
def test_an_honest_log_raises_no_alarm_whatever_was_erased(
    entries: list[Entry], pairs: int, erased: set[int]
) -> None:
    plain = entries + effects(pairs)
    gone = sorted(each for each in erased if each < len(plain))
    told = ledger.Entry(
        type=ledger.ERASED,
        actor="system",
        at=NOON + timedelta(days=1),
        outcome="done",
        body={"entries": gone},
    )
    log = log_of([*plain, told])
    for index in gone:
        log.rows[index] = replace(log.rows[index], salt=None, body=None)
    verdict = log.verify()
    assert verdict.fault is None
    assert verdict.entries == log.size
    assert verdict.erased == len(gone)
    assert verdict.root == root_of(leaf_hash(row.leaf) for row in log.rows)


def test_a_body_that_is_gone_without_an_erasure_is_found() -> None:
    log = log_of(effects(3))
    log.rows[2] = replace(log.rows[2], salt=None, body=None)
    assert log.fault_at() == 2


def test_a_body_whose_key_is_elsewhere_is_no_fault() -> None:
    log = log_of(effects(3))
    log.rows[2] = replace(log.rows[2], body=None, hidden=True)
    verdict = log.verify()
    assert (verdict.ok, verdict.hidden) == (True, 1)


def test_every_flipped_byte_of_a_row_is_found_and_its_index_named() -> None:
    log = log_of([*effects(2), entry(9)])
    for index, row in enumerate(list(log.rows)):
        for part in ("leaf", "body", "salt"):
            data = getattr(row, part)
            for at in range(len(data)):
                changes: dict[str, Any] = {part: flipped(data, at, at % 8)}
                log.rows[index] = replace(row, **changes)
                assert log.fault_at() == index, (part, at)
        log.rows[index] = row
    assert log.fault_at() is None


def test_every_flipped_byte_of_a_node_is_found_and_its_index_named() -> None:
    log = log_of(effects(4))
    for (level, index), hash in list(log.nodes.items()):
        for at in range(len(hash)):
            log.nodes[level, index] = flipped(hash, at, at % 8)
            assert log.fault_at() == ((index + 1) << level) - 1
        del log.nodes[level, index]
        assert log.fault_at() == ((index + 1) << level) - 1
        log.nodes[level, index] = hash
    assert log.fault_at() is None


SIZES = st.integers(2, 24)


@given(SIZES, st.data())
def test_a_deleted_row_is_found(size: int, data: st.DataObject) -> None:
    log = log_of([entry(number) for number in range(size)])
    index = data.draw(st.integers(0, size - 1))
    del log.rows[index]
    assert log.fault_at() == index
    assert log.verify().root == root_of(leaf_hash(row.leaf) for row in log.rows[:index])


@given(SIZES, st.data())
def test_a_duplicated_row_is_found(size: int, data: st.DataObject) -> None:
    log = log_of([entry(number) for number in range(size)])
    index = data.draw(st.integers(0, size - 1))
    log.rows.insert(index, log.rows[index])
    assert log.fault_at() == index + 1


@given(SIZES, st.data(), st.booleans())
def test_swapped_rows_are_found(size: int, data: st.DataObject, renumbered: bool) -> None:
    log = log_of([entry(number) for number in range(size)])
    first = data.draw(st.integers(0, size - 2))
    second = data.draw(st.integers(first + 1, size - 1))
    rows = log.rows
    rows[first], rows[second] = rows[second], rows[first]
    if renumbered:
        rows[:] = [replace(row, seq=seq) for seq, row in enumerate(rows)]
    assert log.fault_at() == first
    assert Log(rows, tree_of(rows), size).fault_at() == first


@given(SIZES, st.data())
def test_bodies_that_changed_places_are_found(size: int, data: st.DataObject) -> None:
    log = log_of([entry(number) for number in range(size)])
    first = data.draw(st.integers(0, size - 2))
    one, two = log.rows[first], log.rows[first + 1]
    log.rows[first] = replace(one, body=two.body, salt=two.salt)
    log.rows[first + 1] = replace(two, body=one.body, salt=one.salt)
    assert log.fault_at() == first


@given(SIZES, st.data())
def test_a_cut_tail_is_found_by_the_size_or_by_the_nodes_left_over(
    size: int, data: st.DataObject
) -> None:
    log = log_of([entry(number) for number in range(size)])
    kept = data.draw(st.integers(0, size - 1))
    del log.rows[kept:]
    assert log.fault_at() == kept
    log.size = kept
    assert log.fault_at() == kept
    assert "entry that is missing" in log.reason()


def test_an_entry_beyond_the_size_is_found() -> None:
    log = log_of([entry(number) for number in range(5)])
    log.size = 4
    assert log.fault_at() == 4
    assert "beyond the log's size of 4" in log.reason()


def test_a_body_without_its_salt_is_found() -> None:
    log = log_of([entry(number) for number in range(3)])
    row = log.rows[1]
    for half in (replace(row, salt=None), replace(row, body=None)):
        log.rows[1] = half
        assert log.fault_at() == 1
        assert "both" in log.reason()


def test_a_salt_that_took_bytes_of_the_body_is_found() -> None:
    log = log_of([entry()])
    row = log.rows[0]
    assert row.salt is not None
    assert row.body is not None
    log.rows[0] = replace(row, salt=row.salt + row.body[:1], body=row.body[1:])
    assert "the salt is not 16 bytes" in log.reason()


@pytest.mark.parametrize("part", ("leaf", "salt", "body"))
@pytest.mark.parametrize("damage", ("text", 7))
def test_a_column_of_another_type_is_a_fault_rather_than_a_crash(part: str, damage: Any) -> None:
    log = log_of([entry(number) for number in range(3)])
    log.rows[2] = replace(log.rows[2], **{part: damage})
    assert log.fault_at() == 2


def test_time_that_runs_backwards_is_found() -> None:
    log = log_of([entry(number) for number in range(3)])
    leaf = log.rows[2].leaf.replace(b"2025-03-04", b"2025-03-03")
    forged = log.with_leaf(2, leaf)
    assert forged.fault_at() == 2
    assert "time runs backwards" in forged.reason()


def test_an_outcome_without_its_intent_is_found() -> None:
    intent, outcome = effects(1)
    assert log_of([intent, outcome, outcome]).fault_at() is None
    assert log_of([entry(), outcome, intent]).fault_at() == 1
    other = replace(outcome, idem_key="run-7:restart")
    assert log_of([intent, other]).fault_at() == 1
    assert "without an intent" in log_of([intent, other]).reason()


def test_rows_are_read_one_at_a_time() -> None:
    log = log_of([entry(number) for number in range(6)])
    log.rows[2] = replace(log.rows[2], body=b"{}")
    rows = iter(log.rows)
    verdict = audits.verify(rows, lambda level, index: log.nodes[level, index], size=6)
    assert verdict.fault is not None
    assert verdict.fault.index == 2
    assert len(list(rows)) == 3
