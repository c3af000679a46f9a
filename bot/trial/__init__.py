"""Trials: every runbook's steps performed on a stage, by the real engine.

Planner, gate, approvals, verification and rollback are the ones that run in
earnest, on a throw-away database. Only the world is made up: actions that take
what the real ones take, answer as the page hopes (or fail where the story wants
it), and touch nothing; people who agree; a clock that does not wait.
"""

from bot.trial.house import House
from bot.trial.stories import Tale, try_runbook

__all__ = ["House", "Tale", "try_runbook"]
