"""Known errors: causes that struck more than once, with a workaround (ITIL's problem records).

A known error has links to the incidents it brought about. Links are a set: an
incident is linked once however often people say so, and a cause that was thought
to be fixed is open again as soon as it strikes another time.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from itertools import groupby

from bot.domain.documents import Document, Kind, Outcome
from bot.domain.errors import Refused
from bot.domain.findings import Evidence, Finding, FindingKind
from bot.domain.incidents import Incident, IncidentId

TITLE_LENGTH = 120
TEXT_LENGTH = 3000  # characters of a cause or workaround, with all that was added to it

_ID = re.compile(r"(?:ke-?)?([1-9]\d{0,8})", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")  # stores of text refuse some of them
_LINE = 140  # characters of a cause or workaround where one line has to do
_NAMED = "named cause"  # the kind of evidence that only a person's word is given


class KnownErrorState(StrEnum):
    """OPEN until its cause is gone for good."""

    OPEN = "open"
    FIXED = "fixed"


class Unusable(Refused):
    """What somebody wrote about a cause cannot be kept: which field, and why."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(reason)
        self.field = field


class TitleTaken(Unusable):
    """Another known error goes by this title; extending that one is offered instead."""

    def __init__(self, known: KnownError) -> None:
        super().__init__(
            "title", f"{known.id} has this title already; extend it, or choose another title."
        )
        self.known = known


@dataclass(frozen=True, kw_only=True)
class Account:
    """What a person writes about a cause. Use `described` to make one."""

    title: str
    cause: str
    workaround: str = ""


@dataclass(frozen=True, kw_only=True)
class KnownError:
    """A cause people have named, and the incidents it brought about, oldest link first.

    `by` is the person who proposed it. `workaround` may be empty: then it is a
    problem whose workaround nobody knows yet.
    """

    id: str
    title: str
    cause: str
    workaround: str
    services: tuple[str, ...]
    incidents: tuple[IncidentId, ...]
    by: str
    at: datetime
    state: KnownErrorState = KnownErrorState.OPEN
    version: int = 1

    @property
    def number(self) -> int:
        """Return the number in its id, by which known errors are sorted."""
        return int(self.id.removeprefix("KE-"))

    @property
    def open(self) -> bool:
        """Say whether its cause may strike again."""
        return self.state is KnownErrorState.OPEN

    @property
    def document(self) -> Document:
        """Return it as the search keeps it."""
        sections = (("Cause", self.cause), ("Workaround", self.workaround))
        return Document(
            id=self.id,
            kind=Kind.KNOWN_ERROR,
            title=self.title,
            text="\n\n".join(f"## {name}\n\n{text}" for name, text in sections if text),
            services=self.services,
            created_at=self.at,
            outcome=Outcome.WORKED if self.workaround else Outcome.UNKNOWN,
        )

    @property
    def line(self) -> str:
        """Tell it in one line: what it is, and what to do about it."""
        fixed = "" if self.open else ", thought to be fixed"
        known = shortened(self.workaround) or "no workaround is known yet"
        return f"{self.id}{fixed}, {shortened(self.title)}: {known}"

    @property
    def note(self) -> Finding:
        """Return what the card of an alert says once people have named this as the cause."""
        return Finding(
            kind=FindingKind.KNOWN_ERROR,
            claim=self.line,
            value=self.id,
            evidence=(Evidence(kind=_NAMED, ref=self.id, label="named by people"),),
            detail=self.cause,
        )


@dataclass(frozen=True, kw_only=True)
class Struck:
    """How often a known error struck, and when last; None where no record tells."""

    known: KnownError
    times: int
    last: datetime | None


def known_error_id(text: str) -> str:
    """Return the id that a person means by `KE-3`, `ke3` or `3`.

    Raises:
        Refused: it is none.
    """
    found = _ID.fullmatch(text.strip())
    if found is None:
        raise Refused(f"“{text.strip()[:40]}” is not a known error; say it like KE-3.")
    return f"KE-{int(found[1])}"


def is_named(finding: Finding) -> bool:
    """Say whether a finding is a known error that people named, not one the search found.

    It shows in the kind of its evidence, which no text that anybody wrote gets into.
    """
    named = any(item.kind == _NAMED for item in finding.evidence)
    return named and finding.kind is FindingKind.KNOWN_ERROR


def with_named(answers: Iterable[Finding], note: Finding | None) -> tuple[Finding, ...]:
    """Return what plugins answered about a group whose cause people named in `note`, if they did.

    People may have named it, or taken it back, while the plugins were asked. So
    a named cause among the answers is none, and where there is one it stands
    instead of what the search found.
    """
    if note is None:
        return tuple(answer for answer in answers if not is_named(answer))
    others = (answer for answer in answers if answer.kind is not FindingKind.KNOWN_ERROR)
    return (note, *others)


def described(title: str, cause: str, workaround: str = "") -> Account:
    """Return what a person wrote about a cause, in a form that can be kept.

    Raises:
        Unusable: a field is too long, or empty but for the workaround.
    """
    clean = " ".join(_CONTROL.sub(" ", title).split())
    if not same_title(clean):
        raise Unusable("title", "The title is empty: say in a few words what goes wrong.")
    if len(clean) > TITLE_LENGTH:
        raise Unusable("title", _too_long("title", len(clean), TITLE_LENGTH))
    if not _clean(cause):
        raise Unusable("cause", "The cause is empty: say why it goes wrong.")
    return Account(
        title=clean,
        cause=_fitting("cause", _clean(cause)),
        workaround=_fitting("workaround", _clean(workaround)),
    )


def same_title(title: str) -> str:
    """Return what two titles have in common that people would call the same.

    Case, punctuation, spacing and compatibility forms of letters (Unicode NFKC)
    make no difference.
    """
    folded = unicodedata.normalize("NFKC", title).casefold()
    return " ".join(re.findall(r"[^\W_]+", folded))


def shortened(text: str) -> str:
    """Return a text as one line, cut visibly where it is long."""
    flat = " ".join(text.split())
    return flat if len(flat) <= _LINE else f"{flat[: _LINE - 1].rstrip()}…"


def link(known: KnownError, incident: Incident) -> KnownError:
    """Link an incident; a link that is there stays, and nothing changes.

    A cause that was thought to be fixed is open again. It concerns the
    incident's service from now on.
    """
    if incident.id in known.incidents:
        return known
    return replace(
        known,
        incidents=(*known.incidents, incident.id),
        services=_with(known.services, incident.service),
        state=KnownErrorState.OPEN,
        version=known.version + 1,
    )


def unlink(known: KnownError, incident: IncidentId) -> KnownError:
    """Take a link back.

    Raises:
        Refused: there is none.
    """
    if incident not in known.incidents:
        raise Refused(f"{incident} is not linked to {known.id}.")
    left = tuple(id for id in known.incidents if id != incident)
    return replace(known, incidents=left, version=known.version + 1)


def extend(known: KnownError, *, cause: str = "", workaround: str = "") -> KnownError:
    """Add what is new about a cause or its workaround as a paragraph of its own.

    What others wrote before stays: an extension corrects by adding, and what
    stands there already is not told twice.

    Raises:
        Unusable: the whole would be too long.
    """
    extended = replace(
        known,
        cause=_fitting("cause", _joined(known.cause, cause)),
        workaround=_fitting("workaround", _joined(known.workaround, workaround)),
    )
    return known if extended == known else replace(extended, version=known.version + 1)


def tells(known: KnownError, account: Account) -> bool:
    """Say whether a known error has an account's title, and all that it says."""
    return (
        same_title(known.title) == same_title(account.title)
        and _joined(known.cause, account.cause) == known.cause
        and _joined(known.workaround, account.workaround) == known.workaround
    )


def fix(known: KnownError) -> KnownError:
    """Record that a cause is gone for good.

    Raises:
        Refused: it is so already.
    """
    if not known.open:
        raise Refused(f"{known.id} is fixed already.")
    return replace(known, state=KnownErrorState.FIXED, version=known.version + 1)


def _joined(text: str, more: str) -> str:
    """Add paragraphs unless they stand there already, whole and in this order.

    Part of a paragraph is another matter: "Do not restart it." has "restart it."
    """
    more = _clean(more)
    if _within(_paragraphs(more), _paragraphs(text)):
        return text
    return f"{text}\n\n{more}" if text else more


def _paragraphs(text: str) -> Sequence[str]:
    """Return paragraphs as one line each; empty lines stand between them."""
    lines = (" ".join(line.split()) for line in text.splitlines())
    blocks = groupby(lines, key=bool)
    return [" ".join(block) for full, block in blocks if full]


def _within(few: Sequence[str], many: Sequence[str]) -> bool:
    places = range(len(many) - len(few) + 1)
    return any(many[place : place + len(few)] == few for place in places)


def _clean(text: str) -> str:
    return _CONTROL.sub("", text.replace("\r\n", "\n")).strip()


def _with(services: tuple[str, ...], service: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for name in (*services, service) if name))


def _fitting(field: str, text: str) -> str:
    if len(text) > TEXT_LENGTH:
        raise Unusable(field, _too_long(field, len(text), TEXT_LENGTH))
    return text


def _too_long(field: str, length: int, most: int) -> str:
    return f"The {field} has {length:,} characters; {most:,} are the most."
