"""search: what people said of hits, and sentence vectors

Revision: 0004, after: 0003
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "embeddings",
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("vector", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("model", "key"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "search_labels",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("subject", sa.String(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("data", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("ix_search_labels_at", "search_labels", ["at"], unique=False)
    op.create_index("ix_search_labels_subject", "search_labels", ["subject"], unique=False)


def downgrade() -> None:
    op.drop_table("search_labels")
    # Made by the program itself where the server has pgvector.
    op.execute("DROP TABLE IF EXISTS embedding_vectors")
    op.drop_table("embeddings")
