"""What the bot logs: whatever a target answered, without secrets."""

from __future__ import annotations

import logging

from bot.cli.serving import _Redacted
from bot.domain.redaction import Redactor


def test_a_secret_in_an_error_does_not_reach_the_log() -> None:
    formatter = _Redacted(Redactor(["correct-horse-battery"]))
    try:
        raise ValueError("it answered: correct-horse-battery")
    except ValueError as error:
        record = logging.LogRecord(
            "bot", logging.ERROR, __file__, 1, "broke off: %s", ("correct-horse-battery",),
            (type(error), error, error.__traceback__),
        )  # fmt: skip
    line = formatter.format(record)
    assert "Traceback" in line
    assert "correct-horse" not in line
