"""Reads the text of an expression into its tree, within bounds that are checked first.

Precedence climbing (Pratt): each sign has a strength, and a part is read up to
the next weaker sign. Recursion is as deep as the text nests, and that is bounded.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn

from bot.domain.expression_trees import ExpressionError, Literal, Name, Node, Operation, walk

LONGEST = 1000
DEEPEST = 32
MOST_NODES = 200

# From weak to strong, as in CEL.
_STRENGTHS = {
    "||": 1,
    "&&": 2,
    **dict.fromkeys(("==", "!=", "<", "<=", ">", ">=", "in"), 3),
    **dict.fromkeys(("+", "-"), 4),
    **dict.fromkeys(("*", "/"), 5),
}
_COMPARISON = 3
_UNARY = 6

_TOKEN = re.compile(
    r"""(?P<space>[ \t\r\n]+)
    |(?P<number>[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)
    |(?P<word>[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z0-9_]+)*)
    |(?P<text>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
    |(?P<sign>\|\||&&|==|!=|<=|>=|[<>!()\[\],+*/-])""",
    re.VERBOSE,
)
_ESCAPE = re.compile(r"\\(.)")
_ESCAPED = {"\\": "\\", '"': '"', "'": "'"}
_WHOLE = re.compile(r"0|[1-9][0-9]{0,17}")
_INSTEAD = {
    "and": "write && for and",
    "or": "write || for or",
    "not": "write ! for not",
    "null": "there is no null; ask with has(facts.name)",
    "True": "write true in lower case",
    "False": "write false in lower case",
    "=": "write == to compare",
    "&": "write && for and",
    "|": "write || for or",
    "?": "there is no ?: here; write two rules",
    "%": "there is no remainder here",
    '"': "the text that begins here is not closed",
    "'": "the text that begins here is not closed",
}


@dataclass(frozen=True)
class _Token:
    kind: str
    text: str
    position: int


def read(text: str) -> Node:
    """Return the tree of an expression.

    Raises:
        ExpressionError: the text is not of the language, or exceeds a bound.
    """
    if len(text) > LONGEST:
        raise ExpressionError(f"it is longer than {LONGEST} characters", LONGEST)
    return _Reader(list(_tokens(text))).whole()


def _tokens(text: str) -> Iterator[_Token]:
    at = 0
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise ExpressionError(_strange(text[at]), at)
        if found.lastgroup != "space":
            yield _Token(found.lastgroup or "", found[0], at)
        at = found.end()
    yield _Token("end", "", len(text))


def _strange(character: str) -> str:
    shown = character if character.isprintable() else f"U+{ord(character):04X}"
    return _INSTEAD.get(character, f'"{shown}" means nothing here')


class _Reader:
    """Takes one token after the other."""

    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens = tokens
        self._at = 0
        self._depth = 0

    def whole(self) -> Node:
        root = self._node(1)
        if self._next.kind != "end":
            self._refuse()
        nodes = list(walk(root))
        if len(nodes) > MOST_NODES:
            raise ExpressionError(f"it has more than {MOST_NODES} parts", 0)
        _refuse_depth(root)
        return root

    @property
    def _next(self) -> _Token:
        return self._tokens[self._at]

    def _take(self) -> _Token:
        token = self._next
        self._at += 1
        return token

    def _refuse(self) -> NoReturn:
        token = self._next
        if token.kind == "end":
            raise ExpressionError("something is missing at the end", token.position)
        reason = f'"{token.text}" does not belong here'
        raise ExpressionError(_INSTEAD.get(token.text, reason), token.position)

    def _expect(self, sign: str) -> None:
        if self._next.text != sign or self._next.kind == "text":
            self._refuse()
        self._at += 1

    def _strength(self) -> int:
        token = self._next
        return _STRENGTHS.get(token.text, 0) if token.kind in ("sign", "word") else 0

    def _node(self, least: int) -> Node:
        """Read a part whose signs are at least so strong."""
        left = self._unary()
        while (strength := self._strength()) >= least:
            sign = self._take()
            right = self._list() if sign.text == "in" else [self._node(strength + 1)]
            left = _joined(sign, (left, *right))
            if strength == _COMPARISON and self._strength() == _COMPARISON:
                raise ExpressionError(
                    "comparisons cannot be chained; join two with &&", self._next.position
                )
        return left

    def _unary(self) -> Node:
        token = self._next
        self._depth += 1
        if self._depth > DEEPEST:
            raise ExpressionError(f"it nests deeper than {DEEPEST}", token.position)
        node = self._primary(self._take())
        self._depth -= 1
        return node

    def _primary(self, token: _Token) -> Node:
        if token.kind == "number":
            return Literal(value=_number(token), position=token.position)
        if token.kind == "text":
            return Literal(value=_text(token), position=token.position)
        if token.kind == "word":
            return self._word(token)
        if token.text in ("!", "-"):
            part = self._node(_UNARY)
            return Operation(sign=token.text, parts=(part,), position=token.position)
        if token.text == "(":
            node = self._node(1)
            self._expect(")")
            return node
        self._at -= 1
        return self._refuse()

    def _word(self, token: _Token) -> Node:
        if token.text in ("true", "false"):
            return Literal(value=token.text == "true", position=token.position)
        if token.text == "has":
            return self._has(token)
        if "." in token.text:
            return Name(name=token.text, position=token.position)
        self._at -= 1
        if token.text in _STRENGTHS or token.text in _INSTEAD:
            self._refuse()
        reason = f'"{token.text}" is no value; put text in quotes, or write facts.{token.text}'
        raise ExpressionError(reason, token.position)

    def _has(self, token: _Token) -> Node:
        self._expect("(")
        name = self._take()
        if name.kind != "word" or "." not in name.text:
            raise ExpressionError("has() takes one name, as has(facts.used)", name.position)
        self._expect(")")
        part = Name(name=name.text, position=name.position)
        return Operation(sign="has", parts=(part,), position=token.position)

    def _list(self) -> list[Node]:
        start = self._next.position
        if self._next.text != "[" or self._next.kind == "text":
            raise ExpressionError('after "in" stands a list, as in [1, 2]', start)
        self._at += 1
        items = [self._node(_COMPARISON + 1)]
        while self._next.text == "," and self._next.kind == "sign":
            self._at += 1
            items.append(self._node(_COMPARISON + 1))
        self._expect("]")
        return items


def _joined(sign: _Token, parts: tuple[Node, ...]) -> Operation:
    """Join parts; a chain of the same && or || is one operation and not a deep tree."""
    first = parts[0]
    chain = sign.text in ("&&", "||") and isinstance(first, Operation) and first.sign == sign.text
    if chain and isinstance(first, Operation):
        parts = (*first.parts, *parts[1:])
    return Operation(sign=sign.text, parts=parts, position=sign.position)


def _refuse_depth(root: Node) -> None:
    level: list[Node] = [root]
    depth = 0
    while level:
        depth += 1
        if depth > DEEPEST:
            raise ExpressionError(f"it nests deeper than {DEEPEST}", level[0].position)
        level = [p for node in level if isinstance(node, Operation) for p in node.parts]


def _number(token: _Token) -> int | float:
    if _WHOLE.fullmatch(token.text):
        return int(token.text)
    value = float(token.text)
    if token.text.isdigit() or not math.isfinite(value):
        raise ExpressionError(f"{token.text[:30]} is not a number of this language", token.position)
    return value


def _text(token: _Token) -> str:
    def plain(escape: re.Match[str]) -> str:
        if escape[1] not in _ESCAPED:
            at = token.position + 1 + escape.start()
            raise ExpressionError(f'there is no escape "\\{escape[1]}"', at)
        return _ESCAPED[escape[1]]

    return _ESCAPE.sub(plain, token.text[1:-1])
