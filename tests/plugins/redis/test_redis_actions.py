"""What Redis says, what may be set on it, and what comes of broken connections."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from bot.domain.actions import ActionFailed, ActionResult, Happened, OutcomeUnknown, Transient
from plugins.redis.plugin import RedisSettings
from plugins.redis.values import number, quantity, same
from tests.plugins.redis.caches import BEFORE, Cache, asking, offered, settings
from tests.servers import Relay, free_port, needed, redis_server


@pytest.mark.parametrize(
    ("field", "value"),
    (
        ("maxmemory", 104857600.0),
        ("connected_slaves", 0.0),
        ("rdb_last_bgsave_status", 1.0),
        ("role", None),
        ("db0.keys", 2.0),
        ("hz", 10.0),
    ),
)
async def test_a_field_of_info_is_a_number_where_it_is_one(
    cache: Cache, field: str, value: float | None
) -> None:
    cache.admin.mset({"a": "1", "b": "2"})
    result = await offered(settings(cache))["redis.info@1"].handler(asking(field=field))
    assert result.value == value


@pytest.mark.parametrize("field", ("nothing", "db0", "db0.nothing", "role.master", "db9.keys"))
async def test_what_info_does_not_say_is_a_failure_and_not_zero(cache: Cache, field: str) -> None:
    cache.admin.set("a", "1")
    with pytest.raises(ActionFailed, match="says nothing of"):
        await offered(settings(cache))["redis.info@1"].handler(asking(field=field))


@pytest.mark.parametrize(
    ("parameter", "value", "shown"),
    (
        ("maxmemory", 104857600.0, "104857600"),
        ("appendonly", 0.0, "no"),
        ("maxmemory-policy", None, "noeviction"),
        ("save", None, "''"),
        ("repl-backlog-size", 1048576.0, "1048576"),
    ),
)
async def test_a_parameter_is_read_in_bytes(
    cache: Cache, parameter: str, value: float | None, shown: str
) -> None:
    cache.restore()
    result = await offered(settings(cache))["redis.config@1"].handler(asking(parameter=parameter))
    assert (result.value, result.summary) == (value, f"{parameter} is {shown}")


async def test_more_memory_is_set_and_set_back(cache: Cache) -> None:
    cache.restore()
    action = offered(settings(cache))["redis.config_set@1"]
    assert action.dry_run is not None
    assert action.undo is not None
    seen = await action.dry_run(asking(parameter="maxmemory", value="200mb"))
    assert seen.diff == "- maxmemory: 104857600\n+ maxmemory: 200mb"
    assert (seen.pinned, seen.targets) == ({"expected": "104857600"}, ("redis cache",))
    made = asking(parameter="maxmemory", value="200mb", **seen.pinned)
    result = await action.handler(made)
    assert (result.value, result.summary) == (
        209715200.0,
        "maxmemory is 200mb (it was 104857600)",
    )
    assert cache.get("maxmemory") == "209715200"
    undo = action.undo(made, result)
    assert undo is not None
    back = {"parameter": "maxmemory", "value": "104857600", "expected": "200mb"}
    assert undo.arguments == {"server": "cache", **back}
    seen = await action.dry_run(asking(**back))
    assert seen.pinned == {"expected": "200mb"}
    await action.handler(asking(**back))
    assert cache.get("maxmemory") == "104857600"


async def test_what_somebody_has_set_since_is_not_set_back(cache: Cache) -> None:
    cache.restore()
    action = offered(settings(cache))["redis.config_set@1"]
    assert action.dry_run is not None
    back = asking(parameter="maxmemory", value="100mb", expected="200mb")
    cache.admin.config_set("maxmemory", "400mb")
    for ask in (action.dry_run, action.handler):
        with pytest.raises(ActionFailed, match="not 200mb") as no:
            await ask(back)
        assert no.value.transient is Transient.CONFLICT
    assert cache.get("maxmemory") == "419430400"


async def test_an_answer_that_is_not_of_redis_is_a_doubt() -> None:
    """A proxy that lost its server answers in its own words, behind the effect."""
    held = {"maxmemory": "100"}

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while line := await reader.readline():
            words = []
            for _ in range(int(line[1:])):
                length = int((await reader.readline())[1:])
                words.append((await reader.readexactly(length + 2))[:-2].decode())
            if words[:2] == ["CONFIG", "GET"]:
                pair = f"${len(words[2])}\r\n{words[2]}\r\n$3\r\n{held[words[2]]}\r\n"
                writer.write(f"*2\r\n{pair}".encode())
            elif words[:2] == ["CONFIG", "SET"]:
                held[words[2]] = words[3]
                writer.write(b"HTTP/1.1 502 Bad Gateway\r\n")
            else:
                writer.write(b"+OK\r\n")

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    listed = {"host": "127.0.0.1", "port": port, "tls": False, "config": ["maxmemory"]}
    made = RedisSettings.model_validate({"servers": {"cache": listed}})
    with pytest.raises(OutcomeUnknown, match="broke off"):
        await offered(made)["redis.config_set@1"].handler(
            asking(parameter="maxmemory", value=200, expected="100")
        )
    server.close()
    assert held == {"maxmemory": "200"}


async def test_a_whole_number_is_a_value_too(cache: Cache) -> None:
    cache.restore()
    action = offered(settings(cache))["redis.config_set@1"]
    await action.handler(asking(parameter="maxmemory", value=300_000_000, expected="100mb"))
    assert cache.get("maxmemory") == "300000000"


async def test_the_wanted_value_is_no_conflict_however_it_is_written(cache: Cache) -> None:
    cache.restore()
    action = offered(settings(cache))["redis.config_set@1"]
    assert action.undo is not None
    made = asking(parameter="maxmemory", value="0.1gb", expected="5")
    cache.admin.config_set("maxmemory", str(int(0.1 * 1024**3)))
    with pytest.raises(ActionFailed, match="not 5 as planned"):
        await action.handler(made)  # 0.1 GB is not a whole number of bytes
    cache.admin.config_set("maxmemory", "100mb")
    same_already = replace(made, arguments={**made.arguments, "value": "102400KB"})
    assert (await action.handler(same_already)).value == 104857600.0
    unchanged = asking(parameter="maxmemory", value="100mb", expected="104857600")
    assert action.undo(unchanged, ActionResult(summary="")) is None


@pytest.mark.parametrize(
    ("parameter", "value"), (("maxmemory", "a lot"), ("maxmemory-policy", "none"), ("hz", "x"))
)
async def test_what_redis_refuses_has_changed_nothing(
    cache: Cache, parameter: str, value: str
) -> None:
    cache.restore()
    action = offered(settings(cache))["redis.config_set@1"]
    made = asking(parameter=parameter, value=value, expected=BEFORE[parameter])
    with pytest.raises(ActionFailed, match="says: ") as refused:
        await action.handler(made)
    assert refused.value.transient is None
    assert cache.get(parameter) == BEFORE[parameter]


async def test_a_value_that_redis_bends_is_a_doubt(cache: Cache) -> None:
    """Redis takes 9000 for hz and makes 500 of it, which is not what was approved."""
    cache.restore()
    action = offered(settings(cache))["redis.config_set@1"]
    with pytest.raises(OutcomeUnknown, match="hz is 500 after"):
        await action.handler(asking(parameter="hz", value="9000", expected="10"))
    cache.restore()


@pytest.mark.parametrize(
    "value",
    ("a\r\nCONFIG SET requirepass x", "*3\r\n$3\r\nSET", "\x00", "ü", "x" * 4000, "", "\ud800"),
)
async def test_a_value_is_one_word_to_redis_whatever_it_holds(cache: Cache, value: str) -> None:
    cache.restore()
    action = offered(settings(cache))["redis.config_set@1"]
    with pytest.raises(ActionFailed):
        await action.handler(
            asking(parameter="maxmemory-policy", value=value, expected="noeviction")
        )
    assert cache.get("requirepass") == ""
    assert cache.get("maxmemory-policy") == "noeviction"


async def test_a_lost_answer_is_a_doubt_that_a_look_resolves(cache: Cache, wire: Relay) -> None:
    action = offered(settings(cache, wire.port))["redis.config_set@1"]
    assert action.reconcile is not None
    made = asking(parameter="maxmemory", value="200mb", expected="104857600")
    assert (await action.reconcile(made)).happened is Happened.NO
    wire.connections = 0
    async with wire.losing(after=2):
        with pytest.raises(OutcomeUnknown, match="broke off"):
            await action.handler(made)
    assert wire.connections == 1, "the library does not send it again behind our back"
    assert (await action.reconcile(made)).happened is Happened.YES
    cache.admin.config_set("maxmemory", "1gb")
    assert (await action.reconcile(made)).happened is Happened.UNKNOWN


async def test_a_frozen_server_is_late_and_nothing_was_set(cache: Cache) -> None:
    cache.restore()
    action = offered(settings(cache, timeout=0.3))["redis.config_set@1"]
    with cache.server.frozen(), pytest.raises(ActionFailed) as late:
        await action.handler(asking(parameter="maxmemory", value="1gb", expected="100mb"))
    assert late.value.transient is Transient.TIMEOUT
    assert cache.get("maxmemory") == BEFORE["maxmemory"]


async def test_a_wrong_password_and_a_missing_right_are_faults_that_stay(cache: Cache) -> None:
    wrong = offered(settings(cache, passwords={"cache": "wr0ng"}))
    with pytest.raises(ActionFailed, match="lets nobody in") as refused:
        await wrong["redis.info@1"].handler(asking(field="role"))
    assert refused.value.transient is None
    assert "wr0ng" not in str(refused.value)
    cache.allow("-config|set")
    try:
        with pytest.raises(ActionFailed, match="no permissions"):
            await offered(settings(cache))["redis.config_set@1"].handler(
                asking(parameter="maxmemory", value="1gb", expected=cache.get("maxmemory"))
            )
    finally:
        cache.allow("+config|set")


async def test_a_full_server_may_have_room_later(cache: Cache) -> None:
    cache.admin.config_set("maxclients", "1")
    try:
        with pytest.raises(ActionFailed) as full:
            await offered(settings(cache))["redis.info@1"].handler(asking(field="role"))
    finally:
        cache.admin.config_set("maxclients", "1000")
    assert full.value.transient is Transient.UNAVAILABLE


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for localhost that signs itself, with its key beside it."""
    folder = tmp_path_factory.mktemp("tls")
    openssl = needed("openssl", package="openssl")
    argv = [openssl, "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    argv += ["-nodes", "-days", "2", "-subj", "/CN=localhost", "-keyout", "key.pem"]
    argv += ["-out", "cert.pem", "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run(argv, cwd=folder, check=True, capture_output=True)
    return folder / "cert.pem"


async def test_tls_is_spoken_with_the_right_server_only(certificate: Path, tmp_path: Path) -> None:
    assert ssl.HAS_SNI
    port = free_port()
    key = certificate.with_name("key.pem")
    options = ["--tls-port", str(port), "--tls-cert-file", str(certificate)]
    options += ["--tls-key-file", str(key), "--tls-auth-clients", "no"]
    with redis_server(tmp_path, *options):
        for host, ca, fits in (
            ("localhost", str(certificate), True),
            ("localhost", "", False),
            ("127.0.0.1", str(certificate), False),
        ):
            listed = {"cache": {"host": host, "port": port, "ca": ca}}
            action = offered(RedisSettings.model_validate({"servers": listed}))["redis.info@1"]
            if fits:
                assert (await action.handler(asking(field="role"))).data == {"role": "master"}
            else:
                with pytest.raises(ActionFailed, match="cannot be reached"):
                    await action.handler(asking(field="role"))


@pytest.mark.parametrize(
    "name", ("dir", "dbfilename", "requirepass", "masterauth", "tls-key-file-pass", "Max", "a*")
)
def test_what_gives_access_or_names_files_can_never_be_listed(name: str) -> None:
    with pytest.raises(ValidationError):
        RedisSettings.model_validate({"servers": {"a": {"host": "h", "config": [name]}}})


@pytest.mark.parametrize(
    ("text", "bytes_"),
    (
        ("100", 100),
        ("1k", 1000),
        ("1kb", 1024),
        ("2MB", 2097152),
        ("1g", 10**9),
        ("-1", -1),
        ("1.5kb", 1536.0),
        ("1tb", None),
        ("", None),
        ("900 1", None),
        ("٣", None),
        ("1e3", None),
    ),
)
def test_memory_is_counted_in_bytes(text: str, bytes_: float | None) -> None:
    assert quantity(text) == bytes_


@given(st.text(max_size=400), st.text(max_size=400))
def test_sameness_is_mutual_and_every_value_is_itself(one: str, other: str) -> None:
    assert same(one, one)
    assert same(one, other) is same(other, one)


@given(st.integers(min_value=0))
def test_a_number_is_finite_however_long(value: int) -> None:
    found = number(str(value))
    assert found is None or found == value or abs(found - value) <= value / 2**50
