"""Every client of docs/clients.md, as it is configured there: its requests part by part, read as the client reads them.

`clients.json` was written for this test from what the clients' own code sends. `rest` is what a client appends to the
address that it was given; PHOTO stands for the server of photos, or for a photo in base 64.
"""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.indexer.photos.servers import LOOPBACK, Answer, PhotoServer
from tests.snapshots import MUSCARIA, Made
from tests.web.conftest import make_app
from tests.web.contracts.conftest import FIND, LIMITS, Part, Placed, multipart

HERE = Path(__file__).resolve().parent
CLIENTS: dict[str, list[dict[str, Any]]] = json.loads((HERE / "clients.json").read_text(encoding="utf-8"))
REQUESTS = [
    pytest.param(name, asked, id=f"{name}-{n}") for name, all_ in CLIENTS.items() for n, asked in enumerate(all_)
]
BEST = "Amanita muscaria"


def configured() -> dict[str, str]:
    """The address that the documentation tells each client, word for word."""
    written = (HERE.parents[2] / "docs" / "clients.md").read_text(encoding="utf-8")
    table = written.partition("## Configure a client")[2].partition("**Keys.**")[0]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines() if line.startswith("| ")
    ]
    return {name: address.strip("`") for name, _, address, _ in rows[1:]}


@pytest.fixture(scope="module")
def app(made: Made) -> Flask:
    """As by default, with the projects that clients have in their code, and open to a page of another origin."""
    return make_app(
        made.root,
        made.photos,
        limits=LIMITS,
        catalogue=Placed(),
        guard=LOOPBACK,
        cors_origins=("https://fungi.example",),
        project_aliases={"the-plant-list": "best", "useful": "north"},
    )


def send(client: FlaskClient, address: str, asked: Mapping[str, Any], photos_at: str) -> TestResponse:
    """Send a request as its client does: address, query, headers, and each part in its order with its own headers."""
    given: dict[str, Any] = {"headers": dict(asked.get("headers", {}))}
    if "parts" in asked:
        given |= multipart([as_part(part) for part in asked["parts"]])
    elif "form" in asked:
        given |= {"data": urlencode(dict(asked["form"])), "content_type": "application/x-www-form-urlencoded"}
    elif "json" in asked:
        given |= {"data": json.dumps(asked["json"]).replace("PHOTO", b64encode(FIND[0]).decode())}
        given |= {"content_type": "application/json"}
    whole = address + asked["rest"].replace("PHOTO", quote(photos_at, safe=""))
    query = urlencode([(name, value.replace("PHOTO", photos_at)) for name, value in asked["query"]])
    joined = whole + ("&" if "?" in whole else "?") + query if query else whole
    return client.open(joined, method=asked["method"], **given)


def as_part(part: Mapping[str, Any]) -> Part:
    """A part with a photo, or with text."""
    body = FIND[part["photo"]] if "photo" in part else part["value"].encode()
    return Part(part["name"], body, part.get("filename"), part.get("type"))


@pytest.mark.parametrize(("name", "asked"), REQUESTS)
def test_a_client_reads_what_it_asked_for(
    client: FlaskClient, server: PhotoServer, name: str, asked: dict[str, Any]
) -> None:
    server.answers |= {f"/{number + 1}.jpg": [Answer(body=photo)] for number, photo in enumerate(FIND)}
    address = configured()[name].replace("http://HOST:8000", "").replace("KEY", "k")

    answer = send(client, address, asked, server.address)

    assert answer.status_code == 200, answer.get_data(as_text=True)
    if "Origin" in asked.get("headers", {}):
        assert answer.headers["Access-Control-Allow-Origin"] == asked["headers"]["Origin"]
    READERS[asked["reads"]](answer.get_json())


def test_every_client_of_the_documentation_is_sent_and_no_other() -> None:
    assert configured().keys() == CLIENTS.keys()
    assert {asked["reads"] for all_ in CLIENTS.values() for asked in all_} == READERS.keys()


def test_without_the_slash_at_its_end_the_python_client_finds_nothing(client: FlaskClient) -> None:
    address = configured()["PlantNetAPI-Python"]

    assert address.endswith("/v2/")
    assert client.get(address.removeprefix("http://HOST:8000").rstrip("/") + "_status").status_code == 404


# What clients do with an answer: the same keys, read as blindly. Each fails where its client would.


def read_identified(body: Any) -> None:
    assert body["bestMatch"].startswith(BEST)
    assert [result["score"] for result in body["results"]] == sorted(
        (r["score"] for r in body["results"]), reverse=True
    )
    first = body["results"][0]["species"]
    assert first["scientificNameWithoutAuthor"] == BEST
    assert isinstance(first["commonNames"], list)
    assert isinstance(body["remainingIdentificationRequests"], int)
    assert len(body["query"]["images"]) == len(body["query"]["organs"]) == len(body["predictedOrgans"])


def read_benchmark(body: Any) -> None:
    lines = [(each["species"]["scientificName"], each["score"]) for each in body["results"][:5]]
    assert lines[0][0] == f"{BEST} (L.) Lam."
    assert body["results"][0]["species"]["scientificNameWithoutAuthor"].lower().split(" ")[0] == "amanita"


def read_survey_benchmark(body: Any) -> None:
    results = body["results"]
    header = [results["image"]["width"], results["image"]["height"], results["nb_sub_queries"]]
    assert header == [140, 120, 2]
    assert all(len(results[rank]) > 0 for rank in ("species", "genus", "family"))
    kept = [row for row in results["species"] if row.get("name") is not None and row.get("reject") is None]
    kept.sort(key=lambda row: row["max_score"], reverse=True)
    assert " ".join(kept[0]["name"].split(" ")[:2]) == BEST
    assert all({"max_score", "count", "coverage"} <= row.keys() for row in kept)


def read_web_example(body: Any) -> None:
    for result in body["results"][:3]:
        assert result["species"]["family"]["scientificNameWithoutAuthor"] is not None
        for image in result["images"]:
            assert image["license"] + image["author"] + image["date"]["string"] + image["url"]["s"]
    assert body["results"][0]["images"]


def read_component(body: Any) -> None:
    for result in body["results"]:
        for image in result["images"].copy():
            assert image["url"]["m"].startswith("http")
            assert image["citation"] is not None
            assert image["date"]["string"] is not None
        assert result["species"]["family"]["scientificName"] is not None
    assert body["results"][0]["images"]


def read_c4c(body: Any) -> None:
    assert body["status"] == "ok"
    assert body["results"][0]["name"] == BEST
    assert body["results"][0]["images"][0]["url"]


def read_c4c_taxa(body: Any) -> None:
    assert BEST in [taxon["name"] for taxon in body]


def read_status(body: Any) -> None:
    assert body["status"] == "ok"


def read_array(body: Any) -> None:
    assert isinstance(body, list)


def read_object(body: Any) -> None:
    assert isinstance(body, dict)


def read_projects(body: Any) -> None:
    assert {"north", "world"} <= {project["id"] for project in body}
    assert all(project["title"] and project["description"] and project["speciesCount"] for project in body)


def read_species(body: Any) -> None:
    for row in body:
        line = [
            row["id"],
            row["scientificNameWithoutAuthor"],
            row["scientificNameAuthorship"],
            row["genus"],
            row["family"],
        ]
        assert "; ".join([*line, *row["commonNames"], str(row["gbifId"])])
    assert body


def read_quota(body: Any) -> None:
    asked = body["quota"]["identify"]
    assert not asked["count"] >= asked["total"]  # what asks whether it may go on
    assert asked["remaining"] == asked["total"] - asked["count"]


def read_cost(body: Any) -> None:
    assert body.get("estimated_cost", "?") == 2


def read_labelled(body: Any) -> None:
    for result in body.get("results", []):
        species = result.get("species", {})
        assert species.get("family", {}).get("scientificNameWithoutAuthor", "") is not None
        assert f"{result.get('gbif', {}).get('id', '')}{result.get('powo', {}).get('id', '')}" != "None"
    assert body["results"][0]["gbif"]["id"] == "900011"


def read_labelled_survey(body: Any) -> None:
    results = body.get("results", {})
    assert f"{results.get('uncovered', 0):.1%}" == "0.0%"
    boxes = []
    for row in results["species"]:
        if row["count"] > 0 and row.get("binomial"):
            assert {"gbif_id", "genus", "family", "coverage", "max_score"} <= row.keys()
            for tile in row["location"]:
                boxes.append((tile["center"]["x"] - tile["size"] // 2, tile["center"]["y"] - tile["size"] // 2))
                assert tile["score"] > 0.005
                assert isinstance(tile["organ"], str)
    assert set(boxes) <= {(0, 0), (20, 0)}
    assert boxes


def read_labelled_embeddings(body: Any) -> None:
    tiles = body["results"]["embeddings"]
    assert {len(tile["embeddings"]) for tile in tiles} == {256}
    found = re.search(r"\(([^)]+)\)", body["version"])
    assert found is not None
    assert found[1] == "descriptor@1"


def read_embedding(body: Any) -> None:
    assert isinstance(body["embeddings"][0], float)
    assert isinstance(body["version"], str)


def read_kamerplanter(body: Any) -> None:
    for result in body["results"]:
        raw = (result.get("gbif") or {}).get("id")
        assert raw in (None, "") or int(raw)
        images = result.get("images") or []
        assert not images or (images[0].get("url") or {}).get("m")
    read_identified(body)


def read_mapcomplete(body: Any) -> None:
    assert body["results"][0]["species"]["scientificNameWithoutAuthor"] == BEST
    assert all(result["species"]["genus"]["scientificName"] for result in body["results"])
    assert {"project", "images", "organs", "includeRelatedImages"} <= body["query"].keys()
    assert body["language"] == "en"
    assert body["preferedReferential"]


def read_mcp(body: Any) -> None:
    trimmed = [
        (entry.get("score"), (entry.get("species") or {}).get("scientificName"), (entry.get("gbif") or {}).get("id"))
        for entry in body["results"][:5]
    ]
    assert trimmed[0][1:] == (f"{BEST} (L.) Lam.", "900011")


def read_swift(body: Any) -> None:
    """Its types: what is not said to be optional must be there and no null."""
    assert all(isinstance(body[name], str) for name in ("language", "preferedReferential", "bestMatch", "version"))
    assert isinstance(body["query"]["includeRelatedImages"], bool)
    for result in body["results"]:
        names = [result["species"], result["species"]["genus"], result["species"]["family"]]
        assert all(
            isinstance(each["scientificName"], str) and isinstance(each["scientificNameAuthorship"], str)
            for each in names
        )
    assert isinstance(body["results"][0]["gbif"]["id"], str)


def read_scores(body: Any) -> None:
    taxa = [{**result, "taxon": dict(result["taxon"])}["taxon"] for result in body["results"]]
    assert taxa[0]["name"] == BEST
    assert dict(body["common_ancestor"]["taxon"])["rank_level"] >= 10


def read_taxa(body: Any) -> None:
    assert body["total_results"] == len(body["results"]) > 0
    for taxon in body["results"]:
        assert {"id", "name", "rank", "ancestor_ids", "default_photo"} <= taxon.keys()
    assert MUSCARIA in [taxon["id"] for taxon in body["results"]]


def read_danish(body: Any) -> None:
    assert body[0]["acceptedTaxon"]["FullName"] == BEST
    assert "giftig" in body[0]["acceptedTaxon"]["attributes"]["spiselighedsrapport"]


READERS: Mapping[str, Callable[[Any], None]] = {
    "identified": read_identified,
    "benchmark": read_benchmark,
    "benchmark-survey": read_survey_benchmark,
    "web-example": read_web_example,
    "ai-taxonomist": read_component,
    "c4c": read_c4c,
    "c4c-taxa": read_c4c_taxa,
    "status": read_status,
    "array": read_array,
    "object": read_object,
    "projects": read_projects,
    "species": read_species,
    "quota": read_quota,
    "cost": read_cost,
    "labelbox-single": read_labelled,
    "labelbox-survey": read_labelled_survey,
    "labelbox-embeddings": read_labelled_embeddings,
    "embedding": read_embedding,
    "kamerplanter": read_kamerplanter,
    "mapcomplete": read_mapcomplete,
    "mcp-python": read_mcp,
    "swift": read_swift,
    "scores": read_scores,
    "taxa": read_taxa,
    "danish": read_danish,
}
