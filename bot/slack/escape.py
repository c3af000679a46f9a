"""Plain strings and Slack's markup: in neither direction is one taken for the other.

Slack reads `<…>` as links and mentions, `*_~` and backticks as emphasis, `:name:`
as emoji and a leading `>` as a quotation. The angle brackets and the ampersand
have entities; the others have none, so a mark that could start or end something
is drawn as a character that looks alike. Marks inside a word do nothing in Slack
and stay, so that `checkout_errors_total` can be copied.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

ELLIPSIS = "…"

_ENTITIES = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})
_TWINS = {"*": "\u2217", "_": "\u02cd", "~": "\u223c", "`": "\u02cb"}
_MARKS = re.compile(r"[*_~]+|`")
_EMOJI = re.compile(r":(?=(?!\d+:)[\w+'-]{1,100}:|100:|1234:)")
_QUOTE = re.compile(r"(?m)^(\s*)>")
# Control characters mean nothing here, and the ones that turn the writing
# direction around could make a card say something else than it says.
_INVISIBLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]")
_REFERENCE = re.compile(r"<([@#!])([^<>|]*)(?:\|([^<>]*))?>|<([^<>|]+)(?:\|([^<>]*))?>")


def clean(text: str) -> str:
    """Drop what no reader can see, and what cannot be encoded."""
    return _INVISIBLE.sub("", text.encode("utf-8", "replace").decode())


def entities(text: str) -> str:
    """Escape the three characters that Slack has entities for."""
    return text.translate(_ENTITIES)


def literal(text: str) -> str:
    """Write a plain string as mrkdwn that shows exactly this string."""
    return entities(_QUOTE.sub("\\1\u203a", _EMOJI.sub("\u2236", _still(clean(text)))))


def code(text: str) -> str:
    """Write a plain string for between two backticks: one line, no backtick."""
    return entities(" ".join(clean(text).split()).replace("`", _TWINS["`"]))


def unbracketed(text: str) -> str:
    """Write a plain string for where Slack promises no markup and shows mentions all the same.

    An entity might be shown as it is written there, so look-alikes stand for the brackets.
    """
    return clean(text).replace("<", "\u2039").replace(">", "\u203a")


def cut(text: str, limit: int) -> str:
    """Shorten a text to a number of characters, the ellipsis included."""
    text = clean(text)
    return text if len(text) <= limit else text[: limit - 1].rstrip() + ELLIPSIS


def references(text: str) -> frozenset[str]:
    """Return the ids of the people whom a text from Slack mentions."""
    return frozenset(
        match[2] for match in _REFERENCE.finditer(text) if match[1] == "@" and match[2]
    )


def readable(text: str, names: Mapping[str, str]) -> str:
    """Turn a text from Slack into what its reader saw, people by their names."""
    return _entities_back(_REFERENCE.sub(lambda match: _seen(match, names), text))


def typed(text: str) -> str:
    """Turn a command's text into what was typed, keeping mentions as `<@U1>` and `<#C1>`."""
    return _entities_back(_REFERENCE.sub(_bare, text))


def _still(text: str) -> str:
    return _MARKS.sub(lambda match: _mark(match, text), text)


def _mark(match: re.Match[str], text: str) -> str:
    before, after = text[: match.start()][-1:], text[match.end() :][:1]
    if match[0] != "`" and before.isalnum() and after.isalnum():
        return match[0]
    return "".join(_TWINS[mark] for mark in match[0])


def _seen(match: re.Match[str], names: Mapping[str, str]) -> str:
    sort, id, label, url, words = match.groups()
    if sort == "@":
        return "@" + names.get(id, label or id)
    if sort == "#":
        return "#" + (label or id)
    if sort == "!":
        return label or "@" + id.split("^")[0]
    return words or url.removeprefix("mailto:")


def _bare(match: re.Match[str]) -> str:
    sort, id, _, url, _ = match.groups()
    return f"<{sort}{id}>" if sort else url.removeprefix("mailto:")


def _entities_back(text: str) -> str:
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
