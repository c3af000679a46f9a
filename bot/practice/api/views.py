"""views.*: modals and App Homes."""

from bot.practice import views
from bot.practice.api.call import Call, Methods, invalid
from bot.practice.errors import SlackError
from bot.practice.grants import Trigger
from bot.practice.records import Json, View
from bot.practice.shapes import view_json
from bot.practice.strict import require_view


def _body(call: Call, *kinds: str) -> Json:
    if not call.has("view"):
        raise invalid("missing required field: view")
    return require_view(call.arguments["view"], kinds=kinds)


def _trigger(call: Call) -> Trigger:
    trigger_id = call.required("trigger_id")
    return call.state.grants.redeem_trigger(call.app, trigger_id)


def _shown(call: Call, view: View) -> Json:
    return {"view": view_json(call.state, view)}


def open_view(call: Call) -> Json:
    """Open a modal for whoever the trigger id belongs to."""
    body = _body(call, "modal")
    return _shown(call, views.open_modal(call.state, call.app, body, trigger=_trigger(call)))


def push_view(call: Call) -> Json:
    """Put a modal on top of the open one."""
    body = _body(call, "modal")
    return _shown(call, views.push_modal(call.state, call.app, body, trigger=_trigger(call)))


def update_view(call: Call) -> Json:
    """Replace an open view's content."""
    body = _body(call, "modal", "home")
    view = _find(call)
    views.update_view(call.state, view, body, hash=call.text("hash") or None)
    return _shown(call, view)


def _find(call: Call) -> View:
    view_id, external_id = call.text("view_id"), call.text("external_id")
    if not view_id and not external_id:
        raise invalid("missing required field: view_id or external_id")
    open_views = [view for stack in call.state.modals.values() for view in stack]
    for view in [*open_views, *call.state.homes.values()]:
        named = view.id == view_id or (external_id and view.body.get("external_id") == external_id)
        if named and view.app_id == call.app.id:
            return view
    raise SlackError("not_found")


def publish_view(call: Call) -> Json:
    """Set somebody's App Home."""
    body = _body(call, "home")
    user_id = call.required("user_id")
    if user_id not in call.state.people:
        raise invalid("invalid `user_id`")
    hash_ = call.text("hash") or None
    return _shown(call, views.publish_home(call.state, call.app, body, user_id=user_id, hash=hash_))


METHODS: Methods = {
    "views.open": open_view,
    "views.push": push_view,
    "views.update": update_view,
    "views.publish": publish_view,
}
