"""Conditions on typed values, such as `facts.used > 0.9 && params.env == "prod"`.

The syntax is a part of CEL (github.com/google/cel-spec): `!`, `&&`, `||`, the
comparisons, `in [..]`, `+ - * /`, parentheses, numbers, text, true, false and
`has(facts.used)`. There are no loops, calls, regular expressions, lists outside
`in` and no way to build text, so that an expression costs what it is long.

A value may be unknown, and then the logic has three values, as in SQL: `false &&
unknown` is false, `true || unknown` is true, all else that needs the value is
unknown. So is what makes no sense, be it a division by zero or a text compared
with a number. Nothing is guessed, and nothing raises.

`common-expression-language` 0.10 and `cel-python` 0.5 were tried: neither bounds the
cost (eight nested `map` ran until they were killed), and `cel-python` leaves by way of
RecursionError at 2,000 `!`, `(`, or terms of a sum. Hence this one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import TypeAlias

from bot.domain.actions import JSON
from bot.domain.expression_kinds import ValueKind, check
from bot.domain.expression_syntax import read
from bot.domain.expression_trees import Expression, ExpressionError, Literal, Name, Node

__all__ = ["Expression", "ExpressionError", "ValueKind", "check", "evaluate", "parse"]

# Larger whole numbers have no exact place in CEL or in most readers of JSON.
_LARGEST = 2**63
_LOGIC = ("&&", "||")
_EQUALITY = ("==", "!=")
_ORDER = ("<", "<=", ">", ">=")

Scalar: TypeAlias = "bool | int | float | str"


@lru_cache(maxsize=1024)
def parse(text: str) -> Expression:
    """Read an expression.

    Raises:
        ExpressionError: it is not of the language, or larger than its bounds.
    """
    return Expression(text=text, root=read(text))


def evaluate(expression: Expression, values: Mapping[str, JSON]) -> bool | None:
    """Say whether an expression holds; None where that is not known.

    `values` are by dotted name. A name that is missing, or whose value is None
    or neither text, a finite number nor true or false, is not known.
    """
    value = _value(expression.root, values)
    return value if isinstance(value, bool) else None


def _value(node: Node, values: Mapping[str, JSON]) -> Scalar | None:
    if isinstance(node, Literal):
        return node.value
    if isinstance(node, Name):
        return _known(values.get(node.name))
    parts = [_value(part, values) for part in node.parts]
    if node.sign in _LOGIC:
        return _joined(parts, decisive=node.sign == "||")
    if node.sign == "has":
        return parts[0] is not None
    if node.sign == "!":
        return not parts[0] if isinstance(parts[0], bool) else None
    if node.sign == "in":
        return _joined([_equal(parts[0], item) for item in parts[1:]], decisive=True)
    if node.sign in _EQUALITY:
        equal = _equal(parts[0], parts[1])
        return equal if equal is None else equal is (node.sign == "==")
    numbers = [part for part in parts if _numeric(part)]
    return _computed(node.sign, numbers) if len(numbers) == len(parts) else None


def _known(value: JSON) -> Scalar | None:
    if isinstance(value, bool | str):
        return value
    if isinstance(value, int) and abs(value) <= _LARGEST:
        return value
    return value if isinstance(value, float) and math.isfinite(value) else None


def _joined(parts: list[Scalar | None], *, decisive: bool) -> bool | None:
    """Join truths: one that is decisive decides, whatever is unknown beside it."""
    if any(part is decisive for part in parts):
        return decisive
    return (not decisive) if all(isinstance(part, bool) for part in parts) else None


def _equal(left: Scalar | None, right: Scalar | None) -> bool | None:
    if left is None or right is None:
        return None
    same = (_numeric(left) and _numeric(right)) or type(left) is type(right)
    return left == right if same else None


def _numeric(value: Scalar | None) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _computed(sign: str, numbers: list[JSON]) -> Scalar | None:
    first, last = numbers[0], numbers[-1]
    if sign in _ORDER:
        return _ordered(sign, first, last)
    if sign == "/":
        return _known(first / last) if last else None
    if sign == "-":
        return _known(first - last if len(numbers) > 1 else -first)
    return _known(first + last if sign == "+" else first * last)


def _ordered(sign: str, left: float, right: float) -> bool:
    if sign == "<":
        return left < right
    if sign == "<=":
        return left <= right
    return left > right if sign == ">" else left >= right
