"""Programs as actions: listed ones only, with listed arguments, and never through a shell."""

from plugins.command.plugin import CommandLine

PLUGIN = CommandLine
