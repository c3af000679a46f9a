"""YAML without its traps: a small, unambiguous subset, with the line of every value.

Refused are anchors, aliases, tags, directives, merge keys, duplicate keys, keys
that are not text, deep nesting, and plain words that YAML 1.1 and 1.2 read
differently (`on`, `no`, `0777`, `12:30`): they have to be put in quotes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

import yaml

from bot.knowledge.problems import Unparsable

DEEPEST = 8

_LOADER = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
_NULLS = frozenset({"", "~", "null"})
_BOOLEANS = {"true": True, "false": False}
_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,17})")
_FLOAT = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]{1,3})?")
_AMBIGUOUS = re.compile(
    r"y|n|yes|no|on|off|true|false|null"
    r"|[+-]?0[0-9_]+|[+-]?0(x[0-9a-f_]+|o[0-7_]+|b[01_]+)"
    r"|[+-]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?"
    r"|\+[0-9.]+|[+-]?[0-9]+_[0-9_.]*|[+-]?\.[0-9]+|[+-]?[0-9]+\.|[+-]?\.inf|\.nan|=|<<"
    r"|-?[0-9]{19,}",
    re.IGNORECASE,
)

Scalar: TypeAlias = "bool | int | float | str | None"


@dataclass(frozen=True)
class Node:
    """A value and the line it starts on; for the value of a key, the line of the key."""

    value: Scalar | list[Node] | dict[str, Node]
    line: int


def parse(text: str, first_line: int = 1) -> Node:
    """Read one document. `first_line` is where the text stands in its file.

    Raises:
        Unparsable: the text is not of the subset; line and reason are its own.
    """
    offset = first_line
    try:
        return _document(yaml.parse(text, Loader=_LOADER), offset)
    except yaml.MarkedYAMLError as problem:
        mark = problem.problem_mark or problem.context_mark
        line = offset + (mark.line if mark else 0)
        raise Unparsable(line, f"not readable as YAML: {problem.problem}") from None
    except yaml.YAMLError:
        raise Unparsable(offset, "not readable as YAML") from None


def _document(events: Iterator[yaml.Event], offset: int) -> Node:
    root = Node(None, offset)
    for event in events:
        if isinstance(event, yaml.DocumentStartEvent):
            _refuse_document(event, offset)
        elif isinstance(event, yaml.NodeEvent):
            root = _node(event, events, offset=offset, depth=1)
    return root


def _refuse_document(event: yaml.DocumentStartEvent, offset: int) -> None:
    line = _line(event, offset)
    if event.version or event.tags:
        raise Unparsable(line, "YAML directives (%YAML, %TAG) are not used here")
    if event.explicit:
        raise Unparsable(line, "a second YAML document is not allowed here; one file is one page")


def _node(event: yaml.Event, events: Iterator[yaml.Event], *, offset: int, depth: int) -> Node:
    line = _line(event, offset)
    _refuse_node(event, line)
    if isinstance(event, yaml.ScalarEvent):
        return Node(_scalar(event, line), line)
    if depth > DEEPEST:
        raise Unparsable(line, f"nested deeper than {DEEPEST} levels")
    if isinstance(event, yaml.SequenceStartEvent):
        return Node(_sequence(events, offset=offset, depth=depth), line)
    return Node(_mapping(events, offset=offset, depth=depth), line)


def _line(event: yaml.Event, offset: int) -> int:
    return offset + (event.start_mark.line if event.start_mark else 0)


def _refuse_node(event: yaml.Event, line: int) -> None:
    if isinstance(event, yaml.AliasEvent):
        raise Unparsable(line, f"the alias *{event.anchor} is not allowed; write the value out")
    anchor = getattr(event, "anchor", None)
    if anchor is not None:
        raise Unparsable(line, f"the anchor &{anchor} is not allowed; leave it out")
    tag = getattr(event, "tag", None)
    if tag is not None:
        raise Unparsable(line, f"the tag {tag} is not allowed; leave it out")


def _sequence(events: Iterator[yaml.Event], *, offset: int, depth: int) -> list[Node]:
    items: list[Node] = []
    for event in events:
        if isinstance(event, yaml.SequenceEndEvent):
            break
        items.append(_node(event, events, offset=offset, depth=depth + 1))
    return items


def _mapping(events: Iterator[yaml.Event], *, offset: int, depth: int) -> dict[str, Node]:
    table: dict[str, Node] = {}
    for event in events:
        if isinstance(event, yaml.MappingEndEvent):
            break
        key = _node(event, events, offset=offset, depth=depth + 1)
        if not isinstance(key.value, str):
            raise Unparsable(key.line, f"a key has to be text; {_not_text(key.value)}")
        if key.value in table:
            first = table[key.value].line
            raise Unparsable(key.line, f'the key "{key.value}" stands on line {first} already')
        value = _node(next(events), events, offset=offset, depth=depth + 1)
        table[key.value] = Node(value.value, key.line)
    return table


def _not_text(value: object) -> str:
    if isinstance(value, list | dict):
        return "here it is a list or a table"
    return f"put {json.dumps(value)} in quotes"


def _scalar(event: yaml.ScalarEvent, line: int) -> Scalar:
    text: str = event.value
    if event.style is not None and event.style != "":
        return text
    if text in _NULLS:
        return None
    if text in _BOOLEANS:
        return _BOOLEANS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    if _AMBIGUOUS.fullmatch(text):
        raise Unparsable(line, f"YAML readers disagree about a plain {text}; put it in quotes")
    return float(text) if _FLOAT.fullmatch(text) else text
