"""How hard property tests try (`HYPOTHESIS_PROFILE=long` tries for long), and shared quiet."""

import logging
import os
from collections.abc import Iterator

import pytest
from hypothesis import settings

settings.register_profile("long", max_examples=3000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


@pytest.fixture
def silent_log() -> Iterator[None]:
    """Say nothing of faults that are played on purpose; give the log back as it was."""
    log = logging.getLogger("bot")
    before = log.level
    log.setLevel(logging.CRITICAL + 1)
    yield
    log.setLevel(before)
