"""Random messages and forms, hostile ones included, for property tests."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import strategies as st

from bot.domain.messages import (
    Bold,
    Button,
    Buttons,
    ChannelName,
    Code,
    Confirm,
    Divider,
    Elapsed,
    Facts,
    Form,
    Heading,
    Link,
    Mention,
    Message,
    Moment,
    Mono,
    Option,
    Paragraph,
    PeopleField,
    PersonName,
    Quiet,
    SelectField,
    Style,
    TextField,
    Tone,
)
from bot.domain.people import ChannelId, PersonId

HOSTILE = (
    "<!channel>",
    "<@U1>",
    "<https://evil.example|https://grafana.example>",
    "&lt;!here&gt;",
    "*bold* _it_ ~no~ `code` ```fence```",
    "> quoted",
    ":fire: :+1: 10:30:45",
    "",
    " ",
    "\n\n",
    "\x00\x1b[31mred\u202egnp.exe",
    "\ud800",
)
# Made on drawing, so that no report repeats them in full.
endless = st.sampled_from("<x&`*").map(lambda character: character * 5000)
texts = st.one_of(
    st.sampled_from(HOSTILE), endless, st.text(max_size=80), st.text(max_size=80).map("x*".join)
)
times = st.datetimes(datetime(2001, 1, 1), datetime(2037, 1, 1), timezones=st.just(UTC))
spans = st.one_of(
    texts,
    st.builds(Bold, texts),
    st.builds(Mono, texts),
    st.builds(
        Link,
        texts,
        st.one_of(
            texts,
            st.sampled_from(
                (
                    "https://grafana.example/d/1?a=b&c=d",
                    "http://h/" + "y" * 300,
                    "javascript:alert(1)",
                    "https://a|b",
                    "https://[",
                    "https://x>y",
                )
            ),
        ),
    ),
    st.builds(PersonName, texts.map(PersonId), texts),
    st.builds(Mention, st.one_of(texts, st.sampled_from(("U12", "S34"))).map(PersonId)),
    st.builds(ChannelName, st.one_of(texts, st.just("C12")).map(ChannelId)),
    st.builds(Moment, times),
    st.builds(Elapsed, st.floats(-10, 1e7)),
)
some_spans = st.lists(spans, max_size=5).map(tuple)
confirms = st.builds(Confirm, title=texts, text=texts, yes=texts, no=texts)
buttons = st.builds(
    Button,
    label=texts,
    interaction=st.sampled_from(("a.b", "c.d")),
    value=st.one_of(st.sampled_from(("", "1")), endless),
    style=st.sampled_from(Style),
    confirm=st.one_of(st.none(), confirms),
)
parts = st.one_of(
    st.builds(Heading, texts),
    st.builds(Paragraph, some_spans),
    st.builds(Quiet, some_spans),
    st.builds(Code, texts),
    st.just(Divider()),
    st.lists(st.tuples(texts, some_spans), max_size=13).map(lambda pairs: Facts(tuple(pairs))),
    st.lists(buttons, max_size=30).map(lambda row: Buttons(tuple(row))),
)
messages = st.builds(
    Message,
    summary=texts,
    parts=st.lists(parts, max_size=8).map(tuple),
    tone=st.sampled_from(Tone),
)
options = st.builds(Option, value=st.text(min_size=1, max_size=100), label=texts)
fields = st.one_of(
    st.builds(
        TextField,
        name=st.just("text"),
        label=texts,
        initial=texts,
        lines=st.integers(1, 5),
        required=st.booleans(),
        hint=texts,
        longest=st.integers(1, 5000),
    ),
    st.builds(
        SelectField,
        name=st.just("select"),
        label=texts,
        options=st.lists(options, max_size=120).map(tuple),
        initial=st.one_of(st.none(), st.just("1")),
        hint=texts,
    ),
    st.builds(PeopleField, name=st.just("people"), label=texts, hint=texts),
)
forms = st.builds(
    Form,
    title=texts,
    interaction=st.just("a.b"),
    value=st.just("7"),
    fields=st.lists(fields, max_size=3, unique_by=lambda field: field.name).map(tuple),
    submit=texts,
    parts=st.lists(parts, max_size=5).map(tuple),
)
