"""auth.*, api.test, bots.*, team.*, emoji.*: who an app is and where."""

from bot.practice.api.call import Call, Methods
from bot.practice.errors import SlackError
from bot.practice.records import Json


def api_test(call: Call) -> Json:
    """Give the arguments back, or the error asked for."""
    if call.has("error"):
        raise SlackError(call.text("error"), args=call.arguments)
    return {"args": call.arguments}


def auth_test(call: Call) -> Json:
    """Say who the token belongs to."""
    state, app = call.state, call.app
    return {
        "url": f"{state.base_url}/",
        "team": state.name,
        "user": call.bot.name,
        "team_id": state.id,
        "user_id": app.bot_user_id,
        "bot_id": app.bot_id,
        "is_enterprise_install": False,
    }


def bots_info(call: Call) -> Json:
    """Show an app's bot."""
    wanted = call.text("bot") or call.app.bot_id
    for app in call.state.apps.values():
        if app.bot_id == wanted:
            bot = {
                "id": app.bot_id,
                "deleted": False,
                "name": app.name,
                "updated": 0,
                "app_id": app.id,
                "user_id": app.bot_user_id,
                "icons": {},
            }
            return {"bot": bot}
    raise SlackError("bot_not_found")


def team_info(call: Call) -> Json:
    """Show the workspace."""
    state = call.state
    team = {
        "id": state.id,
        "name": state.name,
        "domain": state.domain,
        "url": f"{state.base_url}/",
        "email_domain": "",
        "icon": {"image_default": True},
    }
    return {"team": team}


def emoji_list(call: Call) -> Json:
    """List custom emoji, of which a practice workspace has none."""
    return {"emoji": {}, "cache_ts": call.state.mint.ts()}


METHODS: Methods = {
    "api.test": api_test,
    "auth.test": auth_test,
    "bots.info": bots_info,
    "team.info": team_info,
    "emoji.list": emoji_list,
}
