"""GBIF keys: filled in wherever a list, an archive or a reply of GBIF says them, and never that of another name."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from database.session import Database
from database.taxonomy.taxa import TaxonEntry, TaxonRegister, taxa
from indexer.archives.terms import TABLE_TERMS, find_columns
from indexer.curation.curate import CurationPolicy, curate
from indexer.curation.listing import import_checklist
from indexer.curation.names import KnownNames
from indexer.importing import _taxon_entry
from indexer.records import CuratedRecord, Record

BACKBONE = '<eml:eml packageId="d7dddbf4-2cf0-4f39-9b2a-bb099caae36c/v1"/>'
HIGHER = "kingdom,kingdomKey,phylum,phylumKey,order,orderKey,family,familyKey,genus,genusKey"
ABOVE = "Fungi,5,Basidiomycota,34,Agaricales,1499,Amanitaceae,4171,Amanita,6005964"
KEYS_ABOVE = {"Fungi": 5, "Basidiomycota": 34, "Agaricales": 1499, "Amanitaceae": 4171, "Amanita": 6005964}


@pytest.fixture
def system() -> str:
    """One is enough: what differs between the two is tested in tests/database."""
    return "sqlite"


def keys(database: Database) -> dict[str, int | None]:
    """The GBIF key of every taxon."""
    with database.reading() as session:
        return {taxon.name: taxon.gbif_key for taxon in taxa(session)}


def write(folder: Path, files: Mapping[str, str]) -> Path:
    """A folder of files, or the file where there is one."""
    folder.mkdir()
    for name, text in files.items():
        (folder / name).write_text(text + "\n", encoding="utf-8")
    return folder if len(files) > 1 else folder / next(iter(files))


HEADERS = ("taxonKey", "nubKey", "usageKey", "gbif_key", "GBIF key", "gbif_id", "gbifTaxonID", "speciesKey")
OF_A_SEARCH = f"""\
taxonKey,scientificName,acceptedTaxonKey,acceptedScientificName,taxonRank,taxonomicStatus,species,speciesKey,{HIGHER}
11,Amanita muscaria (L.) Hook.,12,Amanita muscaria (L.) Lam.,SPECIES,SYNONYM,Amanita muscaria,12,{ABOVE}
13,Amanita citrina var. alba Rea,13,Amanita citrina var. alba,VARIETY,ACCEPTED,Amanita citrina,14,{ABOVE}
15,Agaricus pantherinus DC.,16,Amanita pantherina (DC.) Krombh.,SPECIES,SYNONYM,Amanita pantherina,16,{ABOVE}
17,Amanita rubescens Pers.,17,Amanita rubescens Pers.,SPECIES,ACCEPTED,Amanita rubescens,17,{ABOVE}"""
OF_THE_MATCHING_TOOL = f"""\
verbatimScientificName,scientificName,key,matchType,status,rank,species,speciesKey,{HIGHER}
amanita citrna,Amanita citrina Pers.,99,FUZZY,ACCEPTED,SPECIES,Amanita citrina,14,{ABOVE}"""
TAXA = """\
taxonID,parentNameUsageID,acceptedNameUsageID,scientificName,taxonRank,taxonomicStatus,kingdom,family,genus
12,6005964,,Amanita muscaria (L.) Lam.,species,accepted,Fungi,Amanitaceae,Amanita
11,6005964,12,Agaricus muscarius L.,species,synonym,Fungi,Amanitaceae,Amanita
15,6005964,16,Agaricus pantherinus DC.,species,synonym,Fungi,Amanitaceae,Amanita
16,6005964,,Amanita pantherina (DC.) Krombh.,species,accepted,Fungi,Amanitaceae,Amanita
6005964,4171,,Amanita Pers.,genus,accepted,Fungi,Amanitaceae,Amanita
4171,5,,Amanitaceae,family,accepted,Fungi,Amanitaceae,"""
IN_THE_BACKBONE = {"Amanitaceae": 4171, "Amanita": 6005964, "Amanita muscaria": 12, "Amanita pantherina": 16}
CITRINA = {"Amanita": None, "Amanita citrina": 14}


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        pytest.param(
            {"list.csv": OF_A_SEARCH},
            KEYS_ABOVE
            | {"Amanita muscaria": 12, "Amanita citrina": 14, "Amanita pantherina": 16, "Amanita rubescens": 17},
            id="species list of a search",
        ),
        pytest.param({"m.csv": OF_THE_MATCHING_TOOL}, KEYS_ABOVE | {"Amanita citrina": 14}, id="matching tool"),
        pytest.param({"eml.xml": BACKBONE, "Taxon.csv": TAXA}, {"Fungi": None} | IN_THE_BACKBONE, id="GBIF's backbone"),
        pytest.param(
            {"eml.xml": "<eml:eml packageId='another'/>", "Taxon.csv": TAXA},
            dict.fromkeys(["Fungi", *IN_THE_BACKBONE]),
            id="numbers of another list",
        ),
        pytest.param(
            {"l.csv": "taxonID,name\nhttps://www.gbif.org/species/14,Amanita citrina\ngbif:17,Amanita rubescens"},
            CITRINA | {"Amanita rubescens": 17},
            id="addresses as ids",
        ),
        pytest.param(
            {"l.csv": 'ID,alternativeID,status,scientificName\nA,"tsn:5,gbif:14",accepted,Amanita citrina'},
            CITRINA,
            id="other ids of ColDP",
        ),
        pytest.param(
            {"l.csv": "taxonConceptID,scientificName\nhttps://www.gbif.org/species/14,Amanita citrina"},
            CITRINA,
            id="concept",
        ),
        *(pytest.param({"l.csv": f"scientificName,{name}\nAmanita citrina,14"}, CITRINA, id=name) for name in HEADERS),
        pytest.param(
            {"l.csv": "gbifID,occurrenceID,scientificName,taxonKey\n4909740830,x,Amanita citrina,"},
            {"Amanita": None, "Amanita citrina": None},
            id="number of an occurrence",
        ),
    ],
)
def test_a_list_gives_the_keys_that_it_has(
    database: Database, tmp_path: Path, files: Mapping[str, str], expected: Mapping[str, int | None]
) -> None:
    import_checklist(database, write(tmp_path / "list", files), checklist="list")

    assert keys(database) == expected


def test_keys_come_to_what_was_there_without_them(database: Database, tmp_path: Path) -> None:
    with database.writing() as session:
        entry = TaxonEntry("Amanita citrina", lineage=(("kingdom", "Fungi"), ("family", "Amanitaceae")))
        TaxonRegister().file(session, entry)
    text = f"scientificName,taxonKey,{HIGHER}\nAmanita citrina,14,{ABOVE}\nAmanita rubescens,14,{ABOVE}"

    report = import_checklist(database, write(tmp_path / "list", {"list.csv": text}), checklist="list")

    assert keys(database) == KEYS_ABOVE | {"Amanita citrina": 14, "Amanita rubescens": None}  # whose key it is not
    assert [remark.reason for remark in report.remarks] == ["key-of-another-species"]


@pytest.mark.parametrize(
    ("cells", "species", "above"),
    [
        ({"taxonKey": "12", "speciesKey": "12"}, 12, {}),
        ({"taxonKey": "11", "acceptedTaxonKey": "12", "species": "Amanita muscaria"}, 12, {}),
        ({"genus": "Amanita", "genusKey": "6005964", "family": "Amanitaceae", "familyKey": "4171"}, None,
         {"genus": 6005964, "family": 4171}),
        ({"genus": "Agaricus", "genusKey": "1"}, None, {}),  # the genus of the name given, not of the accepted one
        ({"kingdom": "Mycota", "kingdomKey": "5", "order": "Agaricales", "orderKey": "1499.0"}, None,
         {"kingdom": 5, "order": 1499}),
        ({"family": "", "familyKey": "4171", "genusKey": "x"}, None, {}),
    ],
)  # fmt: skip
def test_an_archive_gives_the_keys_of_a_species_and_of_what_it_belongs_to(
    database: Database, cells: dict[str, str], species: int | None, above: dict[str, int]
) -> None:
    row = {"scientificName": "Amanita muscaria", "license": "CC0", "creator": "A. Author", **cells}
    fields: dict[str, Any] = {**find_columns(list(row), TABLE_TERMS).read(list(row.values()))}
    record = Record(photo="a.jpg", **fields)

    curated = curate(record, CurationPolicy(date(2026, 1, 1)), KnownNames({}, {}))

    assert isinstance(curated, CuratedRecord), curated
    assert (curated.species_key, dict(curated.lineage_keys)) == (species, above)
    with database.writing() as session:
        TaxonRegister().file(session, _taxon_entry(curated))
    names = dict(curated.lineage)
    filed = keys(database)
    assert filed["Amanita muscaria"] == species
    assert {rank: filed[names[rank]] for rank in above} == above
