"""Floras as projects: their names, and which is the nearest."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from shapely.geometry import shape

from database.session import Database
from database.taxonomy.checklists import replace_checklist
from database.taxonomy.flora_places import FloraPlace, flora_places
from database.taxonomy.floras import FloraEntry, add_flora
from database.taxonomy.regions import ISO, OWN, WGSRPD, RegionEntry, put_region
from retrieval.domain import Candidate
from retrieval.errors import UnknownFlora
from retrieval.snapshots.snapshot import Snapshot
from tests.snapshots import CIBARIUS, CITRINA, MUSCARIA, Made, make_snapshot
from tests.web.contracts.conftest import PLACES, box
from web.contracts.projects import Projects, distance, great_circle, slug


@pytest.fixture(scope="module")
def snapshot(made: Made) -> Iterator[Snapshot]:
    with closing(made.open()) as opened:
        yield opened


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("Northern Europe", "northern-europe"),
        ("North-Central U.S.A.", "north-central-usa"),
        ("Indo-China", "indo-china"),
        ("  Åland & Co  ", "aland-co"),
    ],
)
def test_units_are_named_after_their_titles(title: str, name: str) -> None:
    assert slug(title) == name


def test_a_kilometre_is_a_kilometre() -> None:
    assert great_circle(0, 0, 0, 90) == pytest.approx(6371 * 3.14159265 / 2, rel=1e-6)
    assert great_circle(55.6761, 12.5683, 59.3293, 18.0686) == pytest.approx(522, abs=2)  # Copenhagen to Stockholm
    assert great_circle(0, 179.5, 0, -179.5) == pytest.approx(111.2, abs=0.1)


def test_distance_is_zero_within_and_goes_round_the_globe() -> None:
    fiji = shape(box(177, -20, 180, -15))

    assert distance(fiji, -17, 178) == 0
    assert distance(fiji, -17, -179) == pytest.approx(106.3, abs=0.5)


def test_the_smallest_area_that_holds_the_place_comes_first(snapshot: Snapshot) -> None:
    wide = FloraPlace("south", (RegionEntry("wide", "Wide", OWN, (), box(-20, 30, 40, 75)),))
    known = Projects(snapshot, (PLACES[1], wide))

    assert known.by_place(snapshot, 60, 10) == ["north", "south", "world"]
    assert known.by_place(snapshot, 40, 10) == ["south", "north", "world"]
    assert known.by_place(snapshot, -40, 10)[0] == "south"  # 70 degrees away rather than 94


def test_best_by_answer_is_the_smaller_flora_that_has_the_first_species(snapshot: Snapshot, made: Made) -> None:
    def candidate(species: int, score: float) -> Candidate:
        return Candidate(snapshot.taxonomy.taxon(species), score, score=score)

    known = Projects(snapshot, ())

    assert known.by_answer(snapshot, [candidate(MUSCARIA, 0.9), candidate(CIBARIUS, 0.1)]) == "north"
    assert known.by_answer(snapshot, [candidate(CITRINA, 0.9), candidate(CIBARIUS, 0.1)]) == "south"
    assert known.by_answer(snapshot, [candidate(CITRINA, 0.9)]) == "south"  # of equals the one with fewer species
    assert known.by_answer(snapshot, [candidate(31, 0.9), candidate(MUSCARIA, 0.1)]) == "world"  # on no list
    assert known.by_answer(snapshot, []) == "world"


def test_names_of_the_contract_are_not_taken_by_floras(tmp_path: Path) -> None:
    made = make_snapshot(tmp_path, floras={"all": (MUSCARIA,), "k-northern-europe": (CITRINA,)})
    with closing(made.open()) as opened:
        known = Projects(opened, (FloraPlace("all", PLACES[1].regions),))

        assert known.find("k-northern-europe") == "k-northern-europe"  # its own id comes first
        assert known.find("best") is None  # it is to be chosen
        with pytest.raises(UnknownFlora):
            known.find("k-atlantis")


@pytest.mark.parametrize(
    ("project", "flora"),
    [
        ("weurope", "north"),
        ("useful", None),
        ("world-flora", "world"),  # an alias may mean what is no flora of its own
        ("north", "north"),  # a flora of that id comes before the alias
        ("k-northern-europe", "north"),
    ],
)
def test_an_alias_stands_for_a_flora_or_for_the_best(snapshot: Snapshot, project: str, flora: str | None) -> None:
    aliases = {"weurope": "north", "useful": "best", "world-flora": "all", "north": "south", "gone": "elsewhere"}
    known = Projects(snapshot, PLACES, aliases)

    assert known.find(project) == flora
    with pytest.raises(UnknownFlora):
        known.find("gone")  # what it stands for is not published
    assert known.list_of("useful") == "world"


def test_where_floras_lie_is_read_from_their_regions_and_their_checklists(database: Database) -> None:
    with database.writing() as session:
        put_region(session, RegionEntry("wgsrpd-10", "Northern Europe", WGSRPD, ("DK",), box(5, 54, 30, 71)))
        put_region(session, RegionEntry("iso-dk", "Denmark", ISO, ("DK",)))
        replace_checklist(session, "danes", {}, title="Danish fungi", region="iso-dk", source="")
        add_flora(session, FloraEntry("nordic", "Nordic", regions=("wgsrpd-10",)))
        add_flora(session, FloraEntry("both", "Both", checklists=("danes",), regions=("wgsrpd-10",)))
        add_flora(session, FloraEntry("danish", "Danish", checklists=("danes",)))
    with database.reading() as session:
        places = {place.flora: place for place in flora_places(session)}

    assert places.keys() == {"world", "nordic", "both", "danish"}
    assert places["nordic"].unit is not None
    assert places["nordic"].unit.title == "Northern Europe"
    assert places["both"].unit is places["danish"].unit is places["world"].unit is None
    assert places["danish"].country_codes == {"DK"}
