"""The policy in force: what was adopted, not what happens to lie in a folder.

A change of policy is itself a change of risk R3. The files in the knowledge
folder are a proposal until a run with its approvals has adopted them; until
then the rules that were adopted before stay in force, from the database.
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence

from bot.domain.errors import Refused
from bot.domain.ledger import Entry
from bot.domain.policy import PolicyDecision, PolicyRequest
from bot.ports import AdoptedPolicy, Clock, Database, Policy

IN_FORCE = "in force"

# Makes a policy of its documents; raises a TocsinError where they have a fault.
Compile = Callable[[Mapping[str, bytes]], Policy]


class ActivePolicy:
    """The policy in force, as everybody who asks holds it: adopting swaps it for all at once."""

    def __init__(self, policy: Policy) -> None:
        self.current = policy

    @property
    def digest(self) -> str:
        """Return what identifies the rules in force."""
        return self.current.digest

    @property
    def documents(self) -> Mapping[str, bytes]:
        """Return the files of the rules in force by name."""
        return self.current.documents

    def decide(self, request: PolicyRequest) -> PolicyDecision:
        """Say whether a plan may be asked for, and whose consent it needs."""
        return self.current.decide(request)


class PolicyService:
    """Adopts policies, and knows what is proposed."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        *,
        active: ActivePolicy,
        proposed: Callable[[], Policy],
        compile: Compile,
    ) -> None:
        self._database = database
        self._clock = clock
        self._active = active
        self._proposed = proposed
        self._compile = compile

    async def start(self) -> None:
        """Put the adopted policy into force; the first one ever is adopted as it lies there."""
        async with self._database.reading() as view:
            adopted = await view.policies.get(IN_FORCE)
        if adopted is None:
            await self._adopt(self._active.current, by="system", run="")
        elif adopted.digest != self._active.digest:
            self._active.current = self._compile(_bytes(adopted))

    async def in_force(self) -> AdoptedPolicy | None:
        """Return what was adopted last."""
        async with self._database.reading() as view:
            return await view.policies.get(IN_FORCE)

    async def adopted(self) -> Sequence[AdoptedPolicy]:
        """Return every policy that was ever in force, for replays and evidence."""
        async with self._database.reading() as view:
            found = await view.policies.all()
        return [policy for key, policy in found.items() if key == policy.digest]

    def proposal(self) -> str | None:
        """Return the digest of what is proposed, or None where it is in force.

        Raises:
            TocsinError: the files have a fault.
        """
        proposed = self._proposed()
        return None if proposed.digest == self._active.digest else proposed.digest

    def difference(self) -> str:
        """Return how the proposal differs from what is in force, as a unified diff."""
        old, new = self._active.documents, self._proposed().documents
        lines: list[str] = []
        for name in sorted({*old, *new}):
            lines += difflib.unified_diff(
                old.get(name, b"").decode("utf-8", "replace").splitlines(),
                new.get(name, b"").decode("utf-8", "replace").splitlines(),
                f"in force/{name}",
                f"proposed/{name}",
                lineterm="",
            )
        return "\n".join(lines)

    async def adopt(self, digest: str, *, by: str, run: str = "") -> None:
        """Put the proposal with this digest into force.

        Raises:
            Refused: the files are not those any more.
        """
        proposed = self._proposed()
        if proposed.digest != digest:
            raise Refused("The files have changed since this was planned; plan again.")
        await self._adopt(proposed, by=by, run=run)
        self._active.current = proposed

    async def _adopt(self, policy: Policy, *, by: str, run: str) -> None:
        now = self._clock.now()
        record = AdoptedPolicy(
            digest=policy.digest,
            documents={n: d.decode("utf-8", "replace") for n, d in policy.documents.items()},
            at=now,
            by=by,
            run=run,
        )
        async with self._database.transaction() as tx:
            await tx.policies.save(IN_FORCE, record)
            await tx.policies.add(policy.digest, record)
            await tx.ledger.append(
                Entry(
                    type="policy.adopted",
                    actor=by,
                    at=now,
                    policy_digest=policy.digest,
                    outcome="in force",
                    body={"files": sorted(policy.documents), "run": run},
                )
            )


def _bytes(adopted: AdoptedPolicy) -> Mapping[str, bytes]:
    return {name: text.encode() for name, text in adopted.documents.items()}
