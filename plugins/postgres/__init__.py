"""PostgreSQL: questions in reviewed SQL that only read, and the end of one session.

In reading order: `places` (which databases, as whom), `sessions` (one connection
with its limits, and what its errors mean), `queries` (`postgres.query@1`),
`backends` (`postgres.terminate@1`), `plugin` (settings).

Each database has to be listed; none is by default. The role that asks should be
one that only reads: `create role tocsin login; grant pg_monitor to tocsin`, and
`grant select` on what the pages ask for. To end sessions it also needs
`pg_signal_backend`, best in an entry of its own.
"""

from plugins.postgres.plugin import Postgres

PLUGIN = Postgres
