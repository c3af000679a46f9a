"""Folders of known answers: what is read, and what is said of those that cannot be."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.search.training import lines
from bot.search.training.datasets import BadDataset, Dataset, digest, read
from tests.search.training.folders import dead, document, folder, query, write

PLACE = re.compile(r"^.+\.jsonl:[0-9]+: [^:]+: .+$")


def problems(path: Path) -> list[str]:
    with pytest.raises(BadDataset) as caught:
        read(path)
    told = [str(problem) for problem in caught.value.problems]
    assert all(PLACE.match(one) for one in told), told
    return [one.removeprefix(f"{path}/") for one in told]


def test_a_folder_is_read_with_its_answers_and_its_times(tmp_path: Path) -> None:
    path = folder(
        tmp_path / "set",
        documents=[document(1, created="2026-01-01T00:00:00Z"), document(2)],
        queries=[query(1, doc_id="D2", created="2026-02-01T09:00:00+02:00"), query(2)],
        without_answer=[dead(1)],
    )
    found = read(path)
    first, second, without = found.questions
    assert (found.name, found.kind, found.variants) == ("set", "runbook", ("desc",))
    assert found.documents[0].created_at == datetime(2026, 1, 1, tzinfo=UTC)
    assert (first.without, first.before) == ("D2", datetime(2026, 2, 1, 7, tzinfo=UTC))
    assert first.relevant == {"D1"}
    assert second.before is None
    assert not without.answerable


def test_texts_without_headings_are_incidents(tmp_path: Path) -> None:
    path = folder(
        tmp_path, documents=[{"id": "D1", "title": "", "text": "down"}], queries=[query(1)]
    )
    assert read(path).kind == "incident"


def test_a_question_without_a_group_stands_for_itself(tmp_path: Path) -> None:
    row = {name: value for name, value in query(1).items() if name != "group"}
    assert read(folder(tmp_path, queries=[row])).questions[0].group == "Q1"


def test_a_byte_order_mark_empty_lines_and_other_line_ends_are_no_problem(tmp_path: Path) -> None:
    path = folder(tmp_path)
    for name in ("corpus.jsonl", "queries.jsonl"):
        text = (path / name).read_text(encoding="utf-8").replace("\n", "\r\n\r\n")
        (path / name).write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert len(read(path).questions) == 12


def test_every_broken_line_is_told_at_once(tmp_path: Path) -> None:
    path = folder(tmp_path, documents=[document(1), {"id": 5, "title": "t", "text": None}])
    write(path / "queries.jsonl", [query(1), query(7), query(1)])
    with (path / "queries.jsonl").open("ab") as file:
        file.write(b'{"id": "Q8", "text": "\xff"}\n[1]\n{"id": \n')
    assert problems(path) == [
        "corpus.jsonl:2: id: must be text that is not empty",
        "corpus.jsonl:2: text: is missing",
        "queries.jsonl:2: relevant: 'D7' is not in corpus.jsonl",
        "queries.jsonl:3: id: 'Q1' is a query already, in queries.jsonl:1",
        "queries.jsonl:4: line: is not UTF-8 at byte 23",
        "queries.jsonl:5: line: is no JSON object",
        "queries.jsonl:6: line: is not JSON: Expecting value at character 9",
    ]


@pytest.mark.parametrize(
    ("wrong", "told"),
    (
        ({"variant": None}, "variant: is missing"),
        ({"variant": "  "}, "variant: must be text that is not empty"),
        ({"variant": "a\nb"}, "variant: has characters that cannot be printed"),
        ({"id": "\ud800"}, "id: has characters that cannot be printed"),
        ({"text": ""}, "text: is empty"),
        ({"text": ["down"]}, "text: must be text"),
        ({"relevant": "D1"}, "relevant: must be a list of ids"),
        ({"relevant": [1]}, "relevant: must be a list of ids"),
        ({"relevant": None}, "relevant: is missing"),
        ({"created": "yesterday"}, "created: must be a time such as 2026-11-21T08:00:00Z"),
        ({"created": 1}, "created: must be a time such as 2026-11-21T08:00:00Z"),
        ({"created": "0001-01-01T00:00:00+23:00"}, "created: must be a time such as"),
        ({"doc_id": 3}, "doc_id: must be text"),
        ({"group": ""}, "group: must be text that is not empty"),
    ),
)
def test_a_wrong_field_is_named(tmp_path: Path, wrong: dict[str, object], told: str) -> None:
    (found,) = problems(folder(tmp_path, queries=[query(1, **wrong)]))
    assert found.startswith(f"queries.jsonl:1: {told}")


def test_documents_that_share_an_id_are_told(tmp_path: Path) -> None:
    path = folder(tmp_path, documents=[document(1), document(1)], queries=[query(1)])
    assert problems(path) == ["corpus.jsonl:2: id: 'D1' is a document already"]


def test_a_query_in_both_files_is_told(tmp_path: Path) -> None:
    path = folder(tmp_path, without_answer=[{**dead(1), "id": "Q3"}])
    assert problems(path) == [
        "queries-dead-link.jsonl:1: id: 'Q3' is a query already, in queries.jsonl:4"
    ]


def test_a_dead_link_has_no_answer(tmp_path: Path) -> None:
    path = folder(tmp_path, without_answer=[{**dead(1), "relevant": ["D1"]}])
    (told,) = problems(path)
    assert "relevant: must be empty" in told


def test_an_empty_corpus_and_no_queries_are_told(tmp_path: Path) -> None:
    path = folder(tmp_path, documents=[], queries=[])
    assert problems(path) == [
        "corpus.jsonl:1: id: there is no document",
        "queries.jsonl:1: id: there is no query",
    ]


def test_files_that_are_not_there_are_told(tmp_path: Path) -> None:
    assert problems(tmp_path) == [
        "corpus.jsonl:1: file: cannot be read: No such file or directory",
        "queries.jsonl:1: file: cannot be read: No such file or directory",
    ]


def test_a_huge_line_is_told_and_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "LONGEST", 2**20)
    path = folder(tmp_path, queries=[query(1, text="word " * 2**18)])
    assert problems(path) == ["queries.jsonl:1: line: is longer than 1 MiB"]


def test_json_that_is_too_deep_is_told(tmp_path: Path) -> None:
    path = folder(tmp_path)
    (path / "queries.jsonl").write_text('{"id": ' + "[" * 200_000 + "\n", encoding="utf-8")
    (told,) = problems(path)
    assert told.startswith("queries.jsonl:1: line: ")


def test_a_file_of_nonsense_is_not_told_line_by_line_for_ever(tmp_path: Path) -> None:
    path = folder(tmp_path)
    (path / "queries.jsonl").write_text("nonsense\n" * 5_000, encoding="utf-8")
    told = problems(path)
    assert len(told) == 101
    assert told[-1] == "queries.jsonl:100: line: too much is wrong; the rest was not read"


def test_a_folder_is_known_again_by_what_its_files_contain(tmp_path: Path) -> None:
    one, other = folder(tmp_path / "one"), folder(tmp_path / "other")
    assert digest(one) == digest(other)
    write(other / "queries-dead-link.jsonl", [dead(1)])
    assert digest(one) != digest(other)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)
FIELDS = st.dictionaries(
    st.sampled_from(("id", "title", "text", "variant", "relevant", "group", "doc_id", "created")),
    JSON,
)
LINES = st.lists(st.binary(max_size=60) | FIELDS.map(lambda row: json.dumps(row).encode()))


@given(corpus=LINES, queries=LINES, dead_links=LINES)
def test_whatever_the_files_hold_it_is_read_or_told(
    corpus: list[bytes], queries: list[bytes], dead_links: list[bytes]
) -> None:
    with TemporaryDirectory() as name:
        path = Path(name)
        (path / "corpus.jsonl").write_bytes(b"\n".join(corpus))
        (path / "queries.jsonl").write_bytes(b"\n".join(queries))
        (path / "queries-dead-link.jsonl").write_bytes(b"\n".join(dead_links))
        try:
            sound(read(path))
        except BadDataset as error:
            told = [str(problem) for problem in error.problems]
            assert told
            assert all(PLACE.match(one) and one.isprintable() for one in told), told


def sound(found: Dataset) -> None:
    ids = [one.id for one in found.documents]
    assert ids
    assert len(set(ids)) == len(ids)
    assert found.questions
    assert all(one.relevant <= set(ids) and one.text.strip() for one in found.questions)
