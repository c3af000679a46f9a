"""The pages of the ledger: what was recorded, and how anybody can check it."""

from __future__ import annotations

from collections.abc import Sequence

from bot.domain.entries import LOOKED_THROUGH, EntryFilter
from bot.domain.errors import Refused
from bot.plugin import Audience, Download, Page, PageRequest, PageView, PluginContext
from plugins.governance.pages_queries import address, entry_number, number, word
from plugins.governance.views_record import DAMAGED, facts_of, leaf_of, moment_of, older, row_of
from plugins.governance.views_texts import pretty

ON_A_PAGE = 50


class RecordPages:
    """Shows the ledger, its entries, and their proofs."""

    def __init__(self, context: PluginContext) -> None:
        self._records = context.records
        self._checkpoints = context.checkpoints

    def all(self) -> Sequence[Page]:
        """Return the pages; an entry without its body is for responders too."""
        responder, auditor = Audience.RESPONDER, Audience.AUDITOR
        reached_by_links = (
            ("entry", responder, self.entry),
            ("leaf", auditor, self.leaf),
            ("proof", auditor, self.proof),
            ("checkpoint/note", auditor, self.note),
        )
        return (
            Page(path="ledger", title="Ledger", audience=auditor, handler=self.ledger),
            Page(path="checkpoint", title="Checkpoint", audience=auditor, handler=self.checkpoint),
            *(
                Page(path=p, title=p.capitalize(), audience=who, handler=h, listed=False)
                for p, who, h in reached_by_links
            ),
        )

    async def ledger(self, request: PageRequest) -> PageView:
        """Show the newest entries that are asked for, before a number."""
        names = ("incident", "type", "actor", "decision")
        asked = {name: word(request.query, name) for name in names}
        size = (await self._checkpoints.state()).size
        before = number(request.query, "before")
        top = size if before is None else min(before, size)
        found = await self._records.entries(EntryFilter(**asked), before=top, limit=ON_A_PAGE)
        rest = older(
            [entry.seq for entry in found], top=top, limit=ON_A_PAGE, looked_through=LOOKED_THROUGH
        )
        data = {
            "rows": [row_of(entry) for entry in found],
            "asked": asked,
            "narrowed": any(asked.values()),
            "size": size,
            "looked_from": top - 1,
            "looked_to": rest or 0,
            "newest": address("ledger", **asked) if top < size else None,
            "older": address("ledger", **asked, before=rest) if rest else None,
        }
        return PageView(template="ledger.html", data=data)

    async def entry(self, request: PageRequest) -> PageView:
        """Show one entry; its body, its leaf and its proof to auditors alone."""
        seq = entry_number(request.query)
        shown = await self._records.entry(seq)
        state = await self._checkpoints.state()
        auditor = Audience.AUDITOR in request.audiences
        header = shown.header
        data = {
            "seq": seq,
            "damaged": str(header["reason"]) if header["type"] == DAMAGED else None,
            "type": header["type"],
            "at": moment_of(header),
            "skew": bool(header.get("skew")),
            "facts": facts_of(header),
            "digests": [(n, header.get(f"{n}_digest")) for n in ("plan", "policy")],
            "body_digest": header.get("body_sha256"),
            "decision": header.get("decision_id"),
            "decision_url": address("decision", id=header.get("decision_id")),
            "auditor": auditor,
            "body": pretty(shown.body) if auditor and shown.body is not None else None,
            "hidden": shown.hidden,
            "leaf": leaf_of(await self._records.leaf(seq)) if auditor else None,
            "covered": seq < state.sealed_size,
            "leaf_url": address("leaf", seq=seq),
            "proof_url": address("proof", seq=seq),
            "earlier": address("entry", seq=seq - 1) if seq else None,
            "later": address("entry", seq=seq + 1) if seq + 1 < state.size else None,
        }
        return PageView(template="entry.html", data=data)

    async def leaf(self, request: PageRequest) -> Download:
        """Hand out the exact bytes of an entry's leaf."""
        seq = entry_number(request.query)
        content = await self._records.leaf(seq)
        return Download(name=f"entry-{seq}.leaf", media_type="application/json", content=content)

    async def proof(self, request: PageRequest) -> Download:
        """Hand out the proof that an entry is in the ledger."""
        seq = entry_number(request.query)
        await self._records.leaf(seq)  # an entry that does not exist is said to be missing
        try:
            content = await self._records.proof(seq)
        except ValueError:
            raise Refused("The stored tree is damaged, so no proof can be made.") from None
        name = f"entry-{seq}.tlog-proof"
        return Download(name=name, media_type="text/plain; charset=utf-8", content=content)

    async def checkpoint(self, request: PageRequest) -> PageView:
        """Show how far the ledger is sealed, who holds it, and how to check all that."""
        state = await self._checkpoints.state()
        data = {
            "state": state,
            "open": state.size - state.sealed_size,
            "note": state.newest.note.decode("utf-8", "replace") if state.newest else None,
            "note_url": address("checkpoint/note"),
            "keys": await self._checkpoints.vkeys(),
        }
        return PageView(template="checkpoint.html", data=data)

    async def note(self, request: PageRequest) -> Download:
        """Hand out the newest signed checkpoint.

        Raises:
            Refused: there is none.
        """
        newest = (await self._checkpoints.state()).newest
        if newest is None:
            raise Refused("There is no checkpoint yet; one is made within a minute of an entry.")
        name = f"checkpoint-{newest.size}.note"
        return Download(name=name, media_type="text/plain; charset=utf-8", content=newest.note)
