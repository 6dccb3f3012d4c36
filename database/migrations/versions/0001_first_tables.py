"""The first tables.

Revision ID: 0001
Revises:
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision: str = "0001"
down_revision: str | None = None
branch_labels: str | None = None
depends_on: str | None = None


def upgrade() -> None:
    """Create all tables."""
    op.create_table(
        "datasets",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("citation", sa.Text(), nullable=False),
        sa.Column("licence", sa.Text(), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_datasets")),
    )
    op.create_table(
        "floras",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("definition", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_floras")),
    )
    op.create_table(
        "inspected_files",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("address", sa.String(length=1024), nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=True),
        sa.Column("modified", sa.Double(), nullable=True),
        sa.Column("location", sa.Text(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("reason", sa.String(length=64), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("byte_count", sa.Integer(), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("media_format", sa.String(length=16), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_inspected_files")),
        sa.UniqueConstraint("address", name=op.f("uq_inspected_files_address")),
    )
    op.create_table(
        "regions",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("kind", sa.String(length=16), nullable=False),
        sa.Column("country_codes", sa.JSON(), nullable=False),
        sa.Column("geometry", sa.JSON(none_as_null=True), nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_regions")),
    )
    op.create_table(
        "snapshots",
        sa.Column("name", sa.String(length=64), nullable=False),
        sa.Column("built", sa.DateTime(), nullable=False),
        sa.Column("published", sa.DateTime(), nullable=True),
        sa.Column("model", sa.String(length=255), nullable=False),
        sa.Column("references", sa.Integer(), nullable=False),
        sa.Column("species", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_snapshots")),
    )
    op.create_table(
        "taxa",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("scientific_name", sa.String(length=255), nullable=False),
        sa.Column("scientific_name_authorship", sa.Text(), nullable=False),
        sa.Column("taxon_rank", sa.String(length=16), nullable=False),
        sa.Column("parent_id", sa.Integer(), nullable=True),
        sa.Column("gbif_key", sa.BigInteger(), nullable=True),
        sa.Column("toxicity", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["parent_id"], ["taxa.id"], name=op.f("fk_taxa_parent_id_taxa")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_taxa")),
        sa.UniqueConstraint("gbif_key", name=op.f("uq_taxa_gbif_key")),
        sa.UniqueConstraint("taxon_rank", "scientific_name", name=op.f("uq_taxa_taxon_rank")),
    )
    op.create_index(op.f("ix_taxa_parent_id"), "taxa", ["parent_id"], unique=False)
    op.create_index(op.f("ix_taxa_scientific_name"), "taxa", ["scientific_name"], unique=False)
    op.create_table(
        "checklists",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("region_id", sa.String(length=64), nullable=True),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("licence", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["region_id"], ["regions.id"], name=op.f("fk_checklists_region_id_regions")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_checklists")),
    )
    op.create_table(
        "import_runs",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("dataset_id", sa.String(length=64), nullable=False),
        sa.Column("archive", sa.Text(), nullable=False),
        sa.Column("started", sa.DateTime(), nullable=False),
        sa.Column("finished", sa.DateTime(), nullable=True),
        sa.Column("read", sa.Integer(), nullable=False),
        sa.Column("accepted", sa.Integer(), nullable=False),
        sa.Column("added", sa.Integer(), nullable=False),
        sa.Column("rejected", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["dataset_id"], ["datasets.id"], name=op.f("fk_import_runs_dataset_id_datasets")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_import_runs")),
    )
    op.create_index(op.f("ix_import_runs_dataset_id"), "import_runs", ["dataset_id"], unique=False)
    op.create_table(
        "synonyms",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("scientific_name", sa.String(length=255), nullable=False),
        sa.Column("taxon_id", sa.Integer(), nullable=False),
        sa.Column("gbif_key", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["taxon_id"], ["taxa.id"], name=op.f("fk_synonyms_taxon_id_taxa")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_synonyms")),
        sa.UniqueConstraint("scientific_name", name=op.f("uq_synonyms_scientific_name")),
    )
    op.create_index(op.f("ix_synonyms_gbif_key"), "synonyms", ["gbif_key"], unique=False)
    op.create_index(op.f("ix_synonyms_taxon_id"), "synonyms", ["taxon_id"], unique=False)
    op.create_table(
        "vernacular_names",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("taxon_id", sa.Integer(), nullable=False),
        sa.Column("language", sa.String(length=16), nullable=False),
        sa.Column("vernacular_name", sa.String(length=255), nullable=False),
        sa.ForeignKeyConstraint(["taxon_id"], ["taxa.id"], name=op.f("fk_vernacular_names_taxon_id_taxa")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_vernacular_names")),
        sa.UniqueConstraint("taxon_id", "language", "vernacular_name", name=op.f("uq_vernacular_names_taxon_id")),
    )
    op.create_index(op.f("ix_vernacular_names_taxon_id"), "vernacular_names", ["taxon_id"], unique=False)
    op.create_table(
        "checklist_taxa",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("checklist_id", sa.String(length=64), nullable=False),
        sa.Column("taxon_id", sa.Integer(), nullable=False),
        sa.Column("country_code", sa.String(length=2), nullable=False),
        sa.Column("occurrence_status", sa.Text(), nullable=False),
        sa.Column("establishment_means", sa.Text(), nullable=False),
        sa.Column("toxicity", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["checklist_id"], ["checklists.id"], name=op.f("fk_checklist_taxa_checklist_id_checklists")
        ),
        sa.ForeignKeyConstraint(["taxon_id"], ["taxa.id"], name=op.f("fk_checklist_taxa_taxon_id_taxa")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_checklist_taxa")),
        sa.UniqueConstraint("checklist_id", "taxon_id", "country_code", name=op.f("uq_checklist_taxa_checklist_id")),
    )
    op.create_index(op.f("ix_checklist_taxa_checklist_id"), "checklist_taxa", ["checklist_id"], unique=False)
    op.create_index(op.f("ix_checklist_taxa_taxon_id"), "checklist_taxa", ["taxon_id"], unique=False)
    op.create_table(
        "observations",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("dataset_id", sa.String(length=64), nullable=False),
        sa.Column("observation_key", sa.String(length=255), nullable=False),
        sa.Column("taxon_id", sa.Integer(), nullable=False),
        sa.Column("event_date", sa.Date(), nullable=True),
        sa.Column("decimal_latitude", sa.Double(), nullable=True),
        sa.Column("decimal_longitude", sa.Double(), nullable=True),
        sa.Column("coordinate_uncertainty", sa.Double(), nullable=True),
        sa.Column("country_code", sa.String(length=2), nullable=False),
        sa.Column("recorded_by", sa.Text(), nullable=False),
        sa.Column("habitat", sa.Text(), nullable=False),
        sa.Column("substrate", sa.Text(), nullable=False),
        sa.Column("import_run_id", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["dataset_id"], ["datasets.id"], name=op.f("fk_observations_dataset_id_datasets")),
        sa.ForeignKeyConstraint(
            ["import_run_id"], ["import_runs.id"], name=op.f("fk_observations_import_run_id_import_runs")
        ),
        sa.ForeignKeyConstraint(["taxon_id"], ["taxa.id"], name=op.f("fk_observations_taxon_id_taxa")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_observations")),
        sa.UniqueConstraint("dataset_id", "observation_key", name=op.f("uq_observations_dataset_id")),
    )
    op.create_index(op.f("ix_observations_country_code"), "observations", ["country_code"], unique=False)
    op.create_index(op.f("ix_observations_taxon_id"), "observations", ["taxon_id"], unique=False)
    op.create_table(
        "rejections",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("import_run_id", sa.Integer(), nullable=False),
        sa.Column("reason", sa.String(length=64), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("file", sa.Text(), nullable=False),
        sa.Column("line", sa.Integer(), nullable=False),
        sa.Column("photo", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["import_run_id"], ["import_runs.id"], name=op.f("fk_rejections_import_run_id_import_runs")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_rejections")),
    )
    op.create_index(op.f("ix_rejections_import_run_id"), "rejections", ["import_run_id"], unique=False)
    op.create_table(
        "photos",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("observation_id", sa.Integer(), nullable=False),
        sa.Column("dataset_id", sa.String(length=64), nullable=False),
        sa.Column("record_key", sa.String(length=512), nullable=False),
        sa.Column("location", sa.Text(), nullable=False),
        sa.Column("byte_count", sa.Integer(), nullable=False),
        sa.Column("width", sa.Integer(), nullable=False),
        sa.Column("height", sa.Integer(), nullable=False),
        sa.Column("media_format", sa.String(length=16), nullable=False),
        sa.Column("creator", sa.Text(), nullable=False),
        sa.Column("rights_holder", sa.Text(), nullable=False),
        sa.Column("licence", sa.Text(), nullable=False),
        sa.Column("references", sa.Text(), nullable=False),
        sa.Column("aspect", sa.String(length=16), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("withdrawn", sa.Boolean(), nullable=False),
        sa.Column("import_run_id", sa.Integer(), nullable=True),
        sa.ForeignKeyConstraint(["dataset_id"], ["datasets.id"], name=op.f("fk_photos_dataset_id_datasets")),
        sa.ForeignKeyConstraint(
            ["import_run_id"], ["import_runs.id"], name=op.f("fk_photos_import_run_id_import_runs")
        ),
        sa.ForeignKeyConstraint(
            ["observation_id"], ["observations.id"], name=op.f("fk_photos_observation_id_observations")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_photos")),
        sa.UniqueConstraint("dataset_id", "record_key", name=op.f("uq_photos_dataset_id")),
        sa.UniqueConstraint("sha256", name=op.f("uq_photos_sha256")),
    )
    op.create_index(op.f("ix_photos_observation_id"), "photos", ["observation_id"], unique=False)
    op.create_index("ix_photos_withdrawn", "photos", ["withdrawn"], unique=False)


def downgrade() -> None:
    """Drop all tables."""
    op.drop_index("ix_photos_withdrawn", table_name="photos")
    op.drop_index(op.f("ix_photos_observation_id"), table_name="photos")
    op.drop_table("photos")
    op.drop_index(op.f("ix_rejections_import_run_id"), table_name="rejections")
    op.drop_table("rejections")
    op.drop_index(op.f("ix_observations_taxon_id"), table_name="observations")
    op.drop_index(op.f("ix_observations_country_code"), table_name="observations")
    op.drop_table("observations")
    op.drop_index(op.f("ix_checklist_taxa_taxon_id"), table_name="checklist_taxa")
    op.drop_index(op.f("ix_checklist_taxa_checklist_id"), table_name="checklist_taxa")
    op.drop_table("checklist_taxa")
    op.drop_index(op.f("ix_vernacular_names_taxon_id"), table_name="vernacular_names")
    op.drop_table("vernacular_names")
    op.drop_index(op.f("ix_synonyms_taxon_id"), table_name="synonyms")
    op.drop_index(op.f("ix_synonyms_gbif_key"), table_name="synonyms")
    op.drop_table("synonyms")
    op.drop_index(op.f("ix_import_runs_dataset_id"), table_name="import_runs")
    op.drop_table("import_runs")
    op.drop_table("checklists")
    op.drop_index(op.f("ix_taxa_scientific_name"), table_name="taxa")
    op.drop_index(op.f("ix_taxa_parent_id"), table_name="taxa")
    op.drop_table("taxa")
    op.drop_table("snapshots")
    op.drop_table("regions")
    op.drop_table("inspected_files")
    op.drop_table("floras")
    op.drop_table("datasets")
