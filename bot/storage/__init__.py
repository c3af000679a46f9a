"""The store: SQLModel tables, one repository per noun, one writer. Rows never leave.

tables.py       what is stored
rows.py         the connection a repository speaks to
codec.py        frozen dataclasses <-> JSON columns
<noun>.py       one repository per noun
transaction.py  all repositories over one connection
sqlite.py       the database: one writer with group commit, many readers
ledger.py       drafts, the sealer and the reader of the ledger
migrate.py      Alembic at start-up
"""
