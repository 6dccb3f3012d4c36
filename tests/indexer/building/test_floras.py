from __future__ import annotations

import json
from pathlib import Path

import pytest

from database.collection.imports import start_run
from database.collection.observations import ObservationEntry, PhotoEntry, file_photos
from database.errors import DatabaseError
from database.session import Database
from database.taxonomy.checklists import ListedTaxon, replace_checklist
from database.taxonomy.floras import WHOLE_WORLD, FloraEntry, flora, floras
from database.taxonomy.regions import WGSRPD, RegionEntry, put_region
from database.taxonomy.taxa import TaxonEntry, TaxonRegister, taxa
from indexer.building.floras import AddedFlora, coverage, define_flora, resolve_flora, suggest
from retrieval.errors import BuildError

SQUARE = {"type": "Polygon", "coordinates": [[[0, 0], [10, 0], [10, 10], [0, 10], [0, 0]]]}

# What the catalogue of these tests holds: species, where it was photographed, where it is listed.
PHOTOGRAPHED = {
    "Boletus edulis": ("BE", None),
    "Boletus aereus": ("", (5.0, 5.0)),  # inside the square
    "Amanita muscaria": ("FR", (50.0, 50.0)),
}
LISTED = {"Boletus edulis": "BE", "Amanita virosa": "BE", "Amanita muscaria": "FR", "Lactarius deterrimus": ""}


@pytest.fixture
def known(database: Database) -> Database:
    """A catalogue with five species, three of them with photos, a checklist and a region."""
    with database.writing() as session:
        register = TaxonRegister()
        ids = {name: register.file(session, TaxonEntry(name)) for name in {**PHOTOGRAPHED, **LISTED}}
        register.file(session, TaxonEntry("Boletus edulis", gbif_key=77, synonyms=(("Boletus bulbosus", None),)))
        run = start_run(session, "walks")
        for name, (country, place) in PHOTOGRAPHED.items():
            latitude, longitude = place or (None, None)
            seen = ObservationEntry(name, ids[name], None, latitude, longitude, country_code=country)
            digest = f"{ids[name]:064x}"
            file_photos(session, "walks", run, [PhotoEntry(name, seen, digest, "/x", 1, 1, 1, "PNG")])
        lines = [ListedTaxon(ids[name], country) for name, country in LISTED.items()]
        replace_checklist(
            session, "mixed", {(line.taxon, line.country_code): line for line in lines}, title="", region="", source=""
        )
        put_region(session, RegionEntry("wgsrpd-10", "Square Land", WGSRPD, ("BE",), SQUARE))
    return database


def add(database: Database, flora_id: str, **parts: list[str] | list[Path]) -> AddedFlora:
    with database.writing() as session:
        return define_flora(session, flora_id, **parts)  # type: ignore[arg-type]


def species(database: Database, flora_id: str) -> set[str]:
    with database.reading() as session:
        held = resolve_flora(session, flora(session, flora_id))
        return {taxon.name for taxon in taxa(session) if taxon.id in held}


def test_world_holds_every_species_that_has_photos(known: Database) -> None:
    assert species(known, "world") == set(PHOTOGRAPHED)


def test_a_checklist_holds_what_it_lists(known: Database) -> None:
    made = add(known, "all", checklists=["mixed"])

    assert made.species == 4
    assert species(known, "all") == set(LISTED)


@pytest.mark.parametrize("country", ["BE", "Belgium", "bel"])
def test_a_country_holds_what_is_listed_or_photographed_there(known: Database, country: str) -> None:
    add(known, "be", countries=[country])

    assert species(known, "be") == {"Boletus edulis", "Amanita virosa"}


@pytest.mark.parametrize("unit", ["10", "Square Land", "wgsrpd-10"])
def test_a_unit_holds_what_its_countries_list_and_what_was_photographed_inside(known: Database, unit: str) -> None:
    add(known, "square", units=[unit])

    assert species(known, "square") == {"Boletus edulis", "Amanita virosa", "Boletus aereus"}


def test_parts_are_united(known: Database) -> None:
    add(known, "two", countries=["BE", "FR"])

    assert species(known, "two") == {"Boletus edulis", "Amanita virosa", "Amanita muscaria"}


def test_a_flora_grows_with_what_is_photographed_later(known: Database) -> None:
    add(known, "be", countries=["BE"])
    with known.writing() as session:
        new = TaxonRegister().file(session, TaxonEntry("Russula emetica"))
        run = start_run(session, "later")
        seen = ObservationEntry("1", new, country_code="BE")
        file_photos(session, "later", run, [PhotoEntry("r", seen, "f" * 64, "/r", 1, 1, 1, "PNG")])

    assert "Russula emetica" in species(known, "be")


def test_names_are_found_as_accepted_synonym_genus_or_key(known: Database, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("Boletus bulbosus\namanita muscaria\nLactarius\n")
    (tmp_path / "keys.csv").write_text("scientificName,taxonID\nTubiporus edulis,https://www.gbif.org/species/77\n")

    add(known, "names", lists=[tmp_path / "mine.txt"])
    add(known, "keys", lists=[tmp_path / "keys.csv"])

    assert species(known, "names") == {"Boletus edulis", "Amanita muscaria", "Lactarius deterrimus"}
    assert species(known, "keys") == {"Boletus edulis"}


def test_names_that_match_nothing_are_reported_by_line_with_a_suggestion(known: Database, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("Boletus edulis\nAmanita muscarea\nLactarius quietus\nZzyzx nova\n")

    made = add(known, "mine", lists=[tmp_path / "mine.txt"])

    assert made.species == 1
    assert [str(name) for name in made.unmatched] == [
        "mine.txt, line 2: Amanita muscarea matches no taxon; did you mean Amanita muscaria?",
        "mine.txt, line 3: Lactarius quietus matches no taxon",
        "mine.txt, line 4: Zzyzx nova matches no taxon",
    ]


def test_a_name_that_matches_nothing_makes_no_taxon(known: Database, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("Boletus edulis\nZzyzx nova\n")

    add(known, "mine", lists=[tmp_path / "mine.txt"])

    with known.reading() as session:
        assert "Zzyzx nova" not in {taxon.name for taxon in taxa(session)}


def test_adding_the_same_flora_twice_is_no_fault_and_another_is(known: Database) -> None:
    first = add(known, "be", countries=["BE"])
    again = add(known, "be", countries=["Belgium"])

    with pytest.raises(DatabaseError, match="flora 'be' already and it is made of something else"):
        add(known, "be", countries=["FR"])

    assert (first.added, again.added) == (True, False)
    assert species(known, "be") == {"Boletus edulis", "Amanita virosa"}


@pytest.mark.parametrize(
    ("parts", "sentence"),
    [
        ({}, "would be made of nothing"),
        ({"checklists": ["absent"]}, "no checklist 'absent'; there are: mixed"),
        ({"countries": ["Atlantis"]}, "'Atlantis' is not a country"),
        ({"countries": ["JP"]}, "would hold no species: import a checklist or observations"),
        ({"units": ["Atlantis"]}, "is not a level-2 unit"),
        ({"regions": ["atlantis"]}, "no region 'atlantis'"),
    ],
)
def test_a_flora_that_cannot_be_says_why_and_leaves_nothing(
    known: Database, parts: dict[str, list[str]], sentence: str
) -> None:
    with pytest.raises((BuildError, DatabaseError), match=sentence):
        add(known, "odd", **parts)

    with known.reading() as session:
        assert list(floras(session)) == [WHOLE_WORLD]


def test_a_list_without_one_known_name_is_refused(known: Database, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("Zzyzx nova\n")

    with pytest.raises(BuildError, match=r"none of its names matches a taxon; mine.txt, line 1: Zzyzx nova"):
        add(known, "mine", lists=[tmp_path / "mine.txt"])


def test_coverage_names_the_species_without_photos(known: Database) -> None:
    add(known, "all", checklists=["mixed"])

    with known.reading() as session:
        found = coverage(session, flora(session, "all"))

    assert (found.species, found.pictured) == (4, 2)
    assert [taxon.name for taxon in found.missing] == ["Amanita virosa", "Lactarius deterrimus"]


def test_the_world_is_covered(known: Database) -> None:
    with known.reading() as session:
        found = coverage(session, WHOLE_WORLD)

    assert (found.species, found.pictured, found.missing) == (3, 3, ())


def test_a_flora_survives_json(known: Database, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("Boletus edulis\nAmanita\n")
    made = add(known, "mine", lists=[tmp_path / "mine.txt"], checklists=["mixed"], countries=["BE"])

    with known.reading() as session:
        kept = flora(session, "mine")

    assert kept == made.entry == FloraEntry("mine", "mine", ("mixed",), ("iso-be",), made.entry.names)
    assert json.loads(json.dumps(kept.names)) == [["Boletus edulis", None], ["Amanita", None]]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Amanita muscarea", "Amanita muscaria"),
        ("Emanita muscaria", "Amanita muscaria"),
        ("Boletus", ""),
        ("", ""),
    ],
)
def test_a_suggestion_is_near_or_not_made(name: str, expected: str) -> None:
    assert suggest(name, ["Amanita muscaria", "Amanita phalloides", "Boletus edulis"]) == expected
