"""Terms: however a technical name was written, it is found again."""

import sys
import unicodedata
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.search import tokens
from bot.search.tokens import Spellings, Splitter, spaced

NAMES = st.lists(
    st.sampled_from(("kube", "pod", "crash", "disk", "rate", "api", "queue", "node")),
    min_size=2,
    max_size=8,
)


@pytest.mark.parametrize(
    ("text", "expected"),
    (
        ("KubePodCrashLooping", ["kubepodcrashloop", "kube", "pod", "crash", "loop"]),
        ("kube_pod.crash-looping", ["kube", "pod", "crash", "loop"]),
        ("HTTPServer", ["httpserver", "http", "server"]),
        ("getHTTPSUrl", ["gethttpsurl", "get", "https", "url"]),
        ("ORA-00600", ["ora", "00600"]),
        ("E11000", ["e11000", "e", "11000"]),
        ("5xx at v1.22", ["5xx", "5", "xx", "v1", "v", "1", "22"]),
        ("512MiB 30s 99%", ["512mib", "512", "mi", "b", "30s", "30", "s", "99"]),
        ("node_load1{job='db'}", ["node", "load1", "load", "1", "job", "db"]),
        ("10.0.0.7:9100", ["10", "0", "0", "7", "9100"]),
        ("The disks are filling", ["disk", "fill"]),
        ("ﬁle 磁盘", ["file", "磁盘"]),
        ("\uff2b\uff35\uff22\uff25 ①", ["kube", "1"]),
        ("", []),
        ("the of \x00 -- ___ \ud800", []),
    ),
)
def test_technical_names_are_split(text: str, expected: list[str]) -> None:
    assert Splitter().terms(text) == expected


@given(NAMES)
def test_all_ways_to_write_a_name_share_their_parts(parts: list[str]) -> None:
    splitter = Splitter()
    plain = splitter.terms(" ".join(parts))
    for joint in "_.-/:":
        assert splitter.terms(joint.join(parts)) == plain
    camel = splitter.terms("".join(part.capitalize() for part in parts))
    assert camel[1:] == plain


@given(st.text(st.characters(codec=None), max_size=200))
def test_terms_and_spellings_agree_and_do_not_depend_on_what_was_seen_before(text: str) -> None:
    splitter = Splitter()
    first = splitter.terms(text)
    assert splitter.terms(text) == first
    assert [term for term, _ in splitter.spellings(text)] == first
    assert [term for term, _ in Splitter().spellings(text)] == first
    composed = unicodedata.normalize("NFC", text)
    assert all(spelling in composed for _, spelling in splitter.spellings(text))


@pytest.mark.parametrize("form", ("NFC", "NFD", "NFKC", "NFKD"))
def test_all_forms_of_a_letter_are_one(form: Literal["NFC", "NFD", "NFKC", "NFKD"]) -> None:
    """Letters and their accents may come as one character or as two."""
    typed = unicodedata.normalize(form, "Größe ﬁle")
    assert Splitter().terms(typed) == Splitter().terms("grösse file")


def test_stop_words_are_no_terms_but_parts_of_names_keep_the_whole() -> None:
    assert Splitter().terms("The ThereIsNoDisk") == ["thereisnodisk", "disk"]


def test_a_word_is_learnt_once_even_one_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    splitter, learnt = Splitter(), list[str]()
    learn = tokens._Known.__missing__

    def watched(known: tokens._Known, word: str) -> Spellings:
        learnt.append(word)
        return learn(known, word)

    monkeypatch.setattr(tokens._Known, "__missing__", watched)
    for _ in range(3):
        splitter.terms("the disk and the queue")
        list(splitter.spellings("the disk"))
    assert learnt == ["the", "disk", "and", "queue"]


def test_what_is_remembered_is_bounded_in_number_and_in_length(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tokens, "_REMEMBERED", 10)
    splitter = Splitter()
    for number in range(100):
        assert splitter.terms(f"disk{number}") == [f"disk{number}", "disk", str(number)]
        assert len(splitter._known) <= 10
    splitter = Splitter()
    assert splitter.terms("x" * 1_000_000) == splitter.terms("x" * 64)
    assert sum(sys.getsizeof(word) for word in splitter._known) < 1_000


@pytest.mark.parametrize(
    ("written", "read"),
    (
        ("KubePodCrashLooping", "Kube Pod Crash Looping"),
        ("HTTPServer is up", "HTTP Server is up"),
        ("node_load1", "node load1"),
        ("p99Latency", "p99 Latency"),
        ("__a__b__", " a b "),
        ("plain words. 1.2.3", "plain words. 1.2.3"),
        ("Größe OK", "Größe OK"),
    ),
)
def test_names_are_written_as_words_for_the_encoder(written: str, read: str) -> None:
    assert spaced(written) == read


@given(st.text(max_size=200))
def test_spacing_loses_nothing_but_underscores_and_is_done_once(text: str) -> None:
    once = spaced(text)
    assert once.replace(" ", "") == text.replace("_", "").replace(" ", "")
    assert spaced(once) == once
