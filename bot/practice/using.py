"""Using buttons, menus and pickers, in messages and in views."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from bot.practice.elements import blocks_of, find_element, make_action
from bot.practice.envelopes import Doing, message_action, view_action
from bot.practice.errors import NotAcknowledged, Refusal
from bot.practice.forms import initial_values, merge_values
from bot.practice.records import InstalledApp, Json, Message, Person, View
from bot.practice.state import State

_LOST: Mapping[str, str] = {
    "dispatch_failed": "the app could not be reached",
    "operation_timeout": "the app did not answer in time",
}


@dataclass(frozen=True, slots=True)
class Use:
    """One use of an element: which one, what was chosen, and what else stands in the fields.

    `given` and `values` are in Slack's form: `selected_…` keys, and `state.values`.
    """

    name: str
    block_id: str | None = None
    given: Json = field(default_factory=dict)
    values: Json = field(default_factory=dict)

    def merged(self, blocks: list[Json], current: Json, *, block: Json, element: Json) -> Json:
        """Give the fields' values after this use."""
        own = {block["block_id"]: {element["action_id"]: self.given}} if self.given else {}
        return merge_values(blocks, merge_values(blocks, current, self.values), own)


async def use_in_view(state: State, person: Person, view: View, *, use: Use) -> None:
    """Use an element of a modal or an App Home.

    Raises:
        Refusal: it is not there (any more), or the app did not answer.
    """
    if state.find_view(view.id) is not view or view.user_id != person.id:
        raise Refusal("That window is no longer open.")
    block, element = find_element(view.blocks, name=use.name, block_id=use.block_id)
    action = make_action(block, element, given=use.given, at=state.mint.ts())
    view.values = use.merged(view.blocks, view.values, block=block, element=element)
    app = state.apps[view.app_id]
    await send(state, app, view_action(Doing(state, app, person), view, action=action))


async def use_on_message(state: State, person: Person, message: Message, *, use: Use) -> None:
    """Use an element of a message.

    Raises:
        Refusal: it is not there (any more), not for this person, or the app did not answer.
    """
    if state.find_message(message.channel, message.ts) is not message:
        raise Refusal("That message is no longer there.")
    if message.ephemeral_to not in (None, person.id):
        raise Refusal("That message is not for you.")
    if not state.may_see(person.id, state.channels[message.channel]):
        raise Refusal("You are not in this channel.")
    blocks = blocks_of(message)
    block, element = find_element(blocks, name=use.name, block_id=use.block_id)
    action = make_action(block, element, given=use.given, at=state.mint.ts())
    values = use.merged(blocks, initial_values(blocks), block=block, element=element)
    app = state.apps[message.app_id or ""]
    doing = Doing(state, app, person)
    await send(state, app, message_action(doing, message, action=action, values=values))


async def send(state: State, app: InstalledApp, payload: Json) -> None:
    """Send an interaction to its app.

    Raises:
        Refusal: the app did not acknowledge it.
    """
    try:
        await state.delivery.deliver(app, "interactive", payload)
    except NotAcknowledged as lost:
        why = _LOST.get(lost.reason, lost.reason)
        raise Refusal(f"That didn't work: {why} ({lost.reason}).") from lost
