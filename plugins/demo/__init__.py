"""What the assistant can do to the demo's checkout service: three actions, two of them gated."""

from plugins.demo.plugin import Demo

PLUGIN = Demo
