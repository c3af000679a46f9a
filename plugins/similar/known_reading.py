"""Who may read of past incidents and their causes."""

from __future__ import annotations

from bot.domain.errors import Refused
from bot.domain.people import Person


def check_reader(person: Person) -> None:
    """Keep past incidents and causes within the organisation.

    A shared channel (Slack Connect) brings people of other organisations to the
    cards; what went wrong elsewhere and why is not theirs to read. Guests read
    it, since they were let in to help.

    Raises:
        Refused: they belong to another organisation, or have left.
    """
    if person.stranger or not person.active:
        raise Refused("Past incidents and their causes are shown to people of this workspace only.")
