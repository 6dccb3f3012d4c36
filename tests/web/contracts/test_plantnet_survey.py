"""Pl@ntNet's survey: what the tiles of a photo show, in the shape that its clients filter, sort and draw."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from flask.testing import FlaskClient
from PIL import Image
from werkzeug.test import TestResponse

from tests.snapshots import CIBARIUS, MUSCARIA, draw_photo
from tests.web.contracts.conftest import Part, images, multipart

Post = Callable[..., TestResponse]
ROW = {"name", "id", "gbif_id", "binomial", "author", "genus", "family", "coverage", "max_score", "count", "location"}


def side_by_side(*squares: Image.Image) -> bytes:
    """Squares of 300 pixels in a row, as a photo."""
    whole = Image.new("RGB", (300 * len(squares), 300))
    for number, square in enumerate(squares):
        whole.paste(square, (300 * number, 0))
    drawn = io.BytesIO()
    whole.save(drawn, "JPEG", quality=95)
    return drawn.getvalue()


def fungus(species: int) -> Image.Image:
    """A square of a drawn fungus."""
    return Image.open(io.BytesIO(draw_photo(species, 7, side=300))).crop((10, 0, 310, 300))


def noise() -> Image.Image:
    """A square that looks like nothing in the collection."""
    return Image.fromarray(np.random.default_rng(1).integers(0, 255, (300, 300, 3), dtype=np.uint8))


BASKET = side_by_side(fungus(MUSCARIA), fungus(CIBARIUS))
SQUARES: dict[str, Any] = {"tile_size": 300, "tile_stride": 300, "min_score": 0.3, "max_rank": 1}


def form(photo: bytes = BASKET, /, **values: Any) -> list[Part]:
    """A photo and how it is looked through, as parts."""
    return [*images([photo], "image"), *(Part(name, str(value).encode()) for name, value in values.items())]


def survey(post: Post, *photo: bytes, project: str = "all", **values: Any) -> dict[str, Any]:
    """What a survey answers."""
    answer: dict[str, Any] = post(f"/v2/survey/tiles/{project}", form(*photo, **values)).get_json()
    return answer


def test_a_survey_finds_each_kind_in_its_tile(post: Post) -> None:
    results = survey(post, **SQUARES)["results"]

    counts = {"nb_sub_queries": 2, "nb_matching_sub_queries": 2, "uncovered": 0.0}
    assert results["image"] == {"name": "0.jpg", "width": 600, "height": 300, **counts}
    assert results | {"tile_size": 300, "tile_stride": 300, **counts} == results
    found = {species["binomial"]: species for species in results["species"]}
    assert found.keys() == {"Amanita muscaria", "Cantharellus cibarius"}
    assert all((each["count"], each["coverage"]) == (1, 0.5) for each in found.values())
    assert [genus["name"] for genus in results["genus"]] == ["Amanita Pers."]


def test_a_row_has_names_ids_and_where_its_tiles_lie(post: Post) -> None:
    rows = {row["binomial"]: row for row in survey(post, **SQUARES)["results"]["species"]}

    muscaria, cibarius = rows["Amanita muscaria"], rows["Cantharellus cibarius"]
    assert muscaria.keys() == cibarius.keys() == ROW
    assert {name: muscaria[name] for name in ("name", "id", "gbif_id", "author", "genus", "family")} == {
        "name": "Amanita muscaria (L.) Lam.",
        "id": str(MUSCARIA),
        "gbif_id": "900011",
        "author": "(L.) Lam.",
        "genus": "Amanita",
        "family": "Amanitaceae",
    }
    assert (cibarius["gbif_id"], cibarius["genus"], cibarius["family"]) == ("", "Cantharellus", "")  # none is known
    assert [(tile["center"], tile["size"]) for tile in muscaria["location"]] == [({"x": 150, "y": 150}, 300)]
    assert [(tile["center"], tile["size"]) for tile in cibarius["location"]] == [({"x": 450, "y": 150}, 300)]
    assert muscaria["location"][0]["score"] == muscaria["max_score"]
    assert muscaria["location"][0]["organ"] == "other"  # this collection does not know what photos show


@pytest.mark.parametrize(
    ("squares", "rejected", "matching", "uncovered"),
    [
        ((fungus(MUSCARIA), noise()), [450], 1, 0.5),
        ((noise(), fungus(MUSCARIA), noise()), [150, 750], 1, 0.66667),
        ((noise(), noise()), [150, 450], 0, 1.0),
        ((fungus(MUSCARIA), fungus(CIBARIUS)), [], 2, 0.0),
    ],
    ids=["one", "around", "all", "none"],
)
def test_rejected_tiles_are_one_row_with_a_class_and_no_name(
    wary: FlaskClient, squares: tuple[Image.Image, ...], rejected: list[int], matching: int, uncovered: float
) -> None:
    results = wary.post("/v2/survey/tiles/all", **multipart(form(side_by_side(*squares), **SQUARES))).get_json()[
        "results"
    ]

    rows = [row for row in results["species"] if "reject" in row]
    assert [tile["center"]["x"] for row in rows for tile in row["location"]] == rejected
    assert [row.keys() for row in rows] == [{"reject", "coverage", "max_score", "count", "location"}] * bool(rejected)
    assert all((row["reject"], row["count"]) == ("unknown", len(rejected)) for row in rows)
    kept = [row for row in results["species"] if row.get("name") is not None and row.get("reject") is None]
    assert len(kept) == len(results["species"]) - len(rows)  # as a benchmark's filter has it
    assert all("reject" not in row for rank in ("genus", "family") for row in results[rank])
    assert (results["nb_matching_sub_queries"], results["uncovered"]) == (matching, uncovered)


def test_without_options_the_newer_defaults_count(post: Post) -> None:
    answer = survey(post)

    assert answer["status"] == "OK"
    assert answer["query"] == {
        "project": "all",
        "images": ["0.jpg"],
        "organs": ["auto"],
        "tile_size": 518,
        "tile_stride": 259,
        "size_factor": 2**0.5,
        "multi_scale": False,
        "min_score": 0.1,
        "max_rank": 1,
    }
    assert answer["results"]["nb_sub_queries"] == 3  # a tile is no larger than the photo: 0, 259, 300


@pytest.mark.parametrize(
    "options",
    [
        {"tile_size": 518, "tile_stride": 259, "min_score": 0.1, "max_rank": 1},
        {"tile_size": 600, "tile_stride": 300, "min_score": 0.3, "max_rank": 3, "size_factor": 1.4142135623730951},
        {"tile_size": 518, "tile_stride": 518, "min_score": 0.005, "max_rank": 1, "multi_scale": "true"},
        {"tile_size": "", "tile_stride": "", "min_score": "", "max_rank": "", "multi_scale": ""},
        {"pyramid": "false", "type": "jpeg", "detailed_reject": "true", "multi_scale_coverage": "true"},
    ],
    ids=["newer", "older", "drone", "empty", "others"],
)
def test_options_of_all_versions_are_taken(post: Post, options: dict[str, Any]) -> None:
    results = survey(post, **options)["results"]

    assert results["species"][0]["binomial"] in {"Amanita muscaria", "Cantharellus cibarius"}
    assert (results["tile_size"], results["tile_stride"]) == (
        options.get("tile_size") or 518,
        options.get("tile_stride") or 259,
    )


def test_a_survey_shows_what_was_asked_for_and_refuses_too_many_tiles(post: Post) -> None:
    few = survey(post, project="north", tile_size=300, show_species="false", show_family="false")["results"]
    many = survey(post, tile_size=150, tile_stride=100, multi_scale="true")["results"]

    assert (few["species"], few["family"], bool(few["genus"]), "embeddings" in few) == ([], [], True, False)
    assert many["nb_sub_queries"] > 15
    assert post("/v2/survey/tiles/all", form(tile_size=5)).status_code == 400
    assert post("/v2/survey/tiles/all", form(tile_size=100, tile_stride=50, multi_scale="true")).status_code == 200
    assert post("/v2/survey/tiles/k-atlantis", form()).status_code == 404


def test_a_survey_gives_the_embedding_of_each_tile(post: Post) -> None:
    answer = survey(post, **SQUARES, show_embeddings="true", show_species="false")

    tiles = answer["results"]["embeddings"]
    alone = post("/v2/embeddings", images([side_by_side(fungus(CIBARIUS))], "image")).get_json()["embeddings"]
    assert [tile["center"]["x"] for tile in tiles] == [150, 450]
    assert len(tiles[1]["embeddings"]) == len(alone) == 256
    assert np.dot(tiles[1]["embeddings"], alone) == pytest.approx(1, abs=0.02)  # the photo's own borders differ


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"tile_size": 300, "tile_stride": 300},
        {"tile_size": 150, "tile_stride": 100, "multi_scale": "true"},
        {"tile_size": 150, "tile_stride": 100, "multi_scale": "true", "size_factor": 2},
        {"tile_size": "", "api-key": "k"},
    ],
)
def test_the_cost_is_the_number_of_tiles_that_a_survey_has(
    post: Post, client: FlaskClient, options: dict[str, Any]
) -> None:
    asked = {"size": "600x300", **options}

    costs = [
        client.post("/v2/cost/survey/all?api-key=k", data=asked),
        client.post(
            "/v2/cost/survey/all", **multipart([Part(name, str(value).encode()) for name, value in asked.items()])
        ),
        client.get("/v2/cost/survey/all", query_string=asked),
    ]

    assert [cost.status_code for cost in costs] == [200, 200, 200]
    assert costs[0].get_json() == costs[1].get_json() == costs[2].get_json()
    assert costs[0].get_json()["estimated_cost"] == survey(post, **options)["results"]["nb_sub_queries"]
    assert costs[0].get_json()["query"]["project"] == "all"


@pytest.mark.parametrize("size", ["3200x2400", "3200 X 2400", " 3200×2400 "])
def test_a_size_may_be_written_as_people_do(client: FlaskClient, size: str) -> None:
    answer = client.post("/v2/cost/survey/north", data={"size": size, "tile_size": 600, "tile_stride": 600})

    assert answer.get_json()["estimated_cost"] == 6 * 4


@pytest.mark.parametrize(
    ("project", "asked", "status", "word"),
    [
        ("all", {}, 400, "size"),
        ("all", {"size": "large"}, 400, "WIDTHxHEIGHT"),
        ("all", {"size": "0x100"}, 400, "WIDTHxHEIGHT"),
        ("all", {"size": "99999x99999"}, 400, "400 tiles"),
        ("all", {"size": "600x300", "tile_size": "small"}, 400, "tile_size"),
        ("k-atlantis", {"size": "600x300"}, 404, "Unknown project"),
    ],
)
def test_what_cannot_be_surveyed_has_no_cost(
    client: FlaskClient, project: str, asked: dict[str, str], status: int, word: str
) -> None:
    answer = client.post(f"/v2/cost/survey/{project}", data=asked)

    assert (answer.status_code, answer.get_json()["statusCode"]) == (status, status)
    assert word in answer.get_json()["message"]
