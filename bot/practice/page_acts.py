"""What the page posts, turned into what a person does."""

from collections.abc import Awaitable, Callable, Mapping

from bot.practice.elements import blocks_of, find_element
from bot.practice.errors import Refusal
from bot.practice.page_json import channel_page
from bot.practice.people import Actor
from bot.practice.records import Json, Message, View
from bot.practice.shapes import view_json
from bot.practice.using import Use
from bot.practice.workspace import Workspace

Act = Callable[[Workspace, Actor, Json], Awaitable[Json]]


def _text(body: Json, name: str) -> str:
    value = body.get(name)
    if not isinstance(value, str) or not value:
        raise Refusal(f"{name}: must be a text.")
    return value


def _message(workspace: Workspace, body: Json) -> Message:
    message = workspace.find_message(_text(body, "channel"), _text(body, "ts"))
    if message is None:
        raise Refusal("That message is no longer there.")
    return message


def _view(workspace: Workspace, view_id: str) -> View:
    view = workspace.find_view(view_id)
    if view is None:
        raise Refusal("That window is no longer open.")
    return view


def _shown(workspace: Workspace, view: View | None) -> Json | None:
    return None if view is None else view_json(workspace, view)


def _values(body: Json) -> Json:
    state = body.get("state")
    values = state.get("values") if isinstance(state, dict) else None
    return values if isinstance(values, dict) else {}


async def post_message(workspace: Workspace, actor: Actor, body: Json) -> Json:
    """Type into the composer."""
    thread_ts = body.get("thread_ts")
    thread = str(thread_ts) if thread_ts else None
    await actor.type(_text(body, "channel"), _text(body, "text"), thread_ts=thread)
    return {}


async def use_element(workspace: Workspace, actor: Actor, body: Json) -> Json:
    """Use a button, menu or picker."""
    container, action = body.get("container"), body.get("action")
    if not isinstance(container, dict) or not isinstance(action, dict):
        raise Refusal("container and action: must be objects.")
    target: Message | View
    if container.get("type") == "view":
        target = _view(workspace, _text(container, "view_id"))
        blocks = target.blocks
    else:
        target = _message(workspace, container)
        blocks = blocks_of(target)
    name, block_id = _text(action, "action_id"), _text(action, "block_id")
    find_element(blocks, name=name, block_id=block_id)
    chosen = {k: v for k, v in action.items() if k == "value" or k.startswith("selected_")
              or k == "rich_text_value"}  # fmt: skip
    await actor.use(target, Use(name, block_id, chosen, _values(body)))
    return {}


async def submit_view(workspace: Workspace, actor: Actor, body: Json) -> Json:
    """Submit a modal; errors of single fields are no success."""
    view = _view(workspace, _text(body, "view"))
    outcome = await actor.submit_values(view, _values(body))
    if outcome.action == "errors":
        return {"ok": False, "errors": outcome.errors}
    return {"action": outcome.action, "view": _shown(workspace, outcome.view)}


async def close_view(workspace: Workspace, actor: Actor, body: Json) -> Json:
    """Dismiss a modal."""
    view = workspace.find_view(_text(body, "view"))
    if view is None:
        return {"view": _shown(workspace, actor.modal)}
    return {"view": _shown(workspace, await actor.close(view))}


async def use_shortcut(workspace: Workspace, actor: Actor, body: Json) -> Json:
    """Use a shortcut."""
    message = _message(workspace, body) if body.get("ts") else None
    await actor.shortcut(_text(body, "callback_id"), message=message)
    return {}


async def react(workspace: Workspace, actor: Actor, body: Json) -> Json:
    """Add or remove a reaction."""
    act = actor.unreact if body.get("remove") else actor.react
    await act(_message(workspace, body), _text(body, "name"))
    return {}


async def pin(workspace: Workspace, actor: Actor, body: Json) -> Json:
    """Pin or unpin a message."""
    act = actor.unpin if body.get("remove") else actor.pin
    await act(_message(workspace, body))
    return {}


async def create_channel(workspace: Workspace, actor: Actor, body: Json) -> Json:
    """Create a channel."""
    kind = "group" if body.get("is_private") else "channel"
    channel = await actor.create_channel(_text(body, "name"), kind=kind)
    return {"channel": channel_page(channel, viewer=actor.id)}


async def join(workspace: Workspace, actor: Actor, body: Json) -> Json:
    """Join a channel."""
    await actor.join(_text(body, "channel"))
    return {}


async def leave(workspace: Workspace, actor: Actor, body: Json) -> Json:
    """Leave a channel."""
    await actor.leave(_text(body, "channel"))
    return {}


async def read(workspace: Workspace, actor: Actor, body: Json) -> Json:
    """Mark a channel as read."""
    await actor.read(_text(body, "channel"))
    return {}


async def invite(workspace: Workspace, actor: Actor, body: Json) -> Json:
    """Add somebody to a channel."""
    await actor.invite(_text(body, "channel"), _text(body, "user"))
    return {}


async def open_home(workspace: Workspace, actor: Actor, body: Json) -> Json:
    """Open the app's Home tab."""
    return {"view": _shown(workspace, await actor.open_home())}


async def open_direct(workspace: Workspace, actor: Actor, body: Json) -> Json:
    """Open a direct message."""
    channel = await actor.open_direct(_text(body, "user"))
    return {"channel": channel_page(channel, viewer=actor.id)}


ACTS: Mapping[str, Act] = {
    "/practice/messages": post_message,
    "/practice/actions": use_element,
    "/practice/views/{view}/submit": submit_view,
    "/practice/views/{view}/close": close_view,
    "/practice/shortcuts": use_shortcut,
    "/practice/reactions": react,
    "/practice/pins": pin,
    "/practice/channels": create_channel,
    "/practice/channels/{channel}/join": join,
    "/practice/channels/{channel}/leave": leave,
    "/practice/channels/{channel}/read": read,
    "/practice/channels/{channel}/invite": invite,
    "/practice/home": open_home,
    "/practice/im": open_direct,
}
