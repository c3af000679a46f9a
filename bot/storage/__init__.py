"""The store: SQLModel tables, one repository per noun, one writer. Rows never leave.

The same repositories speak to SQLite and to PostgreSQL; which it is, is decided
by where the database is.

tables.py       what is stored
rows.py         what a repository speaks to, and SQLite's
prepared.py     statements turned into SQL once for each database
upserts.py      INSERT … ON CONFLICT, whatever the database
codec.py        frozen dataclasses <-> JSON columns
<noun>.py       one repository per noun
transaction.py  all repositories over one connection
groups.py       group commit: transactions that are committed at once
sqlite.py       the database in a file: one writer, many readers
writer.py       SQLite's one connection that writes
postgres.py     the database on a server, for a fleet of equal bots
postgres_*.py   its writer, its connections, its rows; vectors for pgvector, if it has that
halves.py       vectors as pgvector takes them
stores.py       which of the two it is, by path or URL
ledger.py       drafts, the sealer and the reader of the ledger
migrate.py      Alembic at start-up
"""
