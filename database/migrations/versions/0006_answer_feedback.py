"""What visitors said of answers: whether the first species was right.

Revision ID: 0006
Revises: 0005
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision: str = "0006"
down_revision: str | None = "0005"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "answer_feedback",
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("day", sa.Date(), nullable=False),
        sa.Column("flora", sa.String(length=64), nullable=False),
        sa.Column("model", sa.String(length=255), nullable=False),
        sa.Column("snapshot", sa.String(length=64), nullable=False),
        sa.Column("score_band", sa.Integer(), nullable=True),
        sa.Column("verdict", sa.String(length=8), nullable=False),
        sa.Column("right_rank", sa.Integer(), nullable=True),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_answer_feedback")),
    )
    op.create_index(op.f("ix_answer_feedback_snapshot"), "answer_feedback", ["snapshot"])


def downgrade() -> None:
    """Drop it."""
    op.drop_index(op.f("ix_answer_feedback_snapshot"), table_name="answer_feedback")
    op.drop_table("answer_feedback")
