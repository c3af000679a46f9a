"""The pages of governance as a browser gets them: real services, database and renderer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, TypeAlias

from typing_extensions import override

import plugins.governance.pages as governance_pages
from bot.domain.actions import Effect, Risk
from bot.domain.approvals import Approval, Place, Verdict
from bot.domain.people import Person
from bot.domain.runs import Plan, PlannedStep, Run, RunId, RunState
from bot.plugin import Audience, Download, Page, PageRequest, PageView, PluginContext
from bot.web.rendering import Frame, Link, Renderer, Section
from plugins.governance.pages import Pages
from tests.fakes import NOON, FakeClock

MEMBER = frozenset({Audience.MEMBER})
RESPONDER = MEMBER | {Audience.RESPONDER}
AUDITOR = RESPONDER | {Audience.AUDITOR}
Audiences: TypeAlias = frozenset[Audience]
TEMPLATES = Path(governance_pages.__file__).with_name("templates")
HOSTILE = "\"'><script>alert(1)</script>&amp;{{7*7}}{% raw %}\N{RIGHT-TO-LEFT OVERRIDE}"


class Opened:
    """The pages, opened by one viewer who may open all of them unless a test says otherwise."""

    def __init__(self, context: PluginContext, viewer: Person, clock: FakeClock) -> None:
        self.pages: Mapping[str, Page] = {page.path: page for page in Pages(context).all()}
        self.viewer = viewer
        self._renderer = Renderer(clock, {"governance": TEMPLATES})

    async def answer(
        self, path: str, audiences: Audiences = AUDITOR, /, **query: str
    ) -> PageView | Download:
        """Return what a page answers, before it is rendered."""
        page = self.pages[path]
        assert page.audience in audiences
        request = PageRequest(viewer=self.viewer, audiences=audiences, query=query)
        return await page.handler(request)

    async def html(self, path: str, audiences: Audiences = AUDITOR, /, **query: str) -> str:
        """Return a page as a browser gets it."""
        shown = await self.answer(path, audiences, **query)
        assert isinstance(shown, PageView)
        frame = Frame(
            title=self.pages[path].title,
            here=f"/pages/governance/{path}",
            viewer=self.viewer,
            menu=self._menu(audiences),
            style=self._renderer.style,
        )
        rendered = self._renderer.plugin("governance", shown.template, frame=frame, data=shown.data)
        html = rendered.decode()
        Sound(html)
        return html

    async def text(self, path: str, audiences: Audiences = AUDITOR, /, **query: str) -> str:
        """Return the words of a page, without its frame, in one line."""
        html = await self.html(path, audiences, **query)
        main = html.partition('<main id="content" tabindex="-1">')[2]
        main = re.sub(r"</?(?:time|span|code|a|strong)\b[^>]*>", "", main)
        return " ".join(unescape(re.sub(r"<[^>]*>", " ", main)).split())

    async def file(self, path: str, /, **query: str) -> Download:
        """Return a file that a page hands out."""
        answer = await self.answer(path, AUDITOR, **query)
        assert isinstance(answer, Download)
        return answer

    def _menu(self, audiences: Audiences) -> list[Section]:
        listed = [p for p in self.pages.values() if p.listed and p.audience in audiences]
        links = [Link(title=p.title, url=f"/pages/governance/{p.path}") for p in listed]
        return [Section(name="governance", links=links)]


class Sound(HTMLParser):
    """Holds a page to what every page promises: closed elements, no scripts, no styles within."""

    VOID = frozenset({"meta", "link", "img", "input", "br", "hr"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.headings = 0
        self.feed(html)
        self.close()
        assert self.open == []
        assert self.headings == 1

    @override
    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag not in ("script", "style", "iframe", "object")
        assert not any(name == "style" or name.startswith("on") for name, _ in attrs)
        self.headings += tag == "h1"
        if tag not in self.VOID:
            self.open.append(tag)

    @override
    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def waiting_run(
    requester: Person,
    *quorum: Place,
    id: str = "r1",
    title: str = "Restart a worker",
    risk: Risk = Risk.R2,
    **changes: Any,
) -> Run:
    """Return a run whose plan waits for answers until a quarter past noon."""
    step = PlannedStep(
        id="one", title="Restart", uses="lamp.on@1", arguments={}, effect=Effect.MUTATE,
        risk=risk, idempotent=True, timeout=5, diff="- old\n+ new",
    )  # fmt: skip
    plan = Plan(
        run=id, runbook="worker-stuck", version=1, runbook_digest="0" * 64, title=title,
        parameters={}, subject="group", service="checkout", facts=(), steps=(step,), risk=risk,
        policy_digest="1" * 64, quorum=quorum, touches=("checkout", "storefront"),
    )  # fmt: skip
    approval = Approval(
        id=f"a-{id}", digest=plan.digest, requester=requester, quorum=quorum,
        answer_by=NOON.replace(minute=15), execute_within=300, verdict=Verdict.WAITING,
    )  # fmt: skip
    run = Run(
        id=RunId(id), runbook="worker-stuck", title=title, parameters={}, requester=requester,
        subject="group", incident=None, service="checkout", created_at=NOON,
        state=RunState.AWAITING, plan=plan, approval=approval,
    )  # fmt: skip
    return replace(run, **changes)
