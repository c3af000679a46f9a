"""Runbook pages: `runbook/v1` files to `Runbook`s, with the lines of their actions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from bot.domain.actions import Risk
from bot.domain.runbooks import SECTIONS, ApprovalGroup, Review, Runbook, Step
from bot.knowledge.conditions import Conditions
from bot.knowledge.fields import SLUG, Fields
from bot.knowledge.pages import Page, explanations, markdown, read_page, sections
from bot.knowledge.problems import Notes
from bot.knowledge.runbook_calls import CallReader
from bot.knowledge.runbook_limits import check_rollouts, read_limits
from bot.knowledge.runbook_matches import read_match
from bot.knowledge.runbook_parameters import read_parameters
from bot.knowledge.runbook_rules import RuleReader
from bot.knowledge.runbook_steps import StepReader

FORMAT = "runbook/v1"

_DAY = 86400


@dataclass(frozen=True)
class RunbookPage:
    """A runbook and where its actions are named: `id`, `id/verify` or `id/undo` to a line."""

    runbook: Runbook
    lines: Mapping[str, int]


def read_runbook(root: Path, path: Path, notes: Notes) -> RunbookPage | None:
    """Read one page; None if it has problems, which are in `notes` then.

    Raises:
        Unparsable: the file is too broken to look for more.
    """
    reader = _PageReader(read_page(path), notes)
    runbook = reader.runbook(path.relative_to(root).as_posix())
    return RunbookPage(runbook, reader.lines) if notes.clean else None


class _PageReader:
    """Reads one page; what is wrong is noted."""

    def __init__(self, page: Page, notes: Notes) -> None:
        self.lines: Mapping[str, int] = {}
        self._page = page
        self._front = Fields(page.front, notes)
        self._notes = notes

    def runbook(self, path: str) -> Runbook:
        front = self._front
        if front.text("format") not in ("", FORMAT):
            front.note("format", f"should be {FORMAT}")
        body = sections(self._page, SECTIONS, self._notes)
        explained = explanations(body.get("Mitigation", ()), self._notes)
        parameters = read_parameters(front, self._notes)
        calls = CallReader(self._notes, parameters)
        self.lines = calls.lines
        diagnose = tuple(calls.check(part) for part in front.tables("diagnose"))
        conditions = Conditions.of(parameters.values(), diagnose)
        preconditions = tuple(calls.precondition(p) for p in front.tables("preconditions"))
        steps = self._steps(StepReader(calls, conditions, explained))
        rules = RuleReader(front, conditions, steps)
        runbook = Runbook(
            id=front.text("id", form=SLUG),
            version=front.whole("version", most=1_000_000),
            title=front.text("title", longest=120),
            owner=front.text("owner", form=SLUG),
            review=self._review(),
            match=read_match(front),
            parameters=tuple(parameters.values()),
            approval=self._approval(),
            diagnose=diagnose,
            steps=tuple(step for step, _ in steps),
            sections={name: markdown(lines) for name, lines in body.items()},
            path=path,
            digest=self._page.digest,
            limits=read_limits(front),
            preconditions=preconditions,
            decide=rules.rules(),
            done_when=rules.goal(),
            cases=rules.cases(diagnose, parameters),
        )
        check_rollouts(runbook.limits, runbook.steps, front)
        self._check_anchors(runbook, explained)
        front.finish()
        return runbook

    def _steps(self, reader: StepReader) -> Sequence[tuple[Step, Fields]]:
        return [(reader.step(part), part) for part in self._front.tables("steps")]

    def _review(self) -> Review:
        part = self._front.table("reviewed")
        if part is None:
            return Review(by="", at=date.min, max_age_days=1)
        days = part.seconds("max_age", default=180 * _DAY, most=3650 * _DAY) / _DAY
        if not days.is_integer():
            part.note("max_age", "should be whole days, such as 180d")
        review = Review(by=part.text("by"), at=part.day("at"), max_age_days=max(1, int(days)))
        part.finish()
        return review

    def _approval(self) -> Mapping[Risk, tuple[ApprovalGroup, ...]]:
        part = self._front.table("approval", required=False)
        if part is None:
            return {}
        found: dict[Risk, tuple[ApprovalGroup, ...]] = {}
        for risk in (Risk.R1, Risk.R2, Risk.R3, Risk.R4):
            if risk.name in part:
                found[risk] = self._groups(part, risk.name)
        part.finish()
        return found

    def _groups(self, part: Fields, name: str) -> tuple[ApprovalGroup, ...]:
        groups: list[ApprovalGroup] = []
        for entry in part.tables(name):
            group = ApprovalGroup(
                group=entry.text("group", form=SLUG), count=entry.whole("count", default=1, most=20)
            )
            entry.finish()
            if any(group.group == other.group for other in groups):
                entry.note("group", f'names "{group.group}" twice; raise its count instead')
            groups.append(group)
        if not groups:
            part.note(name, "names no group")
        return tuple(groups)

    def _check_anchors(self, runbook: Runbook, explained: Mapping[str, tuple[int, str]]) -> None:
        steps = {step.id for step in runbook.steps}
        for line in self._page.lines:
            if not line.anchor:
                continue
            if line.anchor not in explained:
                reason = "belongs under Mitigation"
            elif line.anchor not in steps:
                reason = "names no step"
            else:
                continue
            self._notes.add(line.number, f"the anchor {{#{line.anchor}}} {reason}")
