"""Steps without machinery: what a person does (`human.do@1`), what time does (`wait.until@1`).

With them a runbook can be written down whole and automated step by step over
months: the plan, its approval and the record are the same from the first day.
"""

from plugins.manual.plugin import Manual

PLUGIN = Manual
