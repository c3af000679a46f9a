"""Submitting and dismissing modals, and what the app's acknowledgement makes of them."""

from dataclasses import dataclass, field

from bot.practice import views
from bot.practice.envelopes import Doing, view_closed, view_submission
from bot.practice.errors import NotAcknowledged, Refusal, SlackError
from bot.practice.forms import form_errors, merge_values
from bot.practice.records import Json, View
from bot.practice.strict import require_view

_TROUBLE = "We had some trouble connecting. Try again?"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a submitted form.

    `action` is `close`, `update`, `push`, `clear` or `errors`; `view` is what is seen next.
    """

    action: str
    view: View | None = None
    errors: dict[str, str] = field(default_factory=dict)


async def submit(doing: Doing, view: View, values: Json) -> Outcome:
    """Submit a modal.

    Slack checks required fields and formats itself; only then is the app asked.

    Raises:
        Refusal: the app did not answer in time, or answered what Slack does not take.
    """
    view.values = merge_values(view.blocks, view.values, values)
    errors = form_errors(view.blocks, view.values)
    if errors:
        return Outcome("errors", view, errors)
    payload = view_submission(doing, view)
    try:
        answer = await doing.state.delivery.deliver(doing.app, "interactive", payload)
    except NotAcknowledged as lost:
        raise Refusal(_TROUBLE) from lost
    return _follow(doing, view, answer or {})


def _follow(doing: Doing, view: View, answer: Json) -> Outcome:
    state = doing.state
    action = answer.get("response_action")
    if action == "errors":
        return Outcome("errors", view, _known_errors(doing, view, answer.get("errors")))
    if action == "clear":
        views.clear_modals(state, view.user_id)
        return Outcome("clear")
    if action in ("update", "push"):
        return _replace(doing, view, answer)
    if action is not None or "text" in answer:
        raise _fault(doing, f"unknown answer to a view submission: {answer}")
    if view not in state.modals.get(view.user_id, []):
        return Outcome("close", views.top(state, view.user_id))
    stack = state.modals[view.user_id]
    del stack[stack.index(view) :]
    return Outcome("close", views.top(state, view.user_id))


def _replace(doing: Doing, view: View, answer: Json) -> Outcome:
    state, action = doing.state, str(answer["response_action"])
    try:
        body = require_view(answer.get("view"), kinds=("modal",))
        if action == "update":
            views.replace(state, view, body, hash=None)
            return Outcome("update", view)
        user_id, below = view.user_id, view.id
        return Outcome("push", views.push_on(state, doing.app, body, user_id=user_id, below=below))
    except SlackError as refused:
        raise _fault(doing, f"answer to a view submission: {refused.answer()}") from refused


def _known_errors(doing: Doing, view: View, errors: object) -> dict[str, str]:
    inputs = {block["block_id"] for block in view.blocks if block["type"] == "input"}
    if not isinstance(errors, dict) or not errors or not set(errors) <= inputs:
        raise _fault(doing, f"errors must name input blocks of the view: {errors}")
    return {str(block_id): str(text) for block_id, text in errors.items()}


def _fault(doing: Doing, what: str) -> Refusal:
    doing.state.faults.append(what)
    return Refusal(_TROUBLE)


async def close(doing: Doing, view: View) -> View | None:
    """Dismiss a modal, telling the app if it asked for that; give the one below."""
    shown = views.close_modal(doing.state, view)
    if view.body.get("notify_on_close"):
        payload = view_closed(doing, view)
        try:
            await doing.state.delivery.deliver(doing.app, "interactive", payload)
        except NotAcknowledged as lost:
            doing.state.faults.append(f"view_closed was not acknowledged: {lost.reason}")
    return shown
