"""governance: scopes of the kill switch, decisions, checkpoints, encrypted bodies

Revision: 0002, after: 0001
"""

from __future__ import annotations

import json

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def _name_subjects() -> None:
    """Say whom the plain bodies of the first version tell of, so that they can be erased."""
    connection = op.get_bind()
    found = sa.text("SELECT seq, body FROM ledger_entries WHERE body IS NOT NULL")
    name = sa.text("UPDATE ledger_entries SET subjects = :subjects WHERE seq = :seq")
    for seq, body in connection.execute(found).all():
        try:
            told = json.loads(body)
            named = {told.get("actor"), told.get("on_behalf_of")}
        except (ValueError, TypeError, AttributeError):
            continue  # damaged, which is for verification to find
        people = sorted(n for n in named if isinstance(n, str) and n.startswith("person:"))
        if people:
            connection.execute(name, {"seq": seq, "subjects": " ".join(people)})


def upgrade() -> None:
    op.add_column("ledger_entries", sa.Column("subjects", sa.String(), nullable=True))
    _name_subjects()
    op.add_column("effects", sa.Column("intended_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index("ix_effects_intended_at", "effects", ["intended_at"], unique=False)

    # A switch that is pulled stays pulled: its one scope was called "everything".
    op.create_table(
        "switches_new",
        sa.Column("scope", sa.String(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("releases", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("scope"),
    )
    op.execute(
        "INSERT INTO switches_new (scope, by, at, reason, releases) "
        "SELECT 'global', by, at, reason, '[]' FROM switches"
    )
    op.drop_table("switches")
    op.rename_table("switches_new", "switches")

    op.create_table(
        "epochs",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )

    op.create_table(
        "decisions",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("run", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("data", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_decisions_run", "decisions", ["run"], unique=False)
    op.create_index("ix_decisions_at", "decisions", ["at"], unique=False)

    op.create_table(
        "checkpoints",
        sa.Column("origin", sa.String(), nullable=False),
        sa.Column("size", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("root", sa.LargeBinary(), nullable=False),
        sa.Column("note", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("origin", "size"),
    )
    op.create_index("ix_checkpoints_at", "checkpoints", ["at"], unique=False)

    op.create_table(
        "anchor_receipts",
        sa.Column("anchor", sa.String(), nullable=False),
        sa.Column("size", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("receipt", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("anchor", "size"),
    )

    op.create_table(
        "keyed",
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("data", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("kind", "key"),
    )


def downgrade() -> None:
    for table in ("keyed", "anchor_receipts", "checkpoints", "decisions", "epochs"):
        op.drop_table(table)
    op.create_table(
        "switches_old",
        sa.Column("scope", sa.String(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("scope"),
    )
    op.execute(
        "INSERT INTO switches_old (scope, by, at, reason) "
        "SELECT 'everything', by, at, reason FROM switches WHERE scope = 'global'"
    )
    op.drop_table("switches")
    op.rename_table("switches_old", "switches")
    op.drop_index("ix_effects_intended_at", "effects")
    op.drop_column("effects", "intended_at")
    op.drop_column("ledger_entries", "subjects")
