"""A local Slack: Web API, Socket Mode and a page in the browser, for practice and for tests.

It knows nothing of the bot that lives in it: any Slack app runs here unmodified, given the base
URL `server.api_url`. It is strict, and refuses what Slack refuses with Slack's error names.

In reading order:

- `records`, `state`, `workspace`: what a workspace holds, how to ask it and how to fill it
- `manifest`, `scopes`: installing an app, and which scope each method and event asks for
- `posting`, `membership`, `annotations`, `views`: what happens in a workspace
- `people`, with `commands`, `using`, `submission`, `forms`, `elements`, `wording`: what a person
  can do
- `events`, `envelopes`, `shapes`: the JSON in which apps are told of it
- `delivery`, `courier`, `socket_mode`, `http_mode`: how it reaches them; `grants`,
  `response_url`: how they answer
- `strict`, `strict_blocks`, `strict_elements`, `strict_rules`: the limits of Block Kit
- `api/`: the Web API, one module per family of methods
- `page_api`, `page_acts`, `page_json`, `audience`, `panels`, `files`, `site`, `page/`: the page
- `tokens`, `sign_in`, `sign_in_site`: the workspace as an OpenID provider
- `server`: all of it on one port
"""

from bot.practice.errors import Refusal
from bot.practice.panels import Panel, PanelButton, PanelFact, PanelStatus
from bot.practice.server import PracticeServer
from bot.practice.sign_in import SignIn
from bot.practice.workspace import Workspace

__all__ = [
    "Panel",
    "PanelButton",
    "PanelFact",
    "PanelStatus",
    "PracticeServer",
    "Refusal",
    "SignIn",
    "Workspace",
]
