"""Requests that may go out, requests that may not, and what comes back of them."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web
from jsonschema import Draft202012Validator
from pydantic import SecretStr, ValidationError
from typing_extensions import override

from bot.domain.actions import Action, ActionCall, ActionFailed, OutcomeUnknown
from plugins.http.actions import HttpActions, Limits, Secret, number_at
from plugins.http.addresses import forbidden
from plugins.http.plugin import Credential, HttpSettings, secrets
from plugins.http.targets import allowed, origin
from tests.servers import WebService


@dataclass
class Server(WebService):
    """A small server that remembers what it was asked."""

    seen: list[tuple[str, str, dict[str, str], str]] = field(default_factory=list)

    @override
    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.seen.append(
            (request.method, request.path_qs, dict(request.headers), await request.text())
        )
        match request.path:
            case "/big":
                return web.Response(body=b"x" * 500_000)
            case "/slow":
                await asyncio.sleep(5)
            case "/away":
                raise web.HTTPFound("http://127.0.0.1:1/")
            case "/error":
                raise web.HTTPInternalServerError
            case "/missing":
                raise web.HTTPNotFound
            case "/echo":
                return web.Response(text=request.headers.get("Authorization", ""))
        return web.json_response({"queue": {"depth": 7}, "up": True})


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with Server() as made:
        yield made


def actions(server: Server, **limits: Any) -> dict[str, Action]:
    """Offer the actions for `http://service.test:<port>`, a name only the test resolves."""
    here = frozenset({origin(f"http://service.test:{server.port}")})

    async def resolve(host: str, port: int) -> Sequence[str]:
        assert host == "service.test"
        return ["127.0.0.1"]

    made = Limits(**{"hosts": here, "private": here, **limits})
    return {a.reference: a for a in HttpActions(made, resolve).all()}


def call(server: Server, path: str = "/", **arguments: Any) -> ActionCall:
    url = f"http://service.test:{server.port}{path}"
    return ActionCall(key="k", arguments={"url": url, **arguments}, timeout=5)


async def test_the_name_is_kept_while_the_connection_goes_to_the_checked_address(
    server: Server,
) -> None:
    result = await actions(server)["http.get@1"].handler(call(server, "/a?b=secret"))
    assert result.value == 200
    assert result.summary == f"http://service.test:{server.port}/a answered 200"
    method, path, headers, _ = server.seen[0]
    assert (method, path) == ("GET", "/a?b=secret")
    assert headers["Host"] == f"service.test:{server.port}"


async def test_a_number_is_taken_from_the_answer(server: Server) -> None:
    get = actions(server)["http.get@1"]
    assert (await get.handler(call(server, pointer="/queue/depth"))).value == 7
    for pointer in ("/queue", "/nothing", "/queue/depth/0"):
        with pytest.raises(ActionFailed, match=pointer):
            await get.handler(call(server, pointer=pointer))


async def test_nothing_is_allowed_by_default(server: Server) -> None:
    with pytest.raises(ActionFailed, match=r"not in plugins\.http\.hosts"):
        await actions(server, hosts=frozenset())["http.get@1"].handler(call(server))
    assert server.seen == []


async def test_a_private_address_is_refused_unless_the_host_may_have_one(server: Server) -> None:
    with pytest.raises(ActionFailed, match="not on the public network"):
        await actions(server, private=frozenset())["http.get@1"].handler(call(server))
    assert server.seen == []


async def test_redirects_are_not_followed(server: Server) -> None:
    result = await actions(server)["http.get@1"].handler(call(server, "/away"))
    assert result.value == 302
    with pytest.raises(OutcomeUnknown, match="302"):
        await actions(server)["http.request@1"].handler(call(server, "/away", method="POST"))


async def test_answers_are_capped_in_size_and_time(server: Server) -> None:
    result = await actions(server, largest=1000)["http.get@1"].handler(call(server, "/big"))
    assert result.data["cut"] is True
    with pytest.raises(ActionFailed, match=r"no answer|ReadTimeout"):
        await actions(server, timeout=0.2)["http.get@1"].handler(call(server, "/slow"))


async def test_a_change_is_sent_with_its_body(server: Server) -> None:
    request = actions(server)["http.request@1"]
    made = call(server, "/pool", method="PUT", json={"size": 3}, headers={"X-Reason": "test"})
    assert request.dry_run is not None
    seen = await request.dry_run(made)
    assert seen.diff.splitlines()[0] == f"PUT http://service.test:{server.port}/pool"
    assert '{"size": 3}' in seen.diff
    assert server.seen == []
    assert (await request.handler(made)).value == 200
    method, _, headers, body = server.seen[0]
    assert (method, json.loads(body), headers["X-Reason"]) == ("PUT", {"size": 3}, "test")
    assert headers["Content-Type"] == "application/json"


async def test_refused_unknown_and_unsent_requests_are_told_apart(server: Server) -> None:
    request = actions(server)["http.request@1"]
    with pytest.raises(ActionFailed, match="404"):
        await request.handler(call(server, "/missing", method="POST"))
    with pytest.raises(OutcomeUnknown, match="500"):
        await request.handler(call(server, "/error", method="POST"))
    expected = call(server, "/missing", method="DELETE", expect=[200, 404])
    assert (await request.handler(expected)).value == 404
    closed = frozenset({origin("http://service.test:1")})
    nowhere = ActionCall(
        key="k", timeout=2, arguments={"url": "http://service.test:1/", "method": "POST"}
    )
    with pytest.raises(ActionFailed, match="cannot be reached"):
        await actions(server, hosts=closed, private=closed)["http.request@1"].handler(nowhere)


async def test_a_credential_goes_by_name_to_its_hosts_and_never_comes_back(server: Server) -> None:
    here = frozenset({origin(f"http://service.test:{server.port}")})
    known = {
        "pool": Secret(header="Authorization", value="Bearer s3cret", hosts=here),
        "other": Secret(header="X-Token", value="t0ken"),
    }
    offered = actions(server, secrets=known)
    result = await offered["http.get@1"].handler(call(server, "/echo", credential="pool"))
    assert server.seen[0][2]["Authorization"] == "Bearer s3cret"
    assert result.data["body"] == "(hidden)"
    assert "s3cret" not in repr(known)
    made = call(server, method="POST", credential="pool")
    preview = offered["http.request@1"].dry_run
    assert preview is not None
    assert "s3cret" not in (await preview(made)).diff
    for name in ("other", "ghost"):
        with pytest.raises(ActionFailed, match=f"no credential {name}"):
            await offered["http.get@1"].handler(call(server, credential=name))
    with pytest.raises(ActionFailed, match="X-Token"):
        await offered["http.get@1"].handler(call(server, headers={"X-Token": "mine"}))


@pytest.mark.parametrize(
    "headers",
    (
        {"Host": "evil"},
        {"authorization": "x"},
        {"Cookie": "a=b"},
        {"X-Forwarded-For": "1"},
        {"Transfer-Encoding": "chunked"},
        {"Metadata-Flavor": "Google"},
        {"Proxy-X": "1"},
        {"X-Ok": "a\r\nHost: evil"},
        {"X Bad": "a"},
        {"X-Ok": "ä"},
        {"": "a"},
    ),
)
async def test_headers_that_could_bend_the_request_are_refused(
    server: Server, headers: dict[str, str]
) -> None:
    with pytest.raises(ActionFailed, match="header"):
        await actions(server)["http.get@1"].handler(call(server, headers=headers))
    assert server.seen == []


LISTED = frozenset({origin("api.example.com"), origin("http://plain.example.com:8080")})


@pytest.mark.parametrize(
    "url",
    (
        "http://api.example.com/",
        "https://api.example.com:444/",
        "https://example.com/",
        "https://api.example.com.evil.com/",
        "https://evil.com/?https://api.example.com",
        "https://api.example.com@evil.com/",
        "https://user:pw@api.example.com/",
        "https://api.example.com\\@evil.com/",
        "https://evil.com#api.example.com",
        "https://plain.example.com:8080/",
        "ftp://api.example.com/",
        "file:///etc/passwd",
        "https:///x",
        "//api.example.com/",
        "api.example.com",
        "",
        "https://api.example.com/\r\nX: y",
        "https://api.example.com/a b",
        "https://\u0430pi.example.com/",
        "https://api.example.com:x/",
        "https://api.example.com:99999/",
        "https://[::1",
        "https://169.254.169.254/",
    ),
)
def test_only_exactly_listed_origins_are_targets(url: str) -> None:
    with pytest.raises(ActionFailed):
        allowed(url, LISTED)


@pytest.mark.parametrize(
    ("url", "shown"),
    (
        ("https://api.example.com/a?b", "https://api.example.com/a"),
        ("https://API.example.com:443", "https://api.example.com/"),
        ("https://api.example.com./x", "https://api.example.com/x"),
        ("http://plain.example.com:8080/x", "http://plain.example.com:8080/x"),
    ),
)
def test_listed_origins_are_targets_however_they_are_written(url: str, shown: str) -> None:
    assert allowed(url, LISTED).shown == shown


@pytest.mark.parametrize(
    "address",
    (
        "127.0.0.1",
        "10.1.2.3",
        "192.168.0.1",
        "172.16.0.1",
        "100.64.0.1",
        "0.0.0.0",
        "169.254.169.254",
        "169.254.1.1",
        "224.0.0.1",
        "255.255.255.255",
        "198.18.0.1",
        "168.63.129.16",
        "100.100.100.200",
        "::1",
        "::",
        "fe80::1",
        "fe80::1%eth0",
        "fd00::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::7f00:1",
        "2002:7f00:1::",
        "::7f00:1",
        "fd00:ec2::254",
        "nonsense",
    ),
)
def test_addresses_inside_are_forbidden(address: str) -> None:
    assert forbidden(address, private=False)


@pytest.mark.parametrize("address", ("8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8"))
def test_public_addresses_are_allowed(address: str) -> None:
    assert forbidden(address, private=False) is None


@pytest.mark.parametrize("address", ("127.0.0.1", "10.0.0.1", "::1", "fd00::1"))
def test_private_addresses_are_allowed_where_listed(address: str) -> None:
    assert forbidden(address, private=True) is None


@pytest.mark.parametrize(
    "address",
    ("169.254.169.254", "fe80::1", "224.0.0.1", "0.0.0.0", "fd00:ec2::254", "168.63.129.16"),
)
def test_metadata_and_special_addresses_are_forbidden_even_where_private_is_listed(
    address: str,
) -> None:
    assert forbidden(address, private=True)


async def test_one_forbidden_address_among_several_refuses_the_host(server: Server) -> None:
    async def resolve(host: str, port: int) -> Sequence[str]:
        return ["8.8.8.8", "127.0.0.1"]

    here = frozenset({origin(f"http://service.test:{server.port}")})
    get = HttpActions(Limits(hosts=here), resolve).all()[0]
    with pytest.raises(ActionFailed, match=r"resolves to 127\.0\.0\.1"):
        await get.handler(call(server))


@pytest.mark.parametrize(
    "entry", ("*.example.com", "example.com/path", "a@b.c", "https://x?y", "ftp://x", "", "a b")
)
def test_unclear_hosts_in_the_settings_are_refused(entry: str) -> None:
    with pytest.raises(ValidationError):
        HttpSettings(hosts=(entry,))
    with pytest.raises(ValidationError):
        Credential(hosts=(entry,))


def test_a_credential_without_a_value_does_not_exist() -> None:
    settings = HttpSettings(
        credentials={"a": Credential(), "b": Credential(hosts=("h.example",))},
        credential_values={"b": SecretStr("x"), "c": SecretStr("y")},
    )
    assert list(secrets(settings)) == ["b"]


def test_schemas_are_valid_and_closed(server: Server) -> None:
    for action in actions(server).values():
        Draft202012Validator.check_schema(dict(action.arguments))
        assert action.arguments["additionalProperties"] is False


def test_pointers_follow_the_standard() -> None:
    assert number_at({"a/b": [{"~": 2}]}, "/a~1b/0/~0") == 2
    assert number_at(3, "") == 3
    assert number_at({"up": True}, "/up") == 1
