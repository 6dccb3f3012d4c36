"""Taxa with their lineages, synonyms and vernacular names: found, created where missing, and read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.orm import Session

from database.models import Synonym, Taxon, VernacularName
from retrieval import domain

SPECIES = "species"
LONGEST_NAME = 255  # characters of a scientific name; longer ones are no names


@dataclass(frozen=True, slots=True)
class TaxonEntry:
    """What a source says of one taxon, checked."""

    name: str  # accepted, without authorship
    rank: str = SPECIES  # one of retrieval.domain.RANKS
    authorship: str = ""
    gbif_key: int | None = None
    lineage: tuple[tuple[str, str], ...] = ()  # (rank, name) of what it belongs to, those that are known
    synonyms: tuple[tuple[str, int | None], ...] = ()  # (name, GBIF key)
    vernacular_names: tuple[tuple[str, str], ...] = ()  # (language or "", name)
    toxicity: str = ""


class TaxonRegister:
    """Finds the taxa that sources speak of and creates what is missing, each once.

    Keeps what it has filed, so that a species named by ten thousand photos costs one look-up. What is known is only
    refined, never overwritten: the first source that names a parent, an author or a key keeps its word.
    """

    def __init__(self) -> None:
        self._filed: dict[TaxonEntry, int] = {}
        self._lineages: dict[tuple[tuple[str, str], ...], int | None] = {}

    def file(self, session: Session, entry: TaxonEntry) -> int:
        """Return the id of the accepted taxon that `entry` means: by GBIF key, by name, by synonym, or a new one."""
        known = self._filed.get(entry)
        if known is None:
            known = self._filed[entry] = self._file(session, entry)
        return known

    def _file(self, session: Session, entry: TaxonEntry) -> int:
        taxon = find_taxon(session, entry.name, entry.rank, entry.gbif_key)
        if taxon is None:
            taxon = Taxon(
                scientific_name=entry.name,
                scientific_name_authorship=entry.authorship,
                taxon_rank=entry.rank,
                parent_id=self._parent(session, entry),
                gbif_key=_free_key(session, entry.gbif_key),
            )
            session.add(taxon)
            session.flush()
        elif taxon.scientific_name == entry.name:
            taxon.scientific_name_authorship = taxon.scientific_name_authorship or entry.authorship
            if taxon.gbif_key is None:
                taxon.gbif_key = _free_key(session, entry.gbif_key)
            _refine_parent(session, taxon, self._parent(session, entry))
        else:  # the entry's lineage belongs to a name that is not accepted: Lepista nebularis does not make Lepista
            _add_synonym(session, taxon, entry.name, None)
        taxon.toxicity = taxon.toxicity or entry.toxicity
        for name, key in entry.synonyms:
            _add_synonym(session, taxon, name, key)
        for language, name in entry.vernacular_names:
            _add_vernacular_name(session, taxon, language, name)
        return taxon.id

    def _parent(self, session: Session, entry: TaxonEntry) -> int | None:
        above = domain.RANKS[: domain.RANKS.index(entry.rank)]
        given = {rank: name for rank, name in entry.lineage if name}
        if entry.rank == SPECIES and "genus" not in given:
            given["genus"] = entry.name.partition(" ")[0]
        lineage = tuple((rank, given[rank]) for rank in above if rank in given)
        if lineage not in self._lineages:
            self._lineages[lineage] = _file_lineage(session, lineage)
        return self._lineages[lineage]


def _file_lineage(session: Session, lineage: Sequence[tuple[str, str]]) -> int | None:
    parent: int | None = None
    for rank, name in lineage:
        taxon = find_taxon(session, name, rank, None)
        if taxon is None:
            taxon = Taxon(scientific_name=name, taxon_rank=rank, parent_id=parent)
            session.add(taxon)
            session.flush()
        else:
            _refine_parent(session, taxon, parent)
        parent = taxon.id
    return parent


def _free_key(session: Session, key: int | None) -> int | None:
    """Return `key` unless a taxon of another rank has it: some archives give a species the key of its genus."""
    taken = key is not None and session.scalar(select(Taxon.id).where(Taxon.gbif_key == key)) is not None
    return None if taken else key


def _refine_parent(session: Session, taxon: Taxon, parent_id: int | None) -> None:
    """Put `taxon` under a nearer parent than it has: a family in place of an order, but not another family."""
    if parent_id is None or parent_id == taxon.parent_id:
        return
    if taxon.parent_id is None or _depth(session, parent_id) > _depth(session, taxon.parent_id):
        taxon.parent_id = parent_id
        session.flush()


def _depth(session: Session, taxon_id: int) -> int:
    return domain.RANKS.index(session.get_one(Taxon, taxon_id).taxon_rank)


def _add_synonym(session: Session, taxon: Taxon, name: str, key: int | None) -> None:
    """Let `name` point to `taxon`, unless it is accepted itself or points elsewhere already."""
    if not name or len(name) > LONGEST_NAME:
        return
    synonym = session.scalar(select(Synonym).where(Synonym.scientific_name == name))
    if synonym is not None:
        if synonym.taxon_id == taxon.id and synonym.gbif_key is None:
            synonym.gbif_key = key
    elif session.scalar(select(Taxon.id).where(Taxon.scientific_name == name).limit(1)) is None:
        session.add(Synonym(scientific_name=name, taxon_id=taxon.id, gbif_key=key))
        session.flush()


def _add_vernacular_name(session: Session, taxon: Taxon, language: str, name: str) -> None:
    row = {"taxon_id": taxon.id, "language": language[:16], "vernacular_name": name[:LONGEST_NAME]}
    if name and session.scalar(select(VernacularName.id).filter_by(**row)) is None:
        session.add(VernacularName(**row))
        session.flush()


def find_taxon(session: Session, name: str, rank: str, key: int | None) -> Taxon | None:
    """Find the accepted taxon of this rank by GBIF key, then by name, then as a synonym."""
    at_rank = select(Taxon).where(Taxon.taxon_rank == rank)
    by_synonym = at_rank.join(Synonym, Synonym.taxon_id == Taxon.id).order_by(Synonym.id).limit(1)
    found = None
    if key is not None:
        found = session.scalar(at_rank.where(Taxon.gbif_key == key))
        found = found or session.scalar(by_synonym.where(Synonym.gbif_key == key))
    found = found or session.scalar(at_rank.where(Taxon.scientific_name == name))
    return found or session.scalar(by_synonym.where(Synonym.scientific_name == name))


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
