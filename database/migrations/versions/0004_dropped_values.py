"""Values that imports dropped, and what stood in the records that they left out.

Revision ID: 0004
Revises: 0003
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision: str = "0004"
down_revision: str | None = "0003"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Make the table of dropped values, and let rejections say which term was at fault and what stood there."""
    op.create_table(
        "dropped_values",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("import_run_id", sa.Integer(), nullable=False),
        sa.Column("reason", sa.String(length=64), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("file", sa.Text(), nullable=False),
        sa.Column("line", sa.Integer(), nullable=False),
        sa.Column("photo", sa.Text(), nullable=False),
        sa.Column("term", sa.String(length=64), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["import_run_id"], ["import_runs.id"], name=op.f("fk_dropped_values_import_run_id_import_runs")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_dropped_values")),
    )
    op.create_index(op.f("ix_dropped_values_import_run_id"), "dropped_values", ["import_run_id"], unique=False)
    with op.batch_alter_table("rejections") as table:
        table.add_column(sa.Column("term", sa.String(length=64), nullable=False, server_default=""))
        table.add_column(sa.Column("text", sa.Text(), nullable=False, server_default=""))


def downgrade() -> None:
    """Forget both."""
    with op.batch_alter_table("rejections") as table:
        table.drop_column("text")
        table.drop_column("term")
    op.drop_index(op.f("ix_dropped_values_import_run_id"), table_name="dropped_values")
    op.drop_table("dropped_values")
