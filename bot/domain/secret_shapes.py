"""What secrets look like: the forms of a known value, and those of others that are found by form.

Every repetition in a pattern is bounded, or over characters that cannot begin
what follows it, so that no text makes one slow. A pattern keeps to one line.
"""

from __future__ import annotations

import base64
import contextlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import quote, quote_plus

MASK = "[redacted]"
_SCHEME = re.compile(r"(?i)basic|bearer|token|api-?key|key|digest")
SHORTEST = 6  # characters; a shorter value is found in every other word

_SHORTEST_BASE64 = 8
_SHORTEST_LINE = 16  # of a value with several lines, each of which tells something

_PRIVATE = r"[A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
BEGIN = re.compile(rf"-----BEGIN {_PRIVATE}")
END = re.compile(rf"-----END {_PRIVATE}")

_NAMES = (
    r"(?:pass(?:word|wd|phrase)|pwd|secret|token|credentials?|api[_-]?key|signature"
    r"|(?:access|secret|private|signing|encryption|account)[_-]?key(?:[_-]?id)?)"
)
_BLANKS = r"[ \t]{0,8}"
_QUOTED = r'"(?:[^"\\\n]|\\.){1,4096}"?' + r"|'(?:[^'\\\n]|\\.){1,4096}'?"
_BARE = r"[^\s\"'`,;&<>(){}\[\]|\\]{1,4096}"
_VALUE = rf"(?!\[redacted\])(?:{_QUOTED}|{_BARE})"
_EQUALS = rf"(?:[\"']?{_BLANKS}(?::=|=>|[:=]){_BLANKS}|\\?[\"']?[:=]\\?(?=[\"']))"


@dataclass(frozen=True)
class Rule:
    """What a secret looks like: words one of which is near, the form, and what stays of it."""

    near: tuple[str, ...]
    form: re.Pattern[str]
    stays: str = MASK


def _token(near: str, form: str) -> Rule:
    """Find what vendors give a form of its own, so that it can be found."""
    return Rule(tuple(near.split()), re.compile(rf"(?<![A-Za-z0-9_]){form}"))


def _named(near: str, name: str, value: str) -> Rule:
    """Find a value by what stands before it, which stays."""
    return Rule(tuple(near.split()), re.compile(f"(?im)({name}){value}"), rf"\1{MASK}")


_ANY_NAME = "pass pwd secret token credential key signature"

RULES = (
    _token("akia asia abia acca aroa aida", r"A(?:KIA|SIA|BIA|CCA|ROA|IDA)[A-Z0-9]{16}"),
    _token("ghp_ gho_ ghu_ ghs_ ghr_", r"gh[pousr]_[A-Za-z0-9]{16,255}"),
    _token("github_pat_", r"github_pat_[A-Za-z0-9_]{20,255}"),
    _token("gl", r"gl(?:pat|dt|rt|cbt|ptt|ft|soat|agent|oas)-[A-Za-z0-9_.-]{16,255}"),
    _token("xox xapp-", r"(?:xox[a-z](?:\.xox[a-z])?|xapp)-[A-Za-z0-9-]{8,512}"),
    _token("hooks.slack.com", r"hooks\.slack\.com/[a-z]{1,20}/[^\s\"'<>]{8,255}"),
    Rule(  # a JWT; each run of its characters is walked through once, however often it has eyJ
        ("eyj",),
        re.compile(
            r"(?<![\w-])((?:(?!(?<![A-Za-z0-9_])eyJ)[\w-]){0,65536}+)"
            r"eyJ[\w-]{8,8192}+\.[\w-]{8,8192}(?:\.[\w-]{0,8192}){0,3}"
        ),
        rf"\1{MASK}",
    ),
    _token("aiza", r"AIza[\w-]{35}"),
    _token("sk- sk_ rk_", r"(?:sk|rk)[-_](?:[a-z]{2,10}[-_])?[\w-]{16,255}"),
    _token("npm_ pypi- hvs. hvb. dop_v1_", r"(?:npm_|pypi-|hv[sb]\.|dop_v1_)[\w-]{16,255}"),
    _token("ls0tls1crudjti", r"LS0tLS1CRUdJTi[A-Za-z0-9+/=]{16,65536}"),  # -----BEGIN
    _named(
        "authorization",
        rf"authorization[\"']?{_BLANKS}[:=]{_BLANKS}[\"']?",
        r"(?![\s\"']|\[redacted\])"
        r"(?:(?:basic|bearer|token|apikey)[ \t]{1,8}[^\s\"']{1,8192}|[^\r\n]{1,8192})",
    ),
    _named("bearer", r"\bbearer[ \t]{1,8}", r"[A-Za-z0-9_~+/=.-]{12,8192}"),
    _named("cookie", rf"\b(?:set-)?cookie[\"']?{_BLANKS}:{_BLANKS}", r"[^\r\n]{1,8192}"),
    _named(  # a line of YAML, or a header: all of it
        _ANY_NAME,
        rf"^[ \t]{{0,80}}(?:- )?[\"']?[\w.-]{{0,64}}?{_NAMES}[\"']?{_BLANKS}:[ \t]{{1,8}}",
        r"(?!\[redacted\]|[\"'{\[|>])[^\r\n]{1,4096}",
    ),
    _named(_ANY_NAME, _NAMES + _EQUALS, _VALUE),
    _named("pass identified", r"\b(?:password|identified by)[ \t]{1,8}", f"(?:{_QUOTED})"),
    _named("--", rf"(?<![\w-])--[a-z0-9-]{{0,32}}?{_NAMES}[ \t]{{1,8}}(?!-)", _VALUE),
    _named("://", r"://[^\s/@:\"'<>]{0,256}:", r"[^\s/\"'<>]{1,512}(?=@)"),
    _named("://", r"://", r"[^\s/@:\"'<>]{16,512}(?=@)"),
)


def forms(secret: str) -> Iterator[str]:
    """Yield what a known value may look like, without blanks."""
    for value in (secret, *_behind_scheme(secret)):
        yield from _forms(value)


def _behind_scheme(secret: str) -> Iterator[str]:
    """Yield what a credential in a header holds behind its scheme, such as `Bearer`."""
    scheme, _, credential = secret.partition(" ")
    if not _SCHEME.fullmatch(scheme):
        return
    yield credential
    with contextlib.suppress(ValueError):  # Basic, RFC 7617: user and password
        yield base64.b64decode(credential, validate=True).decode().partition(":")[2]


def _forms(secret: str) -> Iterator[str]:
    lines = secret.split("\n")
    whole = [secret, *(line for line in lines if len(line) >= _SHORTEST_LINE)]
    for value in whole if len(lines) > 1 else [secret]:
        for form in _written(value):
            packed = without_blanks(form)
            if len(packed) >= SHORTEST:
                yield packed


def _written(value: str) -> Iterator[str]:
    raw = value.encode("utf-8", "surrogatepass")
    yield value
    if len(without_blanks(value)) < SHORTEST:
        return
    for encoded in (quote(raw, safe=""), quote(raw), quote_plus(raw)):
        yield encoded
        yield re.sub("%[0-9A-F]{2}", lambda found: found[0].lower(), encoded)
    yield json.dumps(value)[1:-1]
    yield json.dumps(value, ensure_ascii=False)[1:-1]
    yield from _in_base64(raw)


def _in_base64(raw: bytes) -> Iterator[str]:
    """Yield what of a value is the same wherever it stands within something encoded."""
    for before, skipped in ((0, 0), (1, 2), (2, 3)):
        encoded = base64.b64encode(b"\0" * before + raw).decode().rstrip("=")
        if (before + len(raw)) % 3:
            encoded = encoded[:-1]
        kept = encoded[skipped:]
        if len(kept) >= _SHORTEST_BASE64:
            yield kept
            yield kept.translate(str.maketrans("+/", "-_"))


def without_blanks(text: str) -> str:
    """Return a text without its blanks and line breaks."""
    return "".join(text.split())
