"""Exported post-mortems: complete, self-contained, and nobody's text becomes markup."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from typing_extensions import override

from bot.domain.postmortems import Postmortem, Prose, Records, draft
from bot.exports import Format, escaped, phases, render, visible
from tests.incident_records import CLEO, HOSTILE, PLAN, RECORDS, hostile, minutes

FORMATS: tuple[Format, ...] = ("md", "html")


class Page(HTMLParser):
    """Collects the tags, attributes and text of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[tuple[str, str | None]] = set()
        self.text = ""
        self.feed(html)

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes.update(attrs)

    @override
    def handle_data(self, data: str) -> None:
        self.text += data


def drafted(records: Records = RECORDS, prose: Prose | None = None) -> Postmortem:
    return draft(records, at=minutes(30), by=CLEO, prose=prose)


def shown(markdown: str) -> Page:
    """Read Markdown the way a renderer with tables, HTML and strikethrough does."""
    reader = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    return Page(reader.render(markdown))


@pytest.mark.parametrize("format", FORMATS)
def test_an_export_has_every_section(format: Format) -> None:
    text = render(drafted(), format)
    for words in (
        "Checkout is stuck",
        "Summary",
        "Impact",
        "time to acknowledge",
        "Incident commander",
        "Restart the checkout worker",
        "What it did well",
        "Where it was of no help",
        "Ben approved at 2026-11-20 09:09:00 UTC",
        "R2: 1 of",
        "Cause",
        drafted().digest,
        PLAN.digest,
        "Action items",
        "noted: Looks like EX-7 all over again",
        "Written from the records",
    ):
        assert words in text, words


@pytest.mark.parametrize("format", FORMATS)
def test_a_models_summary_says_so(format: Format) -> None:
    text = render(drafted(prose=Prose(text="One.\n\nTwo.", writer="Some model")), format)
    assert "Written by a language model (Some model)" in text
    assert "Written from the records" not in text


@pytest.mark.parametrize("format", FORMATS)
def test_an_empty_incident_is_exported_too(format: Format) -> None:
    bare = replace(
        drafted(),
        roles=(),
        milestones=(),
        timeline=(),
        suggestions=(),
        assistant_good=(),
        consents=(),
        action_items=(),
    )
    assert "Nobody had taken a role." in render(bare, format)


def test_an_unknown_format_is_refused() -> None:
    with pytest.raises(ValueError, match="'pdf' is neither md nor html"):
        render(drafted(), cast("Format", "pdf"))


def test_the_page_needs_nothing_from_elsewhere() -> None:
    page = Page(render(drafted(hostile()), "html"))
    assert page.tags.isdisjoint({"script", "img", "link", "iframe", "object", "a", "form", "base"})
    assert {"src", "href", "srcset"}.isdisjoint(name for name, _ in page.attributes)
    assert ("content", "default-src 'none'; style-src 'unsafe-inline'") in page.attributes
    style = re.search(r"<style>(.*?)</style>", render(drafted(), "html"), re.DOTALL)
    assert style is not None
    assert "url(" not in style[1]
    assert "@import" not in style[1]


def test_hostile_text_adds_no_tag_and_no_attribute_to_the_page() -> None:
    ours, theirs = Page(render(drafted(), "html")), Page(render(drafted(hostile()), "html"))
    assert theirs.tags <= ours.tags
    assert {name for name, _ in theirs.attributes} <= {name for name, _ in ours.attributes}
    assert not [name for name, _ in theirs.attributes if name.startswith("on")]
    assert "<script>alert(1)</script>" in theirs.text


def test_hostile_text_becomes_no_markup_in_markdown() -> None:
    ours = shown(render(drafted(), "md"))
    theirs = shown(render(drafted(hostile()), "md"))
    assert theirs.tags <= ours.tags | {"tr", "td"}
    assert {name for name, _ in theirs.attributes} <= {name for name, _ in ours.attributes}
    assert " ".join(HOSTILE.split()) in theirs.text


def test_hostile_text_adds_no_cell_to_a_table() -> None:
    page = render(drafted(hostile()), "md")
    timeline = page[page.index("## Timeline") :]
    row = timeline.splitlines()[-1]
    assert len(re.findall(r"(?<!\\)\|", row)) == 4


@pytest.mark.parametrize(
    "text",
    (
        "# heading",
        "- item",
        "+ item",
        "1. item",
        "12) item",
        "---",
        "===",
        "> quote",
        "    code",
        "``` fence",
        "~~~ fence",
        "| a | b |",
        "trailing #",
        "trailing \\",
        "a\n\n# b",
        "[x]: http://evil.example",
        "<b>b</b>",
        "&lt;&#35;&amp;",
        "__b__ *i* ~~s~~ `c`",
        "![i](x) [l](x) [r][x]",
        "<http://evil.example>",
    ),
)
def test_markup_shows_as_it_was_written(text: str) -> None:
    page = shown(escaped(text))
    assert page.tags == {"p"}
    assert page.text.strip() == " ".join(text.split())


@given(st.text(max_size=200))
def test_any_text_in_a_list_is_one_item_of_plain_text(text: str) -> None:
    flat = " ".join(visible(text).split())
    page = shown(f"- before\n- {escaped(text)}\n- after")
    assert page.tags == {"ul", "li"}
    assert " ".join(page.text.split()) == " ".join(f"before {flat} after".split())


@given(st.text(max_size=200))
def test_any_text_in_a_table_is_one_cell_of_plain_text(text: str) -> None:
    flat = " ".join(visible(text).split())
    page = shown(f"| a | b |\n|---|---|\n| {escaped(text)} | end |")
    assert page.tags == {"table", "thead", "tbody", "tr", "th", "td"}
    assert " ".join(page.text.split()) == " ".join(f"a b {flat} end".split())


def test_addresses_are_no_links_even_where_bare_ones_are() -> None:
    assert escaped("http://evil.example www.evil.example ana@evil.example") == (
        r"http\://evil.example www\.evil.example ana\@evil.example"
    )


def test_phases_fill_the_time_from_start_to_resolution() -> None:
    told = [(phase.kind, phase.seconds) for phase in phases(drafted())]
    assert told == [("started", 60), ("detected", 120), ("acknowledged", 660), ("mitigated", 420)]
