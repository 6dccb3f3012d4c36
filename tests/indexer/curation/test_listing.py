from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from database.errors import DatabaseError
from database.session import Database
from database.taxonomy.checklists import listed_for_countries, listed_species
from database.taxonomy.taxa import TaxonEntry, TaxonRegister, synonyms, taxa, vernacular_names
from indexer.curation.listing import ChecklistReport, import_checklist

Read = Callable[..., ChecklistReport]

HEADER = "scientificName,taxonRank,family,countryCode,occurrenceStatus,taxonomicStatus,acceptedNameUsage\n"


@pytest.fixture
def read(database: Database, tmp_path: Path) -> Read:
    """Imports the lines as the checklist `be`."""

    def load(*lines: str, header: str = HEADER, region: str = "") -> ChecklistReport:
        (tmp_path / "list.csv").write_text(header + "".join(f"{line}\n" for line in lines), encoding="utf-8")
        return import_checklist(database, tmp_path / "list.csv", checklist="be", region=region)

    return load


def present(database: Database) -> set[str]:
    with database.reading() as session:
        listed = listed_species(session, "be")
        return {taxon.name for taxon in taxa(session) if taxon.id in listed}


def test_new_names_become_taxa_with_what_is_known_of_them(database: Database, read: Read) -> None:
    report = read("Puccinia graminis Pers.,species,Pucciniaceae,BE,present,,", "Xenodochus carbonarius,species,,BE,,,")

    assert (report.read, report.accepted, report.present) == (2, 2, 2)
    assert present(database) == {"Puccinia graminis", "Xenodochus carbonarius"}
    with database.reading() as session:
        found = {taxon.name: taxon for taxon in taxa(session)}
    assert found["Puccinia graminis"].authorship == "Pers."
    assert found["Puccinia"].parent == found["Pucciniaceae"].id
    assert found["Xenodochus carbonarius"].parent == found["Xenodochus"].id


def test_known_taxa_are_found_by_name_synonym_and_key(database: Database, read: Read) -> None:
    with database.writing() as session:
        register = TaxonRegister()
        register.file(session, TaxonEntry("Clitocybe nebularis", synonyms=(("Lepista nebularis", None),)))
        register.file(session, TaxonEntry("Boletus edulis", gbif_key=77))

    read("Lepista nebularis,", "Boletus edulus,https://www.gbif.org/species/77", header="scientificName,taxonID\n")

    assert present(database) == {"Clitocybe nebularis", "Boletus edulis"}


def test_absent_and_doubtful_taxa_are_kept_and_not_counted(database: Database, read: Read) -> None:
    report = read(
        "Puccinia graminis,species,,BE,present,,",
        "Puccinia malvacearum,species,,BE,absent,,",
        "Puccinia hordei,species,,BE,doubtful,,",
    )

    assert report.statuses == (("absent", 1), ("doubtful", 1))
    assert (report.accepted, report.present, report.taxa) == (3, 1, 3)
    assert present(database) == {"Puccinia graminis"}


@pytest.mark.parametrize("order", [slice(None), slice(None, None, -1)], ids=["as written", "backwards"])
def test_a_taxon_that_is_present_anywhere_in_a_country_is_present(database: Database, read: Read, order: slice) -> None:
    lines = ["Puccinia graminis,species,,BE,doubtful,,", "Puccinia graminis,species,,BE,present,,"]

    read(*lines[order])

    assert present(database) == {"Puccinia graminis"}


def test_the_status_holds_for_its_country(database: Database, read: Read) -> None:
    read("Puccinia graminis,species,,BE,present,,", "Puccinia graminis,species,,NL,absent,,")

    with database.reading() as session:
        assert len(listed_for_countries(session, frozenset({"BE"}))) == 1
        assert listed_for_countries(session, frozenset({"NL"})) == set()


def test_what_stands_within_a_species_is_listed_as_the_species(database: Database, read: Read) -> None:
    read("Puccinia graminis subsp. graminicola Z. Urb.,subspecies,,BE,present,,")

    assert present(database) == {"Puccinia graminis"}


def test_a_genus_is_kept_and_lists_no_species(database: Database, read: Read) -> None:
    report = read("Puccinia,genus,,BE,present,,", "Puccinia graminis,species,,BE,present,,")

    assert (report.accepted, report.present) == (2, 1)
    assert present(database) == {"Puccinia graminis"}


def test_a_synonym_lists_the_accepted_taxon(database: Database, read: Read) -> None:
    read("Lepista nebularis,species,,BE,present,synonym,Clitocybe nebularis")

    assert present(database) == {"Clitocybe nebularis"}
    with database.reading() as session:
        assert [name for name, _ in synonyms(session)] == ["Lepista nebularis"]


def test_a_checklist_read_twice_changes_nothing(database: Database, read: Read) -> None:
    lines = ["Puccinia graminis Pers.,species,Pucciniaceae,BE,present,,", "Puccinia hordei,species,,BE,doubtful,,"]
    first = read(*lines)
    with database.reading() as session:
        before = list(taxa(session)), list(synonyms(session)), list(vernacular_names(session))

    second = read(*lines)

    assert (first.added, second.added) == (2, 0)
    assert (second.read, second.accepted, second.taxa) == (first.read, first.accepted, first.taxa)
    with database.reading() as session:
        assert (list(taxa(session)), list(synonyms(session)), list(vernacular_names(session))) == before


def test_a_name_taken_off_the_list_is_no_longer_listed(database: Database, read: Read) -> None:
    read("Puccinia graminis,species,,BE,present,,", "Puccinia hordei,species,,BE,present,,")

    read("Puccinia hordei,species,,BE,present,,")

    assert present(database) == {"Puccinia hordei"}


def test_lines_that_say_nothing_usable_are_rejected_by_line(database: Database, read: Read) -> None:
    report = read("Puccinia graminis,species,,BE,present,,", "Puccinia sect. Hetero,section,,BE,present,,")

    assert (report.read, report.accepted) == (2, 1)
    assert [(rejection.file, rejection.line) for rejection in report.rejections] == [("list.csv", 3)]


def test_an_unknown_region_is_named_and_nothing_is_kept(database: Database, read: Read) -> None:
    with pytest.raises(DatabaseError, match="no region 'atlantis'"):
        read("Puccinia graminis,species,,BE,present,,", region="atlantis")

    with database.reading() as session:
        assert list(taxa(session)) == []


def test_the_rust_fungi_of_belgium_are_read(database: Database, shared: Path) -> None:
    folder = shared / "samples" / "checklists" / "trias-uredinales"

    report = import_checklist(database, folder / "taxon.csv", checklist="be")

    assert report.read == report.accepted + len(report.rejections) == 755
    assert (report.accepted, report.present) == (237, 190)
    assert report.statuses == (("absent", 1), ("doubtful", 33))
    hosts = [rejection for rejection in report.rejections if rejection.reason == "not-a-fungus"]
    assert len(hosts) > 500
