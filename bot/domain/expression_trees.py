"""What an expression is made of once it is read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias


class ExpressionError(ValueError):
    """An expression that cannot be used. `position` counts characters from 0."""

    def __init__(self, reason: str, position: int) -> None:
        super().__init__(f"{reason} (at character {position + 1})")
        self.reason = reason
        self.position = position


@dataclass(frozen=True, kw_only=True)
class Literal:
    """A value written out."""

    value: bool | int | float | str
    position: int


@dataclass(frozen=True, kw_only=True)
class Name:
    """A value that is looked up by its dotted name."""

    name: str
    position: int


@dataclass(frozen=True, kw_only=True)
class Operation:
    """A sign and what it works on.

    `-` with one part is a negation. `in` has what is looked for first and the
    list after it. `has` has one name.
    """

    sign: str
    parts: tuple[Node, ...]
    position: int


Node: TypeAlias = Literal | Name | Operation


@dataclass(frozen=True, kw_only=True)
class Expression:
    """A condition, read and bounded. `text` is how it was written."""

    text: str
    root: Node

    @cached_property
    def names(self) -> frozenset[str]:
        """Return the dotted names of the values it speaks of."""
        return frozenset(node.name for node in walk(self.root) if isinstance(node, Name))


def walk(root: Node) -> Iterator[Node]:
    """Yield every node of a tree."""
    waiting = [root]
    while waiting:
        node = waiting.pop()
        yield node
        if isinstance(node, Operation):
            waiting.extend(node.parts)
