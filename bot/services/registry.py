"""The registry of actions, and how they are asked without changing anything."""

from __future__ import annotations

import asyncio
import copy
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import TypeVar

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from bot.domain.actions import Action, ActionFailed, Arguments, Effect, Risk
from bot.domain.errors import Refused
from bot.services.printed import readable

log = logging.getLogger(__name__)
T = TypeVar("T")

SUMMARY_LENGTH = 2000
LONGEST_READ = 100_000  # characters of a foreign text that are looked at for secrets

# Takes secrets out of a text before it is stored or shown.
Redact = Callable[[str], str]


def unredacted(text: str) -> str:
    """Leave a text as it is."""
    return text


class Registry:
    """All actions by reference (`name@major`)."""

    def __init__(self, actions: Iterable[Action]) -> None:
        self._actions: dict[str, Action] = {}
        for action in actions:
            if action.reference in self._actions:
                raise ValueError(f"two actions are called {action.reference}")
            if action.effect is not Effect.READ and action.risk is Risk.R0:
                raise ValueError(f"{action.reference} changes things, so its risk is R1 at least")
            Draft202012Validator.check_schema(dict(action.arguments))
            self._actions[action.reference] = action

    @property
    def actions(self) -> Mapping[str, Action]:
        """Return every action by its reference."""
        return self._actions

    def get(self, reference: str) -> Action:
        """Return an action.

        Raises:
            Refused: there is none of that name and version.
        """
        action = self._actions.get(reference)
        if action is None:
            raise Refused(f"There is no action {reference}; is its plugin enabled?")
        return action


def check_arguments(action: Action, arguments: Arguments) -> None:
    """Hold arguments against the action's JSON Schema.

    Raises:
        Refused: they do not fit; the sentence names the argument.
    """
    validator = Draft202012Validator(dict(action.arguments))
    fault = best_match(validator.iter_errors(dict(arguments)))
    if fault is not None:
        where = "/".join(str(part) for part in fault.path) or "arguments"
        raise Refused(f"{action.reference}: {where}: {fault.message[:200]}")


def own(arguments: Arguments) -> Arguments:
    """Return a copy of arguments that an action may do with as it likes.

    A plan is frozen, and its digest worked out once: no handler may change it
    under the eyes of those who approved it.
    """
    return copy.deepcopy(dict(arguments))


async def answer(
    what: str, ask: Callable[[], Awaitable[T]], *, timeout: float, redact: Redact = unredacted
) -> T:
    """Wait for a read-only answer; whatever goes wrong is a failure with a reason.

    An error nobody expected must not break the run off that asked: a
    verification would be repeated for ever.
    """
    try:
        async with asyncio.timeout(timeout):
            return await ask()
    except Refused as no:
        raise Refused(clean(no.reason, redact)) from no
    except ActionFailed as no:
        raise ActionFailed(clean(no.reason, redact), transient=no.transient) from no
    except TimeoutError as late:
        raise ActionFailed(f"{what} gave no answer within {timeout:g} s") from late
    except Exception as error:
        log.exception("%s broke off", what)
        broken = f"{what} broke off: {type(error).__name__}: {error}"
        raise ActionFailed(clean(broken, redact)) from error


def clean(text: str, redact: Redact = unredacted) -> str:
    """Return foreign text as the record can hold it: no secrets or lone surrogates, not endless.

    What a target answers must never keep the outcome of an effect from being
    written. Secrets go before the text is cut, or half of one could stay.
    """
    return redact(readable(text[:LONGEST_READ].replace("\r\n", "\n")))[:SUMMARY_LENGTH]
