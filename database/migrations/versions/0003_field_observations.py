"""People's observations, their photos, suggestions and identifications.

Revision ID: 0003
Revises: 0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision: str = "0003"
down_revision: str | None = "0002"
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Create the tables of field observations, their photos, suggestions, proposals and verdicts."""
    op.create_table(
        "field_observations",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("key", sa.String(length=36), nullable=False),
        sa.Column("person_id", sa.Integer(), nullable=False),
        sa.Column("event_date", sa.Date(), nullable=True),
        sa.Column("decimal_latitude", sa.Double(), nullable=True),
        sa.Column("decimal_longitude", sa.Double(), nullable=True),
        sa.Column("coordinate_uncertainty", sa.Double(), nullable=True),
        sa.Column("obscured", sa.Boolean(), nullable=False),
        sa.Column("public_latitude", sa.Double(), nullable=True),
        sa.Column("public_longitude", sa.Double(), nullable=True),
        sa.Column("public_uncertainty", sa.Double(), nullable=True),
        sa.Column("is_obscured", sa.Boolean(), nullable=False),
        sa.Column("locality", sa.Text(), nullable=False),
        sa.Column("habitat", sa.Text(), nullable=False),
        sa.Column("substrate", sa.Text(), nullable=False),
        sa.Column("remarks", sa.Text(), nullable=False),
        sa.Column("licence", sa.String(length=64), nullable=False),
        sa.Column("taxon_id", sa.Integer(), nullable=True),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("score", sa.Integer(), nullable=True),
        sa.Column("by_expert", sa.Boolean(), nullable=False),
        sa.Column("approved", sa.DateTime(), nullable=True),
        sa.Column("created", sa.DateTime(), nullable=False),
        sa.Column("modified", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(["person_id"], ["people.id"], name=op.f("fk_field_observations_person_id_people")),
        sa.ForeignKeyConstraint(["taxon_id"], ["taxa.id"], name=op.f("fk_field_observations_taxon_id_taxa")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_field_observations")),
        sa.UniqueConstraint("key", name=op.f("uq_field_observations_key")),
    )
    op.create_index(op.f("ix_field_observations_event_date"), "field_observations", ["event_date"], unique=False)
    op.create_index(op.f("ix_field_observations_modified"), "field_observations", ["modified"], unique=False)
    op.create_index(op.f("ix_field_observations_person_id"), "field_observations", ["person_id"], unique=False)
    op.create_index(
        "ix_field_observations_public_place",
        "field_observations",
        ["public_latitude", "public_longitude"],
        unique=False,
    )
    op.create_index(op.f("ix_field_observations_status"), "field_observations", ["status"], unique=False)
    op.create_index(op.f("ix_field_observations_taxon_id"), "field_observations", ["taxon_id"], unique=False)
    op.create_table(
        "morphological_groups",
        sa.Column("taxon_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(["taxon_id"], ["taxa.id"], name=op.f("fk_morphological_groups_taxon_id_taxa")),
        sa.PrimaryKeyConstraint("taxon_id", name=op.f("pk_morphological_groups")),
    )
    op.create_table(
        "obscured_taxa",
        sa.Column("taxon_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["taxon_id"], ["taxa.id"], name=op.f("fk_obscured_taxa_taxon_id_taxa")),
        sa.PrimaryKeyConstraint("taxon_id", name=op.f("pk_obscured_taxa")),
    )
    op.create_table(
        "field_photos",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("observation_id", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("original_sha256", sa.String(length=64), nullable=False),
        sa.Column("byte_count", sa.Integer(), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("aspect", sa.String(length=16), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["observation_id"],
            ["field_observations.id"],
            name=op.f("fk_field_photos_observation_id_field_observations"),
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_field_photos")),
        sa.UniqueConstraint("observation_id", "sha256", name=op.f("uq_field_photos_observation_id")),
    )
    op.create_index(op.f("ix_field_photos_observation_id"), "field_photos", ["observation_id"], unique=False)
    op.create_index(op.f("ix_field_photos_original_sha256"), "field_photos", ["original_sha256"], unique=False)
    op.create_index(op.f("ix_field_photos_sha256"), "field_photos", ["sha256"], unique=False)
    op.create_table(
        "proposals",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("observation_id", sa.Integer(), nullable=False),
        sa.Column("taxon_id", sa.Integer(), nullable=False),
        sa.Column("score", sa.Integer(), nullable=True),
        sa.Column("expert_id", sa.Integer(), nullable=True),
        sa.Column("ingredients", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["expert_id"], ["people.id"], name=op.f("fk_proposals_expert_id_people")),
        sa.ForeignKeyConstraint(
            ["observation_id"], ["field_observations.id"], name=op.f("fk_proposals_observation_id_field_observations")
        ),
        sa.ForeignKeyConstraint(["taxon_id"], ["taxa.id"], name=op.f("fk_proposals_taxon_id_taxa")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_proposals")),
        sa.UniqueConstraint("observation_id", "taxon_id", name=op.f("uq_proposals_observation_id")),
    )
    op.create_index(op.f("ix_proposals_observation_id"), "proposals", ["observation_id"], unique=False)
    op.create_index(op.f("ix_proposals_taxon_id"), "proposals", ["taxon_id"], unique=False)
    op.create_table(
        "suggestions",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("observation_id", sa.Integer(), nullable=False),
        sa.Column("snapshot", sa.String(length=64), nullable=False),
        sa.Column("model", sa.String(length=255), nullable=False),
        sa.Column("flora", sa.String(length=64), nullable=False),
        sa.Column("calibrated", sa.Boolean(), nullable=False),
        sa.Column("candidates", sa.JSON(), nullable=False),
        sa.Column("created", sa.DateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["observation_id"], ["field_observations.id"], name=op.f("fk_suggestions_observation_id_field_observations")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_suggestions")),
        sa.UniqueConstraint("observation_id", name=op.f("uq_suggestions_observation_id")),
    )
    op.create_table(
        "verdicts",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("observation_id", sa.Integer(), nullable=False),
        sa.Column("person_id", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("taxon_id", sa.Integer(), nullable=False),
        sa.Column("certainty", sa.String(length=16), nullable=False),
        sa.Column("remarks", sa.Text(), nullable=False),
        sa.Column("created", sa.DateTime(), nullable=False),
        sa.Column("superseded", sa.DateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["observation_id"], ["field_observations.id"], name=op.f("fk_verdicts_observation_id_field_observations")
        ),
        sa.ForeignKeyConstraint(["person_id"], ["people.id"], name=op.f("fk_verdicts_person_id_people")),
        sa.ForeignKeyConstraint(["taxon_id"], ["taxa.id"], name=op.f("fk_verdicts_taxon_id_taxa")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_verdicts")),
    )
    op.create_index(op.f("ix_verdicts_observation_id"), "verdicts", ["observation_id"], unique=False)
    op.create_index(op.f("ix_verdicts_person_id"), "verdicts", ["person_id"], unique=False)
    op.create_index("ix_verdicts_standing", "verdicts", ["observation_id", "superseded"], unique=False)
    op.create_index(op.f("ix_verdicts_taxon_id"), "verdicts", ["taxon_id"], unique=False)


def downgrade() -> None:
    """Drop these tables and their rows."""
    op.drop_index(op.f("ix_verdicts_taxon_id"), table_name="verdicts")
    op.drop_index("ix_verdicts_standing", table_name="verdicts")
    op.drop_index(op.f("ix_verdicts_person_id"), table_name="verdicts")
    op.drop_index(op.f("ix_verdicts_observation_id"), table_name="verdicts")
    op.drop_table("verdicts")
    op.drop_table("suggestions")
    op.drop_index(op.f("ix_proposals_taxon_id"), table_name="proposals")
    op.drop_index(op.f("ix_proposals_observation_id"), table_name="proposals")
    op.drop_table("proposals")
    op.drop_index(op.f("ix_field_photos_sha256"), table_name="field_photos")
    op.drop_index(op.f("ix_field_photos_original_sha256"), table_name="field_photos")
    op.drop_index(op.f("ix_field_photos_observation_id"), table_name="field_photos")
    op.drop_table("field_photos")
    op.drop_table("obscured_taxa")
    op.drop_table("morphological_groups")
    op.drop_index(op.f("ix_field_observations_taxon_id"), table_name="field_observations")
    op.drop_index(op.f("ix_field_observations_status"), table_name="field_observations")
    op.drop_index("ix_field_observations_public_place", table_name="field_observations")
    op.drop_index(op.f("ix_field_observations_person_id"), table_name="field_observations")
    op.drop_index(op.f("ix_field_observations_modified"), table_name="field_observations")
    op.drop_index(op.f("ix_field_observations_event_date"), table_name="field_observations")
    op.drop_table("field_observations")
