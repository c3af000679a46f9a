"""Chunks for the encoder and passages for people."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.search.chunks import chunks, document_chunks, passage, piece_at, sentences

WORDS = st.lists(st.from_regex(r"[a-z]{1,8}[.!?]?", fullmatch=True), max_size=300)


def test_markdown_is_read_without_its_marks() -> None:
    text = "## Meaning\n\n- The disk fills.  It will be full.\n\n```shell\n$ df -h\n```\n> Note"
    found = ["The disk fills.", "It will be full.", "$ df -h", "Note"]
    assert list(sentences(text)) == found


@pytest.mark.parametrize(
    ("text", "expected"),
    (
        ("Read this. # 5 is a number.", ["Read this.", "5 is a number."]),
        ("```kubectl get pods``` lists them", ["kubectl get pods``` lists them"]),
        ("One.\r\nTwo!\r\n\r\nThree?", ["One.", "Two!", "Three?"]),
        ("v1.2.3 is out", ["v1.2.3 is out"]),
        ("| a | b |\n|---|---|", ["a | b"]),
        ("\x00\n\ud800", ["\x00", "\ud800"]),
    ),
)
def test_sentences_lose_marks_and_no_words(text: str, expected: list[str]) -> None:
    assert list(sentences(text)) == expected


def test_chunks_keep_every_word_in_order_and_stay_short() -> None:
    words = [f"w{n}" + "." * (n % 7 == 0) for n in range(1_000)]
    pieces = chunks(" ".join(words) + "\n" + " ".join(["long"] * 300))
    assert " ".join(pieces).split() == words + ["long"] * 300
    assert max(len(piece.split()) for piece in pieces) <= 80


@given(st.lists(st.tuples(st.sampled_from(("Meaning", "Diagnosis", "Ch. 2")), WORDS), max_size=6))
def test_no_prose_is_lost_below_the_bound(parts: list[tuple[str, list[str]]]) -> None:
    text = "\n".join(f"## {heading}\n" + " ".join(words) for heading, words in parts)
    made = document_chunks("T", text)
    assert " ".join(chunk.plain for chunk in made).split() == [w for _, ws in parts for w in ws]
    headings = [chunk.heading for chunk in made if chunk.plain]
    expected = [heading for heading, words in parts for _ in chunks(" ".join(words))]
    assert headings == expected
    assert all(chunk.gist == (chunk.heading in ("Meaning", "")) for chunk in made)


@given(st.text(max_size=60), st.text(st.sampled_from("ab. \n#`~{}code:-"), max_size=400))
def test_a_text_is_cut_the_same_way_each_time(title: str, text: str) -> None:
    """The number of a chunk is kept with its vector, and the text is cut again to be shown."""
    first = document_chunks(title, text)
    assert first == document_chunks(title, text)
    assert 1 <= len(first) <= 64
    for number, chunk in enumerate(first):
        piece = piece_at(number, text)
        assert (piece.plain, piece.heading, piece.gist) == (chunk.plain, chunk.heading, chunk.gist)


def test_every_chunk_begins_with_the_title_as_words() -> None:
    text = "Before it.\n## Meaning\n" + "KubeletDown is bad. " * 60
    made = document_chunks("KubePodCrashLooping", text)
    assert len(made) > 2
    assert all(chunk.text.startswith("Kube Pod Crash Looping. ") for chunk in made)
    assert made[1].text.startswith("Kube Pod Crash Looping. Kubelet Down is bad.")
    assert made[1].plain.startswith("KubeletDown is bad.")


@pytest.mark.parametrize("text", ("", "\n", "```\ncode alone\n```", "## Heading", "- \n> "))
def test_without_prose_the_title_is_the_one_chunk(text: str) -> None:
    (chunk,) = document_chunks("DiskFull", text)
    assert (chunk.text, chunk.plain, chunk.heading, chunk.gist) == ("Disk Full", "", "", True)


def test_without_a_title_the_text_stands_alone() -> None:
    assert [chunk.text for chunk in document_chunks("", "One. Two.")] == ["One. Two"]
    assert [chunk.text for chunk in document_chunks("", "")] == [""]


@pytest.mark.parametrize(
    "text",
    (
        "some words in a sentence. " * 100_000,
        "## Heading\nwords\n" * 10_000,
        "x" * 1_000_000,
        "word " * 300_000,
    ),
    ids=("sentences", "sections", "one word", "one sentence"),
)
def test_an_endless_text_makes_a_bounded_number_of_chunks(text: str) -> None:
    assert 1 <= len(document_chunks("T", text)) <= 64
    assert 1 <= len(chunks(text)) <= 64


def test_the_chunks_of_a_text_cut_at_the_bound_are_the_first_ones() -> None:
    text = "".join(f"## H{n}\nword{n} and more.\n" for n in range(200))
    made = document_chunks("T", text)
    assert [chunk.heading for chunk in made] == [f"H{n}" for n in range(64)]


def test_a_chunk_is_as_full_as_its_sentences_allow() -> None:
    pieces = chunks("one two three four five six seven. " * 100)
    lengths = [len(piece.split()) for piece in pieces]
    assert all(length + 7 > 80 for length, _ in pairwise(lengths))


def test_the_passage_is_the_heaviest_sentence_within_200_characters() -> None:
    text = "One. Two words. " + "three " * 100
    assert passage(text, weigh=lambda sentence: "Two" in sentence) == "Two words."
    long = passage(text, weigh=len)
    assert len(long) <= 200
    assert long.endswith("three…")
    assert len(passage("x" * 500, weigh=len)) == 200
    assert passage("First. Other.", weigh=lambda _: 1) == "First."
    assert passage("", weigh=len) == ""


@given(st.text(max_size=600))
def test_a_passage_is_one_short_line_of_the_text(text: str) -> None:
    found = passage(text, weigh=len)
    assert len(found) <= 200
    assert "\n" not in found
    assert found.removesuffix("…") in " ".join(text.split())
