"""Captured replies of live services, field by field beside ours: what they have and we lack, each with its reason.

They lie beside the repository and are read in place. A field that is missing and not named here fails, and so does one
that is named here and there by now, or that is of another type.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.snapshots import MUSCARIA, draw_photo
from tests.web.contracts.conftest import Part, multipart
from tests.web.contracts.test_plantnet_survey import fungus, noise, side_by_side

OF_PLANTS = "a catalogue of plants, or one that no import reads"
INTERNAL = "how their own machines spent their time"
OTHER_CHOICES = "a choice that this server does not have"
THEIR_PEOPLE = "what their members and staff did: there is nothing of the kind in a snapshot"
NOT_COUNTED = "counts of a catalogue of finds, which a snapshot is not"
NOT_KNOWN = "no source that is imported says it"

IDENTIFY = {
    "results/powo": OF_PLANTS,
    "results/powo/id": OF_PLANTS,
    "results/iucn": OF_PLANTS,
    "results/iucn/id": OF_PLANTS,
    "results/iucn/category": OF_PLANTS,
    "switchToProject": "told where the flora was chosen: elsewhere the project that was asked for answers",
}
SURVEY = {
    **dict.fromkeys(
        (
            "query/filters", "query/exclude", "query/what", "query/family_check", "query/genus_check",
            "query/reject_type", "query/ignore_reject", "query/flavor", "query/pyramid",
        ),
        OTHER_CHOICES,
    ),
    "query/stats": INTERNAL,
    "query/stats/*": INTERNAL,
}  # fmt: skip
SPECIES: dict[str, str] = {}
TAXON = {
    **dict.fromkeys(
        (
            "atlas_id", "taxon_changes_count", "taxon_schemes_count", "flag_counts", "flag_counts/*", "photos_locked",
            "current_synonymous_taxon_ids", "provisional", "taxon_photos/photo/flags", "default_photo/flags",
        ),
        THEIR_PEOPLE,
    ),
    **dict.fromkeys(("observations_count", "complete_species_count"), NOT_COUNTED),
    **dict.fromkeys(
        (
            "extinct", "wikipedia_summary", "wikipedia_url", "vision", "conservation_status", "conservation_statuses",
            "conservation_statuses/*", "listed_taxa", "listed_taxa/*", "listed_taxa_count",
        ),
        NOT_KNOWN,
    ),
    **dict.fromkeys(
        ("default_photo/id", "taxon_photos/photo/id", "taxon_photos/photo/native_photo_id", "taxon_photos/photo/type"),
        "photos have no numbers here, but digests, which their addresses hold",
    ),
    **dict.fromkeys(
        ("default_photo/original_dimensions", "default_photo/original_dimensions/*",
         "taxon_photos/photo/original_dimensions", "taxon_photos/photo/original_dimensions/*",
         "taxon_photos/photo/original_url", "taxon_photos/photo/large_url", "taxon_photos/photo/small_url",
         "taxon_photos/photo/native_page_url"),
        "no original leaves this server, and there are two sizes",
    ),
    "taxon_photos/taxon": "the taxon that was asked for, once more",
    "taxon_photos/taxon/*": "the taxon that was asked for, once more",
}  # fmt: skip

BELOW = {key: reason for key, reason in TAXON.items() if key in {
    "atlas_id", "taxon_changes_count", "taxon_schemes_count", "flag_counts", "flag_counts/*", "provisional",
    "current_synonymous_taxon_ids", "observations_count", "complete_species_count", "extinct", "wikipedia_url",
}}  # fmt: skip
AROUND = {
    **BELOW,
    "default_photo/*": "photos are of species: wider taxa have none of their own",
    "complete_rank": NOT_COUNTED,
    "preferred_common_name": "left out where none is known, as of the wider taxa drawn here",
}


def fields(value: Any, above: str = "") -> dict[str, set[str]]:
    """The types of the values at each path of keys; those of a list's items together."""
    found: dict[str, set[str]] = {}
    if isinstance(value, dict):
        for key, held in value.items():
            path = f"{above}/{key}".strip("/")
            found.setdefault(path, set()).add("number" if type(held) in (int, float) else type(held).__name__)
            merge(found, fields(held, path))
    elif isinstance(value, list):
        for held in value:
            merge(found, fields(held, above))
    return found


def merge(into: dict[str, set[str]], other: Mapping[str, set[str]]) -> None:
    for path, types in other.items():
        into.setdefault(path, set()).update(types)


def compare(live: Any, ours: Any, reasons: Mapping[str, str]) -> None:
    """Every field that live has and we lack is named with a reason, and no other; what both have is of one type."""
    there, here = fields(live), fields(ours)
    lacking = there.keys() - here.keys()
    wide = {reason.removesuffix("/*") for reason in reasons if reason.endswith("/*")}

    def named(path: str) -> bool:
        above = path.rpartition("/")[0]
        return path in reasons or any(above == one or above.startswith(f"{one}/") for one in wide)

    assert sorted(path for path in lacking if not named(path)) == []
    assert sorted(path for path in reasons if "*" not in path and path not in lacking) == []
    both = (there.keys() & here.keys()) - wide
    odd = {path: (there[path], here[path]) for path in both if not there[path] & here[path]}
    assert odd == {}


@pytest.fixture(scope="module")
def live(shared: Path) -> Path:
    folder = shared / "samples"
    if not (folder / "plantnet-live").exists():
        pytest.skip(f"no captured replies: {folder / 'plantnet-live'} is absent")
    return folder


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def test_an_identification_lacks_what_is_of_plants(client: FlaskClient, live: Path) -> None:
    photo = [Part("images", draw_photo(MUSCARIA, 7), "photo.JPG", "image/jpeg"), Part("organs", b"aerial")]

    ours = client.post("/v2/identify/north?no-reject=true&nb-results=3", **multipart(photo)).get_json()

    captured = read(live / "plantnet-live" / "identify_2025-10.json")
    captured["query"].pop("type")  # null there; what it says of us is in the documents
    compare(captured, ours, IDENTIFY)
    assert all("id" in result["gbif"] for result in captured["results"])  # what clients count on


def test_a_survey_lacks_choices_of_theirs_and_their_times(wary: FlaskClient, live: Path) -> None:
    photo = Part("image", side_by_side(fungus(MUSCARIA), noise()), "plot.JPG", "image/jpeg")
    tiles = [Part("tile_size", b"300"), Part("tile_stride", b"300"), Part("min_score", b"0.005")]

    ours = wary.post("/v2/survey/tiles/all", **multipart([photo, *tiles])).get_json()

    captured = read(live / "plantnet-live" / "survey_tiles_2025-10.json")
    compare(captured, ours, SURVEY)
    rows = captured["results"]["species"], ours["results"]["species"]
    assert len({frozenset(row) for row in rows[0]}) == len({frozenset(row) for row in rows[1]}) == 2
    assert {frozenset(row) for row in rows[0]} == {frozenset(row) for row in rows[1]}  # a taxon's, and a class's


def test_a_list_of_species_lacks_nothing(client: FlaskClient, live: Path) -> None:
    captured = read(live / "plantnet-live" / "project_species.json")
    for row in captured:
        row["powoId"] = None  # "null" in quotes there
        row["iucnCategory"] = None

    compare(captured, client.get("/v2/projects/north/species").get_json(), SPECIES)


def test_a_taxon_lacks_what_their_people_did_and_counted(client: FlaskClient, live: Path) -> None:
    captured = read(live / "inat-api" / "taxa_by_id.json")
    taxa = client.get("/v1/taxa/4,11?locale=en").get_json()

    compare({**captured, "results": []}, {**taxa, "results": []}, {})
    compare(alone(captured["results"]), alone(taxa["results"]), TAXON)
    compare(around(captured["results"], "ancestors"), around(taxa["results"], "ancestors"), AROUND)
    compare(around(captured["results"], "children"), around(taxa["results"], "children"), BELOW)


def alone(taxa: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Taxa without those around them."""
    return [{key: held for key, held in taxon.items() if key not in ("ancestors", "children")} for taxon in taxa]


def around(taxa: list[dict[str, Any]], which: str) -> list[dict[str, Any]]:
    """The taxa around some."""
    return [other for taxon in taxa for other in taxon[which]]
