"""One probability distribution over all species of the snapshot and none of them, and the effect of a flora's list."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from indexer.building.build import FloraPlan
from retrieval.answers.identify import identify_embeddings
from retrieval.answers.present import identification_json, identification_text
from retrieval.domain import RANKS, WORLD, Identification
from retrieval.models.embedder import Embeddings, unit_rows
from retrieval.ranking.calibration import Calibration
from retrieval.ranking.options import IdentifyOptions
from retrieval.ranking.posterior import off_list_weight
from retrieval.ranking.votes import Voting
from retrieval.snapshots.publishing import publish_snapshot
from retrieval.snapshots.snapshot import Snapshot, open_snapshot
from tests.catalogues import SPECIES, build, make_embedding, make_reference, make_references

NORTH = SPECIES[:3]
WITHOUT_PHOTOS = SPECIES[-1]  # on the list of the south, never photographed
FLORAS = [
    FloraPlan("north", "North", frozenset(NORTH)),
    FloraPlan("south", "South", frozenset([*SPECIES[4:7], WITHOUT_PHOTOS])),
    FloraPlan("bare", "Bare", frozenset([WITHOUT_PHOTOS])),
]
LEARNED = Calibration(
    votes=0.8,
    prototypes=8.0,
    counts=0.2,
    floor=1e-3,
    sharpening={"mean": 0.4},
    aspects={"stipe": 1.7},
    thresholds={"one": {"0.90": [0.5] * 7}, "several": {"0.90": [0.6] * 7}},
    rejection={"constant": -4.0, "similarity": -1.0, "entropy": 1.0, "strange": -1.0},
    confidence={"constant": 0.1, "logit": 1.1, "photos": 0.8, "listed": -0.1},
    fitted={"observations": 30},
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("one")
    build(folder / "indexes", folder / "store", make_references(SPECIES[:-1]), FLORAS)
    publish_snapshot(folder / "indexes")
    return folder / "indexes"


def learned(root: Path, calibration: Calibration = LEARNED) -> Snapshot:
    """The snapshot as it stands after calibration."""
    snapshot = open_snapshot(root)
    return Snapshot(root, snapshot.manifest) if calibration is None else calibrated(root, snapshot, calibration)


def calibrated(root: Path, snapshot: Snapshot, calibration: Calibration) -> Snapshot:
    """The same snapshot under other learned numbers; its folder is linked to the new name."""
    manifest = replace(snapshot.manifest, calibration=calibration.as_json())
    snapshot.close()
    folder = root / "snapshots" / manifest.name
    if not folder.exists():
        folder.symlink_to(snapshot.name, target_is_directory=True)
    return Snapshot(root, manifest)


def photos_of(species: int, photos: int = 1, observation: int = 900, spread: float = 0.8) -> Embeddings:
    """New photos of a species."""
    rows = [make_embedding(make_reference(species, observation, number), spread) for number in range(photos)]
    return unit_rows(np.stack(rows))


def ask(snapshot: Snapshot, photos: Embeddings, flora: str = WORLD, **options: object) -> Identification:
    return identify_embeddings(
        photos,
        snapshot,
        flora=flora,
        voting=snapshot.voting,
        candidates=100,
        options=IdentifyOptions(**options),  # type: ignore[arg-type]
    )


@pytest.mark.parametrize("flora", [WORLD, "north", "south", "taxon:Alpha", "north without south"])
@given(seed=st.integers(0, 10_000), photos=st.integers(1, 4))
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_species_on_the_list_and_off_it_and_none_of_these_add_up_to_1(
    root: Path, flora: str, seed: int, photos: int
) -> None:
    snapshot = learned(root)
    noise = np.random.default_rng(seed)
    queries = unit_rows(photos_of(SPECIES[seed % 9], photos) + 0.3 * noise.normal(size=(photos, 256)) / 16)

    answer = ask(snapshot, queries, flora)

    assert answer.rejection is not None
    on_list = sum(candidate.score for candidate in answer.species)
    off_list = 0.0 if answer.of_list is None else answer.of_list.off_list
    assert on_list + off_list + answer.rejection.none == pytest.approx(1, abs=1e-5)  # traces are not listed
    genera = sum(genus.score for genus in answer.genera)
    assert genera + answer.rejection.none == pytest.approx(1, abs=1e-9)
    if flora != WORLD:
        assert answer.of_list is not None
        assert answer.of_list.none_of_list == pytest.approx(off_list + answer.rejection.none)
        assert {c.taxon.id for c in answer.species} <= set(snapshot.flora(flora).species.tolist())
        assert not {c.taxon.id for c in answer.outside} & set(snapshot.flora(flora).species.tolist())
        assert sum(c.score for c in answer.outside) <= off_list + 1e-12


def test_a_find_that_is_not_on_the_list_gets_no_sure_name_from_it(root: Path) -> None:
    snapshot = learned(root)
    stranger = SPECIES[6]

    answer = ask(snapshot, photos_of(stranger, 3), "north")

    assert answer.of_list is not None
    assert answer.of_list.probable
    assert answer.of_list.most_like is not None
    assert answer.of_list.most_like.id == stranger
    assert answer.outside[0].taxon.id == stranger
    assert all(candidate.score < 0.3 for candidate in answer.species)
    assert answer.specificity is not None
    assert answer.specificity.taxon is None or answer.specificity.taxon.rank != "species"
    described = identification_json(answer, snapshot)
    assert described["floraList"]["words"] == "Probably none of this list: most like Beta species1, which is not on it."
    assert described["floraList"]["mostLike"]["taxonID"] == stranger
    assert described["floraList"]["words"] in "\n".join(identification_text(answer, snapshot))


def test_a_find_that_is_on_the_list_is_named_as_before_it_was_asked_for(root: Path) -> None:
    snapshot = learned(root)

    for species in NORTH:
        everywhere, there = (ask(snapshot, photos_of(species, 3), flora) for flora in (WORLD, "north"))

        assert there.species[0].taxon.id == everywhere.species[0].taxon.id == species
        assert there.species[0].score >= everywhere.species[0].score - 0.05
        assert there.of_list is not None
        assert not there.of_list.probable


def test_the_list_s_own_nearest_references_vote_beside_those_of_the_world(root: Path) -> None:
    snapshot = learned(root)
    few = Voting(neighbours=3, temperature=snapshot.voting.temperature)

    answer = identify_embeddings(
        photos_of(SPECIES[6]), snapshot, flora="north", voting=few, candidates=10, options=IdentifyOptions()
    )

    assert all(evidence.reference.species == SPECIES[6] for evidence in answer.outside[0].evidence)
    assert any(candidate.evidence for candidate in answer.species)  # none of them is among the world's three
    assert {e.reference.species for c in answer.species for e in c.evidence} <= set(NORTH)


def test_the_list_weighs_as_much_as_was_learned_of_it(root: Path) -> None:
    sums = []
    for rate in (0.02, 0.2, 0.6):
        answer = ask(learned(root, replace(LEARNED, off_list_rate=rate)), photos_of(SPECIES[6]), "north")
        assert answer.of_list is not None
        sums.append(answer.of_list.off_list)

    assert sums == sorted(sums)
    assert sums[0] < sums[2]


def test_a_species_off_the_list_is_weighed_by_how_often_finds_are_and_by_what_the_collection_holds() -> None:
    assert off_list_weight(0.2, listed=100, others=100) == pytest.approx(0.25)
    assert off_list_weight(0.2, listed=10, others=990) == pytest.approx(0.25 * 10 / 990)
    assert off_list_weight(0.2, listed=990, others=10) == 1.0  # never more than a species of the list
    assert off_list_weight(0.2, listed=0, others=10) == off_list_weight(0.2, listed=10, others=0) == 1.0


def test_without_calibration_the_list_excludes_as_ever(root: Path) -> None:
    snapshot = open_snapshot(root)

    answer = ask(snapshot, photos_of(SPECIES[6], 2), "north")

    assert answer.of_list is None
    assert sum(candidate.score for candidate in answer.species) == pytest.approx(1)
    assert identification_json(answer, snapshot)["floraList"] is None
    assert answer.outside[0].taxon.id == SPECIES[6]


@pytest.mark.parametrize("flora", [WORLD, "north"])
@pytest.mark.parametrize("shown", ["", "stipe"])
@pytest.mark.parametrize("fusion", ["mean", "product", "max"])
def test_copies_of_a_photo_change_no_score(root: Path, flora: str, shown: str, fusion: str) -> None:
    snapshot = learned(root)
    one, other = photos_of(SPECIES[1], 1), photos_of(SPECIES[1], 1, observation=901, spread=2.0)
    alone = ask(snapshot, one, flora, aspects=(shown,), fusion=fusion)
    both = ask(snapshot, np.vstack([one, other]), flora, fusion=fusion)

    for copies in (2, 4, 8):
        again = ask(snapshot, np.repeat(one, copies, axis=0), flora, aspects=(shown,) * copies, fusion=fusion)
        mixed = ask(snapshot, np.vstack([np.repeat(one, copies, axis=0), other]), flora, fusion=fusion)

        assert scores_of(again) == pytest.approx(scores_of(alone), abs=1e-9)
        assert again.effective_photos == pytest.approx(1)
        assert again.same_photos == (tuple(range(copies)),)
        assert again.specificity is not None
        assert alone.specificity is not None
        assert again.specificity.taxon == alone.specificity.taxon
        assert scores_of(mixed) == pytest.approx(scores_of(both), abs=1e-9)
    assert "Photos 1 and 2 show the same and count as one." in "\n".join(
        identification_text(ask(snapshot, np.repeat(one, 2, axis=0), flora), snapshot)
    )


def scores_of(answer: Identification) -> dict[int, float]:
    return {candidate.taxon.id: candidate.score for candidate in answer.species}


@pytest.mark.parametrize("rejection", [{"constant": 9.0, "similarity": 0.0, "entropy": 0.0, "strange": -1.0}])
def test_a_rejected_answer_names_nothing(root: Path, rejection: dict[str, float]) -> None:
    snapshot = learned(root, replace(LEARNED, rejection=rejection))

    for flora in (WORLD, "north"):
        for within in ((), (3,)):
            answer = ask(snapshot, photos_of(SPECIES[0]), flora, within=within)

            assert answer.rejection is not None
            assert answer.rejection.rejected
            assert answer.specificity is not None
            assert (answer.specificity.taxon, answer.specificity.depth) == (None, 0)
            assert "No name is given" in identification_json(answer, snapshot)["specificity"]["words"]
    ranked = ask(snapshot, photos_of(SPECIES[0]), no_reject=True)
    assert ranked.rejection is not None
    assert not ranked.rejection.rejected


def test_nothing_is_named_at_a_threshold_of_nothing(root: Path) -> None:
    nothing = {"one": {"0.90": [0.0] * 7}, "several": {"0.90": [0.0] * 7}}
    snapshot = learned(root, replace(LEARNED, thresholds=nothing))

    answer = ask(snapshot, photos_of(SPECIES[0]), "bare")

    assert answer.specificity is not None
    assert answer.specificity.taxon is None


def test_one_photo_and_several_have_thresholds_of_their_own_and_copies_are_one(root: Path) -> None:
    snapshot = learned(root)
    one = photos_of(SPECIES[1])

    limits = [
        ask(snapshot, photos).specificity.threshold  # type: ignore[union-attr]
        for photos in (one, np.repeat(one, 3, axis=0), np.vstack([one, photos_of(SPECIES[1], 1, 901, spread=2.0)]))
    ]

    assert limits == [0.5, 0.5, 0.6]


def test_a_list_has_thresholds_of_its_own_where_they_were_learned(root: Path) -> None:
    of_list = {"oneListed": {"0.90": [0.7] * 7}, "severalListed": {"0.90": [0.8] * 7}}
    own = learned(root, replace(LEARNED, thresholds={**LEARNED.thresholds, **of_list}))
    one = photos_of(SPECIES[1])
    two = np.vstack([one, photos_of(SPECIES[1], 1, 901, spread=2.0)])

    limits = [
        ask(snapshot, photos, *flora).specificity.threshold  # type: ignore[union-attr]
        for snapshot in (own, learned(root))
        for flora in ((), ("north",))
        for photos in (one, two)
    ]

    assert limits == [0.5, 0.6, 0.7, 0.8, 0.5, 0.6, 0.5, 0.6]


def test_species_of_a_list_without_a_photo_are_no_candidates(root: Path) -> None:
    answer = ask(learned(root), photos_of(SPECIES[4]), "south")

    assert WITHOUT_PHOTOS not in scores_of(answer)
    assert answer.species[0].taxon.id == SPECIES[4]


def test_a_snapshot_without_arrays_of_its_species_answers_the_same(root: Path, tmp_path: Path) -> None:
    snapshot = learned(root)
    answers = [ask(snapshot, photos_of(species, 2), "north") for species in SPECIES[:4]]
    vars(snapshot)["arrays"] = worked_out(snapshot)

    again = [ask(snapshot, photos_of(species, 2), "north") for species in SPECIES[:4]]

    assert [scores_of(answer) for answer in again] == [scores_of(answer) for answer in answers]
    assert [answer.genera for answer in again] == [answer.genera for answer in answers]


def worked_out(snapshot: Snapshot) -> object:
    """The arrays as they are made where no file holds them."""
    from retrieval.snapshots.species_arrays import make_species_arrays

    return make_species_arrays(snapshot.all_species, snapshot.taxonomy, snapshot.sums)


def test_lineages_are_those_that_the_taxonomy_says_one_by_one(root: Path) -> None:
    snapshot = open_snapshot(root)

    lineages = snapshot.lineages(snapshot.all_species)

    for line, species in zip(lineages.tolist(), snapshot.all_species.tolist(), strict=True):
        known = {node.rank: node.id for node in snapshot.taxonomy.lineage(species)}
        assert line == [known.get(rank, -1) for rank in RANKS]
