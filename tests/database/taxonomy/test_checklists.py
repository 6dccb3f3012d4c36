from __future__ import annotations

from collections.abc import Callable

import pytest

from database.errors import DatabaseError
from database.session import Database
from database.taxonomy.checklists import (
    ListedTaxon,
    checklists,
    listed_for_countries,
    listed_for_region,
    listed_species,
    replace_checklist,
)
from database.taxonomy.floras import WHOLE_WORLD, FloraEntry, add_flora, flora, floras, remove_flora
from database.taxonomy.regions import OWN, RegionEntry, put_region, region, regions
from database.taxonomy.taxa import TaxonEntry, TaxonRegister

Species = Callable[[str], int]


def write(database: Database, checklist: str, *lines: ListedTaxon, region: str = "") -> int:
    with database.writing() as session:
        said = {(line.taxon, line.country_code): line for line in lines}
        return replace_checklist(session, checklist, said, title="", region=region, source="")


def test_only_species_that_are_present_count(database: Database, species: Species) -> None:
    edulis, reticulatus = species("Boletus edulis"), species("Boletus reticulatus")
    with database.writing() as session:
        genus = TaxonRegister().file(session, TaxonEntry("Boletus", rank="genus"))

    write(
        database, "be", ListedTaxon(edulis), ListedTaxon(reticulatus, occurrence_status="doubtful"), ListedTaxon(genus)
    )

    with database.reading() as session:
        assert listed_species(session, "be") == {edulis}
        (summary,) = checklists(session)
    assert (summary.species, summary.lines) == (1, 3)


def test_a_checklist_says_what_its_last_import_said(database: Database, species: Species) -> None:
    edulis, reticulatus = species("Boletus edulis"), species("Boletus reticulatus")

    added = [
        write(database, "be", ListedTaxon(edulis)),
        write(database, "be", ListedTaxon(edulis)),
        write(database, "be", ListedTaxon(reticulatus)),
    ]

    assert added == [1, 0, 1]
    with database.reading() as session:
        assert listed_species(session, "be") == {reticulatus}


def test_a_country_holds_what_its_lines_list(database: Database, species: Species) -> None:
    edulis, reticulatus = species("Boletus edulis"), species("Boletus reticulatus")
    write(
        database,
        "benelux",
        ListedTaxon(edulis, "BE"),
        ListedTaxon(edulis, "NL", occurrence_status="absent"),
        ListedTaxon(reticulatus, "NL"),
    )

    with database.reading() as session:
        held = {code: listed_for_countries(session, frozenset({code})) for code in ("BE", "NL", "LU")}

    assert held == {"BE": {edulis}, "NL": {reticulatus}, "LU": set()}


def test_lines_without_country_speak_for_the_region_of_their_checklist(database: Database, species: Species) -> None:
    edulis = species("Boletus edulis")
    with database.writing() as session:
        put_region(session, RegionEntry("lowlands", "Lowlands", OWN, ("BE", "NL")))
    write(database, "low", ListedTaxon(edulis), region="lowlands")

    with database.reading() as session:
        assert listed_for_region(session, "lowlands") == {edulis}
        assert listed_for_countries(session, frozenset({"BE", "NL", "LU"})) == {edulis}
        assert listed_for_countries(session, frozenset({"BE"})) == set()


def test_an_unknown_region_or_checklist_is_named(database: Database) -> None:
    with pytest.raises(DatabaseError, match="no region 'atlantis'"):
        write(database, "be", region="atlantis")
    with database.reading() as session, pytest.raises(DatabaseError, match="no checklist 'be'; there are: none yet"):
        listed_species(session, "be")


def test_a_region_is_replaced_by_one_of_its_own_kind_only(database: Database) -> None:
    square = {"type": "Polygon", "coordinates": [[[0, 0], [0, 1], [1, 1], [0, 0]]]}
    with database.writing() as session:
        first = put_region(session, RegionEntry("mine", "Mine", OWN))
        second = put_region(session, RegionEntry("mine", "Ours", OWN, ("BE",), square))

        with pytest.raises(DatabaseError, match="of another kind"):
            put_region(session, RegionEntry("mine", "Mine", "iso"))

        assert (first, second) == (True, False)
        assert region(session, "mine").title == "Ours"
        assert region(session, "mine").geometry == square
        assert [entry.id for entry in regions(session, OWN)] == ["mine"]
        assert list(regions(session, "iso")) == []


def test_world_comes_first_and_is_always_there(database: Database) -> None:
    with database.writing() as session:
        add_flora(session, FloraEntry("alps", "Alps", names=(("Boletus", None),)))

        assert [entry.id for entry in floras(session)] == ["world", "alps"]
        assert flora(session, "world") == WHOLE_WORLD
        with pytest.raises(DatabaseError, match="always there and cannot be defined"):
            add_flora(session, FloraEntry("world", "Mine"))
        with pytest.raises(DatabaseError, match="always there and cannot be removed"):
            remove_flora(session, "world")


def test_a_flora_is_kept_as_it_was_given_and_never_redefined(database: Database) -> None:
    entry = FloraEntry("be", "Belgium", ("rusts",), ("iso-be",), (("Boletus edulis", 7), ("Amanita", None)))
    with database.writing() as session:
        assert add_flora(session, entry)
        assert not add_flora(session, entry)

        with pytest.raises(DatabaseError, match="there is a flora 'be' already"):
            add_flora(session, FloraEntry("be", "Belgium", ("rusts",)))
        assert flora(session, "be") == entry

        remove_flora(session, "be")
        with pytest.raises(DatabaseError, match="no flora 'be'; there are: world"):
            flora(session, "be")


@pytest.mark.parametrize(
    ("entry", "kind"),
    [
        (FloraEntry("a", "", checklists=("x",)), "checklist"),
        (FloraEntry("a", "", regions=("iso-be", "iso-nl")), "country"),
        (FloraEntry("a", "", regions=("wgsrpd-10",)), "wgsrpd"),
        (FloraEntry("a", "", regions=("garden",)), "region"),
        (FloraEntry("a", "", regions=("wgsrpd-10", "iso-be")), "region"),
        (FloraEntry("a", "", names=(("Boletus", None),)), "list"),
        (FloraEntry("a", "", checklists=("x",), regions=("iso-be",)), "union"),
    ],
)
def test_a_flora_says_of_what_kind_it_is(entry: FloraEntry, kind: str) -> None:
    assert entry.kind == kind
