"""Choosing from GBIF's recorded reply: sixty finds of one species from the Danish atlas."""

from __future__ import annotations

import json
from collections import Counter
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from indexer.curation.curate import CurationPolicy
from indexer.harvesting.areas import country_area
from indexer.harvesting.choosing import choose_finds
from indexer.harvesting.choosing_photos import read_finds
from indexer.harvesting.client import ApiClient
from indexer.harvesting.finds import FindRules, UsableFind
from indexer.harvesting.gbif import Gbif
from indexer.harvesting.gbif_photos import GbifPhotos
from indexer.harvesting.stored import RegionPlan, SpeciesCounts

MUSCARIA = SpeciesCounts(8168319, "Amanita muscaria", 765, 60)


@pytest.fixture
def records(shared: Path) -> list[dict[str, Any]]:
    page = json.loads((shared / "samples" / "gbif-api" / "occurrence_search_page.json").read_bytes())
    results: list[dict[str, Any]] = page["results"]
    return results


def read(records: list[dict[str, Any]], folder: Path) -> tuple[list[UsableFind], Counter[str]]:
    rules = FindRules(country_area("denmark", "", "DK"), CurationPolicy(today=date(2026, 11, 30)), 6)
    plan = RegionPlan("denmark", "Denmark", (("country", "DK"),), (("Fungi", 5),), "2026-11-30")
    left_out = Counter[str]()
    with ApiClient(folder) as client:
        service = GbifPhotos(Gbif(client), plan)
        return read_finds(service, records, MUSCARIA, rules, left_out), left_out


def test_photos_with_all_rights_reserved_are_left_out_of_open_finds(
    records: list[dict[str, Any]], tmp_path: Path
) -> None:
    finds, left_out = read(records, tmp_path)

    media = [photo for record in records for photo in record["media"]]
    reserved = [photo["identifier"] for photo in media if photo["license"] == "All rights reserved"]
    photos = [address for one in finds for address in one.photos]
    assert len(reserved) == 3
    assert left_out["licence-reserved"] == 3
    assert len(photos) == len(media) - len(reserved)
    assert not set(reserved) & set(photos)


def test_a_key_that_was_asked_for_as_a_synonym_finds_records_of_the_accepted_species(
    records: list[dict[str, Any]], tmp_path: Path
) -> None:
    finds, left_out = read(records, tmp_path)

    assert left_out["another-species"] == 0
    assert {one.item["taxonKey"] for one in finds} != {MUSCARIA.key}


def test_a_choice_has_as_many_observers_as_there_is_room_for(records: list[dict[str, Any]], tmp_path: Path) -> None:
    finds, _ = read(records, tmp_path)
    observers = {one.find.observer for one in finds}

    chosen = choose_finds([one.find for one in finds], 20)

    assert len({one.observer for one in chosen}) == min(20, len(observers))
    assert {one.month for one in chosen} == {one.find.month for one in finds}
