"""The view of past incidents: looking, searching, judging, always in place."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.documents import Acceptance, Because, Found, Hit, Kind, Outcome, Reason
from bot.domain.errors import AlreadyDone, NotFound, Refused
from bot.domain.messages import ChannelName, FieldErrors, Form, Link, SelectField, TextField
from bot.domain.objections import REASONS
from bot.domain.people import BOT, ChannelId
from bot.ports import Judgement
from plugins.similar.stories import Story, told
from plugins.similar.views import (
    BECAUSE,
    OTHERS,
    SEARCH,
    SHOW,
    USEFUL,
    USELESS,
    WORDS,
    Asked,
    Shown,
    asked_in,
    similar_view,
)
from tests.fakes import NOON
from tests.plugins.similar.past import (
    DANA,
    FOUND,
    GROUP,
    PAGES,
    RAVI,
    Past,
    buttons_of,
    hit,
    remembering,
    reopened,
    words_of,
)


@pytest.fixture
async def past(tmp_path: Path) -> AsyncIterator[Past]:
    async with remembering(tmp_path) as past:
        yield past


async def shown(past: Past) -> Form:
    form = await past.press(SHOW, GROUP.id)
    assert isinstance(form, Form)
    return form


async def test_three_incidents_are_shown_with_what_was_done_and_why_they_are_like_it(
    past: Past,
) -> None:
    form = await shown(past)
    words = words_of(form)
    assert words.count("Why: same alert name; shares connection pool") == 3
    assert "Outage number 1\nEX-1 · checkout · 9 months ago · resolved in 1 min\n" in words
    assert "Cause: Cause number 1. More of it.\n" in words
    assert "Done: The worker was restarted. It worked.\n" in words
    assert "Summary: “the queue was full”" in words
    assert "EX-4" not in words
    assert "probability of 84%" in words
    assert len(buttons_of(form, "Useful")) == len(buttons_of(form, "Not this one")) == 3


async def test_others_are_shown_once(past: Past) -> None:
    (button,) = buttons_of(await shown(past), "Show others")
    form = await past.press(OTHERS, button.value)
    assert "EX-6" in words_of(form)
    assert buttons_of(form, "Show others") == []
    assert len(buttons_of(form, "Useful")) == len(PAGES)


async def test_what_is_asked_is_the_group_and_never_its_own_incident(past: Past) -> None:
    past.groups.group = replace(GROUP, incident="EX-1")
    form = await shown(past)
    assert "EX-1 " not in words_of(form)
    (query,) = past.search.asked
    assert (query.names, query.services, query.at) == (("QueueFull",), ("checkout",), NOON)
    assert "The queue is full" in query.text


async def test_useful_is_a_label_and_stands_in_the_view(past: Past) -> None:
    button = buttons_of(await shown(past), "Useful")[1]
    form = await past.press(USEFUL, button.value)
    (label,) = await past.labels()
    assert (label.document, label.judgement, label.place) == ("EX-2", Judgement.USEFUL, 2)
    assert (label.subject, label.confidence, label.model) == ("g1", 0.84, "ranker-7")
    assert words_of(form).count("You called it useful") == 1
    assert past.search.acceptances == {"EX-2": Acceptance(useful=1)}


async def test_saying_useful_again_writes_nothing(past: Past) -> None:
    button = buttons_of(await shown(past), "Useful")[0]
    await past.press(USEFUL, button.value)
    form = await past.press(USEFUL, button.value)
    assert len(await past.labels()) == 1
    assert "You called it useful" in words_of(form)


async def test_not_this_one_asks_why_and_the_reason_is_kept(past: Past) -> None:
    button = buttons_of(await shown(past), "Not this one")[0]
    form = await past.press(USELESS, button.value)
    assert await past.labels() == []
    assert form.interaction == BECAUSE
    (select, note) = form.fields
    assert isinstance(select, SelectField)
    assert [option.value for option in select.options] == list(REASONS)
    view = await past.press(BECAUSE, form.value, reason="other service", note="it was  payments")
    (label,) = await past.labels()
    assert (label.judgement, label.reason) == (Judgement.USELESS, "other service: it was payments")
    assert "not this one (other service: it was payments)" in words_of(view)
    again = await past.press(USELESS, button.value)
    (select, note) = again.fields
    assert isinstance(select, SelectField)
    assert isinstance(note, TextField)
    assert (select.initial, note.initial) == ("other service", "it was payments")


async def test_a_changed_mind_replaces_and_other_people_keep_theirs(past: Past) -> None:
    button = buttons_of(await shown(past), "Useful")[0]
    await past.press(USEFUL, button.value)
    await past.press(USEFUL, button.value, person=RAVI)
    await past.press(BECAUSE, button.value, reason="outdated")
    assert past.search.acceptances == {"EX-1": Acceptance(useful=1, useless=1)}
    mine = await past.press(SHOW, GROUP.id)
    theirs = await past.press(SHOW, GROUP.id, person=RAVI)
    assert "not this one (outdated)" in words_of(mine)
    assert "You called it useful" in words_of(theirs)


async def test_a_repeated_delivery_is_one_label(past: Past) -> None:
    value = buttons_of(await shown(past), "Not this one")[0].value
    await past.press(BECAUSE, value, request="r", reason="no help")
    with pytest.raises(AlreadyDone):
        await past.press(BECAUSE, value, request="r", reason="no help")
    assert len(await past.labels()) == 1


async def test_looking_searching_and_asking_for_more_label_nothing(past: Past) -> None:
    form = await shown(past)
    await past.press(OTHERS, buttons_of(form, "Show others")[0].value)
    await past.press(SEARCH, form.value, words="queue full")
    await past.press(USELESS, buttons_of(form, "Not this one")[0].value)
    await past.plugin.findings(GROUP)
    assert await past.labels() == []
    with pytest.raises(Refused, match="Only people"):
        await past.press(USEFUL, buttons_of(form, "Useful")[0].value, person=BOT)
    assert await past.labels() == []


async def test_a_judgement_does_not_shuffle_what_is_being_read(past: Past) -> None:
    button = buttons_of(await shown(past), "Useful")[2]
    past.finds(hits=tuple(reversed(FOUND.hits)))
    form = await past.press(USEFUL, button.value)
    words = words_of(form)
    assert words.index("EX-1") < words.index("EX-2") < words.index("EX-3")
    (label,) = await past.labels()
    assert label.place == 3


async def test_a_view_from_before_a_restart_is_searched_again(past: Past, tmp_path: Path) -> None:
    button = buttons_of(await shown(past), "Useful")[0]
    async with remembering(tmp_path / "other") as restarted:
        form = await restarted.press(USEFUL, button.value)
        assert "You called it useful" in words_of(form)
        restarted.finds(hits=FOUND.hits[3:])
    async with remembering(tmp_path / "third") as restarted:
        restarted.finds(hits=FOUND.hits[3:])
        with pytest.raises(Refused, match="not found any more"):
            await restarted.press(USEFUL, button.value)
        assert await restarted.labels() == []


async def test_words_are_searched_in_place_and_judged_as_what_was_searched(past: Past) -> None:
    form = await shown(past)
    past.finds(hits=FOUND.hits[:2], confidence=0.2)
    found = await past.press(SEARCH, form.value, words="  certificate   expired ")
    words = words_of(found)
    assert "for “certificate expired”" in words
    assert "has not been measured" in words
    assert "%" not in words  # what was measured are alerts, not a person's words
    assert "EX-2" in words
    (box,) = found.fields
    assert isinstance(box, TextField)
    assert box.initial == "certificate expired"
    await past.press(USEFUL, buttons_of(found, "Useful")[1].value)
    (label,) = await past.labels()
    assert (label.query, label.names, label.subject) == ("certificate expired", (), "g1")
    assert (label.document, label.place, label.confidence) == ("EX-2", 2, 0.2)


async def test_an_empty_search_says_so_and_a_vain_one_too(past: Past) -> None:
    form = await shown(past)
    assert await past.press(SEARCH, form.value, words="   ") == FieldErrors(
        {WORDS: "Say what to search for."}
    )
    past.search.found = Found()
    assert "none of them has anything of it" in words_of(
        await past.press(SEARCH, form.value, words="zebra")
    )


async def test_a_search_that_is_not_sure_says_how_unsure(past: Past) -> None:
    past.finds(confidence=0.2)
    words = words_of(await shown(past))
    assert "No similar incident found: the nearest is the same with a probability of 20%" in words


async def test_without_a_calibration_no_probability_is_claimed(past: Past) -> None:
    past.finds(confidence=None)
    words = words_of(await shown(past))
    assert "has not been measured" in words
    assert "%" not in words


async def test_an_incident_that_is_open_again_is_left_out(past: Past) -> None:
    past.finds(hits=(hit("INC-9", "same alert name"), *FOUND.hits))
    words = words_of(await shown(past))
    assert "INC-9" not in words
    assert "%" not in words  # the probability was that of INC-9
    value = Asked(subject="g1", document="INC-9").value
    with pytest.raises(NotFound, match="not a past one"):
        await past.press(USELESS, value)


async def test_a_probability_is_not_handed_on_to_the_next_while_a_view_is_read(
    past: Past,
) -> None:
    button = buttons_of(await shown(past), "Useful")[1]
    await past.plugin.on_incident(reopened("EX-1"))
    words = words_of(await past.press(USEFUL, button.value))
    assert "EX-1" not in words
    assert "EX-2" in words
    assert "%" not in words


@pytest.mark.parametrize("confidence", (0.84, 0.2))
@pytest.mark.parametrize(
    "first",
    (
        replace(FOUND.hits[0], signals={"name": 1.0}),
        replace(FOUND.hits[0], document=replace(FOUND.hits[0].document, kind=Kind.KNOWN_ERROR)),
    ),
)
async def test_no_number_is_shown_for_evidence_that_nobody_has_measured(
    first: Hit, confidence: float
) -> None:
    found = replace(FOUND, hits=(first, *FOUND.hits[1:]), confidence=confidence)
    only = Shown(hit=first, story=told(PAGES[0]))
    words = words_of(similar_view(Asked(subject="g1"), [only], found=found, searched=1, now=NOON))
    assert "EX-1" in words
    assert "has not been measured" in words
    assert "%" not in words


@pytest.mark.parametrize("value", ("", "g1", "g1|3|EX-1", "g1|many|EX-1|", "nobody|3|EX-1|"))
async def test_strange_values_are_refused(past: Past, value: str) -> None:
    for name in (OTHERS, USEFUL, USELESS, BECAUSE):
        if (name, value) != (USELESS, "nobody|3|EX-1|"):  # only looks the story up
            with pytest.raises(Refused):
                await past.press(name, value)
    assert await past.labels() == []


@given(
    st.text(st.characters(exclude_characters="|")),
    st.text(st.characters(exclude_characters="|")),
    st.text(),
    st.integers(0, 99),
)
def test_what_a_view_is_about_survives_its_value(
    subject: str, document: str, words: str, shown: int
) -> None:
    asked = Asked(subject=subject, words=words, shown=shown, document=document)
    assert asked_in(asked.value) == asked


async def test_the_search_learns_who_needs_whom_and_what_people_said_before(
    past: Past, tmp_path: Path
) -> None:
    assert past.search.dependencies == {"checkout": ("payments",)}
    await past.press(USEFUL, buttons_of(await shown(past), "Useful")[0].value, person=DANA)
    past.search.acceptances = {}
    await past.plugin.start()
    assert past.search.acceptances == {"EX-1": Acceptance(useful=1)}


async def test_an_incident_of_our_own_has_its_channel_its_link_and_what_did_not_work(
    past: Past,
) -> None:
    own = Story(
        id="EX-1",
        title="Search is slow",
        at=NOON - timedelta(days=20),
        resolution="“Restart it” was run and did not work",
        run="Restart it",
        outcome=Outcome.FAILED,
        channel=ChannelId("C7"),
    )
    shown = Shown(hit=FOUND.hits[0], story=own, url="https://chat.example/card")
    view = similar_view(Asked(subject="g1"), [shown], found=FOUND, searched=1, now=NOON)
    spans = [span for part in view.parts for span in getattr(part, "spans", ())]
    assert Link("Search is slow", "https://chat.example/card") in spans
    assert ChannelName(ChannelId("C7")) in spans
    assert "Done: “Restart it” was run and did not work.\n" in words_of(view)
    assert "It worked" not in words_of(view)


async def test_whether_it_worked_is_said_once(past: Past) -> None:
    outcome = Reason(because=Because.OUTCOME, text="what was done then worked")
    past.finds(hits=(replace(hit("EX-1", "same service"), reasons=(outcome,)),))
    words = words_of(await shown(past))
    assert words.count("worked") == 1
    assert "Why:" not in words
