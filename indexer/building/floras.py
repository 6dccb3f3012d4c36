"""Floras: defined by checklists, regions and lists of names, resolved to species, and their coverage by photos."""

from __future__ import annotations

import difflib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from database.collection.photos import species_with_photos
from database.session import Session
from database.taxonomy import checklists as listed
from database.taxonomy import floras as kept
from database.taxonomy import regions as areas
from database.taxonomy import taxa as names
from database.taxonomy.floras import FloraEntry
from indexer.curation.checklists import read_checklist
from indexer.curation.regions import RegionMap, country_region, find_unit
from indexer.records import RejectedRecord
from retrieval.domain import WORLD, Taxon
from retrieval.errors import BuildError

PLACES = 50_000  # places tested at once
CLOSE = 0.8  # smallest similarity of a suggested name (difflib ratio, 0 to 1)


@dataclass(frozen=True, slots=True)
class UnmatchedName:
    """A name of a list that matches no taxon, with a similar name as suggestion, if any."""

    name: str
    file: str
    line: int
    suggestion: str = ""

    def __str__(self) -> str:
        hint = f"; did you mean {self.suggestion}?" if self.suggestion else ""
        return f"{self.file}, line {self.line}: {self.name} matches no taxon{hint}"


@dataclass(frozen=True, slots=True)
class Coverage:
    """How many species of a flora have reference photos."""

    flora: str
    species: int  # of the flora
    pictured: int  # of these, with at least one photo
    missing: tuple[Taxon, ...]  # of these, without a photo; by name


@dataclass(frozen=True, slots=True)
class AddedFlora:
    """The result of `define_flora`."""

    entry: FloraEntry
    added: bool  # False: an identical flora existed
    species: int
    unmatched: tuple[UnmatchedName, ...]


def define_flora(
    session: Session,
    flora_id: str,
    *,
    title: str = "",
    checklists: Sequence[str] = (),
    countries: Sequence[str] = (),
    units: Sequence[str] = (),
    regions: Sequence[str] = (),
    lists: Sequence[Path] = (),
) -> AddedFlora:
    """Store a flora that is the union of all parts; names that match no taxon are returned with their lines.

    Raises BuildError for an unknown part, or a flora without species.
    """
    if not (checklists or countries or units or regions or lists):
        raise BuildError(
            f"flora {flora_id!r} would be made of nothing: give --checklist, --country, --wgsrpd, --region or --names"
        )
    for checklist in checklists:
        listed.listed_species(session, checklist)
    wanted = [areas.region(session, region).id for region in regions]
    for country in countries:
        area = country_region(country)
        areas.put_region(session, area)
        wanted.append(area.id)
    if units:
        known = list(areas.regions(session, areas.WGSRPD))
        wanted.extend(find_unit(known, unit).id for unit in units)
    given, unmatched = _read_names(session, lists)
    entry = FloraEntry(
        id=flora_id,
        title=title or flora_id,
        checklists=tuple(sorted(set(checklists))),
        regions=tuple(sorted(set(wanted))),
        names=tuple(given),
    )
    species = _species_of(session, entry)
    if not species:
        raise BuildError(
            f"flora {flora_id!r} would hold no species: "
            + (_say(unmatched) if unmatched else "import a checklist or observations of its region first")
        )
    return AddedFlora(entry, kept.add_flora(session, entry), len(species), tuple(unmatched))


def resolve_flora(session: Session, flora: FloraEntry) -> set[int]:
    """Return the ids of the species of `flora`, with photos or without.

    The flora `world` has every species that has photos.
    """
    return species_with_photos(session) if flora.id == WORLD else _species_of(session, flora)


def coverage(session: Session, flora: FloraEntry) -> Coverage:
    """Compare the species of `flora` with those that have photos."""
    species = resolve_flora(session, flora)
    pictured = species & species_with_photos(session)
    missing = [taxon for taxon in names.taxa(session) if taxon.id in species and taxon.id not in pictured]
    missing.sort(key=lambda taxon: (taxon.name, taxon.id))
    return Coverage(flora.id, len(species), len(pictured), tuple(missing))


def _species_of(session: Session, flora: FloraEntry) -> set[int]:
    species: set[int] = set()
    for checklist in flora.checklists:
        species |= listed.listed_species(session, checklist)
    if flora.regions:
        species |= _species_in_regions(session, flora.regions)
    if flora.names:
        species |= _species_named(session, flora.names)
    return species


def _species_in_regions(session: Session, region_ids: Sequence[str]) -> set[int]:
    """Return species that checklists list for the regions or their countries, or that were observed there."""
    wanted = [areas.region(session, region_id) for region_id in region_ids]
    kinds = {region.kind for region in wanted if region.geometry is not None}
    others = [region for kind in sorted(kinds) for region in areas.regions(session, kind)]
    region_map = RegionMap(others)
    species: set[int] = set()
    for region in wanted:
        species |= listed.listed_for_countries(session, frozenset(region.country_codes))
        species |= listed.listed_for_region(session, region.id)
    observed = areas.observed_places(session)
    while places := list(islice(observed, PLACES)):
        for region in wanted:
            species |= region_map.species_in(region, places)
    return species


def _species_named(session: Session, given: Sequence[tuple[str, int | None]]) -> set[int]:
    taxa = {taxon.id: taxon for taxon in names.taxa(session)}
    by_key = {taxon.gbif_key: taxon.id for taxon in taxa.values() if taxon.gbif_key is not None}
    by_name = names.named_taxa(session)
    children: dict[int | None, list[int]] = defaultdict(list)
    for taxon in taxa.values():
        children[taxon.parent].append(taxon.id)
    species: set[int] = set()
    for name, key in given:
        found = by_key.get(key) if key is not None else None
        found = by_name.get(name) if found is None else found
        if found is not None:
            species.update(_species_below(taxa[found], taxa, children))
    return species


def _species_below(taxon: Taxon, taxa: dict[int, Taxon], children: dict[int | None, list[int]]) -> Iterator[int]:
    """Yield the taxon itself if it is a species, otherwise all species below it."""
    waiting = [taxon.id]
    while waiting:
        at = waiting.pop()
        if taxa[at].rank == names.SPECIES:
            yield at
        waiting.extend(children[at])


def _read_names(session: Session, lists: Sequence[Path]) -> tuple[list[tuple[str, int | None]], list[UnmatchedName]]:
    """Return the names that match a taxon, in order, and those that match none."""
    if not lists:
        return [], []
    by_name = names.named_taxa(session)
    keys = {taxon.gbif_key for taxon in names.taxa(session) if taxon.gbif_key is not None}
    given: dict[tuple[str, int | None], None] = {}
    unmatched: list[UnmatchedName] = []
    for path in lists:
        for line in read_checklist(path):
            if isinstance(line, RejectedRecord):
                unmatched.append(UnmatchedName(f"{line.detail} ({line.reason})", line.file, line.line))
                continue
            if line.occurrence_status != listed.PRESENT:
                continue
            name = as_written(line.scientific_name)
            if name in by_name or line.gbif_key in keys:
                given[name, line.gbif_key if line.gbif_key in keys else None] = None
            else:
                unmatched.append(UnmatchedName(line.scientific_name, line.file, line.line, suggest(name, by_name)))
    return list(given), unmatched


def as_written(name: str) -> str:
    """Normalise a typed name: one capital, single spaces."""
    return " ".join(name.split()).capitalize()


def suggest(name: str, known: Sequence[str] | dict[str, int]) -> str:
    """Return the known name most similar to `name`, or empty text if none is similar."""
    epithet = name.rpartition(" ")[2]
    # Only names with the same first letter or last word: comparing with all takes a second for each line.
    near = [other for other in known if other[:1] == name[:1] or other.rpartition(" ")[2] == epithet]
    found = difflib.get_close_matches(name, sorted(near), n=1, cutoff=CLOSE)
    return found[0] if found else ""


def _say(unmatched: Sequence[UnmatchedName]) -> str:
    return "none of its names matches a taxon; " + "; ".join(str(name) for name in unmatched[:3])
