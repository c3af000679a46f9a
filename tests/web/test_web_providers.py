"""Providers that are strange, endless or silent, and settings that are not safe."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from aiohttp import web as aio
from fastapi import FastAPI
from pydantic import SecretStr

from bot.web.cookies import Cookies
from bot.web.oidc import OidcSettings, ProviderUnavailable
from bot.web.pages import make_pages
from bot.web.provider import Provider
from tests.fakes import FakeClock
from tests.web.visiting import SECRET, Directory

Json = dict[str, Any]


def _settings(issuer: str) -> OidcSettings:
    return OidcSettings(
        issuer=issuer,
        client_id="1.2",
        client_secret=SecretStr("s"),
        public_url="http://127.0.0.1:9",
    )


async def _answering(answer: Callable[[], aio.Response]) -> tuple[aio.AppRunner, str]:
    async def handle(request: aio.Request) -> aio.Response:
        return answer()

    application = aio.Application()
    application.router.add_route("*", "/{path:.*}", handle)
    runner = aio.AppRunner(application)
    await runner.setup()
    await aio.TCPSite(runner, "127.0.0.1", 0).start()
    return runner, f"http://127.0.0.1:{runner.addresses[0][1]}"


@pytest.mark.parametrize(
    "answer",
    (
        lambda: aio.Response(status=500, text="{}"),
        lambda: aio.Response(status=302, headers={"Location": "http://127.0.0.1:1/"}),
        lambda: aio.Response(text="<html>"),
        lambda: aio.Response(text="[]"),
        lambda: aio.Response(text="[" * 100_000),
        lambda: aio.json_response(
            {"issuer": "https://evil.example", "authorization_endpoint": "https://evil.example/"}
        ),
        lambda: aio.json_response({}),
    ),
)
async def test_a_strange_answer_of_the_provider_is_no_answer(
    answer: Callable[[], aio.Response],
) -> None:
    runner, url = await _answering(answer)
    try:
        provider = Provider(_settings(url), FakeClock())
        attempt, _ = Cookies(SECRET, FakeClock()).begin("/pages/")
        with pytest.raises(ProviderUnavailable):
            await provider.authorization_url(attempt)
    finally:
        await runner.cleanup()


async def test_an_answer_without_end_is_not_read_to_its_end() -> None:
    document: Json = {"authorization_endpoint": "https://x.example/", "pad": "x" * 2_000_000}
    runner, url = await _answering(lambda: aio.json_response({"issuer": url, **document}))
    try:
        attempt, _ = Cookies(SECRET, FakeClock()).begin("/pages/")
        with pytest.raises(ProviderUnavailable, match="too large"):
            await Provider(_settings(url), FakeClock()).authorization_url(attempt)
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    "endpoint", ("http://evil.example/authorize", "javascript:alert(1)", "", 5, None)
)
async def test_an_endpoint_that_is_not_https_is_not_used(endpoint: object) -> None:
    document: Json = {"authorization_endpoint": endpoint}
    runner, url = await _answering(lambda: aio.json_response({"issuer": url, **document}))
    try:
        attempt, _ = Cookies(SECRET, FakeClock()).begin("/pages/")
        with pytest.raises(ProviderUnavailable):
            await Provider(_settings(url), FakeClock()).authorization_url(attempt)
    finally:
        await runner.cleanup()


async def test_a_provider_that_never_answers_is_given_up() -> None:
    gate = asyncio.Event()

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await gate.wait()
        writer.close()

    server = await asyncio.start_server(hang, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    attempt, _ = Cookies(SECRET, FakeClock()).begin("/pages/")
    began = asyncio.get_running_loop().time()
    with pytest.raises(ProviderUnavailable):
        await Provider(_settings(url), FakeClock(), timeout=0.2).authorization_url(attempt)
    assert asyncio.get_running_loop().time() - began < 2
    gate.set()
    server.close()


async def test_a_provider_that_drips_is_given_up() -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        try:
            while True:
                writer.write(b" ")
                await writer.drain()
                await asyncio.sleep(0.05)
        except ConnectionError:
            writer.close()

    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    attempt, _ = Cookies(SECRET, FakeClock()).begin("/pages/")
    began = asyncio.get_running_loop().time()
    with pytest.raises(ProviderUnavailable):
        await Provider(_settings(url), FakeClock(), timeout=0.3).authorization_url(attempt)
    assert asyncio.get_running_loop().time() - began < 2
    server.close()


@pytest.mark.parametrize(
    ("changes", "reason"),
    (
        ({"public_url": "tocsin.example"}, "public_url"),
        ({"public_url": "https://tocsin.example/below"}, "public_url"),
        ({"public_url": "https://user@tocsin.example"}, "public_url"),
        ({"issuer": "http://slack.com"}, "issuer"),
        ({"issuer": "slack.com"}, "issuer"),
    ),
)
def test_settings_that_are_not_safe_are_refused(changes: Json, reason: str) -> None:
    good: Json = {
        "issuer": "https://slack.com",
        "client_id": "1.2",
        "client_secret": SecretStr("s"),
        "public_url": "https://tocsin.example",
    }
    OidcSettings(**good)
    with pytest.raises(ValueError, match=reason):
        OidcSettings(**{**good, **changes})


def test_the_clients_secret_is_not_printed() -> None:
    settings = OidcSettings(
        issuer="https://slack.com", client_id="1", client_secret=SecretStr("hunter2"),
        public_url="https://tocsin.example",
    )  # fmt: skip
    assert "hunter2" not in repr(settings)


async def test_without_a_provider_every_address_says_how_to_set_one_up() -> None:
    site = FastAPI()
    make_pages(site, pages={}, templates={}, oidc=None, secret=SECRET,
               audiences=Directory(), clock=FakeClock())  # fmt: skip
    transport = httpx.ASGITransport(app=site)
    async with httpx.AsyncClient(transport=transport, base_url="http://tocsin") as client:
        for path in ("/pages/", "/pages/demo/hello", "/pages/login", "/pages/login/callback"):
            answer = await client.get(path)
            assert answer.status_code == 404
            assert "issuer" in answer.text
            assert "TOCSIN_WEB__LOGIN__CLIENT_SECRET" in answer.text
        assert (await client.get("/pages/static/frame.css")).status_code == 200
