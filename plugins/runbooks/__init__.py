"""Runbooks: which one fits, run it through the gate, and one message that tells its whole life.

In reading order: `suggestions` (which runbook fits and why), `forms` (choose one
and fill in its parameters), `pages` (a runbook to read), `steps`, `scope`,
`consent` and `messages` (the run's message in every state), `levels` and `acting`
(what the assistant asks for by itself), `plugin` (the handlers; they only call
services, and the event that follows redraws the message).
"""

from plugins.runbooks.plugin import Runbooks

PLUGIN = Runbooks
