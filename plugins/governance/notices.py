"""Messages for everybody about brakes, autonomy and standing authorisations. Pure."""

from __future__ import annotations

from datetime import datetime

from bot.domain.autonomy import Autonomy
from bot.domain.breakers import Breaker, BreakerRules
from bot.domain.emergencies import PreAuthorisation
from bot.domain.messages import (
    Bold,
    Button,
    Buttons,
    Confirm,
    Message,
    Moment,
    Mono,
    Part,
    PersonName,
    Span,
    duration,
    paragraph,
    quiet,
)
from bot.domain.people import Person

GIVE = "governance.give"
REVOKE = "governance.revoke"


def breaker(found: Breaker, rules: BreakerRules) -> Message:
    """Tell that an action is not tried any more somewhere, or that it is again."""
    where = on(found.action, found.service)
    if found.opened_at is None:
        text = f"{where} is tried again: its trial went well."
        return Message(summary=text, parts=(quiet(text),))
    text = f"{where} is not tried any more: {found.reason}."
    rest = f" After {duration(rules.rest)} an approved trial may close the breaker."
    return Message(summary=text, parts=(quiet(text, rest),))


def demoted(autonomy: Autonomy) -> Message:
    """Tell that the assistant has lost what it was trusted with."""
    where = on(autonomy.action, autonomy.service)
    text = f"{where}: autonomy is back to {autonomy.level.name} ({autonomy.level.meaning})"
    return Message(summary=text, parts=(quiet(f"{text}, because {autonomy.reason}."),))


def authorisation(found: PreAuthorisation, *, at: datetime) -> Message:
    """Tell of a standing authorisation from its proposal to its end."""
    title, buttons = _standing(found, at)
    spans: tuple[Span, ...] = (
        f"“{found.runbook}” on {found.service or 'no service'}, as the page reads now, until ",
        Moment(found.expires_at),
        f". Proposed by {found.proposed_by.name}: {found.reason}",
    )
    parts: tuple[Part, ...] = (paragraph(Bold(title)), quiet(*spans))
    return Message(
        summary=f"{title} {found.runbook} on {found.service or 'no service'}",
        parts=(*parts, Buttons(buttons)) if buttons else parts,
    )


def _standing(found: PreAuthorisation, at: datetime) -> tuple[str, tuple[Button, ...]]:
    if found.revoked_by is not None:
        return f"Authorisation revoked by {found.revoked_by.name}.", ()
    if found.waiting(at):
        what = f"A standing authorisation waits for a second person of {found.owner}."
        return what, (give_button(found), revoke_button(found, "Withdraw…"))
    if found.in_force(at) and found.given_by is not None:
        what = f"Authorised in advance by {found.proposed_by.name} and {found.given_by.name}."
        return what, (revoke_button(found, "Revoke…"),)
    return "This authorisation has ended.", ()


def give_button(found: PreAuthorisation) -> Button:
    """Make the button of the second person."""
    confirm = Confirm(
        title="Authorise in advance?",
        text=(
            f"Until then, runs of {found.runbook} on {found.service or 'no service'} need no "
            "further approval, as far as policy allows. You vouch for that page as it reads now."
        ),
        yes="Authorise",
    )
    return Button(label="Authorise…", interaction=GIVE, value=found.id, confirm=confirm)


def revoke_button(found: PreAuthorisation, label: str) -> Button:
    """Make the button that ends an authorisation or its proposal."""
    confirm = Confirm(title="End it now?", text="Later runs need an approval again.", yes="End it")
    return Button(label=label, interaction=REVOKE, value=found.id, confirm=confirm)


def on(action: str, service: str) -> str:
    """Name an action with where it acts."""
    return f"{action} on {service}" if service else action


def name_of(person: Person) -> PersonName:
    """Name a person without notifying them."""
    return PersonName(person.id, person.name)


def digest_of(text: str) -> Mono:
    """Shorten a digest to what tells it apart."""
    return Mono(text[:12])
