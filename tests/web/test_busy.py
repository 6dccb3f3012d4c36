"""Requests that have to wait for writers of the database, and what happens beside them."""

from __future__ import annotations

import time

import pytest
from sqlalchemy import func, select

from database.field.models import PendingScore
from tests.web.api.test_observations import record, taxa
from tests.web.people import Server

__all__ = ["taxa"]  # a fixture

PATIENCE = 60


@pytest.mark.parametrize("system", ["sqlite"], indirect=True)
def test_who_has_to_wait_too_long_for_other_writers_is_asked_to_come_back(server: Server) -> None:
    olga = server.signed_in("olga")
    server.database.patience = 0.01
    with server.database.writing():
        answer = olga.client.patch("/api/v1/session/person", json={"name": "Olga O."}, headers=olga.token)
        meanwhile = olga.client.get("/api/v1/session")

    assert (answer.status_code, answer.get_json()["type"]) == (503, "/api/v1/docs#database-busy")
    assert int(answer.headers["Retry-After"]) > 0
    assert meanwhile.get_json()["person"]["name"] == "Olga"


def test_hiding_all_places_is_answered_before_scores_are_computed_again(server: Server, taxa: dict[str, int]) -> None:
    record(server, scientificName="Amanita muscaria", decimalLatitude="55.676098", decimalLongitude="12.568337")
    olga = server.signed_in("olga")

    answer = olga.client.patch("/api/v1/session/person", json={"obscures": True}, headers=olga.token)

    assert answer.get_json()["obscures"]
    end = time.monotonic() + PATIENCE
    while left(server) and time.monotonic() < end:
        time.sleep(0.01)
    assert not left(server)


def left(server: Server) -> int:
    with server.database.reading() as session:
        return session.scalar(select(func.count()).select_from(PendingScore)) or 0
