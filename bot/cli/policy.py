"""`tocsin policy`: what the rules say, would say, and said."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bot.cli.installation import (
    Config,
    build_app,
    fail,
    read_settings,
    with_database,
    without_tokens,
)

if TYPE_CHECKING:
    from bot.app import App
    from bot.domain.decisions import DecisionRecord
    from bot.domain.policy import PolicyDecision, PolicyRequest

commands = typer.Typer(help="Whose consent an action needs: check, explain, replay.")


@commands.command("check")
def policy_check(
    directory: Annotated[Path, typer.Argument(help="the folder of policies")] = Path(
        "knowledge/policies"
    ),
) -> None:
    """Check the policies of a folder; every mistake with its file and policy."""
    from bot.policies import PolicyError, load  # noqa: PLC0415

    try:
        policy = load(directory)
    except PolicyError as error:
        fail(str(error), 1)
    print(f"{len(policy.rules)} policies, digest {policy.digest}")
    print("OK")


@commands.command("explain")
def policy_explain(
    *,
    who: Annotated[str, typer.Option(help="a person's id; only stands for them in the record")],
    action: Annotated[str, typer.Option(help="an action, such as command.run@1")],
    on: Annotated[str, typer.Option("--on", help="a service")],
    groups: Annotated[str, typer.Option(help="their user groups, joined by commas")] = "",
    risk: Annotated[str, typer.Option(help="R0 to R4; the action's own if left out")] = "",
    incident: Annotated[str, typer.Option(help="severity of the incident: sev1 to sev4")] = "",
    config: Config = None,
) -> None:
    """Say who may approve what, and when: now, in a freeze, after failures, with a broken glass."""
    from bot.policies import explain  # noqa: PLC0415

    app = build_app(without_tokens(read_settings(config)))
    request = _request(
        app, who=who, action=action, on=on, groups=groups, risk=risk, incident=incident
    )
    for explained in explain(app.policy, request):
        print(f"{explained.situation}:")
        print(f"  {_said(explained.decision)}")


def _request(
    app: App, *, who: str, action: str, on: str, groups: str, risk: str, incident: str
) -> PolicyRequest:
    from bot.domain.actions import Risk  # noqa: PLC0415
    from bot.domain.people import Person, PersonId, Standing  # noqa: PLC0415
    from bot.domain.policy import Phase, PolicyRequest  # noqa: PLC0415

    known = app.registry.actions.get(action)
    if known is None:
        fail(f"--action: there is no action {action}; see `tocsin check`", 2)
    if risk and risk.upper() not in Risk.__members__:
        fail(f"--risk: {risk} is not one of R0 to R4", 2)
    named = frozenset(filter(None, (name.strip().lstrip("@") for name in groups.split(","))))
    now = datetime.now(UTC)
    governor, windows = app.governor, app.core.context.calendars.at(now)
    person = Person(id=PersonId(who), name=who)
    return PolicyRequest(
        phase=Phase.PLAN,
        at=now,
        requester=Standing(
            person=person, groups=named, teams=app.core.context.people.teams_of(named)
        ),
        requester_ref=f"person:{uuid.uuid4().hex[:16]}",
        runbook="explained",
        actions=(action,),
        risk=max(known.risk, Risk[risk.upper()]) if risk else known.risk,
        effects=frozenset({known.effect}),
        service=on,
        team=governor.team(on),
        tier=governor.tier(on),
        touches=governor.touches(on),
        severity=incident or None,
        freezes=tuple(window.title for window in governor.freezes(on, windows)),
        calendar_faults=tuple(f"{fault.source}: {fault.reason}" for fault in windows.faults),
    )


def _said(decision: PolicyDecision) -> str:
    by = f" [{', '.join(decision.policies)}]" if decision.policies else ""
    if not decision.allow:
        return f"no: {decision.reason}{by}"
    asked = " and ".join(str(place) for place in decision.quorum) or "nobody"
    veto = f", after {decision.veto_seconds:g} s for a veto" if decision.veto_seconds else ""
    return f"yes, with the approval of {asked}{veto}{by}"


@commands.command("replay")
def policy_replay(
    id: Annotated[str, typer.Argument(help="a decision's id, as the ledger has it")],
    config: Config = None,
) -> None:
    """Make a recorded decision again, from its own input and the policy of then."""
    app = build_app(without_tokens(read_settings(config)))
    differences: list[str] = []

    async def again() -> None:
        from bot.domain.decisions import DecisionId  # noqa: PLC0415

        record = await app.core.context.records.decision(DecisionId(id))
        differences.extend(await _replayed(app, record))

    with_database(app, again)
    for difference in differences:
        print(difference)
    if differences:
        raise typer.Exit(1)


async def _replayed(app: App, record: DecisionRecord) -> Sequence[str]:
    from bot.policies import replay  # noqa: PLC0415

    adopted = await app.core.context.policies.adopted()
    documents = next((p.documents for p in adopted if p.digest == record.policy_digest), None)
    if documents is None:
        fail(f"{record.id}: the policy {record.policy_digest[:12]} is not known here", 1)
    replayed = replay(record, {name: text.encode() for name, text in documents.items()})
    print(f"{record.id} of {record.at:%Y-%m-%d %H:%M:%S} UTC, {record.phase}, run {record.run}")
    print(f"  recorded: {'allow' if record.allow else 'deny'}: {record.reason}")
    print(f"  replayed: {_said(replayed.decision)}")
    print("the same" if replayed.same else "NOT the same:")
    return replayed.differences
