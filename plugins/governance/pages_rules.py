"""The pages of policy: what was decided and why, and the rules themselves."""

from __future__ import annotations

from collections.abc import Sequence

from bot.domain.decisions import DecisionId
from bot.domain.errors import NotFound, TocsinError
from bot.plugin import Audience, Page, PageRequest, PageView, PluginContext
from bot.ports import AdoptedPolicy
from plugins.governance.pages_queries import address, wanted, word
from plugins.governance.views_rules import bound, decision_row, document_of
from plugins.governance.views_texts import pretty, visible

SHOWN = 100


class RulesPages:
    """Shows decisions and the policy that made them."""

    def __init__(self, context: PluginContext) -> None:
        self._records = context.records
        self._policies = context.policies

    def all(self) -> Sequence[Page]:
        """Return the pages."""
        responder, auditor = Audience.RESPONDER, Audience.AUDITOR
        return (
            Page(path="decisions", title="Decisions", audience=responder, handler=self.decisions),
            Page(
                path="decision",
                title="Decision",
                audience=responder,
                handler=self.decision,
                listed=False,
            ),
            Page(path="policy", title="Policy", audience=auditor, handler=self.policy),
        )

    async def decisions(self, request: PageRequest) -> PageView:
        """Show the newest decisions."""
        records = await self._records.decisions(SHOWN)
        data = {"rows": [decision_row(record) for record in records], "shown": SHOWN}
        return PageView(template="decisions.html", data=data)

    async def decision(self, request: PageRequest) -> PageView:
        """Show one decision with everything that went into it."""
        id = DecisionId(wanted(request.query, "id"))
        record = await self._records.decision(id)
        auditor = Audience.AUDITOR in request.audiences
        data = {
            "record": record,
            "row": decision_row(record),
            "input": pretty(dict(record.input)) if record.input else None,
            "entities": pretty([dict(e) for e in record.entities]) if record.entities else None,
            "bound": bound(record),
            "auditor": auditor,
            "policy_url": address("policy", digest=record.policy_digest),
            "ledger_url": address("ledger", decision=record.id),
            "rules": await self._rules_of(record.policy_digest),
        }
        return PageView(template="decision.html", data=data)

    async def policy(self, request: PageRequest) -> PageView:
        """Show the rules in force, or those with a digest that once were; and what is proposed."""
        current = await self._policies.in_force()
        former = sorted(await self._policies.adopted(), key=lambda p: p.at, reverse=True)
        digest = word(request.query, "digest")
        shown = _with_digest(digest, [*([current] if current else []), *former])
        fault, proposed, diff = self._proposal()
        data = {
            "shown": shown,
            "current": current,
            "documents": [document_of(n, t) for n, t in sorted(shown.documents.items())]
            if shown
            else [],
            "former": [(p, address("policy", digest=p.digest)) for p in former],
            "fault": fault,
            "proposed": proposed,
            "diff": diff,
            "now_url": address("policy"),
        }
        return PageView(template="policy.html", data=data)

    async def _rules_of(self, digest: str) -> AdoptedPolicy | None:
        """Return the adopted rules with a digest, for since when they were in force."""
        known = {p.digest: p for p in await self._policies.adopted()}
        return known.get(digest)

    def _proposal(self) -> tuple[str | None, str | None, str]:
        """Return what is wrong with the files, or their digest and how they differ."""
        try:
            proposed = self._policies.proposal()
            diff = self._policies.difference() if proposed else ""
        except TocsinError as fault:
            return visible(str(fault)), None, ""
        return None, proposed, visible(diff)


def _with_digest(digest: str, known: Sequence[AdoptedPolicy]) -> AdoptedPolicy | None:
    """Return the rules that are asked for; without a digest, the first.

    Raises:
        NotFound: none with this digest was ever in force.
    """
    if not digest:
        return known[0] if known else None
    for policy in known:
        if policy.digest == digest:
            return policy
    raise NotFound("No rules with this digest were ever in force here.")
