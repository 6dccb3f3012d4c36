"""Sessions that were signed out, and observations whose scores have to be computed again.

Revision ID: 0005
Revises: 0004
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision: str = "0005"
down_revision: str | None = "0004"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Make the two tables."""
    op.create_table(
        "ended_sessions",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("ended", sa.DateTime(), nullable=False),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_ended_sessions")),
    )
    op.create_table(
        "pending_scores",
        sa.Column("observation_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("spreads", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(
            ["observation_id"],
            ["field_observations.id"],
            name=op.f("fk_pending_scores_observation_id_field_observations"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("observation_id", name=op.f("pk_pending_scores")),
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_table("pending_scores")
    op.drop_table("ended_sessions")
