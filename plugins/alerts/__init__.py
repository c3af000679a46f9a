"""What people do with an alert: acknowledge it, silence it, look at all of it.

The card itself is drawn by the frame; this plugin offers its buttons, lists
what fires, and shows everything the assistant knows behind "Details".
"""

from plugins.alerts.plugin import Alerts

PLUGIN = Alerts
