"""The war room: declare an incident, work on it in its channel, bring it to an end.

An incident's channel has a topic and one pinned card that is updated in place;
the alerts channel gets one small announcement. Roles, status and notes are
buttons on the card and verbs of `/incident`.
"""

from plugins.warroom.plugin import Warroom

PLUGIN = Warroom
