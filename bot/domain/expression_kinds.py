"""Finds, before there are values, what in an expression could never be meant."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from enum import StrEnum

from bot.domain.expression_trees import Expression, ExpressionError, Literal, Name, Node, Operation


class ValueKind(StrEnum):
    """What is known of a value before there is one.

    What an action measures is a number or true or false; which one, only its
    result tells.
    """

    NUMBER = "a number"
    TEXT = "text"
    TRUTH = "true or false"
    MEASURED = "a measured value"


_NUMBERS = (ValueKind.NUMBER, ValueKind.MEASURED)
_TRUTHS = (ValueKind.TRUTH, ValueKind.MEASURED)


def check(expression: Expression, kinds: Mapping[str, ValueKind]) -> None:
    """Refuse unknown names, and what compares or joins values of kinds that never fit.

    `kinds` is by dotted name; `labels.*` stands for every name after `labels.`.

    Raises:
        ExpressionError: with the position of the first fault.
    """
    kind = _kind(expression.root, kinds)
    if kind not in _TRUTHS:
        reason = f"it is {kind}, but a condition is true or false"
        raise ExpressionError(reason, expression.root.position)


def _kind(node: Node, kinds: Mapping[str, ValueKind]) -> ValueKind:
    if isinstance(node, Literal):
        return _literal(node)
    if isinstance(node, Name):
        return _named(node, kinds)
    found = [_kind(part, kinds) for part in node.parts]
    if node.sign in ("&&", "||", "!"):
        _demand(node, found, _TRUTHS)
    elif node.sign in ("==", "!=", "in"):
        _demand_same(node, found)
    elif node.sign != "has":
        _demand(node, found, _NUMBERS)
    return ValueKind.NUMBER if node.sign in ("+", "-", "*", "/") else ValueKind.TRUTH


def _literal(node: Literal) -> ValueKind:
    if isinstance(node.value, bool):
        return ValueKind.TRUTH
    return ValueKind.TEXT if isinstance(node.value, str) else ValueKind.NUMBER


def _named(node: Name, kinds: Mapping[str, ValueKind]) -> ValueKind:
    kind = kinds.get(node.name) or kinds.get(f"{node.name.split('.')[0]}.*")
    if kind is None:
        near = difflib.get_close_matches(node.name, kinds, n=1)
        hint = f'; did you mean "{near[0]}"?' if near else f"; known are {_listed(kinds)}"
        raise ExpressionError(f'there is no "{node.name}" here{hint}', node.position)
    return kind


def _listed(kinds: Mapping[str, ValueKind]) -> str:
    shown = sorted(kinds)[:8]
    more = ["…"] if len(kinds) > len(shown) else []
    return ", ".join([*shown, *more]) or "none"


def _demand(node: Operation, found: list[ValueKind], wanted: tuple[ValueKind, ...]) -> None:
    for part, kind in zip(node.parts, found, strict=True):
        if kind not in wanted:
            reason = f'"{node.sign}" takes {wanted[0]}, and this is {kind}'
            raise ExpressionError(reason, part.position)


def _demand_same(node: Operation, found: list[ValueKind]) -> None:
    """Refuse to compare what can never be equal; a measured value is anything but text."""
    first = found[0]
    for part, kind in zip(node.parts[1:], found[1:], strict=True):
        measured = ValueKind.MEASURED in (first, kind) and ValueKind.TEXT not in (first, kind)
        if kind is not first and not measured:
            raise ExpressionError(f'"{node.sign}" compares {first} with {kind}', part.position)
