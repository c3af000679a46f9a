"""Split technical text into terms that match however a name was written."""

import re
import unicodedata
from collections.abc import Iterator
from itertools import chain

import Stemmer

_WORD = re.compile(r"[^\W_]+")
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|_+")
_LONGEST_WORD = 64
_REMEMBERED = 100_000  # words, so that a word met again costs one look
_STOP_WORDS = frozenset(
    re.findall(
        r"\w+",
        "a an and are as at be but by for from has have if in into is it its no not of on or such "
        "that the their then there these they this to was were will with",
    )
)

Spellings = tuple[tuple[str, str], ...]


class Splitter:
    """Turn text into stemmed terms.

    `KubePodCrashLooping`, `kube_pod_crash_looping` and `kube.pod.crash-looping`
    all yield kube, pod, crash and loop. A CamelCase or alphanumeric name is
    also kept whole, so that the exact name still counts for more than its
    parts. Not safe for use by two threads at once, because the stemmer is not.
    """

    def __init__(self) -> None:
        self._known = _Known()

    def terms(self, text: str) -> list[str]:
        """List the terms of a text in order, repetitions included."""
        return [term for term, _ in self.spellings(text)]

    def spellings(self, text: str) -> Iterator[tuple[str, str]]:
        """Yield each term with the letters it was written as; a whole name before its parts."""
        return chain.from_iterable(map(self._known.__getitem__, _words(text)))


class _Known(dict[str, Spellings]):
    """The terms of words, each worked out when it is first met."""

    def __init__(self) -> None:
        super().__init__()
        self._stem = Stemmer.Stemmer("english").stemWord

    def __missing__(self, word: str) -> Spellings:
        spellings = tuple(self._split(word[:_LONGEST_WORD]))
        if len(word) > _LONGEST_WORD:
            return spellings  # a megabyte of letters is not worth remembering
        if len(self) >= _REMEMBERED:
            self.clear()
        self[word] = spellings
        return spellings

    def _split(self, word: str) -> Iterator[tuple[str, str]]:
        whole = not word.isascii() or (word.isalpha() and word.islower())
        parts = [word] if whole else _PART.findall(word)
        if len(parts) > 1:
            yield self._stem(word.lower()), word
        for part in parts:
            plain = _plain(part)
            if plain not in _STOP_WORDS:
                yield self._stem(plain), part


def spaced(text: str) -> str:
    """Write names as words, for an encoder that was taught on prose.

    `KubePodCrashLooping` becomes "Kube Pod Crash Looping"; its tokenizer would
    break the name into syllables that mean nothing (measured: .80 to .92 MRR).
    """
    return _CAMEL.sub(" ", text)


def _words(text: str) -> list[str]:
    """List the words of a text; an accent typed as a character of its own is no end of one."""
    found: list[str] = _WORD.findall(text if text.isascii() else unicodedata.normalize("NFC", text))
    return found


def _plain(word: str) -> str:
    """Lower a word's case and unify its Unicode forms."""
    return word.lower() if word.isascii() else unicodedata.normalize("NFKC", word).casefold()
