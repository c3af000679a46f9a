"""How bad is it? A severity from the alerts' labels and the service's tier, with its reason.

Rules of `rules.py` decide, the same way every time. What they do not know stays
"unknown": a guess that looks like knowledge costs more than it saves.
"""

from plugins.triage.plugin import Triage

PLUGIN = Triage
