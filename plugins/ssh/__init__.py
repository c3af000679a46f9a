"""Programs on other machines: listed ones, on listed hosts whose keys are known."""

from plugins.ssh.plugin import Ssh

PLUGIN = Ssh
