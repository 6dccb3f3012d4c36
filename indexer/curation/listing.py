"""The import of a checklist: its lines -> taxa of the catalogue -> what the checklist says of each."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from database.session import Database
from database.taxonomy.checklists import PRESENT, ListedTaxon, replace_checklist
from database.taxonomy.taxa import LONGEST_NAME, SPECIES, TaxonEntry, TaxonRegister
from indexer.curation.checklists import ChecklistLine, read_checklist
from indexer.curation.names import parse_name
from indexer.records import RejectedRecord
from retrieval.domain import RANKS

WIDER_RANKS = RANKS[:-1]


@dataclass(frozen=True, slots=True)
class ChecklistReport:
    """What became of the lines of a checklist: accepted + rejected = read."""

    checklist: str
    read: int
    accepted: int
    taxa: int  # pairs of taxon and country that the checklist now speaks of
    added: int  # of these, those that it did not speak of before
    present: int  # species that are listed as present anywhere
    statuses: tuple[tuple[str, int], ...]  # (status other than present, pairs)
    rejections: tuple[RejectedRecord, ...]


def import_checklist(
    database: Database, path: Path, *, checklist: str, title: str = "", region: str = ""
) -> ChecklistReport:
    """Read a checklist and let it replace what was known under its id; run twice, it changes nothing.

    Names are found by GBIF key, accepted name or synonym; others become new taxa. Raises ArchiveError, DatabaseError.
    """
    lines = list(read_checklist(path))
    rejections = [line for line in lines if isinstance(line, RejectedRecord)]
    with database.writing() as session:
        register = TaxonRegister()
        said: dict[tuple[int, str], ListedTaxon] = {}
        species: dict[int, bool] = {}
        for line in lines:
            if isinstance(line, RejectedRecord):
                continue
            entry = _entry(line)
            if isinstance(entry, RejectedRecord):
                rejections.append(entry)
                continue
            taxon = register.file(session, entry)
            for listed in _listed(line, taxon):
                known = said.get((taxon, listed.country_code))
                if known is None or listed.occurrence_status == PRESENT != known.occurrence_status:
                    said[taxon, listed.country_code] = listed  # present anywhere in a country is present
            species[taxon] = entry.rank == SPECIES
        added = replace_checklist(session, checklist, said, title=title, region=region, source=str(path))
    statuses = Counter(line.occurrence_status for line in said.values() if line.occurrence_status != PRESENT)
    present = {line.taxon for line in said.values() if line.occurrence_status == PRESENT and species[line.taxon]}
    return ChecklistReport(
        checklist=checklist,
        read=len(lines),
        accepted=len(lines) - len(rejections),
        taxa=len(said),
        added=added,
        present=len(present),
        statuses=tuple(sorted(statuses.items())),
        rejections=tuple(sorted(rejections, key=lambda rejection: (rejection.file, rejection.line))),
    )


def _entry(line: ChecklistLine) -> TaxonEntry | RejectedRecord:
    """Say which accepted taxon a line means; what stands within a species is listed as the species."""
    given = line.synonym_of or line.scientific_name
    rank = line.taxon_rank if line.taxon_rank in WIDER_RANKS else SPECIES
    name = given if rank in WIDER_RANKS else parse_name(given).species
    if not name or len(name) > LONGEST_NAME:
        said = f"of rank {line.taxon_rank}" if line.taxon_rank else "no scientific name"
        return RejectedRecord(
            "not-to-species", f"{given[:80]!r} is {said}, which no flora counts", line.file, line.line
        )
    is_same = name == line.scientific_name
    return TaxonEntry(
        name=name,
        rank=rank,
        authorship=line.scientific_name_authorship if is_same else "",
        gbif_key=line.gbif_key if is_same else None,
        lineage=line.lineage if not line.synonym_of else (),
        synonyms=((line.scientific_name, line.gbif_key),) if line.synonym_of else (),
        vernacular_names=line.vernacular_names,
        toxicity=line.toxicity,
    )


def _listed(line: ChecklistLine, taxon: int) -> list[ListedTaxon]:
    return [
        ListedTaxon(taxon, country, line.occurrence_status or PRESENT, line.establishment_means, line.toxicity)
        for country in line.country_codes or ("",)
    ]
