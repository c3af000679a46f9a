"""A change of policy as an action: it goes through the gate like any other change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from bot.domain.actions import (
    JSON,
    Action,
    ActionCall,
    ActionResult,
    DryRun,
    Effect,
    Happened,
    Reconciliation,
    Risk,
)
from bot.domain.errors import Refused
from bot.plugin import PluginContext

RUNBOOK = "change-policy"
LONGEST_DIFF = 1_900  # what a plan shows of a dry run, less a line about the rest

_ARGUMENTS: Mapping[str, JSON] = {
    "type": "object",
    "properties": {"digest": {"type": "string", "pattern": "^[0-9a-f]{64}$"}},
    "required": ["digest"],
    "additionalProperties": False,
}


class Adopting:
    """Puts the files in the knowledge folder into force, as they were shown."""

    def __init__(self, context: PluginContext) -> None:
        self._context = context

    def all(self) -> Sequence[Action]:
        """Return the change, and the look that verifies it."""
        return (
            Action(
                name="policy.adopt",
                version=1,
                summary="Put the proposed policy with this digest into force.",
                effect=Effect.MUTATE,
                risk=Risk.R3,
                idempotent=True,
                arguments=_ARGUMENTS,
                handler=self._adopt,
                dry_run=self._difference,
                reconcile=self._look,
            ),
            Action(
                name="policy.in_force",
                version=1,
                summary="Say whether the policy with this digest is in force: 1 or 0.",
                effect=Effect.READ,
                risk=Risk.R0,
                idempotent=True,
                arguments=_ARGUMENTS,
                handler=self._shows,
            ),
        )

    async def _adopt(self, call: ActionCall) -> ActionResult:
        """Put the proposed policy files into force, exactly as they were shown.

        `digest` is of what was shown in the plan: files that were edited since are
        refused. What is in force already stays so, which makes a repetition
        harmless. There is no undo: adopt the earlier files again.
        """
        digest = call.arguments["digest"]
        if not await self._in_force(digest):
            run = call.key.partition(":")[0]
            await self._context.policies.adopt(digest, by="bot", run=run)
        return ActionResult(summary=f"policy {digest[:12]} is in force", value=1.0)

    async def _difference(self, call: ActionCall) -> DryRun:
        """Show what changes; a proposal that is not this one any more is refused.

        Where the difference is longer than a plan shows, approvers are told so and
        where they read the rest: the digest binds all of it.
        """
        policies, digest = self._context.policies, call.arguments["digest"]
        if policies.proposal() != digest:
            raise Refused("The files do not propose this policy; look at /incident policy.")
        diff = policies.difference()
        if len(diff) > LONGEST_DIFF:
            whole = f"The first part; /incident policy and the web page show {len(diff)} characters"
            diff = f"{whole}.\n{diff}"[:LONGEST_DIFF]
        return DryRun(diff=diff, targets=("policy",), out_of=1)

    async def _look(self, call: ActionCall) -> Reconciliation:
        digest = call.arguments["digest"]
        happened = Happened.YES if await self._in_force(digest) else Happened.NO
        return Reconciliation(happened=happened, detail="compared with the policy in force")

    async def _shows(self, call: ActionCall) -> ActionResult:
        """Say whether the policy with this digest is in force: 1, or else 0."""
        found = await self._in_force(call.arguments["digest"])
        summary = "it is in force" if found else "it is not in force"
        return ActionResult(summary=summary, value=1.0 if found else 0.0)

    async def _in_force(self, digest: str) -> bool:
        adopted = await self._context.policies.in_force()
        return adopted is not None and adopted.digest == digest
