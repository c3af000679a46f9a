"""Pages of plugins: shown to whom they are for, whole or not at all."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import TemplateNotFound, UndefinedError
from pydantic import SecretStr
from typing_extensions import override

from bot.domain.errors import NotFound, Refused
from bot.domain.people import Person, PersonId
from bot.plugin import Audience, Download, Page, PageRequest, PageView
from bot.ports import ChatError
from bot.web import filters
from bot.web.answers import download
from bot.web.oidc import OidcSettings
from bot.web.pages import Book, make_pages
from bot.web.rendering import Frame, Renderer
from tests.fakes import NOON, FakeClock
from tests.web.visiting import HELLO, Directory, Visiting, plain, visiting

HOSTILE = (
    "<script>alert(1)</script>",
    "\"><img src=x onerror='alert(1)'>",
    "{{ 7 * 7 }} {% raw %}",
    "</title><style>*{display:none}",
    "&lt;&amp;",
    "\u202emoc.live",
)


def page(path: str, handler: Any, **changes: Any) -> Page:
    given: dict[str, Any] = {"title": path.capitalize(), "audience": Audience.MEMBER, **changes}
    return Page(path=path, handler=handler, **given)


async def refuses(request: PageRequest) -> PageView:
    raise Refused("The ledger is being restored.")


async def misses(request: PageRequest) -> PageView:
    raise NotFound("There is no entry 9.")


async def breaks(request: PageRequest) -> PageView:
    raise RuntimeError("the password is hunter2")


async def forgets(request: PageRequest) -> PageView:
    return PageView(template="hello.html", data={})


async def no_template(request: PageRequest) -> PageView:
    return PageView(template="nowhere.html", data={})


async def outside(request: PageRequest) -> PageView:
    return PageView(template="../../../../etc/passwd", data={})


async def waits(request: PageRequest) -> PageView:
    await asyncio.Event().wait()
    raise AssertionError


async def gives(request: PageRequest) -> Download:
    return Download(name='bun"dle\r\nX: y é.tar', media_type="application/x-tar", content=b"\0\1")


async def surrogate(request: PageRequest) -> PageView:
    return PageView(template="hello.html", data={"words": {"a": "lone \ud800 half"}})


PAGES: Mapping[str, Sequence[Page]] = {
    "demo": [
        HELLO,
        page("", plain, title="Start"),
        page("deep/er", plain, listed=False),
        page("secret", plain, title="Only responders", audience=Audience.RESPONDER),
        page("audits", plain, title="Only auditors", audience=Audience.AUDITOR),
        page("refuses", refuses, listed=False),
        page("misses", misses, listed=False),
        page("breaks", breaks, listed=False),
        page("forgets", forgets, listed=False),
        page("no-template", no_template, listed=False),
        page("outside", outside, listed=False),
        page("waits", waits, listed=False),
        page("file", gives, listed=False),
        page("surrogate", surrogate, listed=False),
    ]
}


@pytest.fixture
async def visit(tmp_path: Path) -> AsyncIterator[Visiting]:
    async with visiting(tmp_path, pages=PAGES) as running:
        await running.signed_in()
        yield running


async def test_nobody_sees_a_page_without_signing_in_not_even_that_it_exists(
    visit: Visiting,
) -> None:
    visit.browser.cookies.clear()
    answers = [await visit.get(f"/pages/{p}") for p in ("", "demo/hello", "demo/nowhere", "x")]
    assert [a.status_code for a in answers] == [303] * 4
    assert all(a.headers["location"].startswith("/pages/login?next=/pages/") for a in answers)


async def test_pages_load_nothing_from_elsewhere_and_are_kept_by_nobody(visit: Visiting) -> None:
    for path in ("", "demo/hello", "demo/breaks", "demo/nowhere", "login"):
        headers = (await visit.get(f"/pages/{path}")).headers
        policy = headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "script-src" not in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] == "no-store"


async def test_the_menu_holds_what_one_can_open_and_no_more(visit: Visiting) -> None:
    dana = (await visit.get("/pages/")).text
    assert "Only responders" in dana
    assert "Only auditors" not in dana
    assert "Deep/er" not in dana
    await visit.signed_in("noor")
    noor = (await visit.get("/pages/")).text
    assert "Only responders" not in noor
    assert "Hello" in noor


async def test_a_page_for_others_is_refused_with_the_reason(visit: Visiting) -> None:
    assert (await visit.get("/pages/demo/secret")).status_code == 200
    refused = await visit.get("/pages/demo/audits")
    assert refused.status_code == 403
    assert "This page is for auditors." in refused.text


async def test_who_leaves_the_responders_is_out_within_a_minute(visit: Visiting) -> None:
    assert (await visit.get("/pages/demo/secret")).status_code == 200
    dana = visit.workspace.find_person("dana").id
    person, _ = visit.directory.people[dana]
    visit.directory.people[dana] = (person, frozenset({Audience.MEMBER}))
    visit.clock.advance(seconds=60)
    assert (await visit.get("/pages/demo/secret")).status_code == 403
    assert (await visit.get("/pages/demo/hello")).status_code == 200


async def test_addresses_may_end_with_a_slash_or_without(visit: Visiting) -> None:
    for path in ("demo", "demo/", "demo/hello", "demo/hello/", "demo/deep/er"):
        assert (await visit.get(f"/pages/{path}")).status_code == 200
    for path in ("demo/deep", "demo/nowhere", "other/hello", "demo/%2e%2e/x", "demo/hello%00"):
        assert (await visit.get(f"/pages/{path}")).status_code == 404


async def test_a_refusal_is_a_calm_page_with_its_sentence(visit: Visiting) -> None:
    refused, missing = await visit.get("/pages/demo/refuses"), await visit.get("/pages/demo/misses")
    assert (refused.status_code, missing.status_code) == (403, 404)
    assert "The ledger is being restored." in refused.text
    assert "There is no entry 9." in missing.text


@pytest.mark.parametrize("path", ("breaks", "forgets", "no-template", "outside"))
async def test_a_failing_page_gives_a_reference_that_stands_in_the_log(
    visit: Visiting, path: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.ERROR):
        failed = await visit.get(f"/pages/demo/{path}")
    assert failed.status_code == 500
    [record] = [r for r in caplog.records if r.name == "bot.web.answers"]
    reference = record.getMessage().partition("(ref ")[2].rstrip(")")
    assert f"(ref {reference})" in failed.text
    assert record.exc_info
    assert "hunter2" not in failed.text
    assert "root:" not in failed.text


async def test_a_page_that_never_ends_is_given_up(
    visit: Visiting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.web.pages.PAGE_SECONDS", 0.05)
    assert (await visit.get("/pages/demo/waits")).status_code == 500


async def test_while_the_chat_cannot_be_asked_nobody_is_let_in(visit: Visiting) -> None:
    visit.clock.advance(seconds=60)
    visit.directory.fault = ChatError("ratelimited")
    answer = await visit.get("/pages/demo/hello")
    assert answer.status_code == 503
    assert "cannot be asked" in answer.text


@pytest.mark.parametrize("words", HOSTILE)
async def test_hostile_words_stay_words(visit: Visiting, words: str) -> None:
    dana = visit.workspace.find_person("dana").id
    known = Person(id=PersonId(dana), name=words)
    visit.directory.people[dana] = (known, frozenset({Audience.MEMBER}))
    visit.clock.advance(seconds=60)
    answer = await visit.browser.get(f"{visit.url}/pages/demo/hello", params={words: words})
    assert answer.status_code == 200
    seen = Seen(answer.text)
    assert {"script", "style", "img"}.isdisjoint({*seen.tags} - {"img"})
    assert seen.tags.count("img") == 1  # the mark of the frame
    assert any(words in text for text in seen.texts)
    assert ("title", words) in seen.attributes
    assert not any(name.startswith("on") for name, _ in seen.attributes)


async def test_half_a_character_breaks_no_page(visit: Visiting) -> None:
    answer = await visit.get("/pages/demo/surrogate")
    assert answer.status_code == 200
    assert "lone ? half" in answer.text


async def test_a_file_is_kept_and_never_shown(visit: Visiting) -> None:
    answer = await visit.get("/pages/demo/file")
    assert answer.content == b"\0\1"
    assert answer.headers["content-type"] == "application/x-tar"
    disposition = answer.headers["content-disposition"]
    assert disposition.startswith('attachment; filename="bun-dle-X-y-.tar"; filename*=UTF-8')
    assert "x" not in answer.headers
    assert "sandbox" in answer.headers["content-security-policy"]


@given(name=st.text(max_size=60), kind=st.text(max_size=30))
def test_no_name_and_no_type_of_a_file_reaches_beyond_its_header(name: str, kind: str) -> None:
    answer = download(Download(name=name, media_type=kind, content=b""))
    for _, value in answer.raw_headers:
        assert not {*value} & {10, 13, 0}
    [disposition] = answer.headers.getlist("content-disposition")
    assert disposition.count('"') == 2
    assert len(answer.headers.getlist("content-type")) == 1


async def test_every_page_can_be_read_without_eyes(visit: Visiting) -> None:
    for path in ("", "demo/hello", "demo/nowhere", "login"):
        text = (await visit.get(f"/pages/{path}")).text
        seen = Seen(text)
        assert ("lang", "en") in seen.attributes
        assert seen.tags.count("h1") == 1
        assert seen.tags.count("main") == 1
        assert ("href", "#content") in seen.attributes
        assert ("id", "content") in seen.attributes
        assert seen.left == []
        assert "style=" not in text


async def test_the_style_is_served_and_fresh_when_it_changes(visit: Visiting) -> None:
    style = Seen((await visit.get("/pages/")).text).value("href", containing="frame.css?")
    answer = await visit.get(style)
    assert answer.headers["content-type"].startswith("text/css")
    assert "prefers-color-scheme: dark" in answer.text
    for path in ("nothing.css", "..%2fpages.py", "%2e%2e/pages.py"):
        assert (await visit.get(f"/pages/static/{path}")).status_code in (303, 404)


async def test_only_get_is_answered(visit: Visiting) -> None:
    for method in ("POST", "PUT", "DELETE", "PATCH"):
        answer = await visit.browser.request(method, f"{visit.url}/pages/demo/hello")
        assert answer.status_code == 405


# Start-up


def test_pages_that_clash_stop_the_bot() -> None:
    with pytest.raises(ValueError, match="twice"):
        Book({"demo": [HELLO, page("/hello/", plain)]})
    with pytest.raises(ValueError, match="login"):
        Book({"login": [HELLO]})


def test_a_secret_that_is_too_short_stops_the_bot() -> None:
    oidc = OidcSettings(
        issuer="https://slack.com", client_id="1", client_secret=SecretStr("s"),
        public_url="https://tocsin.example",
    )  # fmt: skip
    with pytest.raises(ValueError, match="32 bytes"):
        make_pages(FastAPI(), pages={}, templates={}, oidc=oidc, secret=b"short",
                   audiences=Directory(), clock=FakeClock())  # fmt: skip


# Templates


def rendered(folder: Path, text: str, **data: Any) -> str:
    (folder / "page.html").write_text(text)
    renderer = Renderer(FakeClock(), {"demo": folder})
    frame = Frame(title="T", style="/s.css")
    return renderer.plugin("demo", "page.html", frame=frame, data=data).decode()


def test_a_missing_variable_is_an_error_even_where_it_is_only_asked_for(tmp_path: Path) -> None:
    for text in ("{{ gone }}", "{% if gone %}{% endif %}", "{{ a.gone }}", "{{ gone == 1 }}"):
        with pytest.raises(UndefinedError):
            rendered(tmp_path, text, a={})


def test_no_plugin_replaces_the_frame(tmp_path: Path) -> None:
    (tmp_path / "frame.html").write_text("mine")
    assert "<main" in rendered(tmp_path, '{% extends "frame.html" %}')


def test_plugins_do_not_see_each_others_templates(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for folder in (one, two):
        folder.mkdir()
        (folder / "page.html").write_text(folder.name)
    (one / "only.html").write_text("x")
    renderer = Renderer(FakeClock(), {"one": one, "two": two})
    frame = Frame(title="T")
    shown = [renderer.plugin(name, "page.html", frame=frame, data={}) for name in ("one", "two")]
    assert shown == [b"one", b"two"]
    with pytest.raises(TemplateNotFound):
        renderer.plugin("two", "only.html", frame=frame, data={})


def test_the_parts_escape_what_they_are_given(tmp_path: Path) -> None:
    text = (
        '{% import "parts.html" as parts %}{{ parts.badge(w, "bad") }}{{ parts.empty(w) }}'
        "{{ parts.facts([(w, w)]) }}{{ parts.pager(w, none) }}"
    )
    shown = rendered(tmp_path, text, w='"><b>')
    assert "<b>" not in shown
    assert shown.count("&lt;b&gt;") == 5


def test_moments_are_shown_in_utc_for_people_and_machines() -> None:
    berlin = datetime(2026, 11, 20, 13, 0, 5, tzinfo=timezone(timedelta(hours=1)))
    assert filters.moment(berlin) == (
        '<time datetime="2026-11-20T12:00:05Z">2026-11-20 12:00:05 UTC</time>'
    )
    assert filters.moment(None) == "\N{EN DASH}"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    (
        (0, "now"), (-1, "1 s ago"), (59, "in 59 s"), (-60, "1 min ago"), (-3_700, "1 h 1 min ago"),
        (86_400, "in 1 d"), (-90_000, "1 d 1 h ago"), (-86_460, "1 d ago"),
        (-59.6, "1 min ago"),
    ),
)  # fmt: skip
def test_how_far_a_moment_is_reads_as_people_say_it(seconds: float, shown: str) -> None:
    at = NOON + timedelta(seconds=seconds)
    assert f">{shown}</time>" in filters.ago(at, now=NOON)


@given(st.integers(0, 10**9))
def test_a_span_never_says_more_than_two_units_and_is_never_far_off(seconds: int) -> None:
    sizes = {"d": 86_400, "h": 3_600, "min": 60, "s": 1}
    words = filters.span(seconds).split()
    units = words[1::2]
    assert 1 <= len(units) <= 2
    told = sum(int(n) * sizes[unit] for n, unit in zip(words[::2], units, strict=True))
    assert 0 <= seconds - told < sizes[units[0]]


def test_a_digest_is_short_to_see_and_whole_to_copy() -> None:
    whole = "ab" * 32
    shown = filters.digest(whole)
    assert f'title="{whole}"' in shown
    assert ">abababababab…<" in shown
    assert filters.digest(bytes.fromhex(whole)) == shown
    assert filters.digest("abc") == '<code class="digest" title="abc">abc</code>'
    assert filters.digest('"><b>').count("<b>") == 0
    assert filters.digest(None) == "\N{EN DASH}"


def test_moments_of_another_time_zone_are_the_same_moments() -> None:
    there = timezone(timedelta(hours=-8))
    at = datetime(2026, 11, 20, 11, tzinfo=UTC)
    assert filters.ago(at, now=NOON) == filters.ago(at.astimezone(there), now=NOON)


class Seen(HTMLParser):
    """What a browser would make of a page: elements, attributes, text."""

    VOID = frozenset({"meta", "link", "img", "input", "br", "hr"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.texts: list[str] = []
        self.left: list[str] = []
        self.feed(text)
        self.close()

    def value(self, name: str, *, containing: str) -> str:
        """Return the first value of an attribute that contains something."""
        return next(v for k, v in self.attributes if k == name and containing in v)

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in self.VOID:
            self.left.append(tag)

    @override
    def handle_endtag(self, tag: str) -> None:
        assert self.left.pop() == tag

    @override
    def handle_data(self, data: str) -> None:
        self.texts.append(data)
