"""Autonomy as people see and change it: what the assistant may do by itself, and where."""

from __future__ import annotations

from collections.abc import Sequence

from bot.domain.autonomy import AutonomyRow, Level, name_of
from bot.domain.errors import Refused
from bot.domain.messages import Bold, Message, Part, Reply, note, paragraph, quiet
from bot.plugin import Command, CommandRequest, PluginContext
from plugins.governance import words
from plugins.governance.links import Links
from plugins.governance.notices import on

MOST_ROWS = 15
_USAGE = "Write it as: /incident autonomy <action> <service> <L0 to L4> <reason>."


class Trust:
    """The verb `autonomy`."""

    def __init__(self, context: PluginContext, links: Links) -> None:
        self._context = context
        self._links = links

    def commands(self, root: str) -> Sequence[Command]:
        """Return the verb."""
        return (
            Command(
                root=root,
                verb="autonomy",
                usage="[<action> <service> <L0-L4> <reason>]",
                summary="show or change what the assistant may do by itself",
                handler=self._handle,
            ),
        )

    async def _handle(self, request: CommandRequest) -> Reply:
        words.check_member(request.caller.person)
        if not request.words:
            rows = await self._context.autonomy.matrix()
            return matrix(rows, more=self._links.to("autonomy"))
        return await self._change(request)

    async def _change(self, request: CommandRequest) -> Reply:
        given, catalog = request.words, self._context.knowledge.catalog
        if len(given) < 4:
            raise Refused(_USAGE)
        action = self._action(given[0])
        service = words.service(given[1], catalog.services)
        known = catalog.services.get(service or "")
        changed = await self._context.autonomy.promote(
            action,
            service,
            words.level(given[2]),
            reason=" ".join(given[3:]),
            by=request.caller,
            standing=await self._context.people.standing(request.caller.person.id),
            team=known.team if known else None,
        )
        where = on(changed.action, changed.service)
        return note(f"{where} is at {changed.level.name} now: {changed.level.meaning}.")

    def _action(self, word: str) -> str:
        """Take only what some runbook uses: a level for a misspelt action would stand for nothing.

        Raises:
            Refused: no runbook uses it.
        """
        name = name_of(word.casefold())
        used = {name_of(s.uses) for r in self._context.knowledge.runbooks.values() for s in r.steps}
        if name not in used:
            raise Refused(f"No runbook uses an action “{word[:60]}”; there are {_some(used)}.")
        return name


def _some(names: set[str]) -> str:
    shown = sorted(names)[:8]
    more = f" and {len(names) - len(shown)} more" if len(names) > len(shown) else ""
    return f"{', '.join(shown)}{more}" if shown else "none"


def matrix(rows: Sequence[AutonomyRow], *, more: Sequence[Part]) -> Message:
    """Show the level of each action and service, and what its record would justify."""
    default = (
        f"Everywhere else it is {Level.L2.name}: {Level.L2.meaning}. More has to be earned by "
        "verified runs; it is lost by itself when something goes wrong."
    )
    shown = [paragraph(*_row(row)) for row in rows[:MOST_ROWS]]
    hidden = len(rows) - len(shown)
    rest = [quiet(f"And {hidden} more.")] if hidden else []
    summary = "What the assistant may do by itself"
    return Message(
        summary=summary, parts=(paragraph(Bold(summary)), *shown, *rest, quiet(default), *more)
    )


def _row(row: AutonomyRow) -> tuple[str | Bold, ...]:
    level, tally = row.autonomy.level, row.tally
    runs = "no runs yet" if not tally.total else f"{tally.good} of {tally.total} runs verified"
    earned = f", enough for {row.earned.name}" if row.earned > level else ""
    where = on(row.autonomy.action, row.autonomy.service)
    return (Bold(level.name), f"  {where}: {level.meaning} ({runs}{earned})")
