"""What the post-mortem plugin shows, by value, and that it fits where it is shown."""

from __future__ import annotations

from dataclasses import replace

from bot.domain.messages import Facts, Form, Message, Moment, Paragraph, Quiet
from bot.domain.postmortems import CatchUp, Postmortem, Prose, draft
from plugins.postmortem.document import whole
from plugins.postmortem.messages import caught_up, cut, posted
from tests.incident_records import CLEO, INCIDENT, RECORDS, TIMELINE, hostile, minutes


def drafted() -> Postmortem:
    return draft(RECORDS, at=minutes(30), by=CLEO)


def quiet_lines(message: Message | Form) -> list[str]:
    parts = [part for part in message.parts if isinstance(part, Quiet)]
    return ["".join(getattr(s, "text", str(s)) for s in part.spans) for part in parts]


def test_a_models_words_are_marked_as_such() -> None:
    pm = replace(drafted(), writer="SomeModel 1")
    line = "Written by a language model (SomeModel 1). Check it against the timeline."
    assert line in quiet_lines(posted(pm, show="x"))
    assert line in quiet_lines(whole(pm))
    prose = Prose(text="It broke.", writer="SomeModel 1")
    told = CatchUp(incident=INCIDENT, at=minutes(30), prose=prose, latest=())
    assert line in quiet_lines(caught_up(told))


def test_a_time_that_was_not_reached_says_so() -> None:
    measures = tuple(replace(m, seconds=None) for m in drafted().measures)
    message = posted(replace(drafted(), measures=measures), show="x")
    (facts,) = (part for part in message.parts if isinstance(part, Facts))
    assert {spans for _, spans in facts.pairs} == {("not on record",)}


def test_a_long_list_is_cut_in_the_channel_and_says_so() -> None:
    pm = replace(drafted(), assistant_bad=tuple(f"Fault {n}" for n in range(9)))
    text = str(posted(pm, show="x"))
    assert "Fault 3" in text
    assert "Fault 4" not in text
    assert "… and 5 more" in text


def test_nobody_is_mentioned() -> None:
    for shown in (posted(drafted(), show="x"), whole(drafted())):
        assert "Mention(" not in repr(shown)
        assert "PersonName(" not in repr(shown)


def test_a_long_timeline_fits_into_a_form_and_says_what_it_leaves_out() -> None:
    pm = replace(drafted(), timeline=TIMELINE * 100)
    form = whole(pm)
    assert len(form.parts) <= 90
    assert quiet_lines(form)[-1] == "680 earlier entries are in the exported document."
    moments = [
        span
        for part in form.parts
        if isinstance(part, Paragraph)
        for span in part.spans
        if isinstance(span, Moment)
    ]
    assert len(moments) == 120


def test_hostile_text_stays_text_and_short() -> None:
    pm = draft(hostile(), at=minutes(30), by=CLEO)
    assert "Link(" not in repr(whole(pm))
    assert "Link(" not in repr(posted(pm, show="x"))


def test_a_line_is_kept_short() -> None:
    assert cut("x" * 300) == "x" * 199 + "…"
    assert cut("short") == "short"
