"""Whatever arrives is taken or refused with a reason and kept: never a 500, nothing lost."""

from __future__ import annotations

import asyncio
import copy
import json
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.web.receiving import GOOD, receiving

CAPTURED = Path("/work/shared/data/payloads")


def captured() -> list[dict[str, Any]]:
    """Return payloads of real Alertmanagers where they are at hand."""
    found: list[dict[str, Any]] = []
    for path in sorted(CAPTURED.glob("*.jsonl")):
        found += [json.loads(line) for line in path.read_text().splitlines() if line.strip()]
    return found


scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(
        ["firing", "resolved", "4", "0001-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "\ud800", "\0"]
    )
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=8,
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths of everything within a value."""
    found = [path] if path else []
    items: Iterable[tuple[Any, Any]] = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    for key, inner in items:
        found += places(inner, (*path, key))
    return found


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """Return a real payload with some places changed, dropped or doubled, perhaps cut."""
    payload = copy.deepcopy(draw(st.sampled_from([GOOD, *captured()])))
    for _ in range(draw(st.integers(1, 4))):
        *path, last = draw(st.sampled_from(places(payload)))
        holder = payload
        for key in path:
            holder = holder[key]
        how = draw(st.sampled_from(["replace", "drop", "wrap"]))
        if how == "replace":
            holder[last] = draw(values)
        elif how == "wrap":
            holder[last] = [holder[last], draw(values)]
        else:
            del holder[last]
        if not places(payload):
            break
    body = json.dumps(payload).encode()
    cut = draw(st.integers(0, len(body)) | st.none())
    return body if cut is None or draw(st.integers(0, 3)) else body[:cut]


@pytest.fixture(scope="module")
def empty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a migrated database to copy, which is faster than to migrate for each example."""
    folder = tmp_path_factory.mktemp("empty")

    async def make() -> None:
        async with receiving(folder):
            pass

    asyncio.run(make())
    return folder / "tocsin.db"


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(bodies=st.lists(mutated() | st.binary(max_size=60), min_size=1, max_size=6))
def test_every_delivery_is_taken_or_refused_and_kept(empty: Path, bodies: list[bytes]) -> None:
    async def deliver() -> None:
        with tempfile.TemporaryDirectory() as folder:
            shutil.copy(empty, folder)
            async with receiving(Path(folder)) as web:
                answers = [await web.post(body) for body in bodies]
                stored = {d.id: d.body for d in [*await web.kept(), *await web.taken()]}
                assert (await web.database.archive.verify()).ok
        assert all(answer.status_code in (202, 422) for answer in answers)
        assert [stored[a.json()["delivery"]] for a in answers] == bodies

    asyncio.run(deliver())


@pytest.mark.skipif(not captured(), reason="no captured payloads here")
async def test_payloads_of_a_real_alertmanager_are_taken(tmp_path: Path) -> None:
    async with receiving(tmp_path) as web:
        for payload in captured():
            assert (await web.post(payload)).status_code == 202
        assert await web.firing()
