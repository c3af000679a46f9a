"""What a question may be, what comes back, and that nothing can be written through it."""

from __future__ import annotations

import asyncio
import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.actions import ActionCall, ActionFailed, Output, Transient
from plugins.postgres.queries import bound
from tests.plugins.postgres.orders import Orders, asking, offered, settings
from tests.servers import Relay

OURS = "select count(*)::int from pg_stat_activity where application_name = 'tocsin'"


@pytest.mark.parametrize(
    ("query", "value"),
    (
        ("select 42", 42.0),
        ("select 1.5::numeric", 1.5),
        ("select true", 1.0),
        ("select false as up", 0.0),
        ("select 'text'", None),
        ("select null::int", None),
        ("select 'NaN'::float8", None),
        ("select 'Infinity'::numeric", None),
        ("select 1 where false", None),
        ("select", None),
        ("values (7), (8)", 7.0),
        ("with a as (select 3 as n) select n from a;", 3.0),
        ("select count(*) -- at the end", 1.0),
        ("select extract(epoch from interval '2 minutes')", 120.0),
        ("select 9223372036854775807", 9223372036854775807.0),
        ("select 5 % 3", 2.0),
        ("select count(*) from items where name like 'item 1%'", 111.0),
    ),
)
async def test_the_value_is_the_first_cell_where_it_is_a_number(
    orders: Orders, query: str, value: float | None
) -> None:
    result = await offered(settings(orders))["postgres.query@1"].handler(asking(query))
    assert result.value == value
    json.dumps(dict(result.data), allow_nan=False)


WRITES = (
    "insert into items values (0)",
    "with gone as (delete from items returning *) select count(*) from gone",
    "select 1; drop table items",
    "select 1; commit; drop table items",
    "commit",
    "commit; drop table items",
    "rollback",
    "do $$ begin commit; set transaction read write; delete from items; end $$",
    "call nothing()",
    "copy items to program 'touch /tmp/never'",
    "copy items to '/tmp/never'",
    "select * into stolen from items",
    "select * from items for update",
    "create table t (n int)",
    "set default_transaction_read_only = off",
    "begin",
    "prepare transaction 'x'",
    "listen x",
    "notify x",
    "lock table items",
    "explain analyze delete from items",
    "vacuum items",
    "truncate items",
    "refresh materialized view x",
    "select wipe()",
    "select wipe_at_once()",
    "select 1 as n) select 1; delete from items; --",
)


@pytest.fixture(scope="module")
def open_orders(orders: Orders) -> Orders:
    """The same database, in which the reader may write as far as rights go."""
    orders.admin.execute("grant all on items to reader; grant create on schema public to reader")
    orders.admin.execute(
        "create function wipe() returns int language plpgsql as "
        "$$ begin delete from items; return 1; end $$"
    )
    orders.admin.execute(
        "create function wipe_at_once() returns int language plpgsql as $$ begin "
        "set transaction_read_only = off; delete from items; return 1; end $$"
    )
    return orders


@pytest.mark.parametrize("query", WRITES)
async def test_nothing_is_written_even_by_a_role_that_could(
    open_orders: Orders, query: str
) -> None:
    before = open_orders.one("select count(*) from items")
    with pytest.raises(ActionFailed) as refused:
        await offered(settings(open_orders))["postgres.query@1"].handler(asking(query))
    assert refused.value.transient is None
    assert open_orders.one("select count(*) from items") == before == 250
    assert open_orders.one("select count(*) from pg_tables where schemaname = 'public'") == 1


async def test_two_statements_are_refused_because_they_are_two(orders: Orders) -> None:
    with pytest.raises(ActionFailed, match="cannot insert multiple commands"):
        await offered(settings(orders))["postgres.query@1"].handler(
            asking("select 1; drop table items")
        )


@pytest.mark.parametrize(
    "query",
    (
        "select pg_terminate_backend(1)",
        "select PG_CANCEL_BACKEND (1)",
        "select pg_catalog.pg_reload_conf()",
        "select pg_advisory_lock(1)",
        'select "pg_terminate_backend" (1)',
        "select pg_cancel_backend/* */ /* */\n(1)",
        "select pg_read_file('/etc/passwd')",
        "select pg_notify('a', 'b')",
        "select set_config('a.b', 'c', false)",
        "select dblink_exec('', 'drop table items')",
        "select lo_import('/etc/passwd')",
        "select pg_terminate_backend --x\n(1)",
        "select '--', pg_terminate_backend --x\n(1)",
        "select pg_terminate_backend/* /* */ */(1)",
        "select count(*) from ts_stat('select pg_terminate_' || 'backend(1)')",
        "select query_to_xml('select 1', true, true, '')",
        "select database_to_xml(true, true, '')",
        "select ts_rewrite('a'::tsquery, 'select 1')",
    ),
)
async def test_functions_that_act_are_refused_by_name(orders: Orders, query: str) -> None:
    with pytest.raises(ActionFailed, match="only reads"):
        await offered(settings(orders))["postgres.query@1"].handler(asking(query))


@pytest.mark.parametrize(
    "query", (r'select U&"pg_terminate\005fbackend"(1)', r"select u&'\0061'", 'select U&"a" (1)')
)
async def test_names_that_are_written_with_escapes_are_refused(orders: Orders, query: str) -> None:
    with pytest.raises(ActionFailed, match="U&"):
        await offered(settings(orders))["postgres.query@1"].handler(asking(query))


async def test_behind_a_row_that_is_too_large_none_is_read(orders: Orders) -> None:
    """The third would divide by zero, if it were fetched."""
    query = "select 1 / (3 - n), repeat('x', 70000) from generate_series(1, 10) n"
    result = await offered(settings(orders))["postgres.query@1"].handler(asking(query))
    assert (result.data["rows"], result.data["cut"]) == ([], True)


HOSTILE = (
    "x'; drop table items; --",
    "%(name)s",
    "%s %% %",
    "\\'; select 1",
    "$1",
    "$$;drop table items;$$",
    "a\nb\r\n\t",
    "ünïcödé \u202e \U0001f514",
    "",
    "{{ name }}",
    "1) or (1=1",
)


@pytest.mark.parametrize("text", HOSTILE)
async def test_a_parameter_is_a_value_and_never_sql(orders: Orders, text: str) -> None:
    handler = offered(settings(orders))["postgres.query@1"].handler
    result = await handler(asking("select %(name)s::text", name=text))
    assert result.data["rows"] == [[text]]


@pytest.mark.parametrize("text", ("a\x00b", "\ud800"))
async def test_what_postgresql_cannot_hold_is_refused(orders: Orders, text: str) -> None:
    with pytest.raises(ActionFailed):
        await offered(settings(orders))["postgres.query@1"].handler(
            asking("select %(name)s::text", name=text)
        )


async def test_parameters_keep_their_types(orders: Orders) -> None:
    handler = offered(settings(orders))["postgres.query@1"].handler
    query = "select %(a)s + 1, %(b)s::bool, %(c)s::text is null, %(d)s * 2"
    result = await handler(asking(query, a=41, b=True, c=None, d=1.25))
    assert result.data["rows"] == [[42, True, True, 2.5]]


async def test_parameters_and_placeholders_have_to_fit(orders: Orders) -> None:
    handler = offered(settings(orders))["postgres.query@1"].handler
    with pytest.raises(ActionFailed, match="needs the parameter limit"):
        await handler(asking("select %(limit)s::int"))
    with pytest.raises(ActionFailed, match="does not use the parameter other"):
        await handler(asking("select 1", other=1))


@given(st.text(alphabet="%()s a'", max_size=30))
def test_a_percent_sign_that_is_no_placeholder_is_doubled(text: str) -> None:
    query, _ = bound(text.replace("%(", "% ("), {})
    assert query % () == text.replace("%(", "% (")


async def test_rows_are_capped_and_said_to_be(orders: Orders) -> None:
    handler = offered(settings(orders))["postgres.query@1"].handler
    printed: list[Output] = []
    call = asking("select id, name, null from items order by id")
    result = await handler(
        ActionCall(key="k", arguments=call.arguments, timeout=5, report=printed.append)
    )
    assert len(result.data["rows"]) == 100
    assert result.data["cut"] is True
    assert result.summary == "100 and more rows; the first says 1"
    assert [output.line for output in printed][:2] == ["id | name | ?column?", "1 | item 1 | "]
    exactly = await handler(asking("select id from items limit 100"))
    assert (exactly.data["cut"], exactly.summary) == (False, "100 rows; the first says 1")


async def test_bytes_are_capped_and_said_to_be(orders: Orders) -> None:
    handler = offered(settings(orders, largest=1000))["postgres.query@1"].handler
    result = await handler(asking("select repeat('x', 300) from generate_series(1, 50)"))
    assert (len(result.data["rows"]), result.data["cut"]) == (3, True)
    assert len(result.summary) < 1100


async def test_strange_cells_become_text(orders: Orders) -> None:
    query = (
        "select '{\"a\": [1]}'::jsonb, array[1, 2], now(), inet '10.0.0.1', "
        "'\\x00ff'::bytea, 2 ^ 70, 9007199254740993::bigint, interval '1 day', point(1, 2)"
    )
    result = await offered(settings(orders))["postgres.query@1"].handler(asking(query))
    row = result.data["rows"][0]
    assert row[0] == "{'a': [1]}"
    assert row[6] == "9007199254740993"
    json.dumps(row, allow_nan=False)


async def test_a_superuser_is_not_asked(orders: Orders) -> None:
    with pytest.raises(ActionFailed, match="superuser"):
        await offered(settings(orders))["postgres.query@1"].handler(
            asking("select 1", database="root")
        )


async def test_a_wrong_password_is_a_fault_that_stays(orders: Orders) -> None:
    wrong = settings(orders, passwords={"orders": "wr0ng"})
    with pytest.raises(ActionFailed, match="lets nobody in: password") as refused:
        await offered(wrong)["postgres.query@1"].handler(asking("select 1"))
    assert refused.value.transient is None
    assert "wr0ng" not in str(refused.value)


async def test_a_query_that_takes_too_long_ends_on_the_server_too(orders: Orders) -> None:
    handler = offered(settings(orders, timeout=0.3))["postgres.query@1"].handler
    began = time.monotonic()
    with pytest.raises(ActionFailed) as late:
        await handler(asking("select pg_sleep(30)"))
    assert late.value.transient is Transient.TIMEOUT
    assert time.monotonic() - began < 3
    orders.until(OURS, 0)


async def test_a_cancelled_query_is_cancelled_on_the_server(orders: Orders) -> None:
    handler = offered(settings(orders))["postgres.query@1"].handler
    asked = f"{OURS} and state = 'active' and wait_event = 'PgSleep'"
    task = asyncio.ensure_future(handler(asking("select pg_sleep(4)")))
    async with asyncio.timeout(3):
        while not orders.one(asked):  # noqa: ASYNC110  # PostgreSQL tells nobody
            await asyncio.sleep(0.01)
    began = time.monotonic()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    orders.until(OURS, 0)
    assert time.monotonic() - began < 2, "it ended because it was cancelled, not by itself"


async def test_a_locked_table_is_not_waited_for_longer_than_the_call(orders: Orders) -> None:
    holder = orders.connect("app")
    holder.execute("begin; lock table items in access exclusive mode")
    handler = offered(settings(orders, timeout=0.3))["postgres.query@1"].handler
    with pytest.raises(ActionFailed) as late:
        await handler(asking("select count(*) from items"))
    holder.close()
    assert late.value.transient is Transient.TIMEOUT


async def test_a_full_server_may_have_room_later(orders: Orders) -> None:
    held = []
    while True:
        try:
            held.append(orders.connect("app"))
        except Exception:  # noqa: BLE001  # whatever it says, it is full now
            break
    try:
        with pytest.raises(ActionFailed) as full:
            await offered(settings(orders))["postgres.query@1"].handler(asking("select 1"))
    finally:
        for session in held:
            session.close()
    assert full.value.transient is Transient.UNAVAILABLE


async def test_a_connection_that_breaks_is_a_failure_that_may_pass(
    orders: Orders, wire: Relay
) -> None:
    handler = offered(settings(orders, wire.port))["postgres.query@1"].handler
    async with wire.losing(after=3):
        with pytest.raises(ActionFailed) as lost:
            await handler(asking("select 1"))
    assert lost.value.transient is Transient.UNREACHABLE


async def test_a_name_that_is_nowhere_is_unreachable(orders: Orders) -> None:
    made: dict[str, Any] = {"host": "nowhere.invalid", "dbname": "d", "user": "u"}
    action = offered(settings(orders, databases={"orders": made}))["postgres.query@1"]
    with pytest.raises(ActionFailed, match="cannot be reached") as refused:
        await action.handler(asking("select 1"))
    assert refused.value.transient is Transient.UNREACHABLE
