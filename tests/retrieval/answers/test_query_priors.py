"""Priors of a query by date and place, compared with counts made by hand."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from indexer.building.build import Catalogue, build_snapshot
from retrieval.answers.query_priors import compute_query_priors
from retrieval.domain import HABITATS, SUBSTRATES
from retrieval.errors import InvalidOption
from retrieval.ranking.options import IdentifyOptions
from retrieval.snapshots.cells import cell_of
from retrieval.snapshots.occurrences import Occurrence
from retrieval.snapshots.snapshot import Snapshot, open_snapshot
from tests.catalogues import CARD, SPECIES, TAXA, fill_store, make_references

AUTUMN, SPRING = SPECIES[:2]
DENMARK, TASMANIA = (55.68, 12.57), (-42.88, 147.33)
COPENHAGEN = cell_of(*DENMARK)
GARDEN, DUNG = 1 + HABITATS.index("garden"), 1 + SUBSTRATES.index("dung")
RECORDS = [Occurrence(AUTUMN, 10, COPENHAGEN, habitat=GARDEN)] * 30 + [Occurrence(SPRING, 4, COPENHAGEN)] * 30
RECORDS += [Occurrence(SPRING, habitat=1, substrate=DUNG)] * 10


@pytest.fixture
def snapshot(tmp_path: Path) -> Iterator[Snapshot]:
    references = make_references(observations=2)
    with fill_store(tmp_path / "e", references) as store:
        name = build_snapshot(tmp_path, Catalogue(references, TAXA, [], [], [], occurrences=RECORDS), store, CARD)
    opened = open_snapshot(tmp_path, name)
    yield opened
    opened.close()


def expected_now(snapshot: Snapshot, month: int, place: tuple[float, float] | None) -> list[bool]:
    found = compute_query_priors(snapshot, IdentifyOptions(day=date(2026, month, 5), coordinates=place))
    assert "season" in found.applied
    assert found.log_lift is not None
    columns = np.searchsorted(snapshot.all_species[snapshot.referenced], [AUTUMN, SPRING]).tolist()
    return [bool(found.expects("season", column)) for column in columns]


@pytest.mark.parametrize(
    ("month", "place", "flags"),
    [
        (10, DENMARK, [True, False]),
        (4, DENMARK, [False, True]),
        (4, TASMANIA, [True, False]),  # autumn, though all records are in the north
        (10, TASMANIA, [False, True]),
        (10, None, [True, False]),
        (4, None, [False, True]),
    ],
)
def test_a_find_south_of_the_equator_has_its_own_season(
    snapshot: Snapshot, month: int, place: tuple[float, float] | None, flags: list[bool]
) -> None:
    assert expected_now(snapshot, month, place) == flags


def test_a_habitat_and_a_substrate_lift_what_was_recorded_there_and_say_so_apart(snapshot: Snapshot) -> None:
    options = IdentifyOptions(habitat="garden", substrate="dung")
    found = compute_query_priors(snapshot, options)
    columns = np.searchsorted(snapshot.all_species[snapshot.referenced], [AUTUMN, SPRING]).tolist()
    other = next(column for column in range(len(snapshot.referenced)) if column not in columns)

    rate = 30 / 40  # of records with a habitat that are of gardens
    garden = [(30 + 10 * rate) / ((30 + 10) * rate), (0 + 10 * rate) / ((10 + 10) * rate)]
    assert found.applied == ("habitat", "substrate")
    assert [found.factors(column)["habitat"] for column in columns] == pytest.approx(garden)
    assert [found.factors(column)["substrate"] for column in columns] == pytest.approx(
        [1, 1]
    )  # all records are of dung
    assert found.log_lift is not None
    assert np.exp(found.log_lift[columns]) == pytest.approx(garden)
    assert [found.expects("habitat", column) for column in columns] == [True, True]
    assert found.factors(other)["habitat"] == pytest.approx(1)
    assert found.expects("season", columns[0]) is None


def test_what_nobody_recorded_is_not_applied(tmp_path: Path) -> None:
    references = make_references(observations=2)
    with fill_store(tmp_path / "e", references) as store:
        plain = Catalogue(references, TAXA, [], [], [], occurrences=[Occurrence(AUTUMN, 10, COPENHAGEN)])
        name = build_snapshot(tmp_path, plain, store, CARD)
    opened = open_snapshot(tmp_path, name)

    found = compute_query_priors(opened, IdentifyOptions(habitat="garden", substrate="dung"))

    assert found.applied == ()
    assert found.log_lift is None
    opened.close()


@pytest.mark.parametrize("options", [IdentifyOptions(habitat="sea"), IdentifyOptions(substrate="garden")])
def test_a_class_that_there_is_not_is_refused_with_those_that_there_are(options: IdentifyOptions) -> None:
    with pytest.raises(InvalidOption, match=r"there are: (deciduous-forest|soil)"):
        options.check(1)
