"""Proposals: after an incident without a runbook, a draft of one from what people did.

The draft is for review in git. It is written beside the assistant's data, in a
folder that can be copied into the knowledge folder as it is, and never into the
knowledge itself: what a bot wrote from chat is not yet what a team stands for.

What people said and what alerts carried was written by strangers. It enters a
draft only as quoted text and as instructions for people (`human.do@1`), never as
an action, an argument of one, or YAML of ours. Names of people stay out of it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from bot.domain.alerts import AlertGroup, GroupId
from bot.domain.errors import NotFound, Refused
from bot.domain.incidents import Incident, IncidentId, MilestoneKind
from bot.domain.runs import Run
from bot.domain.timeline import TimelineEntry, TimelineKind
from bot.ports import Clock, Database

FOLDER = "proposals"
MOST_STEPS = 12
LONGEST_INSTRUCTION = 400
_SLUG = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_COMMAND = re.compile(r"`([^`\n]{3,300})`")
_PROMPT = re.compile(r"[ \t]*[$#][ \t]+(\S.{1,300})")
_NAME = re.compile(r"[\w:.-]{1,100}")


@dataclass(frozen=True, kw_only=True)
class Story:
    """What is known of an incident, for a draft."""

    incident: Incident
    timeline: Sequence[TimelineEntry]
    alerts: Sequence[AlertGroup]
    runs: Sequence[Run] = ()


class ProposalService:
    """Drafts runbooks from incidents and writes them where people can review them.

    `services` are the known ones; a page may name no other. Drafts are written
    below `data`.
    """

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        data: Path = Path("var"),
        services: Collection[str] = (),
    ) -> None:
        self._database = database
        self._data = data
        self._clock = clock
        self._services = frozenset(services)

    async def draft(self, id: IncidentId, *, runbook: str = "") -> str:
        """Return the text of a page for a resolved incident.

        Raises:
            NotFound: there is no such incident.
            Refused: it is still open, or a runbook was run for it.
        """
        story = await self._story(id)
        check_wanted(story)
        if story.incident.service not in self._services:
            story = replace(story, incident=replace(story.incident, service=""))
        return draft(story, today=self._clock.now().date(), id=runbook)

    async def propose(self, id: IncidentId) -> Path:
        """Write a draft below the assistant's data, and return where it is.

        A proposal that is there stays: somebody may be at work on it.

        Raises:
            NotFound: there is no such incident.
            Refused: no draft is wanted, or there is one already.
        """
        text = await self.draft(id)
        path = place_of(self._data, id)
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with path.open("x", encoding="utf-8") as file:
                file.write(text)
        except FileExistsError:
            raise Refused(f"{path} is there already; it was left as it is.") from None
        return path

    async def _story(self, id: IncidentId) -> Story:
        async with self._database.reading() as view:
            incident = await view.incidents.get(id)
            alerts: list[AlertGroup] = []
            for group in incident.groups:
                try:
                    alerts.append(await view.groups.get(GroupId(group)))
                except NotFound:
                    continue  # alerts are kept for a shorter time than incidents
            subjects = [incident.id, *incident.groups]
            timeline = await view.timeline.of(subjects)
            runs = await view.runs.of(subjects)
        return Story(incident=incident, timeline=timeline, alerts=alerts, runs=runs)


def check_wanted(story: Story) -> None:
    """Say whether a draft makes sense.

    Raises:
        Refused: the incident is still open, or a runbook was run for it.
    """
    incident = story.incident
    if incident.status.open:
        raise Refused(f"{incident.id} is {incident.status}; a draft is made when it is resolved.")
    ran = next((run for run in story.runs if any(r.started_at for r in run.records)), None)
    if ran is not None:
        raise Refused(f"{incident.id} had a runbook: {ran.title}. Better that page instead.")


def place_of(data: Path, incident: IncidentId) -> Path:
    """Return where a proposal is written: a branch's name, and in it the page's own path."""
    id = _id(incident, "")
    return data / FOLDER / f"runbook-{id}" / "knowledge" / "runbooks" / "proposed" / f"{id}.md"


def draft(story: Story, *, today: date, id: str = "") -> str:
    """Return a page in the form of `runbook/v1`: facts, quotes, manual steps, and TODOs.

    Raises:
        Refused: `id` has no fitting form.
    """
    steps = _steps(story.timeline)
    return "\n".join([*_front(story, steps, today=today, id=id), *_body(story, steps)]) + "\n"


@dataclass(frozen=True)
class _Step:
    """Something a person did, as a step for a person."""

    id: str
    title: str
    instruction: str
    at: str


def _steps(timeline: Sequence[TimelineEntry]) -> Sequence[_Step]:
    """Return what people did: their commands, else their notes, in the order of time, each once."""
    written = [e for e in timeline if e.kind in (TimelineKind.NOTE, TimelineKind.PIN)]
    commands = [(c, entry) for entry in written for c in _commands(entry.text)]
    chosen = commands or [(entry.text, entry) for entry in written]
    found: dict[str, _Step] = {}
    for text, entry in chosen:
        plain = _plain(text)
        if plain and plain not in found and len(found) < MOST_STEPS:
            number = len(found) + 1
            verb = "Run" if commands else "Do"
            found[plain] = _Step(
                id=f"step-{number}",
                title=f"TODO: what step {number} does",
                instruction=f"{verb}: {plain}"[:LONGEST_INSTRUCTION],
                at=f"{entry.at:%H:%M} UTC",
            )
    return list(found.values())


def _commands(text: str) -> Sequence[str]:
    """Return what looks like a command in what somebody wrote."""
    prompted = [m[1] for line in text.split("\n") if (m := _PROMPT.fullmatch(line))]
    return [*prompted, *(c for c in _COMMAND.findall(text) if " " in c.strip())]


def _plain(text: str) -> str:
    """Return foreign text on one line, of characters that people see; nothing in it is ours."""
    words = "".join(c if c.isprintable() else " " for c in text.replace("`", "'"))
    return " ".join(words.replace("${", "$ {").replace("{#", "{ #").split())


def _id(incident: IncidentId, wanted: str) -> str:
    id = wanted or re.sub(r"[^a-z0-9]+", "-", incident.lower()).strip("-")[:60]
    if _SLUG.fullmatch(id) is None:
        raise Refused(f'"{id}" cannot be a runbook\'s id; it is lower case, digits and hyphens.')
    return id


def _front(story: Story, steps: Sequence[_Step], *, today: date, id: str) -> Sequence[str]:
    incident = story.incident
    title = _plain(f"TODO {incident.title}")[:120]
    names = sorted({alert.name for group in story.alerts for alert in group.alerts})
    alerts = [name for name in names if _NAME.fullmatch(name)] or ["TODO"]
    service = incident.service if _SLUG.fullmatch(incident.service) else ""
    return [
        "---",
        "format: runbook/v1",
        f"id: {_quoted(_id(incident.id, id))}",
        "version: 1",
        f"title: {_quoted(title)}",
        "owner: todo-your-team           # TODO: the team that answers for this page",
        f"reviewed: {{by: todo-your-name, at: {today.isoformat()}, max_age: 180d}}",
        "match:",
        f"  alerts: [{', '.join(map(_quoted, alerts))}]",
        *([f"  services: [{_quoted(service)}]"] if service else []),
        f"  tags: [{_quoted(incident.id.lower())}]",
        *(["steps:                          # TODO: which of these helped? Take the others out."]
          if steps else ["# TODO: nobody noted what was done, so there are no steps."]),
        *(line for step in steps for line in _step_lines(step)),
        "---",
    ]  # fmt: skip


def _step_lines(step: _Step) -> Sequence[str]:
    return [
        f"  - id: {step.id}",
        f"    title: {_quoted(step.title)}",
        "    uses: human.do@1",
        f"    with: {{instruction: {_quoted(step.instruction)}}}",
        "    commit_point: true          # TODO: or say under undo how it is taken back",
    ]


def _quoted(text: str) -> str:
    """Write a text so that YAML reads it as it is: JSON's strings are YAML's."""
    return json.dumps(text, ensure_ascii=False)


def _body(story: Story, steps: Sequence[_Step]) -> Sequence[str]:
    return [
        "", "## Meaning", "",
        f"TODO: what the alert really says. Drafted from {story.incident.id}:", "",
        _quote(story.incident.title),
        *([_quote(story.incident.summary)] if story.incident.summary.strip() else []),
        "", "## Impact", "",
        f"TODO: who suffers, how much, how soon. {story.incident.id} was "
        f"{story.incident.severity.value}{_lasted(story.incident)}.",
        "", "## Diagnosis", "",
        "TODO: what tells the causes apart, the quickest discrimination first.", "",
        *_seen(story.alerts),
        "", "## Mitigation", "",
        "TODO: which of these helped, and how does one see that it is over?",
        *(line for step in steps for line in _explained(step)),
        "",
        "### As it went", "",
        *(_told(story.timeline) or ["Nothing was noted."]),
    ]  # fmt: skip


def _quote(text: str) -> str:
    return f"> {_plain(text)[:500]}"


def _lasted(incident: Incident) -> str:
    """Return how long it took, from its milestones."""
    began = incident.milestone(MilestoneKind.STARTED) or incident.milestone(MilestoneKind.DECLARED)
    ended = incident.milestone(MilestoneKind.RESOLVED)
    if began is None or ended is None:
        return ""
    return f" and lasted {max(1, round((ended.at - began.at).total_seconds() / 60))} minutes"


def _seen(groups: Sequence[AlertGroup]) -> Sequence[str]:
    """Return the alerts with what they said, each name once."""
    told: Mapping[str, str] = {
        _plain(alert.name): _plain(
            alert.annotations.get("description") or alert.annotations.get("summary") or ""
        )[:300]
        for group in groups
        for alert in group.alerts
    }
    lines = [f"- {name}{f': {text}' if text else ''}" for name, text in sorted(told.items())]
    return ["The alerts said:", "", *lines] if lines else ["No alert belonged to it."]


def _explained(step: _Step) -> Sequence[str]:
    return [
        "",
        f"### TODO: a name for {step.id} {{#{step.id}}}",
        "",
        f"Noted at {step.at}:",
        "",
        f"> {step.instruction}",
        "",
        "TODO: why it is safe, and how one sees that it worked.",
    ]


def _told(timeline: Sequence[TimelineEntry]) -> Sequence[str]:
    """Return what happened, without the names of people: a page in git cannot forget them."""
    return [f"- {e.at:%H:%M} {e.kind}: {_plain(e.text)[:300]}" for e in timeline[:200]]
