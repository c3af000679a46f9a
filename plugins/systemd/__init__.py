"""Units of this machine's systemd: listed ones, looked at, started, stopped, restarted."""

from plugins.systemd.plugin import Systemd

PLUGIN = Systemd
