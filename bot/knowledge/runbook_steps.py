"""The parts of a runbook page that name actions: checks, steps and verifications."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping

from bot.domain.actions import JSON, Arguments, Risk
from bot.domain.runbooks import (
    Check,
    Expectation,
    OnFailure,
    Parameter,
    Step,
    Verification,
    placeholder,
)
from bot.knowledge.fields import SLUG, Fields, plain
from bot.knowledge.problems import Notes
from bot.knowledge.strict_yaml import Node

_REFERENCE = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+@[1-9][0-9]{0,3}")
_RISKS = {risk.name: risk for risk in Risk}
_HOUR = 3600

MOST_TARGETS = 32
TARGET = "target"
TARGETS = "targets"
_TARGET_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")


class StepReader:
    """Reads checks and steps of one page, which share their ids.

    `lines` says where each action is named: `id`, or `id/verify` for a step's
    verification. `explained` holds the texts of the page by anchor.
    """

    def __init__(
        self,
        notes: Notes,
        parameters: Mapping[str, Parameter],
        explained: Mapping[str, tuple[int, str]],
    ) -> None:
        self.lines: dict[str, int] = {}
        self._notes = notes
        self._parameters = parameters
        self._explained = explained

    def check(self, part: Fields) -> Check:
        """Read one entry of `diagnose`."""
        id = self._id(part)
        expect = part.table("expect", required=False)
        check = Check(
            id=id,
            title=part.text("title", longest=120),
            uses=self._uses(part, id),
            arguments=self._arguments(part),
            expect=self._expectation(expect) if expect else None,
        )
        part.finish()
        return check

    def step(self, part: Fields) -> Step:
        """Read one entry of `steps`, which the page has to explain."""
        id = self._id(part)
        verify = part.table("verify", required=False)
        if id not in self._explained:
            part.note("id", f'"{id}" is not explained under Mitigation; add {{#{id}}} there')
        targets = self._targets(part)
        step = Step(
            id=id,
            title=part.text("title", longest=120),
            uses=self._uses(part, id),
            arguments=self._arguments(part, {TARGET} if targets else ()),
            risk=self._risk(part),
            timeout=part.seconds("timeout", default=30, most=_HOUR),
            verify=self._verification(verify, id) if verify else None,
            commit_point=part.flag("commit_point", default=False),
            on_failure=part.choice("on_failure", OnFailure, default=OnFailure.ESCALATE),
            explanation=self._explained.get(id, (0, ""))[1],
            targets=targets,
        )
        part.finish()
        if targets and not _names_target(step.arguments):
            part.note(TARGETS, "would do the same thing again and again; use ${target} in with")
        return step

    def _targets(self, part: Fields) -> tuple[str, ...]:
        """Read what a step is done for, one after the other."""
        targets = part.texts(TARGETS)
        if not targets and TARGETS in part:
            part.note(TARGETS, "names nothing; leave it out")
        if len(targets) > MOST_TARGETS:
            part.note(TARGETS, f"names {len(targets)}, but {MOST_TARGETS} are the most")
        for name in targets:
            if _TARGET_NAME.fullmatch(name) is None:
                part.note(TARGETS, f'holds "{name}", which is not a plain name like db-1.internal')
        if targets and TARGET in self._parameters:
            part.note(TARGETS, f'and a parameter called "{TARGET}" exclude each other; rename it')
        return targets

    def _id(self, part: Fields) -> str:
        id = part.text("id", form=SLUG)
        if id in self.lines:
            part.note("id", f'"{id}" is taken on line {self.lines[id]}')
        return id

    def _uses(self, part: Fields, key: str) -> str:
        self.lines.setdefault(key, part.line_of("uses"))
        uses = part.text("uses")
        if uses and _REFERENCE.fullmatch(uses) is None:
            part.note("uses", f'"{uses}" does not name an action like prometheus.query@1')
        return uses

    def _risk(self, part: Fields) -> Risk | None:
        name = part.text("risk", default="")
        if name and name not in _RISKS:
            part.note("risk", f'is "{name}", but should be one of {", ".join(_RISKS)}')
        return _RISKS.get(name)

    def _verification(self, part: Fields, id: str) -> Verification:
        expect = part.table("expect")
        verification = Verification(
            uses=self._uses(part, f"{id}/verify"),
            arguments=self._arguments(part),
            expect=self._expectation(expect) if expect else Expectation(),
            within=part.seconds("within", default=60, most=_HOUR),
            every=part.seconds("every", default=1, most=_HOUR),
            consecutive=part.whole("consecutive", default=1, most=100),
        )
        part.finish()
        if (verification.consecutive - 1) * verification.every > verification.within:
            part.note("within", "is too short for so many checks in a row; it could never succeed")
        return verification

    def _expectation(self, part: Fields) -> Expectation:
        expectation = Expectation(
            below=part.number("below"), above=part.number("above"), equals=part.number("equals")
        )
        part.finish()
        if not any(key in part for key in ("below", "above", "equals")):
            self._notes.add(part.line, "expect says nothing; give below, above or equals")
        return expectation

    def _arguments(self, part: Fields, more: Collection[str] = ()) -> Arguments:
        """Read `with`; `more` are names that stand for a value beside the parameters."""
        nodes, known = part.nodes("with"), {*self._parameters, *more}
        for key, node in nodes.items():
            for text, line, name in _texts(node, part.path(f"with.{key}")):
                self._check_text(text, line, name, known=known)
        return {key: plain(node) for key, node in nodes.items()}

    def _check_text(self, text: str, line: int, name: str, *, known: Collection[str]) -> None:
        parameter = placeholder(text)
        if parameter is None and "${" in text:
            self._notes.add(
                line, f"{name} puts a parameter into a longer text; a value is used whole or not"
            )
        elif parameter == TARGET and parameter not in known:
            self._notes.add(
                line, f"{name} uses ${{target}}, which only the with of a step with targets knows"
            )
        elif parameter is not None and parameter not in known:
            self._notes.add(line, f'{name} uses the unknown parameter "{parameter}"')


def _names_target(value: JSON) -> bool:
    """Say whether `${target}` stands somewhere in a step's arguments."""
    if isinstance(value, Mapping):
        return any(_names_target(part) for part in value.values())
    if isinstance(value, list):
        return any(_names_target(part) for part in value)
    return isinstance(value, str) and placeholder(value) == TARGET


def _texts(node: Node, name: str) -> Iterator[tuple[str, int, str]]:
    """Yield every text in a value, with its line and its full name."""
    if isinstance(node.value, list):
        for number, item in enumerate(node.value, start=1):
            yield from _texts(item, f"{name}[{number}]")
    elif isinstance(node.value, dict):
        for key, item in node.value.items():
            yield from _texts(item, f"{name}.{key}")
    elif isinstance(node.value, str):
        yield node.value, node.line, name
