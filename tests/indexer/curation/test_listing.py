from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from database.errors import DatabaseError
from database.models import ChecklistTaxon, Dataset, Observation
from database.session import Database
from database.taxonomy.checklists import ChecklistRevision, ListedTaxon, listed_for_countries, listed_species
from database.taxonomy.taxa import TaxonEntry, TaxonRegister, synonyms, taxa, vernacular_names
from indexer.curation.listing import ChecklistReport, import_checklist
from indexer.curation.occurrence_status import read_status

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


def test_a_species_that_a_newer_list_calls_a_synonym_becomes_one_with_its_observations(
    database: Database, read: Read
) -> None:
    with database.writing() as session:
        (old,) = TaxonRegister().file_all(session, [TaxonEntry("Boletus badius", gbif_key=5, toxicity="")])
        session.add(Dataset(id="walks", title="Walks"))
        session.flush()
        session.add(Observation(dataset_id="walks", observation_key="1", taxon_id=old))

    report = read("Imleria badia,species,,BE,present,,", "Boletus badius,species,,BE,present,synonym,Imleria badia")
    again = read("Imleria badia,species,,BE,present,,", "Boletus badius,species,,BE,present,synonym,Imleria badia")

    assert [(remark.reason, remark.line) for remark in report.remarks] == [("merged-species", 3)]
    assert again.remarks == ()
    assert present(database) == {"Imleria badia"}
    with database.reading() as session:
        assert [taxon.name for taxon in taxa(session) if taxon.rank == "species"] == ["Imleria badia"]
        assert [name for name, _ in synonyms(session)] == ["Boletus badius"]
        (observation,) = session.scalars(select(Observation))
        assert observation.taxon.scientific_name == "Imleria badia"


def test_a_key_of_another_species_is_not_believed_and_it_is_said(database: Database, read: Read) -> None:
    with database.writing() as session:
        TaxonRegister().file(session, TaxonEntry("Amanita muscaria", gbif_key=77))

    report = read("Boletus edulis,77", "Mycena pura,78", header="scientificName,taxonKey\n")

    assert [(remark.reason, remark.line) for remark in report.remarks] == [("key-of-another-species", 2)]
    assert present(database) == {"Boletus edulis", "Mycena pura"}
    with database.reading() as session:
        assert list(synonyms(session)) == []
        assert {taxon.name: taxon.gbif_key for taxon in taxa(session) if taxon.gbif_key} == {
            "Amanita muscaria": 77, "Mycena pura": 78,
        }  # fmt: skip


def test_a_synonym_spelt_as_an_accepted_name_of_the_list_does_not_stand_for_it(database: Database, read: Read) -> None:
    lines = [
        "Agaricus albus,species,,BE,present,synonym,Tricholoma album",
        "Agaricus albus,species,,BE,present,accepted,",
    ]

    report = read(*lines, "Tricholoma album,species,,BE,present,accepted,")

    assert [remark.reason for remark in report.remarks] == ["homonym"]
    assert present(database) == {"Agaricus albus", "Tricholoma album"}
    with database.reading() as session:
        assert list(synonyms(session)) == []


def test_what_a_synonym_does_not_say_of_places_is_not_presence(database: Database, read: Read) -> None:
    read(
        "Imleria badia,species,,BE,absent,accepted,",
        "Boletus badius,species,,,,synonym,Imleria badia",
    )

    assert present(database) == set()


@given(
    st.lists(
        st.tuples(st.sampled_from(["BE", "NL", ""]), st.sampled_from(["present", "absent", "rare", "?"])), max_size=12
    ),
    st.integers(min_value=1, max_value=4),
)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_list_is_the_same_in_one_part_or_several(database: Database, lines: list[tuple[str, str]], size: int) -> None:
    said = []
    for name in ("whole", "parts"):
        with database.writing() as session:
            genus = TaxonRegister().file(session, TaxonEntry("Boletus", rank="genus"))
            rows = [ListedTaxon(genus, country, read_status(status)) for country, status in lines]
            revision = ChecklistRevision(session, name, title="", region="", source="")
            part = size if name == "parts" else max(1, len(rows))
            for start in range(0, len(rows), part):
                revision.put(rows[start : start + part])
            revision.finish()
            kept = session.execute(
                select(ChecklistTaxon.country_code, ChecklistTaxon.occurrence_status)
                .where(ChecklistTaxon.checklist_id == name)
                .order_by(ChecklistTaxon.country_code)
            ).all()
            said.append([tuple(row) for row in kept])

    assert said[0] == said[1]
    assert {country for country, _ in said[0]} == {country for country, _ in lines}
