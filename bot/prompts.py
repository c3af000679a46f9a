"""Prompt templates: `prompts/*.md.j2` and a frozen dataclass make a prompt.

**Untrusted by default.** Every text among the variables counts as written by a
stranger: an alert's label, a chat message, a log line. A template cannot print
such a text, not even through a filter; only `_untrusted.md.j2` can, which fences
it. What is our own wording stands in the template, or is an enum or a number.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from hashlib import sha256
from pathlib import Path

from jinja2 import FileSystemLoader, StrictUndefined, TemplateError, meta
from jinja2.sandbox import ImmutableSandboxedEnvironment
from typing_extensions import override

from bot.ports import ModelUnavailable

FOLDER = Path(__file__).resolve().parent.parent / "prompts"
LONGEST = 20_000  # characters of one untrusted text
CUT = "[cut here: the text is longer]"

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]")


class PromptError(ModelUnavailable):
    """A template, or what it is given, breaks the rules; the message names both.

    Prompts are data that people change. A broken one is a reason to do without
    the language model, not to fail.
    """


@dataclass(frozen=True)
class Fence:
    """A name for the fence's two lines, and the text between them, which never has it."""

    name: str
    inside: str


class Untrusted:
    """A text that cannot be printed by a template; `fence_of` alone can read it."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    @override
    def __str__(self) -> str:
        raise PromptError("untrusted text may enter a prompt only through _untrusted.md.j2")

    @override
    def __repr__(self) -> str:
        return "<untrusted>"

    @override
    def __format__(self, spec: str) -> str:
        return str(self)

    def __html__(self) -> str:
        return str(self)


def fence_of(text: object) -> Fence:
    """Return the fence for an untrusted text.

    Its name is taken from the SHA-256 of the text, so that nobody who writes
    the text can foresee it, and taken again in the unthinkable case that the
    text contains it. Control characters and invisible ones are dropped.
    """
    if not isinstance(text, Untrusted):
        raise PromptError("only a prompt's variables are fenced")
    inside = _UNSEEN.sub("", text._text)  # the one reader there is
    if len(inside) > LONGEST:
        inside = f"{inside[:LONGEST]}\n{CUT}"
    name = _name(inside)
    while name in inside.upper():
        name = _name(inside + name)
    return Fence(name=name, inside=inside)


def _name(text: str) -> str:
    return f"DATA-{sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:24].upper()}"


class JinjaPrompts:
    """The templates of a folder."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self._environment = ImmutableSandboxedEnvironment(
            loader=FileSystemLoader(folder),
            undefined=StrictUndefined,
            autoescape=False,  # prompts are text, not HTML
            keep_trailing_newline=True,
            finalize=_printable,
        )
        self._environment.globals["fence_of"] = fence_of

    def render(self, name: str, variables: object) -> str:
        """Render a prompt from a frozen dataclass of its variables.

        Raises:
            PromptError: the template is unknown or broken, or a variable is
                missing or prints untrusted text by itself.
        """
        given = _given(name, variables)
        try:
            return self._environment.get_template(_file(name)).render(given).strip() + "\n"
        except (TemplateError, TypeError) as error:
            raise PromptError(f"{name}: {error}") from error

    def digest(self, name: str) -> str:
        """Return the SHA-256 of a prompt's source and of all it includes.

        Raises:
            PromptError: the template is unknown or broken.
        """
        sources: dict[str, str] = {}
        try:
            self._collect(_file(name), sources)
        except TemplateError as error:
            raise PromptError(f"{name}: {error}") from error
        whole = sha256()
        for file, source in sorted(sources.items()):
            for part in (file, source):
                whole.update(len(part.encode()).to_bytes(8, "big") + part.encode())
        return whole.hexdigest()

    def _collect(self, file: str, sources: dict[str, str]) -> None:
        loader = self._environment.loader
        assert loader is not None  # noqa: S101  # given above
        sources[file] = loader.get_source(self._environment, file)[0]
        for other in meta.find_referenced_templates(self._environment.parse(sources[file])):
            if other is None:
                raise PromptError(f"{file}: includes must be named in the open")
            if other not in sources:
                self._collect(other, sources)


def _file(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise PromptError(f"{name!r} is not the name of a prompt")
    return f"{name}.md.j2"


def _given(name: str, variables: object) -> dict[str, object]:
    if not is_dataclass(variables) or isinstance(variables, type):
        raise PromptError(f"{name}: the variables are not a dataclass")
    if not variables.__dataclass_params__.frozen:  # type: ignore[attr-defined]  # not in typeshed
        raise PromptError(f"{name}: the dataclass of variables is not frozen")
    return {f.name: _guarded(f.name, getattr(variables, f.name)) for f in fields(variables)}


def _guarded(name: str, value: object) -> object:
    """Wrap every text; let numbers and our own words (enums) pass."""
    if value is None or isinstance(value, Enum | bool | int | float | Untrusted):
        return value
    if isinstance(value, str):
        return Untrusted(value)
    if isinstance(value, tuple):
        return tuple(_guarded(name, item) for item in value)
    raise PromptError(f"{name}: {type(value).__name__} cannot be given to a prompt")


def _printable(value: object) -> object:
    """Refuse what a template prints by itself: untrusted texts, also within others."""
    if isinstance(value, Untrusted):
        return str(value)
    if isinstance(value, tuple | list | dict):
        raise PromptError("a prompt prints a collection; loop over it")
    return value
