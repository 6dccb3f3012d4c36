"""Flora expressions: taxa, places and licences, evaluated from left to right; errors are one sentence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from indexer.building.build import Catalogue, build_snapshot
from indexer.embedding.embeddings import EmbeddingStore
from retrieval.errors import PlaceUnavailable, UnknownFlora, UnknownTaxon
from retrieval.snapshots.cells import cell_of
from retrieval.snapshots.occurrences import Occurrence
from retrieval.snapshots.publishing import publish_snapshot
from retrieval.snapshots.snapshot import Snapshot, open_snapshot
from tests.catalogues import CARD
from tests.floras import FLORAS, LICENCES, SPECIES, TAXA, embed, make_entries

COPENHAGEN, LYON = (55.68, 12.57), (45.76, 4.84)
ENTRIES = make_entries(3)


@pytest.fixture(scope="module")
def snapshot(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    pytest.importorskip("h3")
    root = tmp_path_factory.mktemp("words")
    with EmbeddingStore(root / "store", CARD["model"]) as store:
        store.add([entry.photo for entry in ENTRIES], embed(ENTRIES))
        seen = [Occurrence(species, 9, cell_of(*COPENHAGEN)) for species in SPECIES[:12]]
        seen += [Occurrence(species, 9, cell_of(*LYON)) for species in SPECIES[8:20]]
        build_snapshot(root, Catalogue(ENTRIES, TAXA, [], [], FLORAS, seen), store, CARD)
    publish_snapshot(root)
    return open_snapshot(root)


NORTH, SOUTH, FEW = (set(plan.species) for plan in FLORAS)
GENUS2 = set(SPECIES[20:30])


@pytest.mark.parametrize(
    ("words", "species"),
    [
        ("north", NORTH),
        ("north or south", NORTH | SOUTH),
        ("north and south", NORTH & SOUTH),
        ("north without south", NORTH - SOUTH),
        ("taxon:Genus2", GENUS2),
        ("taxon:12", GENUS2),
        (f"taxon:{SPECIES[3]}", {SPECIES[3]}),
        ("taxon:Genus2 species25", {SPECIES[25]}),
        ("taxon:Fungi", set(SPECIES)),
        ("south and taxon:Genus2 or few", SOUTH & GENUS2 | FEW),
        ("few or south and taxon:Genus2", (FEW | SOUTH) & GENUS2),
        ("near:55.68,12.57", set(SPECIES[:12])),
        ("near:55.5,12.9", set(SPECIES[:12])),
        ("near:55.68,12.57 and near:45.76,4.84 or few", set(SPECIES[8:12]) | FEW),
        ("  north  without   taxon:Genus2 ", NORTH - GENUS2),
    ],
)
def test_words_name_species(snapshot: Snapshot, words: str, species: set[int]) -> None:
    flora = snapshot.flora(words)

    assert set(flora.species.tolist()) == species
    assert flora.card.species == len(species)


def test_only_references_under_the_licences_answer(snapshot: Snapshot) -> None:
    flora = snapshot.flora(f"north without few under {LICENCES[0]}, {LICENCES[2]}")

    found = flora.search(np.eye(2, 256, dtype=np.float32), 1_000)

    rows = found.rows[0][found.rows[0] >= 0].tolist()
    allowed = {n for n, e in enumerate(ENTRIES) if e.species in NORTH - FEW and e.licence in (LICENCES[0], LICENCES[2])}
    assert set(rows) == allowed


def test_a_flora_in_words_is_identified_in_and_names_itself(snapshot: Snapshot) -> None:
    from retrieval.answers.identify import identify_embeddings

    words = "north and taxon:Genus2"
    answer = identify_embeddings(
        embed(ENTRIES[80:82]), snapshot, flora=words, voting=snapshot.voting, candidates=5, options=None
    )

    assert answer.flora == words
    assert {candidate.taxon.id for candidate in answer.species} <= NORTH & GENUS2
    assert snapshot.flora(words).card.id == words


@pytest.mark.parametrize(
    ("words", "error", "says"),
    [
        ("north or nowhere", UnknownFlora, "no flora 'nowhere'"),
        ("taxon:Boletus", UnknownFlora, "no taxon 'Boletus'"),
        ("taxon:77777", UnknownTaxon, "no taxon 77777"),
        ("north under GPL", UnknownFlora, "there are: CC-BY-4.0"),
        ("near:here", PlaceUnavailable, "latitude,longitude"),
        ("near:120,10", PlaceUnavailable, "latitude must be between"),
        ("near:-40,170", PlaceUnavailable, "no species of this snapshot was recorded"),
        (" or ".join(["north"] * 30), UnknownFlora, "at most 21 parts"),
        ("north or ", UnknownFlora, "no flora"),
    ],
)
def test_words_that_name_nothing_are_refused(snapshot: Snapshot, words: str, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        snapshot.flora(words)


def test_places_need_records(tmp_path: Path) -> None:
    from tests.floras import publish

    publish(tmp_path, ENTRIES[:40], codes=False)

    with pytest.raises(PlaceUnavailable, match="does not know where"):
        open_snapshot(tmp_path).flora("near:55.68,12.57")
