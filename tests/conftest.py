"""How hard property tests try (`HYPOTHESIS_PROFILE=long` tries for long), and shared quiet."""

import logging
import os
from collections.abc import Generator, Iterator

import pytest
from hypothesis import settings

settings.register_profile("long", max_examples=3000, deadline=None)
# The gate to main plays the same examples each time; new ones are found everywhere else.
settings.register_profile("gate", derandomize=True, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


@pytest.fixture
def silent_log() -> Iterator[None]:
    """Say nothing of faults that are played on purpose; give the log back as it was."""
    log = logging.getLogger("bot")
    before = log.level
    log.setLevel(logging.CRITICAL + 1)
    yield
    log.setLevel(before)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Take lone surrogates out of what was printed: one worker cannot hand them to another."""
    report = yield
    report.sections = [
        (name, text.encode("utf-8", "replace").decode()) for name, text in report.sections
    ]
    return report
