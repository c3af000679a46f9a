"""Slash commands: those of apps, and the few of Slack itself a practice needs."""

from bot.practice import membership
from bot.practice.envelopes import Doing, slash_command
from bot.practice.errors import NotAcknowledged, Refusal, SlackError
from bot.practice.grants import ResponseUrl
from bot.practice.page_json import notice
from bot.practice.posting import Draft, post
from bot.practice.records import Channel, InstalledApp, Json, Person, SlashCommand
from bot.practice.response_url import read_draft, send
from bot.practice.state import State
from bot.practice.wording import encode, encode_command, escape

_UNKNOWN = (
    '{command} is not a valid command. In Slack, all messages that start with the "/" character '
    "are interpreted as commands.\n\nIf you are trying to send a message and not run a command, "
    'try preceding the "/" with an empty space.'
)


async def run_command(
    state: State, person: Person, *, channel: Channel, text: str, thread_ts: str | None
) -> None:
    """Run what somebody typed after a slash.

    Raises:
        Refusal: there is no such command, it does not work here, or its app did not answer.
    """
    word, _, rest = text.strip().partition(" ")
    if thread_ts is not None:
        raise Refusal(f"{word} is not supported in threads. Sorry!")
    for app in state.apps.values():
        for command in app.commands:
            if command.command == word.lower():
                await _send(state, app, command, who=(person, channel), text=rest.strip())
                return
    if not _built_in(state, person, channel=channel, word=word.lower(), rest=rest.strip()):
        raise Refusal(_UNKNOWN.format(command=word))


async def _send(
    state: State,
    app: InstalledApp,
    command: SlashCommand,
    *,
    who: tuple[Person, Channel],
    text: str,
) -> None:
    person, channel = who
    sent = encode_command(state, text) if command.should_escape else escape(text)
    doing = Doing(state, app, person)
    payload = slash_command(doing, channel, command=command.command, text=sent)
    try:
        answer = await state.delivery.deliver(app, "slash_commands", payload)
    except NotAcknowledged as lost:
        raise Refusal(f'{command.command} failed with the error "{lost.reason}"') from lost
    if answer and (answer.get("text") or answer.get("blocks") or answer.get("attachments")):
        _answer(state, app, person, channel=channel, answer=answer)


def _answer(
    state: State, app: InstalledApp, person: Person, *, channel: Channel, answer: Json
) -> None:
    url = ResponseUrl(app, person.id, channel.id, None, None, 0.0)
    try:
        draft = read_draft(answer)
    except SlackError as refused:
        state.faults.append(f"answer to a slash command: {refused.answer()}")
        raise Refusal(f"The app's answer could not be shown ({refused.code}).") from refused
    send(state, url, draft, response_type=str(answer.get("response_type") or "ephemeral"))


def _built_in(state: State, person: Person, *, channel: Channel, word: str, rest: str) -> bool:
    """Run one of Slack's own commands; say whether it was one of those offered here."""
    if word not in ("/invite", "/topic", "/me", "/shrug", "/leave", "/archive"):
        return False
    if person.id not in channel.members:
        raise Refusal("You are not in this channel.")
    if word == "/invite":
        _invite(state, person, channel=channel, names=rest)
    elif word == "/topic":
        membership.set_topic(state, channel, rest, by=person)
    elif word == "/leave":
        membership.depart(state, channel, person)
    elif word == "/archive":
        membership.archive(state, channel, by=person)
    else:
        shrug = word == "/shrug"
        text = f"{rest} ¯\\_(ツ)_/¯".strip() if shrug else rest
        subtype = None if shrug else "me_message"
        post(state, channel, person, Draft(text=encode(state, text), subtype=subtype))
    return True


def _invite(state: State, person: Person, *, channel: Channel, names: str) -> None:
    for name in names.replace(",", " ").split():
        try:
            guest = state.find_person(name.strip("<>@"))
        except KeyError:
            raise Refusal(f"There is nobody called {name}.") from None
        if guest.id in channel.members:
            notice(state, person.id, f"{guest.real_name} is already in this channel.")
        else:
            membership.enter(state, channel, guest, inviter=person.id)
