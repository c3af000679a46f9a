"""users.* and usergroups.*: who there is."""

from bot.practice.api.call import Call, Methods
from bot.practice.api.paging import page
from bot.practice.errors import SlackError
from bot.practice.records import Json, Person
from bot.practice.shapes import user_json, usergroup_json


def _shown(call: Call, person: Person) -> Json:
    shown = user_json(call.state, person)
    if person.team:
        # Only who shares no channel with the app is a stranger to Slack; who does
        # share one is told by the team alone.
        shown["is_stranger"] = not _shares_a_channel(call, person)
    elif "users:read.email" in call.app.scopes and person.email:
        shown["profile"]["email"] = person.email
    return shown


def _shares_a_channel(call: Call, person: Person) -> bool:
    both = {person.id, call.app.bot_user_id}
    return any(both <= set(channel.members) for channel in call.state.channels.values())


def info(call: Call) -> Json:
    """Show a member."""
    return {"user": _shown(call, call.person(call.required("user")))}


def list_all(call: Call) -> Json:
    """List all members."""
    entries, cursor = page(call, list(call.state.people.values()))
    return {
        "members": [_shown(call, person) for person in entries],
        "cache_ts": call.state.mint.now(),
        "response_metadata": {"next_cursor": cursor},
    }


def by_email(call: Call) -> Json:
    """Find a member by email address; not who left, and nobody of another workspace."""
    wanted = call.required("email").lower()
    for person in call.state.people.values():
        if person.email.lower() == wanted and not person.deleted and not person.team:
            return {"user": _shown(call, person)}
    raise SlackError("users_not_found")


def profile(call: Call) -> Json:
    """Show a member's profile."""
    person = call.person(call.text("user") or call.app.bot_user_id)
    return {"profile": _shown(call, person)["profile"]}


def presence(call: Call) -> Json:
    """Say that a member is active; nobody in a practice workspace is away."""
    call.person(call.required("user"))
    return {"presence": "active"}


def groups(call: Call) -> Json:
    """List user groups."""
    shown = [usergroup_json(call.state, group) for group in call.state.usergroups.values()]
    if not call.flag("include_users"):
        for group in shown:
            del group["users"]
    return {"usergroups": shown}


def group_members(call: Call) -> Json:
    """List the members of a user group."""
    group = call.state.usergroups.get(call.required("usergroup"))
    if group is None:
        raise SlackError("no_such_subteam")
    return {"users": group.members}


METHODS: Methods = {
    "users.info": info,
    "users.list": list_all,
    "users.lookupByEmail": by_email,
    "users.profile.get": profile,
    "users.getPresence": presence,
    "usergroups.list": groups,
    "usergroups.users.list": group_members,
}
