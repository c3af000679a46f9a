"""Runbooks: which one fits, run it through the gate, and one message that tells its whole life.

In reading order: `suggestions` (which runbook fits and why), `forms` (choose one
and fill in its parameters), `pages` (a runbook to read), `steps`, `terms`, `scope`
and `consent` (the plan, as those who approve it see it), `outputs` and `byhand`
(what goes on), `messages` and `endings` (the run's message in every state, with
the `buttons`), `levels` and `acting` (what the assistant asks for by itself),
`choosing`, `answering` and `watching` (the handlers), `plugin`. Handlers only
call services, and the event that follows redraws the message.
"""

from plugins.runbooks.plugin import Runbooks

PLUGIN = Runbooks
