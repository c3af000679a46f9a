"""Modals, which stack up to three high per person, and App Homes."""

from bot.practice.errors import SlackError
from bot.practice.forms import initial_values
from bot.practice.grants import Trigger
from bot.practice.posting import fill_block_ids
from bot.practice.records import InstalledApp, Json, View
from bot.practice.shapes import view_json
from bot.practice.state import State

MOST_STACKED = 3


def top(state: State, user_id: str) -> View | None:
    """Give the modal somebody is looking at."""
    stack = state.modals.get(user_id)
    return stack[-1] if stack else None


def open_modal(state: State, app: InstalledApp, body: Json, *, trigger: Trigger) -> View:
    """Open a modal in place of whatever was open.

    Raises:
        SlackError: the external id is taken.
    """
    view = _make(state, app, body, user_id=trigger.user_id)
    state.modals[trigger.user_id] = [view]
    _show(state, view, "open")
    return view


def push_modal(state: State, app: InstalledApp, body: Json, *, trigger: Trigger) -> View:
    """Put a modal on top of the one the trigger came from.

    Raises:
        SlackError: there is no modal to stand on, or three are open already.
    """
    view = push_on(state, app, body, user_id=trigger.user_id, below=trigger.view_id)
    _show(state, view, "push")
    return view


def push_on(
    state: State, app: InstalledApp, body: Json, *, user_id: str, below: str | None
) -> View:
    """Put a modal on somebody's stack without telling the page.

    Raises:
        SlackError: there is no modal to stand on, or three are open already.
    """
    stack = state.modals.get(user_id, [])
    if below is None or below not in [view.id for view in stack]:
        raise SlackError("not_found")
    if len(stack) >= MOST_STACKED:
        raise SlackError("push_limit_reached")
    view = _make(state, app, body, user_id=user_id)
    view.previous_view_id = stack[-1].id
    view.root_view_id = stack[0].id
    stack.append(view)
    return view


def update_view(state: State, view: View, body: Json, *, hash: str | None) -> None:
    """Replace a view's content, keeping what was typed into blocks that stay.

    Raises:
        SlackError: the view changed since the app saw it (`hash_conflict`).
    """
    replace(state, view, body, hash=hash)
    _show(state, view, "update")


def replace(state: State, view: View, body: Json, *, hash: str | None) -> None:
    """Replace a view's content without telling the page.

    Raises:
        SlackError: `hash_conflict` or `duplicate_external_id`.
    """
    if hash is not None and hash != view.hash:
        raise SlackError("hash_conflict")
    if body["type"] != view.kind:
        messages = ["[ERROR] view type does not match [json-pointer:/view/type]"]
        raise SlackError("invalid_arguments", response_metadata={"messages": messages})
    _check_external_id(state, body, view)
    typed = view.values
    view.body = _filled(state, body)
    view.hash = _hash(state)
    view.values = initial_values(view.blocks)
    for block_id, fields in view.values.items():
        kept = {k: v for k, v in typed.get(block_id, {}).items() if k in fields}
        fields |= {k: v for k, v in kept.items() if v.get("type") == fields[k].get("type")}


def publish_home(
    state: State, app: InstalledApp, body: Json, *, user_id: str, hash: str | None
) -> View:
    """Set what somebody sees on the app's Home tab.

    Raises:
        SlackError: the app has no Home tab, or the home changed since (`hash_conflict`).
    """
    if not app.home_tab:
        raise SlackError("not_enabled")
    home = state.homes.get((app.id, user_id))
    if home is None:
        home = _make(state, app, body, user_id=user_id)
        state.homes[(app.id, user_id)] = home
    else:
        replace(state, home, body, hash=hash)
    state.audience.tell(user_id, {"type": "home", "view": view_json(state, home)})
    return home


def close_modal(state: State, view: View) -> View | None:
    """Close a modal and what stands on it; give the one that comes to light."""
    stack = state.modals.get(view.user_id, [])
    ids = [entry.id for entry in stack]
    keep = 0 if view.body.get("clear_on_close") else ids.index(view.id)
    del stack[keep:]
    return stack[-1] if stack else None


def clear_modals(state: State, user_id: str) -> None:
    """Close all of somebody's modals."""
    state.modals.pop(user_id, None)


def _make(state: State, app: InstalledApp, body: Json, *, user_id: str) -> View:
    _check_external_id(state, body, None)
    view_id = state.mint.next("V")
    filled = _filled(state, body)
    return View(
        id=view_id,
        app_id=app.id,
        bot_id=app.bot_id,
        user_id=user_id,
        body=filled,
        hash=_hash(state),
        root_view_id=view_id,
        values=initial_values(filled["blocks"]),
    )


def _filled(state: State, body: Json) -> Json:
    return body | {"blocks": fill_block_ids(state.mint, body["blocks"])}


def _hash(state: State) -> str:
    return f"{state.mint.now()}.{state.mint.next('h')[1:].lower()}"


def _check_external_id(state: State, body: Json, view: View | None) -> None:
    wanted = body.get("external_id")
    if not wanted:
        return
    views = [entry for stack in state.modals.values() for entry in stack]
    views += state.homes.values()
    if any(v is not view and v.body.get("external_id") == wanted for v in views):
        raise SlackError("duplicate_external_id")


def _show(state: State, view: View, op: str) -> None:
    event = {"type": "view", "op": op, "view": view_json(state, view)}
    state.audience.tell(view.user_id, event)
