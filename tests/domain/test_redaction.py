"""Redaction as an adversary tries it: forms, chunks, and texts made to be slow."""

from __future__ import annotations

import base64
import itertools
import json
import re
import time
from collections.abc import Sequence
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from bot.domain.redaction import MASK, RedactedStream, Redactor

SECRET = "tr0ub4dor&3 horse/staple+=é"
KEY = "\n".join(
    ("-----BEGIN RSA PRIVATE KEY-----", *(f"MIIEpAIBAAKCAQEA{n:048}" for n in range(24)),
     "-----END RSA PRIVATE KEY-----")
)  # fmt: skip

secrets = st.text(st.characters(codec="utf-8"), min_size=6, max_size=40).filter(
    lambda s: len("".join(s.split())) >= 6 and "".join(s.split()) not in MASK
)
noise = st.text(max_size=60)
plain = st.text("abc xyz.,\n", max_size=60)


def streamed(redactor: Redactor, pieces: Sequence[str]) -> str:
    stream = RedactedStream(redactor)
    return "".join([*map(stream.feed, pieces), stream.end()])


def cut(text: str, places: Sequence[int]) -> list[str]:
    ends = [0, *sorted(place % (len(text) + 1) for place in places), len(text)]
    return [text[a:b] for a, b in itertools.pairwise(ends)]


def packed(text: str) -> str:
    return "".join(text.split())


FORMS = {
    "as it is": SECRET,
    "in a URL": quote(SECRET, safe=""),
    "in a path": quote(SECRET),
    "in a form": quote_plus(SECRET),
    "in a URL with small letters": re.sub("%..", lambda f: f[0].lower(), quote(SECRET, safe="")),
    "in JSON": json.dumps({"a": SECRET}),
    "in JSON as it is": json.dumps({"a": SECRET}, ensure_ascii=False),
    "wrapped": "\n    ".join(SECRET[i : i + 5] for i in range(0, len(SECRET), 5)),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_a_known_value_is_hidden_in_every_form(form: str) -> None:
    shown = Redactor([SECRET])(f"before {form} after")
    assert MASK in shown
    assert "staple" not in shown
    assert "ub4dor" not in packed(shown)
    assert shown.startswith("before ")
    assert shown.endswith(" after")


@pytest.mark.parametrize("scheme", ("Bearer", "bearer", "Token", "ApiKey"))
def test_the_value_behind_a_scheme_is_known_by_itself(scheme: str) -> None:
    shown = Redactor([f"{scheme} correct-horse"])("it got correct-horse, as {'a': 'correct-horse'}")
    assert shown == f"it got {MASK}, as {{'a': '{MASK}'}}"


def test_the_password_within_basic_credentials_is_known_by_itself() -> None:
    encoded = base64.b64encode(b"dana:correct-horse").decode()
    redactor = Redactor([f"Basic {encoded}"])
    assert redactor("dana's is correct-horse") == f"dana's is {MASK}"
    assert redactor(encoded) == MASK
    assert Redactor(["Basic no base64 at all"])("all, base 64") == "all, base 64"


@pytest.mark.parametrize("name", ("", "a", "ab", "abc", "user"))
@pytest.mark.parametrize("encode", (base64.b64encode, base64.urlsafe_b64encode))
def test_a_known_value_is_hidden_within_base64_at_any_place(name: str, encode) -> None:  # type: ignore[no-untyped-def]  # a function of base64
    encoded = encode(f"{name}:{SECRET}:tail".encode()).decode()
    wrapped = "\n".join(encoded[i : i + 11] for i in range(0, len(encoded), 11))
    for text in (encoded, wrapped):
        left = packed(Redactor([SECRET])(f"x {text} x")).replace(MASK, "")
        assert len(left) < len(encoded) - len(SECRET)  # nearly all of it is gone


def test_short_values_hide_nothing() -> None:
    assert Redactor(["", "abc", "a b c"])("abc a b c abcdef") == "abc a b c abcdef"


def test_a_line_of_a_value_with_several_lines_is_hidden_alone() -> None:
    redactor = Redactor(["first-line-of-a-secret\nshort\nsecond-line-of-a-secret"])
    assert redactor("got second-line-of-a-secret here") == f"got {MASK} here"
    assert redactor("short") == "short"


@settings(max_examples=300)
@given(st.lists(secrets, min_size=1, max_size=3), noise, noise, st.lists(st.integers(0, 10**6)))
def test_a_planted_value_never_appears_whatever_the_pieces(
    values: list[str], before: str, after: str, places: list[int]
) -> None:
    text = before + after.join(values) + after
    shown = packed(streamed(Redactor(values), cut(text, places)))
    for value in values:
        assume(packed(value) not in MASK)
        # A mask beside what stood around it may spell a value of a few signs by chance.
        assert packed(value) not in shown.replace(MASK, "\0")


@settings(max_examples=300)
@given(secrets, plain, plain, st.lists(st.integers(0, 10**6), max_size=6))
def test_pieces_as_lines_of_their_own_do_not_show_it_either(
    value: str, before: str, after: str, places: list[int]
) -> None:
    assume(packed(value) not in packed(before + after))
    pieces = [piece + "\n" for piece in cut(before + value + after, places)]
    shown = packed(streamed(Redactor([value]), pieces)).replace(MASK, "\0")
    assert packed(value) not in shown
    stream, told = RedactedStream(Redactor([value])), ""
    for piece in pieces:  # shown at once, line by line, as if nothing more came
        told += stream.feed(piece) + stream.end()
    assert packed(value) not in packed(told).replace(MASK, "\0")


@settings(max_examples=200)
@given(st.lists(secrets, max_size=3), noise, st.lists(st.integers(0, 10**6), max_size=8))
def test_how_it_is_cut_shows_three_characters_more_at_most(
    values: list[str], text: str, places: list[int]
) -> None:
    """A line that ends in fewer than four characters of a value is shown at once."""
    redactor = Redactor(values)
    text = text + "".join(values) + "\n" + text
    whole = packed(redactor(text)).replace(MASK, "")
    shown = packed(streamed(redactor, cut(text, places))).replace(MASK, "")
    assert len(whole) <= len(shown) <= len(whole) + 3 * len(places)


@given(noise, st.sampled_from(("password=x", "eyJ0eXAi", KEY)), st.lists(st.integers(0, 10**6)))
def test_how_it_is_cut_changes_nothing_about_forms(text: str, form: str, places: list[int]) -> None:
    text = f"{text}{form}\n{text}"
    assert streamed(Redactor(), cut(text, places)) == Redactor()(text)


@given(st.lists(st.text(max_size=30), max_size=3), st.text())
def test_nothing_makes_it_fail(values: list[str], text: str) -> None:
    Redactor(values)(text)
    Redactor([*values, "\ud800 lone surrogate"])(text + "\udfff")


@given(st.text("abcdefgh 0123456789.,:()-\n", max_size=200))
def test_what_is_no_secret_stays_as_it_is(text: str) -> None:
    assume("authorization" not in text)
    assert Redactor(["correct horse battery"])(text) == text


TOKENS = {
    "an AWS key": "AKIAIOSFODNN7EXAMPLE",
    "a GitHub token": "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
    "a fine-grained GitHub token": "github_pat_11ABCDEFG0abcdefghijkl_mnopqrstuvwxyz0123456789",
    "a GitLab token": "glpat-XYZ12345abcde67890fg",
    "a Slack token": "xoxb-17653672481-19874698323-pdFZKVeTuE8sk7oOHcBrzygy",
    "a Slack app token": "xapp-1-A0123-456-abcdef0123456789",
    "a Slack webhook": "hooks.slack.com/services/T000/B000/XXXXXXXXXXXXXXXX",
    "a JWT": "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9Pl",
    "a Google key": "AIzaSyA1234567890abcdefghijklmnopqrstuv",
    "a Stripe key": "sk_live_" + "4eC39HqLyjWDarjtT1zdp7dc",
    "an npm token": "npm_abcdefghijklmnopqrstuvwxyz0123456789",
    "a Vault token": "hvs.CAESIJlWh1234567890abcdefghijkl",
    "an encoded key": "LS0tLS1CRUdJTiBSU0EgUFJJVkFURSBLRVktLS0tLQpNSUlFcEFJQkFBS0NBUUVB",
}


@pytest.mark.parametrize("token", TOKENS.values(), ids=TOKENS)
def test_a_token_is_known_by_its_form(token: str) -> None:
    assert Redactor()(f'got "{token}", ok') == f'got "{MASK}", ok'
    assert Redactor()(f"got={token}") == f"got={MASK}"
    assert Redactor()(f"x-{token}-") in (f"x-{MASK}", f"x-{MASK}-")


LINES = {
    "Authorization: Bearer abc.def-ghi": f"Authorization: {MASK}",
    "> authorization: Basic dXNlcjpwYXNz": f"> authorization: {MASK}",
    'Authorization: Digest username="x", response="6629fae"': f"Authorization: {MASK}",
    "curl -H 'Authorization: Bearer s3cr3t' https://a": (
        f"curl -H 'Authorization: {MASK}' https://a"
    ),
    '{"Authorization": "Bearer s3cr3t", "a": 1}': f'{{"Authorization": "{MASK}", "a": 1}}',
    "Set-Cookie: session=abc; Path=/": f"Set-Cookie: {MASK}",
    "password=hunter2 user=joe": f"password={MASK} user=joe",
    "PGPASSWORD=hunter2 psql": f"PGPASSWORD={MASK} psql",
    "export API_KEY='a b c'": f"export API_KEY={MASK}",
    '{"token": "abc\\"def", "n": 1}': f'{{"token": {MASK}, "n": 1}}',
    "{'client_secret': 'abc'}": f"{{'client_secret': {MASK}}}",
    "db_password: correct horse battery": f"db_password: {MASK}",
    "  - secretKey: abc": f"  - secretKey: {MASK}",
    "https://joe:pa:ss@wd@db.example:5432/x": f"https://joe:{MASK}@db.example:5432/x",
    "postgres://joe:hunter2@db/x": f"postgres://joe:{MASK}@db/x",
    "https://0123456789abcdef0123@sentry.example/1": f"https://{MASK}@sentry.example/1",
    "GET /x?access_token=abc&page=2": f"GET /x?access_token={MASK}&page=2",
    "X-Amz-Signature=0123abc&x=1": f"X-Amz-Signature={MASK}&x=1",
    "ALTER USER joe PASSWORD 'hunter2';": f"ALTER USER joe PASSWORD {MASK};",
    "mysql --password hunter2 -h db": f"mysql --password {MASK} -h db",
    "--auth-token=abc --verbose": f"--auth-token={MASK} --verbose",
    'level=info msg="login" passwd="x y"': f'level=info msg="login" passwd={MASK}',
}


@pytest.mark.parametrize(("line", "shown"), LINES.items(), ids=range(len(LINES)))
def test_a_named_value_is_hidden_and_its_name_stays(line: str, shown: str) -> None:
    assert Redactor()(line) == shown
    assert Redactor()(shown) == shown  # and twice is not worse than once


@pytest.mark.parametrize(
    "line",
    (
        "max_tokens=100 tokens_used=12",
        "the password was changed by joe",
        "no token was given",
        "secretName is optional, keys are not",
        "https://example.com:8080/a@b",
        "--token-file --password-stdin",
        "2026-11-21 15:00 INFO key cache hit ratio 0.98",
        "sha256:0123456789abcdef0123456789abcdef",
    ),
)
def test_what_only_sounds_like_one_stays(line: str) -> None:
    assert Redactor()(line) == line


@pytest.mark.parametrize("size", (1, 7, 64, 1000, 10**6))
def test_a_private_key_is_hidden_across_its_lines_and_what_follows_is_seen(size: int) -> None:
    text = f"key:\n{KEY}\nafter\n"
    pieces = [text[i : i + size] for i in range(0, len(text), size)]
    shown = streamed(Redactor(), pieces)
    assert "MIIE" not in shown
    assert shown.startswith("key:\n")
    assert shown.endswith("after\n")
    assert "MIIE" not in Redactor()(json.dumps({"k": KEY}))


def test_a_key_that_never_ends_does_not_hide_everything_for_ever() -> None:
    stream = RedactedStream(Redactor())
    shown = stream.feed("-----BEGIN PRIVATE KEY-----\n") + stream.feed("MIIE\n" * 100)
    assert "MIIE" not in shown
    assert "later" in stream.feed("filler\n" * 10_000) + stream.feed("later\n")


def test_what_nobody_is_shown_still_tells_where_a_secret_began() -> None:
    stream = RedactedStream(Redactor([SECRET]))
    stream.skip(f"{KEY[:100]}\n")
    assert "MIIE" not in stream.feed(f"{KEY[100:]}\n")
    stream.skip(f"{SECRET[:12]}\n")
    assert "staple" not in stream.feed(f"{SECRET[12:]}\n")


def test_the_first_half_of_a_value_waits_for_the_second_and_is_never_shown() -> None:
    stream = RedactedStream(Redactor([SECRET]))
    assert stream.feed(f"one\ntwo {SECRET[:9]}\n") == "one\n"
    assert stream.lines_kept == 1
    assert stream.feed("no, it was none\n") == f"two {SECRET[:9]}\nno, it was none\n"
    assert stream.feed(f"two {SECRET[:9]}\n") == ""
    assert stream.end() == f"two {MASK}\n"
    assert "staple" not in stream.feed(f"{SECRET[9:]}\n")


def test_a_line_that_never_ends_is_not_kept_for_ever() -> None:
    stream, size = RedactedStream(Redactor([SECRET])), 0
    for _ in range(1000):
        size += len(stream.feed("x" * 1000))
    assert size > 900_000
    assert size + len(stream.end()) == 1_000_000


LOG = "2026-11-21T15:00:00Z INFO worker[12] handled order 123456 in 15 ms (queue checkout)\n"
SLOW = {
    "a log": LOG,
    "one line": "x",
    "passwords": "password=x ",
    "names": "pass word token secret ",
    "tokens": "eyJ",
    "tokens with dashes": "-eyJ",
    "tokens with many dashes": "--eyJ-_",
    "tokens that nearly are": "eyJaaaaaaaaa.-",
    "long tokens": "eyJ" + "a" * 9000,
    "addresses": "://a:",
    "headers": "authorization",
    "open quotes": 'password="' + "\\a" * 3000,
    "key beginnings": "-----BEGIN AAAAAAAAAAAAAAAAAAAA",
    "keys": "-----BEGIN PRIVATE KEY-----\n",
    "dashes": "--",
    "options": "--aaaaaaaaaaaaaaaaaaaa-token",
    "long names": "\n" + "w" * 64 + "key",
    "blanks": " ",
    "empty lines": "\n",
    "halves": SECRET[:20],
    "hits": SECRET + "\n",
}


@pytest.mark.parametrize("unit", SLOW.values(), ids=SLOW)
def test_no_text_makes_it_slow(unit: str) -> None:
    """A megabyte takes some 0.05 s; what is made to be slow may take some times that."""
    redactor = Redactor([SECRET, *(f"{n}-secret-value-{n}" for n in range(10))])
    text = (unit * (1_000_000 // len(unit) + 1))[:1_000_000]
    start = time.process_time()
    redactor(text)
    assert time.process_time() - start < (0.4 if unit is LOG else 1.5)
