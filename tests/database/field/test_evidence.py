"""What other records say of a taxon at an observation's time: its season, on either side of the equator."""

from __future__ import annotations

from datetime import date

import pytest

from database.field.evidence import occurrences_of
from database.session import Database
from tests.database.field.test_queue import observe, people, taxa

__all__ = ["people", "taxa"]  # fixtures

NORTH, SOUTH = 55.7, -42.9


@pytest.mark.parametrize(
    ("recorded", "month", "seen", "in_month"),
    [
        (NORTH, 10, NORTH, 4),
        (NORTH, 4, NORTH, 0),
        (NORTH, 4, SOUTH, 4),  # April is autumn there
        (NORTH, 10, SOUTH, 0),
        (SOUTH, 10, SOUTH, 4),
        (SOUTH, 4, NORTH, 4),
        (NORTH, 11, NORTH, 0),  # the month itself, and no other
        (None, 10, SOUTH, 4),  # nobody knows where: neither month speaks against it
        (None, 4, SOUTH, 4),
        (NORTH, 4, None, 4),
        (None, 11, None, 0),
    ],
)
def test_a_season_is_half_a_year_later_on_the_other_side_of_the_equator(
    database: Database,
    people: dict[str, int],
    taxa: dict[str, int],
    recorded: float | None,
    month: int,
    seen: float | None,
    in_month: int,
) -> None:
    def place(latitude: float | None) -> dict[str, object]:
        return {} if latitude is None else {"decimal_latitude": latitude, "decimal_longitude": 12.5}

    with database.writing() as session:
        for number in range(4):
            observe(
                session,
                number,
                people["olga"],
                status="approved",
                taxon_id=taxa["Boletus edulis"],
                event_date=date(2020 + number, 10, 3),
                **place(recorded),
            )
        observation = observe(session, 9, people["omar"], event_date=date(2026, month, 20), **place(seen))

        found = occurrences_of(session, observation, taxa["Boletus edulis"])

    assert (found.records, found.dated, found.in_month) == (4, 4, in_month)
