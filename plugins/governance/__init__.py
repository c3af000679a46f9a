"""Governance where people see it: who may stop, approve, trust and look back.

In reading order: `switches` and `halting` (the kill switch), `glass`,
`emergencies` and `paging` (breaking the glass), `authorising` (standing
authorisations), `trust` (autonomy), `screens` and `looking` (what is in force,
what waits, what was recorded), `home` ("Waiting for you"), `announcing` (what
everybody has to know), `adopting` (the action that changes the policy), `pages`
(the same in the browser), `plugin` (what it offers and hears). What a command
answers is for its caller alone.
"""

from plugins.governance.plugin import Governance

PLUGIN = Governance
