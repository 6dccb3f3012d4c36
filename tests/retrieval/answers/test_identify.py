"""Answers over a small synthetic collection, compared with a plain computation."""

from __future__ import annotations

import math
import shutil
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from retrieval.answers.candidates import DIGITS
from retrieval.answers.identify import identify, identify_embeddings
from retrieval.answers.similar import find_similar, find_similar_embeddings
from retrieval.domain import NOTICE, WORLD, Identification, Taxon
from retrieval.errors import NoPhoto, SnapshotMismatch, UnknownFlora, UnreadablePhoto
from retrieval.models.descriptor import Descriptor
from retrieval.models.embedder import Embeddings, unit_rows
from retrieval.ranking.calibration import Calibration
from retrieval.ranking.fusion import photo_voices
from retrieval.ranking.options import IdentifyOptions
from retrieval.ranking.rejection import UNCOMPARED
from retrieval.ranking.votes import Voting
from retrieval.segments.segment import ReferenceEntry
from retrieval.snapshots.snapshot import Snapshot
from tests.snapshots import (
    CIBARIUS,
    CITRINA,
    COLOURS,
    CYANOXANTHA,
    FLORAS,
    MUSCARIA,
    PANTHERINA,
    TAXA,
    Made,
    draw_photo,
    make_entry,
    make_snapshot,
)

VOTING = Voting(neighbours=12, temperature=0.1)
PARENTS = {taxon.id: taxon.parent for taxon, _ in TAXA}
RANKS = {taxon.id: taxon.rank for taxon, _ in TAXA}


def made_world(count: int = 60) -> tuple[list[ReferenceEntry], Embeddings]:
    """References of six species, one to four photos an observation, scattered so that every species has a chance."""
    noise = np.random.default_rng(31)
    species = sorted(COLOURS)
    centres = unit_rows(noise.normal(size=(len(species), 256)))
    entries, rows = [], []
    for number in range(count):
        observation = int(noise.integers(0, 25))
        which = observation % len(species)
        entries.append(make_entry(f"{number:064x}", 1000 + observation, species[which]))
        rows.append(centres[which] + 0.08 * noise.normal(size=256))
    return entries, unit_rows(np.array(rows))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make_snapshot(tmp_path_factory.mktemp("indexes"), *made_world(), segments=3)


@pytest.fixture(scope="module")
def snapshot(made: Made) -> Snapshot:
    return made.open()


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    """A snapshot of drawn photos, for the descriptor."""
    return make_snapshot(tmp_path_factory.mktemp("drawn")).open()


def make_queries(seed: int, count: int) -> Embeddings:
    """Views that lie between the references."""
    noise = np.random.default_rng(seed)
    _, rows = made_world()
    return unit_rows(
        rows[noise.integers(0, len(rows), (count, 3))].sum(axis=1) + 0.05 * noise.normal(size=(count, 256))
    )


def plain_shares(made: Made, query: Embeddings, listed: Sequence[int] | None) -> dict[int, float]:
    """Rank the references by cosine, keep the first, let each observation vote once: the definition, in float64."""
    rows = made.embeddings.astype(np.float16).astype(np.float64)
    allowed = [number for number, entry in enumerate(made.entries) if listed is None or entry.species in listed]
    near = sorted(allowed, key=lambda number: -float(rows[number] @ query))[: VOTING.neighbours]
    best: dict[int, float] = {}
    species: dict[int, int] = {}
    for number in near:
        entry = made.entries[number]
        similarity = float(rows[number] @ query)
        best[entry.observation_id] = max(best.get(entry.observation_id, -2.0), similarity)
        species[entry.observation_id] = entry.species
    weights = {observation: math.exp(similarity / VOTING.temperature) for observation, similarity in best.items()}
    shares: dict[int, float] = defaultdict(float)
    for observation, weight in weights.items():
        shares[species[observation]] += weight / sum(weights.values())
    return dict(shares)


def plain_mean(per_view: Sequence[Mapping[int, float]], queries: Embeddings) -> dict[int, float]:
    """The mean over the photos, where photos that show the same share a voice."""
    voices = photo_voices(queries)
    return {
        taxon: sum(voice * shares.get(taxon, 0.0) for voice, shares in zip(voices, per_view, strict=True)) / sum(voices)
        for taxon in {taxon for shares in per_view for taxon in shares}
    }


def sums_at(shares: Mapping[int, float], rank: str) -> dict[int, float]:
    sums: dict[int, float] = defaultdict(float)
    for species, share in shares.items():
        node: int | None = species
        while node is not None and RANKS[node] != rank:
            node = PARENTS[node]
        if node is not None:
            sums[node] += share
    return dict(sums)


def shares_of(candidates: Sequence[object]) -> dict[int, float]:
    return {candidate.taxon.id: candidate.share for candidate in candidates}  # type: ignore[attr-defined]


def ask(snapshot: Snapshot, queries: Embeddings, flora: str = WORLD) -> Identification:
    return identify_embeddings(queries, snapshot, flora=flora, voting=VOTING, candidates=100)


@pytest.mark.parametrize("flora", [WORLD, *FLORAS])
@given(seed=st.integers(0, 10_000), count=st.integers(1, 4))
@example(seed=4485, count=3)  # two of the photos are much alike
@example(seed=4233, count=2)  # taxa that differ in the last bit only
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_answer_is_what_the_definition_says(
    made: Made, snapshot: Snapshot, flora: str, seed: int, count: int
) -> None:
    queries = make_queries(seed, count)
    listed = FLORAS.get(flora)
    per_view = [plain_shares(made, query, listed) for query in queries.astype(np.float64)]
    expected = plain_mean(per_view, queries)

    answer = ask(snapshot, queries, flora)

    assert shares_of(answer.species) == pytest.approx(expected, abs=1e-4)
    assert shares_of(answer.genera) == pytest.approx(sums_at(expected, "genus"), abs=1e-4)
    assert shares_of(answer.families) == pytest.approx(sums_at(expected, "family"), abs=1e-4)
    assert math.fsum(candidate.share for candidate in answer.species) == pytest.approx(1)
    for candidate in answer.species:
        alone = [shares.get(candidate.taxon.id, 0.0) for shares in per_view]
        assert candidate.per_photo == pytest.approx(alone, abs=1e-4)
    for candidates in (answer.species, answer.genera, answer.families, answer.outside):
        ranks = [(-round(one.score, DIGITS), one.taxon.name, one.taxon.id) for one in candidates]
        assert ranks == sorted(ranks)  # of equal scores the first name, so that no last bit decides
        assert all(np.diff([one.share for one in candidates]) < 10.0 ** (1 - DIGITS))


@pytest.mark.parametrize("flora", FLORAS)
@given(seed=st.integers(0, 10_000))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_the_list_excluded_although_it_looked_better_is_named(
    made: Made, snapshot: Snapshot, flora: str, seed: int
) -> None:
    queries = make_queries(seed, 2)
    world = plain_mean([plain_shares(made, query, None) for query in queries.astype(np.float64)], queries)
    best = max((share for species, share in world.items() if species in FLORAS[flora]), default=0.0)
    expected = {s: share for s, share in world.items() if s not in FLORAS[flora] and share > best + 1e-4}

    outside = shares_of(ask(snapshot, queries, flora).outside)

    assert {s: share for s, share in outside.items() if share > best + 1e-4} == pytest.approx(expected, abs=1e-4)
    assert not set(outside) & set(FLORAS[flora])


def test_in_the_world_nothing_is_outside(snapshot: Snapshot) -> None:
    assert ask(snapshot, make_queries(1, 2)).outside == ()


@given(seed=st.integers(0, 10_000), rng=st.randoms(use_true_random=False))
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_order_of_photos_changes_nothing_but_their_numbers(snapshot: Snapshot, seed: int, rng: Random) -> None:
    queries = make_queries(seed, 4)
    order = rng.sample(range(4), 4)

    one, other = ask(snapshot, queries, "north"), ask(snapshot, queries[order], "north")

    for candidates, others in ((one.species, other.species), (one.genera, other.genera), (one.outside, other.outside)):
        assert [(c.taxon, c.share) for c in candidates] == [(c.taxon, c.share) for c in others]
        assert [tuple(c.per_photo[number] for number in order) for c in candidates] == [c.per_photo for c in others]
        for candidate, twin in zip(candidates, others, strict=True):
            assert [replace(e, photo=0) for e in candidate.evidence] == [replace(e, photo=0) for e in twin.evidence]
            assert [e.photo for e in candidate.evidence] == [order[e.photo] for e in twin.evidence]


def test_the_order_and_the_segments_of_the_references_change_nothing(tmp_path: Path, made: Made) -> None:
    entries, rows = made_world()
    order = np.random.default_rng(8).permutation(len(entries))
    renumbered = {number: 5000 - number for number in range(1000, 1025)}  # as another order of import would give
    shuffled = [replace(entries[at], observation_id=renumbered[entries[at].observation_id]) for at in order.tolist()]
    other = make_snapshot(tmp_path, shuffled, rows[order], segments=1)
    queries = make_queries(9, 3)

    answers = [ask(each.open(), queries, "south") for each in (made, other)]

    for one, twin in zip(answers[0].species, answers[1].species, strict=True):
        assert (one.taxon, one.share, one.per_photo) == (twin.taxon, twin.share, twin.per_photo)
        assert [(e.reference.photo, e.similarity) for e in one.evidence] == [
            (e.reference.photo, e.similarity) for e in twin.evidence
        ]


def test_a_second_worse_photo_of_an_observation_changes_no_share(tmp_path: Path) -> None:
    entries, rows = made_world(10)
    query = make_queries(3, 1)
    votes = entries[0]
    worse = replace(votes, photo="e" * 64)
    away = unit_rows(rows[:1] - 0.2 * query)

    few = make_snapshot(tmp_path / "few", entries, rows)
    more = make_snapshot(tmp_path / "more", [*entries, worse], np.concatenate([rows, away]))

    assert shares_of(ask(few.open(), query).species) == shares_of(ask(more.open(), query).species)


def test_evidence_is_the_closest_photos_of_the_species_with_author_and_licence(made: Made, snapshot: Snapshot) -> None:
    queries = make_queries(4, 3)

    answer = ask(snapshot, queries)

    entries = {entry.photo: (entry, row) for entry, row in zip(made.entries, made.embeddings, strict=True)}
    for candidate in answer.species:
        assert candidate.evidence
        similarities = [evidence.similarity for evidence in candidate.evidence]
        assert similarities == sorted(similarities, reverse=True)
        assert len({evidence.reference.photo for evidence in candidate.evidence}) == len(candidate.evidence)
        for evidence in candidate.evidence:
            entry, row = entries[evidence.reference.photo]
            assert evidence.reference.species == entry.species == candidate.taxon.id
            assert (evidence.reference.author, evidence.reference.licence) == (entry.author, entry.licence)
            assert evidence.reference.author
            assert evidence.reference.licence
            assert evidence.similarity == pytest.approx(float(row @ queries[evidence.photo]), abs=2e-3)
            assert evidence.photo == int(np.argmax(queries @ row))


def test_the_answer_carries_its_circumstances(snapshot: Snapshot) -> None:
    answer = ask(snapshot, make_queries(5, 2), "north")

    assert (answer.flora, answer.photos, answer.snapshot) == ("north", 2, snapshot.name)
    assert answer.model == "descriptor@1"
    assert answer.notice == NOTICE
    assert "Never eat a fungus" in NOTICE


def test_a_species_without_genus_or_family_is_in_no_sum(snapshot: Snapshot) -> None:
    everyone = Voting(neighbours=60, temperature=0.5)

    answer = identify_embeddings(make_queries(6, 3), snapshot, flora=WORLD, voting=everyone, candidates=10)

    shares = shares_of(answer.species)
    assert shares[CIBARIUS] > 0.01
    assert math.fsum(c.share for c in answer.families) == pytest.approx(1 - shares[CIBARIUS])


def test_no_more_candidates_than_asked_for_and_the_best_of_them(snapshot: Snapshot) -> None:
    queries = make_queries(7, 2)
    everything = ask(snapshot, queries)

    few = identify_embeddings(queries, snapshot, flora=WORLD, voting=VOTING, candidates=2)

    assert few.species == everything.species[:2]
    assert few.genera == everything.genera[:2]


def test_equal_shares_are_ranked_by_name(tmp_path: Path) -> None:
    row = np.eye(1, 256, dtype=np.float32)
    entries = [make_entry(f"{number:064x}", number, species) for number, species in enumerate(sorted(COLOURS))]
    made = make_snapshot(tmp_path, entries, np.repeat(row, len(entries), axis=0))

    names = [candidate.taxon.name for candidate in ask(made.open(), row).species]

    assert names == sorted(names)
    assert len(names) == 6


def test_a_flora_without_references_gives_an_empty_answer_with_what_it_excluded(tmp_path: Path) -> None:
    made = make_snapshot(tmp_path, *made_world(), floras={"bare": [13]})

    answer = ask(made.open(), make_queries(2, 2), "bare")

    assert answer.species == answer.genera == answer.families == ()
    assert answer.outside


LEARNED = Calibration(
    prototypes=3.0,
    counts=0.1,
    floor=1e-3,
    sharpening={"mean": 0.2},
    thresholds={photos: {"0.80": [0.6] * 7, "0.90": [0.7] * 7, "0.95": [0.8] * 7} for photos in ("one", "several")},
    rejection={"constant": -2.0, "similarity": -1.0, "entropy": 1.0, "strange": 0.1},
    rejection_even={"constant": -2.0, "similarity": -1.0, "entropy": 1.0, "strange": 0.1},
    confidence={"constant": 0.1, "logit": 1.0, "photos": 0.2},
    confidence_even={"constant": 0.1, "logit": 1.0, "photos": 0.2},
    fitted={"observations": 25},
)


def open_learned(made: Made) -> Snapshot:
    """The snapshot as it stands after calibration."""
    manifest = replace(made.manifest, calibration=LEARNED.as_json())
    folder = made.root / "snapshots"
    shutil.copytree(folder / made.manifest.name, folder / manifest.name)
    return Snapshot(made.root, manifest)


@pytest.mark.parametrize("learned", [False, True], ids=["shares", "calibrated"])
@pytest.mark.parametrize(
    "options", [IdentifyOptions(), IdentifyOptions(priors=["uniform"]), IdentifyOptions(within=[4])]
)
@pytest.mark.parametrize("flora", ["bare", "empty", "taxon:Amanita without north", "taxon:13 or empty"])
def test_where_nothing_could_be_compared_nothing_is_named_and_that_is_said(
    tmp_path: Path, flora: str, options: IdentifyOptions, learned: bool
) -> None:
    made = make_snapshot(tmp_path, *made_world(), floras={**FLORAS, "bare": [PANTHERINA], "empty": []})
    snapshot = open_learned(made) if learned else made.open()

    for photos in (1, 3):
        answer = identify_embeddings(
            make_queries(2, photos), snapshot, flora=flora, voting=VOTING, candidates=10, options=options
        )

        assert answer.species == answer.genera == answer.families == ()
        assert answer.outside
        assert answer.specificity is not None
        assert answer.specificity.probability == 0
        assert answer.rejection is not None
        assert answer.rejection.rejected
        assert answer.rejection.none == 1  # with the scores of the species, which are 0, that is all
        assert answer.rejection.reason == UNCOMPARED


@pytest.mark.parametrize(("target", "threshold"), [(0.5, 0.6), (0.85, 0.65), (0.95, 0.8), (0.975, 0.9), (0.999, 0.996)])
def test_more_than_was_fitted_is_asked_for_at_a_stricter_threshold(
    tmp_path: Path, target: float, threshold: float
) -> None:
    snapshot = open_learned(make_snapshot(tmp_path, *made_world()))

    answer = identify_embeddings(
        make_queries(2, 1), snapshot, flora=WORLD, voting=VOTING, candidates=10, options=IdentifyOptions(target=target)
    )

    assert answer.specificity is not None
    assert answer.specificity.threshold == pytest.approx(threshold)


def test_photos_in_ranked_species_out(drawn: Snapshot) -> None:
    for species in COLOURS:
        answer = identify([draw_photo(species, 7), draw_photo(species, 7, 1)], drawn, Descriptor())

        assert answer.species[0].taxon.id == species
        assert answer.photos == 2


def test_the_snapshot_says_how_to_vote_unless_told_otherwise(drawn: Snapshot) -> None:
    photo = draw_photo(MUSCARIA, 8)

    own = identify([photo], drawn, Descriptor())
    same = identify([photo], drawn, Descriptor(), voting=Voting(50, 0.05))
    other = identify([photo], drawn, Descriptor(), voting=Voting(50, 5.0))

    assert own == same
    assert other.species[0].share < own.species[0].share


def test_an_unknown_flora_or_another_model_is_refused_before_any_photo_is_decoded(
    drawn: Snapshot, tmp_path: Path
) -> None:
    foreign = make_snapshot(tmp_path, card={"model": "descriptor@9"}).open()

    for ask_for in (identify, find_similar):
        with pytest.raises(UnknownFlora):
            ask_for([b"no photo"], drawn, Descriptor(), flora="atlantis")
        with pytest.raises(SnapshotMismatch):
            ask_for([b"no photo"], foreign, Descriptor())
        with pytest.raises(UnreadablePhoto, match="photo 1 of 1"):
            ask_for([b"no photo"], drawn, Descriptor())
        with pytest.raises(NoPhoto):
            ask_for([], drawn, Descriptor())


@given(seed=st.integers(0, 10_000), count=st.integers(1, 70), flora=st.sampled_from([WORLD, "south"]))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_similar_photos_are_the_closest_to_any_view_each_once(
    made: Made, snapshot: Snapshot, seed: int, count: int, flora: str
) -> None:
    queries = make_queries(seed, 3)
    rows = made.embeddings.astype(np.float16).astype(np.float32)
    listed = FLORAS.get(flora)
    best = {
        entry.photo: float((queries @ row).max())
        for entry, row in zip(made.entries, rows, strict=True)
        if listed is None or entry.species in listed
    }

    found = find_similar_embeddings(queries, snapshot, flora=flora, count=count)

    assert [evidence.similarity for evidence in found] == pytest.approx(
        sorted(best.values(), reverse=True)[:count], abs=1e-5
    )
    assert len({evidence.reference.photo for evidence in found}) == len(found)
    for evidence in found:
        assert evidence.similarity == pytest.approx(best[evidence.reference.photo], abs=1e-5)
        assert evidence.reference.author
        assert evidence.reference.licence


def test_each_similar_photo_names_the_view_it_resembles_most_and_of_equals_the_first(
    made: Made, snapshot: Snapshot
) -> None:
    rows = {entry.photo: row for entry, row in zip(made.entries, made.embeddings, strict=True)}
    queries = made.embeddings[[5, 40, 40, 20]]  # the third photo is the second once more

    found = find_similar_embeddings(queries, snapshot, flora=WORLD, count=60)

    assert {evidence.photo for evidence in found} == {0, 1, 3}
    for evidence in found:
        assert evidence.photo == int(np.argmax(np.round(queries @ rows[evidence.reference.photo], 5)))


def test_the_most_similar_photo_of_a_reference_is_itself(drawn: Snapshot) -> None:
    found = find_similar([draw_photo(CITRINA, 1, 1)], drawn, Descriptor(), count=3)

    assert found[0].similarity == pytest.approx(1, abs=1e-3)
    assert found[0].reference.species == CITRINA
    assert len(found) == 3


def test_a_taxonomy_without_the_species_between_is_no_obstacle(tmp_path: Path) -> None:
    bare = [(Taxon(species, f"Species {species}", "species"), "") for species in sorted(COLOURS)]
    made = make_snapshot(tmp_path, *made_world(), taxa=bare, floras={"south": [CYANOXANTHA]})

    answer = ask(made.open(), make_queries(1, 1))

    assert answer.species
    assert answer.genera == answer.families == ()
