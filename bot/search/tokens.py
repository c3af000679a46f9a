"""Split technical text into terms that match however a name was written."""

import re
import unicodedata
from collections.abc import Iterator

import Stemmer

_WORD = re.compile(r"[^\W_]+")
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_LONGEST_WORD = 64
_STOP_WORDS = frozenset(
    re.findall(
        r"\w+",
        "a an and are as at be but by for from has have if in into is it its no not of on or such "
        "that the their then there these they this to was were will with",
    )
)


class Splitter:
    """Turn text into stemmed terms.

    `KubePodCrashLooping`, `kube_pod_crash_looping` and `kube.pod.crash-looping`
    all yield kube, pod, crash and loop. A CamelCase or alphanumeric name is
    also kept whole, so that the exact name still counts for more than its
    parts. Not safe for use by two threads at once, because the stemmer is not.
    """

    def __init__(self) -> None:
        self._stem = Stemmer.Stemmer("english").stemWord

    def terms(self, text: str) -> list[str]:
        """List the terms of a text in order, repetitions included."""
        return [term for term, _ in self.spellings(text)]

    def spellings(self, text: str) -> Iterator[tuple[str, str]]:
        """Yield each term with the letters it was written as; a whole name before its parts."""
        for match in _WORD.finditer(text):
            word = match.group()[:_LONGEST_WORD]
            parts = _PART.findall(word) if word.isascii() else [word]
            if len(parts) > 1:
                yield self._stem(word.lower()), word
            for part in parts:
                plain = _plain(part)
                if plain not in _STOP_WORDS:
                    yield self._stem(plain), part


def _plain(word: str) -> str:
    """Lower a word's case and unify its Unicode forms."""
    return word.lower() if word.isascii() else unicodedata.normalize("NFKC", word).casefold()
