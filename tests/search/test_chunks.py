"""Chunks for the encoder and passages for people."""

from bot.search.chunks import chunks, passage, sentences


def test_markdown_is_read_without_its_marks() -> None:
    text = "## Meaning\n\n- The disk fills.  It will be full.\n\n```shell\n$ df -h\n```\n> Note"
    found = ["The disk fills.", "It will be full.", "$ df -h", "Note"]
    assert list(sentences(text)) == found


def test_chunks_keep_every_word_in_order_and_stay_short() -> None:
    words = [f"w{n}" + "." * (n % 7 == 0) for n in range(1_000)]
    pieces = chunks(" ".join(words) + "\n" + " ".join(["long"] * 300))
    assert " ".join(pieces).split() == words + ["long"] * 300
    assert max(len(piece.split()) for piece in pieces) <= 80


def test_an_endless_text_makes_a_bounded_number_of_chunks() -> None:
    assert len(chunks("some words in a sentence. " * 100_000)) == 64
    assert chunks(" \n\n## Heading\n") == []


def test_the_passage_is_the_heaviest_sentence_within_200_characters() -> None:
    text = "One. Two words. " + "three " * 100
    assert passage(text, weigh=lambda sentence: "Two" in sentence) == "Two words."
    long = passage(text, weigh=len)
    assert len(long) <= 200
    assert long.endswith("three…")
    assert len(passage("x" * 500, weigh=len)) == 200
    assert passage("", weigh=len) == ""
