"""All Web API methods the workspace knows."""

from bot.practice.api import (
    account,
    chat,
    conversations,
    files,
    marks,
    reading,
    users,
    views,
)
from bot.practice.api.call import Methods

METHODS: Methods = {
    **account.METHODS,
    **chat.METHODS,
    **conversations.METHODS,
    **files.METHODS,
    **marks.METHODS,
    **reading.METHODS,
    **users.METHODS,
    **views.METHODS,
}
