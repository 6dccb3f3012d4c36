"""Taxa with their lineages, synonyms and vernacular names: found, created where missing, and read."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import select
from sqlalchemy.orm import Session

from database.models import Synonym, Taxon, VernacularName
from database.taxonomy.register import LONGEST_NAME, SPECIES, TaxonEntry, TaxonRegister
from retrieval import domain

__all__ = [
    "LONGEST_NAME", "SPECIES", "Accepted", "TaxonEntry", "TaxonRegister", "known_names", "named_taxa", "synonyms",
    "taxa", "toxicities", "vernacular_names",
]  # fmt: skip


def taxa(session: Session) -> Iterator[domain.Taxon]:
    """Every taxon, by id. A parent may come after its child."""
    for taxon in session.scalars(select(Taxon).order_by(Taxon.id).execution_options(yield_per=1000)):
        yield _as_domain(taxon)


def synonyms(session: Session) -> Iterator[tuple[str, int]]:
    """Every synonym with the id of the taxon it points to, by name."""
    found = session.execute(
        select(Synonym.scientific_name, Synonym.taxon_id).order_by(Synonym.scientific_name, Synonym.id)
    )
    yield from found


def vernacular_names(session: Session) -> Iterator[tuple[int, str, str]]:
    """Every vernacular name as (taxon id, language or "", name)."""
    row = VernacularName
    found = session.execute(
        select(row.taxon_id, row.language, row.vernacular_name).order_by(row.taxon_id, row.language, row.id)
    )
    yield from found


def toxicities(session: Session) -> dict[int, str]:
    """What sources say of the poison of taxa, where they say something. Silence means nothing."""
    found = session.execute(select(Taxon.id, Taxon.toxicity).where(Taxon.toxicity != "").order_by(Taxon.id))
    return dict(found.all())


Accepted = tuple[str, int | None]  # accepted species name and its GBIF key


def known_names(session: Session) -> tuple[dict[str, Accepted], dict[int, Accepted]]:
    """Every name and every GBIF key of a species, accepted or synonym, with the accepted species it means."""
    by_name: dict[str, Accepted] = {}
    by_key: dict[int, Accepted] = {}
    is_species = Taxon.taxon_rank == SPECIES
    pointing = (
        select(Synonym.scientific_name, Synonym.gbif_key, Taxon.scientific_name, Taxon.gbif_key)
        .join(Taxon, Taxon.id == Synonym.taxon_id)
        .where(is_species)
        .order_by(Synonym.id.desc())  # the first to claim a key is written last and stays
    )
    for name, key, accepted, accepted_key in session.execute(pointing):
        by_name[name] = (accepted, accepted_key)
        if key is not None:
            by_key[key] = (accepted, accepted_key)
    for name, key in session.execute(select(Taxon.scientific_name, Taxon.gbif_key).where(is_species)):
        by_name[name] = (name, key)
        if key is not None:
            by_key[key] = (name, key)
    return by_name, by_key


def named_taxa(session: Session) -> dict[str, int]:
    """Every name, accepted at any rank or synonym, with the id of the taxon it means."""
    named: dict[str, int] = dict(session.execute(select(Synonym.scientific_name, Synonym.taxon_id)).all())
    ranked = sorted(
        (domain.RANKS.index(rank), name, taxon_id)
        for name, rank, taxon_id in session.execute(select(Taxon.scientific_name, Taxon.taxon_rank, Taxon.id))
    )
    named.update((name, taxon_id) for _, name, taxon_id in ranked)  # the narrowest taxon of a name is written last
    return named


def _as_domain(taxon: Taxon) -> domain.Taxon:
    return domain.Taxon(
        id=taxon.id,
        name=taxon.scientific_name,
        rank=taxon.taxon_rank,
        parent=taxon.parent_id,
        authorship=taxon.scientific_name_authorship,
        gbif_key=taxon.gbif_key,
    )
