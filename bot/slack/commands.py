"""Typed commands: which verb is meant, and what to say when none is.

Forgiving about case, hyphens and spaces: "post mortem" is `postmortem`.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bot.domain.errors import Refused
from bot.domain.messages import Heading, Message, Mono, Paragraph, Part, paragraph, quiet
from bot.plugin import Command
from bot.slack.escape import typed

_LONGEST_VERB = 3  # words
_HELP = frozenset({"", "help"})


@dataclass(frozen=True)
class Chosen:
    """The command that was meant, and the words and the text after its verb."""

    command: Command
    words: tuple[str, ...]
    text: str


class CommandBook:
    """Finds commands by root and verb."""

    def __init__(self, commands: Sequence[Command]) -> None:
        self._roots: dict[str, dict[str, Command]] = {}
        for command in commands:
            verbs = self._roots.setdefault(command.root, {})
            for verb in (command.verb, *command.aliases):
                verbs.setdefault(_plainly(verb), command)

    @property
    def roots(self) -> Mapping[str, Sequence[Command]]:
        """Return the commands of each root, each once, in their order."""
        return {root: list(dict.fromkeys(verbs.values())) for root, verbs in self._roots.items()}

    def choose(self, root: str, text: str) -> Chosen | Message:
        """Return the command that a text means, or the help.

        A command with an empty verb takes what no other verb claims.
        """
        verbs = self._roots.get(root)
        if verbs is None:
            raise Refused(f"{root} is not a command of mine any more.")
        words = text.split()
        for count in range(1, min(_LONGEST_VERB, len(words)) + 1):
            command = verbs.get(_plainly("".join(words[:count])))
            if command and command.verb:
                rest = text.split(maxsplit=count)[count:]
                return Chosen(command, tuple(words[count:]), rest[0] if rest else "")
        first = words[0].lower() if words else ""
        if "" in verbs and first != "help":
            return Chosen(verbs[""], tuple(words), text.strip())
        return self._help(root, "" if first in _HELP else typed(words[0]))

    def _help(self, root: str, unknown: str) -> Message:
        commands = self.roots[root]
        parts: list[Part] = [Heading(f"What {root} can do")]
        if unknown:
            parts = [_unknown(unknown, [command.verb for command in commands]), *parts]
        parts += [
            paragraph(Mono(usage_of(command)), f"  {command.summary}") for command in commands
        ]
        others = sorted(set(self._roots) - {root})
        if others:
            parts.append(quiet("Also: ", ", ".join(others)))
        summary = f"{root} does not know “{unknown}”." if unknown else f"What {root} can do"
        return Message(summary=summary, parts=tuple(parts))


def usage_of(command: Command) -> str:
    """Write a command the way it is typed."""
    return " ".join(word for word in (command.root, command.verb, command.usage) if word)


def _plainly(verb: str) -> str:
    return "".join(character for character in verb.casefold() if character.isalnum())


def _unknown(word: str, verbs: Sequence[str]) -> Paragraph:
    near = difflib.get_close_matches(word.casefold(), [verb for verb in verbs if verb], n=1)
    guess = f" Did you mean “{near[0]}”?" if near else ""
    return paragraph(f"I do not know “{word[:50]}”.{guess}")
