"""Documents by row: the filters against a loop, after any number of changes."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.documents import Document, Outcome
from bot.search.rows import Documents
from bot.search.surroundings import aware, outcome

KINDS = ("runbook", "incident", "change")
SERVICES = ("api", "db", "web")
ZONES = (None, UTC, timezone(timedelta(hours=-7)))
MOMENTS = st.builds(
    lambda moment, zone: moment.replace(tzinfo=zone),
    st.datetimes(datetime(2025, 1, 1), datetime(2025, 1, 4)),
    st.sampled_from(ZONES),
)
DOCUMENTS = st.builds(
    Document,
    id=st.sampled_from([f"d{number}" for number in range(12)]),
    kind=st.sampled_from(KINDS),
    title=st.just(""),
    text=st.just(""),
    services=st.lists(st.sampled_from(SERVICES), max_size=2).map(tuple),
    created_at=st.none() | MOMENTS,
    outcome=st.sampled_from(Outcome),
)
CHANGES = st.lists(DOCUMENTS | st.sampled_from([f"d{number}" for number in range(12)]), max_size=60)


def kept(changes: Sequence[Document | str]) -> tuple[Documents, dict[str, Document]]:
    """Add or replace documents, and remove ids."""
    documents, plain = Documents(), dict[str, Document]()
    for change in changes:
        id = change if isinstance(change, str) else change.id
        row = documents.remove(id)
        assert (row is None) == (plain.pop(id, None) is None)
        if isinstance(change, Document):
            added = documents.add(change)
            assert row is None or added == row
            plain[id] = change
    return documents, plain


@given(
    CHANGES,
    st.sets(st.sampled_from((*KINDS, "unknown"))),
    st.none() | MOMENTS,
    st.none() | st.sets(st.sampled_from((*SERVICES, "unknown"))),
    st.sets(st.sampled_from(["d1", "d2", "d3", "d4", "unknown"])),
)
def test_filters_let_through_what_a_loop_does(
    changes: list[Document | str],
    kinds: set[str],
    before: datetime | None,
    services: set[str] | None,
    without: set[str],
) -> None:
    documents, plain = kept(changes)

    def wanted(document: Document) -> bool:
        earlier = (
            before is None
            or document.created_at is None
            or aware(document.created_at) < aware(before)
        )
        concerned = services is None or bool(services & set(document.services))
        return document.kind in kinds and earlier and concerned and document.id not in without

    mask = documents.allowed(kinds=kinds, before=before, services=services, without=without)
    assert len(mask) == len(documents)
    assert {documents[row].id for row in mask.nonzero()[0].tolist()} == {
        id for id, document in plain.items() if wanted(document)
    }
    assert set(documents.ids) == set(plain)


@given(CHANGES)
def test_each_document_stands_in_its_row(changes: list[Document | str]) -> None:
    documents, plain = kept(changes)
    rows = {id: documents.row(id) for id in plain}
    assert len(set(rows.values())) == len(plain)
    for id, row in rows.items():
        assert row is not None
        assert row < len(documents)
        assert documents[row] is plain[id]
        assert documents.holds(row, plain[id])
        assert documents.outcomes[row] == outcome(plain[id].outcome)


@given(CHANGES, st.sets(st.sampled_from((*SERVICES, "unknown"))))
def test_the_documents_of_services_are_those_a_loop_finds(
    changes: list[Document | str], services: set[str]
) -> None:
    documents, plain = kept(changes)
    rows = [row for id in plain if (row := documents.row(id)) is not None]
    concerned = [bool(services & set(document.services)) for document in plain.values()]
    assert documents.concerning(services, rows).tolist() == concerned


def test_a_freed_row_is_empty_and_used_again() -> None:
    documents = Documents()
    made = [Document(id=str(n), kind="runbook", title="", text="") for n in range(200)]
    rows = [documents.add(document) for document in made]
    assert documents.remove("7") == rows[7]
    assert documents.remove("7") is None
    assert documents.row("7") is None
    with pytest.raises(LookupError, match="row 7 is empty"):
        documents[rows[7]]
    assert not documents.holds(rows[7], made[7])
    assert documents.add(Document(id="new", kind="change", title="", text="")) == rows[7]
    assert len(documents) == 200
    assert not documents.holds(rows[7], made[7])


def test_a_document_without_a_time_is_earlier_than_any() -> None:
    documents = Documents()
    documents.add(Document(id="a", kind="runbook", title="", text=""))
    for before in (datetime(1, 1, 1), datetime(1950, 1, 1, tzinfo=UTC), datetime.max):
        mask = documents.allowed(kinds=KINDS, before=before, services=None, without=())
        assert mask.tolist() == [True]


def test_an_equal_document_is_not_the_very_document() -> None:
    """Vectors of a document that was replaced meanwhile must not be attached to the new one."""
    documents = Documents()
    one, other = (Document(id="a", kind="runbook", title="", text="") for _ in range(2))
    row = documents.add(one)
    assert one == other
    assert not documents.holds(row, other)
