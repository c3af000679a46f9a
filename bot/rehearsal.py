"""The demo as a whole: a practice workspace, a service that can break, and the bot, unmodified.

The bot runs as a process of its own, started like any other installation:
`tocsin serve` with a config.toml and tokens in the environment. So what works
here works against Slack, and a test may kill it at any moment.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import sys
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from bot.app import build
from bot.demo.alerting import Alerting, AlertingKind, start_alerting
from bot.demo.folder import claimed
from bot.demo.panel import CheckoutPanel, PanelFailed
from bot.demo.processes import LoggedProcess, NotStarted, free_port
from bot.practice import (
    Panel,
    PanelButton,
    PanelFact,
    PanelStatus,
    PracticeServer,
    Refusal,
    Workspace,
)
from bot.settings import DEFAULT_PLUGINS, SlackSection, load
from bot.slack.manifest import manifest

STATE = "demo.json"
START_SECONDS = 60.0

PEOPLE = (
    ("dana", "Dana Ito", "On-call engineer"),
    ("priya", "Priya Raman", "Payments engineer"),
    ("marcus", "Marcus Webb", "Incident commander"),
    ("lena", "Lena Fischer", "Customer support"),
    ("owen", "Owen Clarke", "Web engineer"),
    ("sofia", "Sofia Lind", "Identity engineer"),
    ("hugo", "Hugo Sand", "Logistics engineer"),
)
# Who is of which team follows from these: payments has payments and payments-oncall.
USERGROUPS: Mapping[str, Sequence[str]] = {
    "payments": ("dana", "priya", "marcus"),
    "payments-oncall": ("dana", "priya", "marcus"),
    "web": ("owen",),
    "web-oncall": ("owen",),
    "identity-oncall": ("sofia",),
    "logistics-oncall": ("hugo",),
    "security": ("sofia", "marcus"),
}


@dataclass(frozen=True, kw_only=True)
class Stage:
    """How to set the demo up. Port 0 is any free port.

    `extra` are sections of config.toml, `secrets` variables of the bot's environment.
    """

    directory: Path
    knowledge: Path
    port: int = 0
    alerting: AlertingKind = AlertingKind.AUTOMATIC
    meaning: bool = True
    slow_restart: float = 0.0
    extra: Mapping[str, Mapping[str, Any]] | None = None
    secrets: Mapping[str, str] = field(default_factory=dict)


class Rehearsal:
    """Everything `make demo` starts, in one place to start and stop it."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        self.workspace = workspace_of_the_demo()
        self.bot: LoggedProcess | None = None
        self.bot_url = f"http://127.0.0.1:{free_port()}"
        self.checkout_url = ""
        self.admin_token = secrets.token_urlsafe(24)
        self.hook_token = secrets.token_urlsafe(24)
        self._environment: dict[str, str] = {}
        self._stack = AsyncExitStack()
        self.server: PracticeServer
        self.alerting: Alerting

    async def start(self) -> None:
        """Start service, workspace, alerting and bot; return when the bot is ready.

        Raises:
            NotStarted: one of them did not start; the text says which and why.
        """
        async with AsyncExitStack() as stack:
            stack.enter_context(claimed(self.stage.directory))
            await self._start_checkout(stack)
            self.alerting = await start_alerting(
                self.checkout_url,
                f"{self.bot_url}/hooks/alertmanager",
                token=self.hook_token,
                directory=self._folder("alerting"),
                kind=self.stage.alerting,
            )
            stack.push_async_callback(self.alerting.stop)
            await self._start_workspace(stack)
            await self.start_bot()
            stack.push_async_callback(self.stop_bot)
            self._write_state()
            self._stack = stack.pop_all()

    async def stop(self) -> None:
        """Stop everything, the bot first."""
        await self._stack.aclose()

    async def start_bot(self) -> None:
        """Start the bot as `tocsin serve` and wait until it is ready."""
        config = self.stage.directory / "config.toml"
        command = [sys.executable, "-m", "bot", "serve", "--config", str(config)]
        # The child inherits our environment, so its settings stand there while it starts.
        before = dict(os.environ)
        os.environ.update(self._environment)
        try:
            self.bot = await LoggedProcess.start(command, self.stage.directory / "bot.log")
        finally:
            os.environ.clear()
            os.environ.update(before)
        await self._until_ready(self.bot)

    async def stop_bot(self) -> None:
        """Stop the bot politely."""
        if self.bot is not None:
            await self.bot.stop()

    async def kill_bot(self) -> None:
        """Kill the bot with SIGKILL, as a crash would."""
        if self.bot is not None:
            self.bot.process.kill()
            await self.bot.process.wait()

    async def _start_checkout(self, stack: AsyncExitStack) -> None:
        folder = self._folder("checkout")
        token, ready = folder / "token", folder / "ready.json"
        _write_private(token, self.admin_token)
        arguments = ["--admin-token-file", str(token), "--ready-file", str(ready)]
        if self.stage.slow_restart:
            arguments += ["--slow-restart", str(self.stage.slow_restart)]
        process = await LoggedProcess.start(
            [sys.executable, "-m", "bot.demo.checkout", *arguments], folder / "checkout.log"
        )
        stack.push_async_callback(process.stop)
        await _until_file(ready, process)
        self.checkout_url = json.loads(ready.read_text())["url"]

    async def _start_workspace(self, stack: AsyncExitStack) -> None:
        config = self.stage.directory / "config.toml"
        config.write_text(self._config(), encoding="utf-8")
        panel = CheckoutPanel(
            self.checkout_url, admin_token=self.admin_token, alerting=self.alerting.description
        )
        stack.push_async_callback(panel.close)
        self.server = PracticeServer(self.workspace, port=self.stage.port, panels=[_panel(panel)])
        installed = self.workspace.install(app_manifest(config))
        await self._open_page()
        stack.push_async_callback(self.server.stop)
        client = self.server.sign_in.register(
            installed, redirect_urls=[f"{self.bot_url}/pages/login/callback"]
        )
        config.write_text(self._config(client.id), encoding="utf-8")
        self._environment = {
            "TOCSIN_SIGN_IN__CLIENT_SECRET": client.secret,
            "TOCSIN_SLACK__API_URL": self.server.api_url,
            "TOCSIN_SLACK__BOT_TOKEN": installed.bot_token,
            "TOCSIN_SLACK__APP_TOKEN": installed.app_token,
            "TOCSIN_PLUGINS__ALERTMANAGER__TOKEN": self.hook_token,
            "TOCSIN_PLUGINS__DEMO__TOKEN": self.admin_token,
            **self.stage.secrets,
        }

    async def _open_page(self) -> None:
        try:
            await self.server.start()
        except OSError as error:
            reason = f"the page's port {self.stage.port} cannot be used: {error.strerror}"
            raise NotStarted(reason) from None

    def _config(self, client: str = "") -> str:
        """Return the bot's settings; people sign in where `client` is known."""
        sections: dict[str, dict[str, Any]] = {
            "bot": {
                "plugins": [*DEFAULT_PLUGINS, "demo"],
                "data": str((self.stage.directory / "data").resolve()),
                "knowledge": str(self.stage.knowledge.resolve()),
            },
            "web": {"port": int(self.bot_url.rpartition(":")[2])},
            "search": {"meaning": self.stage.meaning},
            "ledger": {"origin": "demo.tocsin.example/ledger"},
            "brakes": {"security_contact": "security"},
            "plugins.prometheus": {"url": self.alerting.prometheus_url},
            "plugins.demo": {"url": self.checkout_url},
            "plugins.governance": {"url": self.bot_url},
        }
        if client:
            sections["sign_in"] = {
                "issuer": self.server.url,
                "client_id": client,
                "public_url": self.bot_url,
                "auditors": ["security"],
            }
        for name, values in (self.stage.extra or {}).items():
            sections.setdefault(name, {}).update(values)
        # JSON's strings, numbers, booleans and lists of them are TOML's.
        return "\n".join(
            f"[{name}]\n" + "".join(f"{k} = {json.dumps(v)}\n" for k, v in values.items())
            for name, values in sections.items()
        )

    async def _until_ready(self, process: LoggedProcess) -> None:
        async with asyncio.timeout(START_SECONDS), httpx.AsyncClient() as client:
            while True:
                if not process.alive:
                    raise NotStarted(f"the bot ended: {process.last_words()} (see {process.log})")
                try:
                    answer = await client.get(f"{self.bot_url}/readyz")
                    if answer.status_code == 200:
                        return
                except httpx.TransportError:
                    pass
                await asyncio.sleep(0.05)

    def _write_state(self) -> None:
        state = {
            "page": self.server.url,
            "bot": self.bot_url,
            "checkout": self.checkout_url,
            "admin_token": self.admin_token,
            "alerting": self.alerting.description,
            "database": str((self.stage.directory / "data" / "tocsin.db").resolve()),
        }
        _write_private(self.stage.directory / STATE, json.dumps(state, indent=2))

    def _folder(self, name: str) -> Path:
        folder = self.stage.directory / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder


def app_manifest(config: Path) -> Mapping[str, Any]:
    """Return the manifest of the bot that a config.toml describes, without any token."""
    settings = load(config)
    tokens = {"bot_token": "xoxb-none", "app_token": "xapp-none", "mode": settings.slack.mode}
    settings = settings.model_copy(update={"slack": SlackSection(**tokens)})
    return manifest(build(settings).handlers, settings.slack.mode)


def workspace_of_the_demo() -> Workspace:
    """Return the practice workspace as it is before anything happens."""
    workspace = Workspace(name="Practice")
    for name, real_name, title in PEOPLE:
        workspace.add_person(name, real_name=real_name, title=title)
    everyone = [name for name, _, _ in PEOPLE]
    for handle, members in USERGROUPS.items():
        workspace.add_usergroup(handle, members=members)
    workspace.add_guest("gus", real_name="Gus Moreau", title="Contractor, guest")
    workspace.add_stranger(
        "vera", real_name="Vera Novak", title="Payment provider", workspace="Northpay"
    )
    workspace.add_channel("alerts", members=[*everyone, "gus"], topic="What fires, one card each")
    workspace.add_channel("general", members=everyone, topic="Company-wide")
    workspace.add_channel("payments", members=everyone[:3], topic="The payments team")
    shared = [*everyone[:3], "vera"]
    workspace.add_channel("northpay", members=shared, topic="With our payment provider")
    return workspace


def _panel(checkout: CheckoutPanel) -> Panel:
    """Show the service beside the workspace."""
    styles = {"danger": "danger", "plain": "default"}
    tones = {"good": "good", "bad": "bad", "plain": "quiet"}

    async def status() -> PanelStatus:
        facts = [
            PanelFact(f.label, f.value, tones[f.tone])  # type: ignore[arg-type]  # its literals
            for f in await checkout.facts()
        ]
        buttons = [
            PanelButton(b.id, b.label, styles[b.tone])  # type: ignore[arg-type]  # its literals
            for b in checkout.buttons
        ]
        return PanelStatus(facts=facts, buttons=buttons)

    async def press(button: str) -> str:
        try:
            return await checkout.press(button)
        except PanelFailed as failed:
            raise Refusal(str(failed)) from failed

    return Panel(id="checkout", title="Checkout service", status=status, press=press)


async def _until_file(path: Path, process: LoggedProcess) -> None:
    async with asyncio.timeout(START_SECONDS):
        while not path.exists():  # noqa: ASYNC240  # a local file, looked at 50 times a second
            if not process.alive:
                raise NotStarted(f"checkout ended: {process.last_words()}")
            await asyncio.sleep(0.02)


def _write_private(path: Path, text: str) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(text)
