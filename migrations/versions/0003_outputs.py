"""outputs: what steps print, and how runbooks are used

Revision: 0003, after: 0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "run_outputs",
        sa.Column("run", sa.String(), nullable=False),
        sa.Column("step", sa.String(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("first", sa.Integer(), nullable=False),
        sa.Column("lines", sa.Integer(), nullable=False),
        sa.Column("text", sa.String(), nullable=False),
        sa.Column("permille", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("run", "step", "attempt", "seq"),
    )
    op.create_table(
        "runbook_usage",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("runbook", sa.String(), nullable=False),
        sa.Column("what", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("person", sa.String(), nullable=True),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_runbook_usage_at", "runbook_usage", ["at"], unique=False)
    op.create_index("ix_runbook_usage_subject", "runbook_usage", ["subject"], unique=False)


def downgrade() -> None:
    op.drop_table("runbook_usage")
    op.drop_table("run_outputs")
