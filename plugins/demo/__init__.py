"""What the assistant can do to the demo's checkout service: six actions, four of them gated."""

from plugins.demo.plugin import Demo

PLUGIN = Demo
