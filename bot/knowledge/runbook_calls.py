"""Calls of actions in a page: which action, with what arguments, and what is expected of it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping

from bot.domain.actions import Arguments
from bot.domain.deciding import fact_name
from bot.domain.parameters import FACTS, Parameter, placeholder
from bot.domain.runbooks import Check, Expectation
from bot.knowledge.fields import SLUG, Fields, plain
from bot.knowledge.problems import Notes
from bot.knowledge.strict_yaml import Node

TARGET = "target"

_REFERENCE = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+@[1-9][0-9]{0,3}")


class CallReader:
    """Reads the calls of one page, and its checks; checks and steps share their ids.

    `lines` says where each action is named: `id` of a check or step, and
    `id/verify` and `id/undo` for what belongs to a step.
    """

    def __init__(self, notes: Notes, parameters: Mapping[str, Parameter]) -> None:
        self.lines: dict[str, int] = {}
        self.facts: tuple[str, ...] = ()
        self.parameters = parameters
        self._notes = notes

    def check(self, part: Fields) -> Check:
        """Read one entry of `diagnose`; expressions then know what it finds."""
        check = self._check(part, expectation=part.table("expect", required=False))
        self.facts = (*self.facts, f"{FACTS}{fact_name(check.id)}")
        return check

    def precondition(self, part: Fields) -> Check:
        """Read one entry of `preconditions`, which is nothing without its expectation."""
        return self._check(part, expectation=part.table("expect"))

    def _check(self, part: Fields, expectation: Fields | None) -> Check:
        id = self.id(part)
        check = Check(
            id=id,
            title=part.text("title", longest=120),
            uses=self.uses(part, id),
            arguments=self.arguments(part),
            expect=self.expectation(expectation) if expectation else None,
        )
        part.finish()
        return check

    def id(self, part: Fields) -> str:
        """Read an id that nothing else in the page has."""
        id = part.text("id", form=SLUG)
        if id in self.lines:
            part.note("id", f'"{id}" is taken on line {self.lines[id]}')
        return id

    def uses(self, part: Fields, key: str) -> str:
        """Read which action is called, and remember its line under `key`."""
        self.lines.setdefault(key, part.line_of("uses"))
        uses = part.text("uses")
        if uses and _REFERENCE.fullmatch(uses) is None:
            part.note("uses", f'"{uses}" does not name an action like prometheus.query@1')
        return uses

    def expectation(self, part: Fields) -> Expectation:
        """Read what a measured number should be."""
        expectation = Expectation(
            below=part.number("below"), above=part.number("above"), equals=part.number("equals")
        )
        part.finish()
        if not any(key in part for key in ("below", "above", "equals")):
            self._notes.add(part.line, "expect says nothing; give below, above or equals")
        return expectation

    def arguments(self, part: Fields, more: Collection[str] = ()) -> Arguments:
        """Read `with`; `more` are names that stand for a value beside the parameters."""
        nodes, known = part.nodes("with"), {*self.parameters, *more}
        for key, node in nodes.items():
            for text, line, name in _texts(node, part.path(f"with.{key}")):
                self._check_text(text, line, name, known=known)
        return {key: plain(node) for key, node in nodes.items()}

    def _check_text(self, text: str, line: int, name: str, *, known: Collection[str]) -> None:
        parameter = placeholder(text)
        if parameter is None and "${" in text:
            reason = "puts a parameter into a longer text; a value is used whole or not"
        elif parameter is None or parameter in known:
            return
        elif parameter == TARGET:
            reason = "uses ${target}, which only the with of a step with targets knows"
        elif parameter.startswith(FACTS):
            reason = self._unknown_fact(parameter)
        else:
            reason = f'uses the unknown parameter "{parameter}"'
        self._notes.add(line, f"{name} {reason}")

    def _unknown_fact(self, name: str) -> str:
        if name in self.facts:
            return f"uses ${{{name}}}, but facts are known to steps only"
        return f'uses the unknown fact "{name}"; a fact is the id of a check under diagnose'


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
