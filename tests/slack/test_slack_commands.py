from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from bot.domain.errors import Refused
from bot.domain.messages import Message, Reply
from bot.plugin import Command, CommandRequest
from bot.slack.blocks import render
from bot.slack.commands import Chosen, CommandBook


async def nothing(request: CommandRequest) -> Reply:
    return None


def command(verb: str, *aliases: str, root: str = "/incident", usage: str = "") -> Command:
    return Command(
        root=root, verb=verb, usage=usage, summary=f"Does {verb}.", handler=nothing, aliases=aliases
    )


BOOK = CommandBook(
    [
        command("note", usage="<text>"),
        command("postmortem", "pm", "retro note"),
        command("", root="/runbook", usage="<words>"),
    ]
)


@pytest.mark.parametrize(
    ("text", "verb", "rest"),
    (
        ("note It  burns", "note", "It  burns"),
        ("NOTE x", "note", "x"),
        ("post mortem now", "postmortem", "now"),
        ("Post-Mortem", "postmortem", ""),
        ("pm", "postmortem", ""),
        ("retro note x", "postmortem", "x"),
    ),
)
def test_verbs_are_found_forgivingly(text: str, verb: str, rest: str) -> None:
    chosen = BOOK.choose("/incident", text)
    assert isinstance(chosen, Chosen)
    assert chosen.command.verb == verb
    assert chosen.text == rest
    assert chosen.words == tuple(rest.split())


def shown(message: Chosen | Message) -> str:
    assert isinstance(message, Message)
    return json.dumps(render(message, now=datetime.now(UTC)), ensure_ascii=False)


def test_nothing_typed_shows_the_help() -> None:
    for text in ("", "help", " HELP "):
        assert "/incident note <text>" in shown(BOOK.choose("/incident", text))


def test_an_unknown_word_is_named_and_the_nearest_one_offered() -> None:
    text = shown(BOOK.choose("/incident", "nots x"))
    assert "I do not know “nots”. Did you mean “note”?" in text
    assert "/incident postmortem" in text


def test_a_command_without_a_verb_takes_every_word() -> None:
    chosen = BOOK.choose("/runbook", "worker stuck")
    assert isinstance(chosen, Chosen)
    assert chosen.text == "worker stuck"
    assert isinstance(BOOK.choose("/runbook", "help"), Message)


def test_a_root_from_an_older_version_is_refused() -> None:
    with pytest.raises(Refused, match="/gone"):
        BOOK.choose("/gone", "x")
