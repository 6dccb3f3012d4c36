"""The checklist of a region from GBIF: species with enough records, their names, and their counts by month."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from indexer.curation.places import parse_language
from indexer.harvesting.gbif import PRESENT, WITH_PHOTOS, Gbif, text_of
from indexer.harvesting.stored import MONTHS, RegionFolder, RegionPlan, SpeciesCounts, write_table
from retrieval.domain import RANKS
from retrieval.errors import BuildError
from retrieval.progress import Progress, silent

KEEP = "checklist"  # the group of replies
GROUPS = {"Fungi": "KINGDOM", "Myxomycetes": "CLASS"}
"""Groups of organisms with their ranks in GBIF's backbone; the second are the slime moulds."""
LICHENS = frozenset({
    "Lecanoromycetes", "Lichinomycetes", "Arthoniomycetes", "Coniocybomycetes", "Candelariomycetes",
    "Verrucariales", "Pyrenulales", "Trypetheliales", "Strigulales", "Monoblastiales", "Collemopsidiales",
})  # fmt: skip
"""Classes and orders of which nearly all species are lichenised."""
TAXON_HEADER = (
    "taxonID", "scientificName", "scientificNameAuthorship", "taxonRank", "taxonomicStatus", "acceptedNameUsageID",
    *RANKS[:-1], *(f"{rank}Key" for rank in RANKS[:-1]),
)  # fmt: skip
SPECIES_PAGE = "https://www.gbif.org/species/"


@dataclass(frozen=True, slots=True)
class GatheredChecklist:
    """What was gathered for a checklist."""

    counts: tuple[SpeciesCounts, ...]  # of the species present
    scarce: int  # species with too few records, years or datasets
    left_out: int  # species that are lichens and not wanted, or not in the backbone
    vernacular_names: int
    synonyms: int
    threatened: int  # species of the categories VU, EN, CR


def find_groups(gbif: Gbif, names: Sequence[str]) -> tuple[tuple[str, int], ...]:
    """Return the groups that GBIF's backbone has, with their keys. Raises BuildError where it has none of them."""
    found = [(name, key) for name in names if (key := gbif.match(name, GROUPS[name], keep=KEEP)) is not None]
    if not found:
        raise BuildError(f"GBIF's backbone has no {' or '.join(names)}")
    return tuple(found)


def gather_checklist(
    gbif: Gbif, plan: RegionPlan, folder: RegionFolder, progress: Progress = silent
) -> GatheredChecklist:
    """Gather the checklist of a region and write it with its counts; a run that was cut short goes on where it was."""
    everything = count_species(gbif, plan, progress)
    present = [one for one in everything if one.records >= plan.records]
    if plan.years > 1 or plan.datasets > 1:
        present = [one for one in present if is_well_recorded(gbif, plan, one.key)]
    taxa, distribution, spoken = [], [], []
    counts, left_out, synonyms, threatened = [], 0, 0, 0
    for one in present:
        progress("names", 1, len(present))
        taxon = gbif.species(one.key, keep=KEEP)
        name = text_of((taxon or {}).get("canonicalName"))
        if taxon is None or " " not in name or (not plan.lichens and is_lichen(taxon)):
            left_out += 1
            continue
        identifier = f"{SPECIES_PAGE}{one.key}"
        counts.append(replace(one, name=name))
        taxa.append(taxon_row(taxon, identifier))
        for synonym in gbif.names(one.key, "synonyms", keep=KEEP):
            if row := synonym_row(synonym, identifier):
                taxa.append(row)
                synonyms += 1
        spoken += [
            [identifier, vernacular, language]
            for vernacular, language in find_spoken(gbif.names(one.key, "vernacularNames", keep=KEEP), plan.languages)
        ]
        threat = gbif.threat_status(one.key, keep=KEEP)
        threatened += threat in ("VU", "EN", "CR")
        distribution += [[identifier, code, "present", threat] for code in plan.countries or ("",)]
    write_table(folder.checklist / "taxon.csv", TAXON_HEADER, taxa)
    write_table(folder.checklist / "vernacularname.csv", ("taxonID", "vernacularName", "language"), spoken)
    header = ("taxonID", "countryCode", "occurrenceStatus", "threatStatus")
    write_table(folder.checklist / "distribution.csv", header, distribution)
    folder.write_counts(counts)
    scarce = len(everything) - len(present)
    return GatheredChecklist(tuple(counts), scarce, left_out, len(spoken), synonyms, threatened)


def count_species(gbif: Gbif, plan: RegionPlan, progress: Progress = silent) -> list[SpeciesCounts]:
    """Count the occurrences of every species, those with photos, and those of each month, by key."""
    records, pictured = dict[str, int](), dict[str, int]()
    months: list[dict[str, int]] = [{} for _ in MONTHS]
    for _, group in plan.groups:
        where = (*plan.area, ("taxonKey", str(group)))
        records |= gbif.facets("speciesKey", (*where, *PRESENT), keep=KEEP)
        pictured |= gbif.facets("speciesKey", (*where, *WITH_PHOTOS), keep=KEEP)
        progress("counts", 1, len(plan.groups) * 13)
        for month in MONTHS:
            parameters = (*where, *PRESENT, ("month", str(month)))
            months[month - 1] |= gbif.facets("speciesKey", parameters, keep=KEEP)
            progress("counts", 1, len(plan.groups) * 13)
    return [
        SpeciesCounts(int(key), "", count, pictured.get(key, 0), tuple(month.get(key, 0) for month in months))
        for key, count in sorted(records.items(), key=lambda item: int(item[0]))
    ]


def is_well_recorded(gbif: Gbif, plan: RegionPlan, key: int) -> bool:
    """Return whether a species was recorded in enough years and by enough datasets."""
    parameters = (*plan.area, ("taxonKey", str(key)), *PRESENT)
    if plan.years > 1 and len(gbif.facets("year", parameters, keep=KEEP)) < plan.years:
        return False
    return plan.datasets <= 1 or len(gbif.facets("datasetKey", parameters, keep=KEEP)) >= plan.datasets


def is_lichen(taxon: Mapping[str, Any]) -> bool:
    """Return whether a taxon belongs to a class or order of lichens."""
    return not LICHENS.isdisjoint({text_of(taxon.get("class")), text_of(taxon.get("order"))})


def taxon_row(taxon: Mapping[str, Any], identifier: str) -> list[str]:
    """Return the line of an accepted species."""
    lineage = [text_of(taxon.get(rank)) for rank in RANKS[:-1]]
    keys = [text_of(taxon.get(f"{rank}Key")) for rank in RANKS[:-1]]
    name, authorship = text_of(taxon.get("canonicalName")), text_of(taxon.get("authorship")).strip()
    return [identifier, name, authorship, "species", "accepted", "", *lineage, *keys]


def synonym_row(synonym: Mapping[str, Any], accepted: str) -> list[str]:
    """Return the line of a synonym of species rank; empty for others."""
    name, key = text_of(synonym.get("canonicalName")), text_of(synonym.get("key"))
    if text_of(synonym.get("rank")) != "SPECIES" or " " not in name or not key:
        return []
    authorship = text_of(synonym.get("authorship")).strip()
    blank = [""] * (2 * len(RANKS[:-1]))
    return [f"{SPECIES_PAGE}{key}", name, authorship, "species", "synonym", accepted, *blank]


def find_spoken(names: Any, languages: Sequence[str]) -> list[tuple[str, str]]:
    """Return the vernacular names in the languages asked for, each once, with its language."""
    found: dict[tuple[str, str], None] = {}
    for name in names:
        language = parse_language(text_of(name.get("language")))
        spoken = " ".join(text_of(name.get("vernacularName")).split())
        if spoken and language in languages:
            found.setdefault((spoken, language))
    return list(found)
