"""The replicas answer in the shapes of the services' recorded replies."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.replicas.gbif import Replica, describe, make_records, make_taxa
from tests.replicas.inaturalist import InatReplica, observation


def kinds(value: Any) -> Any:
    """The JSON kind of a value."""
    return type(value).__name__


def assert_shape(made: dict[str, Any], recorded: dict[str, Any]) -> None:
    """Every member that a replica sends is one that was recorded, of the same kind where that is not null."""
    for name, value in made.items():
        assert name in recorded, name
        if value is not None and recorded[name] is not None:
            assert {kinds(value), kinds(recorded[name])} in ({kinds(value)}, {"int", "float"}), name


def test_occurrences_have_the_recorded_shape(shared: Path) -> None:
    recorded = json.loads((shared / "samples" / "gbif-api" / "occurrence_search_page.json").read_bytes())
    taxa = make_taxa(1)
    made = json.loads(Replica(taxa, make_records(taxa, 2)).answer("/v1/occurrence/search", [("limit", "2")]).body)

    every = {name: value for record in recorded["results"] for name, value in record.items()}
    assert_shape({**made, "results": []}, {**recorded, "results": []})
    assert_shape(made["results"][0], every)
    media = {
        name: value for record in recorded["results"] for photo in record["media"] for name, value in photo.items()
    }
    assert_shape({k: v for k, v in made["results"][0]["media"][0].items() if k != "format"}, media)


def test_facets_and_taxa_have_the_recorded_shape(shared: Path) -> None:
    folder = shared / "samples" / "gbif-api"
    facets = json.loads((folder / "species_search_facets.json").read_bytes())
    species, match = (json.loads((folder / name).read_bytes()) for name in ("species.json", "species_match.json"))
    taxa = make_taxa(1)
    replica = Replica(taxa, make_records(taxa, 2))
    made = json.loads(replica.answer("/v1/occurrence/search", [("limit", "0"), ("facet", "speciesKey")]).body)
    matched = json.loads(replica.answer("/v1/species/match", [("name", "Fungi"), ("rank", "KINGDOM")]).body)

    assert made["facets"][0]["field"] == "SPECIES_KEY"  # as STATUS there: in capitals
    assert_shape(made["facets"][0], facets["facets"][0])
    assert_shape(made["facets"][0]["counts"][0], facets["facets"][0]["counts"][0])
    assert_shape(matched, match)
    above = {"phylum", "class", "order", "family", "genus", "species", "synonym"}  # of lower taxa than the recorded one
    keys = {f"{name}Key" for name in above}
    assert_shape({k: v for k, v in describe(taxa[0]).items() if k not in above | keys}, species)


def test_observations_have_the_recorded_shape(shared: Path) -> None:
    folder = shared / "samples" / "inat-api"
    recorded = json.loads((folder / "observations_page1.json").read_bytes())
    (one, *_) = recorded["results"]
    taxa = make_taxa(1)
    replica = InatReplica(taxa, [observation(1, taxa[0])])
    made = json.loads(
        replica.answer("/v1/observations", [("quality_grade", "research"), ("photo_license", "cc-by")]).body
    )

    assert_shape({**made, "results": []}, {**recorded, "results": []})
    assert_shape(made["results"][0], one)
    for part in ("taxon", "user"):
        assert_shape(made["results"][0][part], one[part])
    assert_shape(made["results"][0]["photos"][0], one["photos"][0])
