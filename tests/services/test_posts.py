from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from bot.domain.messages import note
from bot.domain.people import ChannelId
from bot.ports import ChatError, MessageRef
from tests.stage import Stage, stage_in


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with stage_in(tmp_path) as running:
        yield running


async def test_a_message_is_posted_once_and_updated_when_it_changes(stage: Stage) -> None:
    posts = stage.context.posts
    for text in ("one", "one", "two", "two", "one"):
        await posts.show("k", note(text), channel=stage.alerts)
    assert stage.chat.post_of("k").shown == [note("one"), note("two"), note("one")]
    assert stage.chat.calls == ["post", "update", "update"]


async def test_keys_are_messages_of_their_own_and_may_stand_in_a_thread(stage: Stage) -> None:
    posts = stage.context.posts
    top = await posts.show("a", note("a"), channel=stage.alerts)
    below = await posts.show("b", note("b"), channel=stage.alerts, thread=top)
    assert top != below
    assert stage.chat.post_of("b").thread == top
    known = await posts.get("b")
    assert known is not None
    assert known.ref == below


async def test_after_a_crash_between_post_and_save_the_message_is_found_not_posted_again(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    posts = stage.context.posts

    async def crash(posted: object) -> None:
        raise RuntimeError("killed here")

    with monkeypatch.context() as crashing:
        crashing.setattr(posts, "_save", crash)
        with pytest.raises(RuntimeError):
            await posts.show("k", note("one"), channel=stage.alerts)
    assert len(stage.chat.posts) == 1
    ref = await posts.show("k", note("two"), channel=stage.alerts)
    assert ref == stage.chat.post_of("k").ref
    assert stage.chat.post_of("k").message == note("two")
    assert stage.chat.calls == ["post", "find", "update"]
    await posts.show("k", note("two"), channel=stage.alerts)
    assert stage.chat.calls == ["post", "find", "update"]


async def test_after_a_crash_before_the_post_it_is_posted(stage: Stage) -> None:
    posts = stage.context.posts
    stage.chat.fail("post", "fatal_error")
    with pytest.raises(ChatError):
        await posts.show("k", note("one"), channel=stage.alerts)
    await posts.show("k", note("one"), channel=stage.alerts)
    assert stage.chat.post_of("k").shown == [note("one")]
    assert stage.chat.calls == ["post", "find", "post"]


async def test_an_update_that_failed_is_made_up_for(stage: Stage) -> None:
    posts = stage.context.posts
    await posts.show("k", note("one"), channel=stage.alerts)
    stage.chat.fail("update", "ratelimited")
    with pytest.raises(ChatError):
        await posts.show("k", note("two"), channel=stage.alerts)
    await posts.show("k", note("two"), channel=stage.alerts)
    assert stage.chat.post_of("k").shown == [note("one"), note("two")]


async def test_two_who_show_the_same_key_at_once_post_once(stage: Stage) -> None:
    posts = stage.context.posts
    texts = [f"text {n}" for n in range(10)]
    refs = await asyncio.gather(
        *(posts.show("k", note(text), channel=stage.alerts) for text in texts)
    )
    assert len(set(refs)) == 1
    assert [m.summary for m in stage.chat.post_of("k").shown] == texts


async def test_who_lost_patience_with_a_slow_post_does_not_post_a_second_time(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A rate limit may hold a post back for longer than the dispatcher waits."""
    posts, go, post = stage.context.posts, asyncio.Event(), stage.chat.post

    async def slow(*given: Any, **named: Any) -> MessageRef:
        async def queued() -> MessageRef:
            await go.wait()
            return await post(*given, **named)

        return await asyncio.shield(asyncio.ensure_future(queued()))

    monkeypatch.setattr(stage.chat, "post", slow)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(posts.show("k", note("one"), channel=stage.alerts), 0.05)
    again = asyncio.create_task(posts.show("k", note("two"), channel=stage.alerts))
    await asyncio.wait({again}, timeout=0.1)  # it has looked for the message by then
    go.set()
    ref = await again
    assert stage.chat.post_of("k").ref == ref
    assert stage.chat.post_of("k").message == note("two")


async def test_a_message_that_somebody_deleted_is_posted_anew(stage: Stage) -> None:
    posts = stage.context.posts
    first = await posts.show("k", note("one"), channel=stage.alerts)
    stage.chat.posts.clear()
    second = await posts.show("k", note("two"), channel=stage.alerts)
    assert second != first
    assert stage.chat.post_of("k").shown == [note("two")]
    await posts.show("k", note("three"), channel=stage.alerts)
    assert stage.chat.post_of("k").message == note("three")


async def test_a_message_finds_another_channel_when_its_own_is_out_of_reach(stage: Stage) -> None:
    posts, gone = stage.context.posts, ChannelId("C404")
    with pytest.raises(ChatError):
        await posts.show("k", note("one"), channel=gone)
    ref = await posts.show("k", note("one"), channel=stage.alerts)
    assert ref.channel == stage.alerts
    assert stage.chat.post_of("k").shown == [note("one")]


async def test_a_message_in_an_archived_channel_goes_on_where_it_is_asked_to(stage: Stage) -> None:
    posts = stage.context.posts
    room = stage.chat.add_channel("inc-1")
    await posts.show("k", note("one"), channel=room)
    stage.chat.fail("update", "is_archived", times=2)
    with pytest.raises(ChatError):
        await posts.show("k", note("two"), channel=room)
    ref = await posts.show("k", note("two"), channel=stage.alerts)
    assert ref.channel == stage.alerts
    assert [post.shown for post in stage.chat.posts] == [[note("one")], [note("two")]]
