"""Leave-one-out evaluation: queries, excluded references and results, compared with a plain computation."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from evaluation.measuring.leave_one_out import count_queries, judge_snapshot
from fungarium.cli import main
from indexer.building.build import FloraPlan
from retrieval.domain import WORLD
from retrieval.ranking.votes import Voting
from retrieval.segments.segment import ReferenceEntry
from retrieval.snapshots.publishing import publish_snapshot
from retrieval.snapshots.snapshot import Snapshot, open_snapshot
from tests.catalogues import SPECIES, build, fill_store, make_reference, make_references

FLORAS = [FloraPlan("north", "North", frozenset(SPECIES[:6]))]


def published(tmp_path: Path, references: list[ReferenceEntry]) -> Snapshot:
    build(tmp_path / "a", tmp_path / "e", references, FLORAS)
    publish_snapshot(tmp_path / "a")
    return open_snapshot(tmp_path / "a")


def plain_ranks(
    tmp_path: Path, references: list[ReferenceEntry], allowed: set[int], temperature: float
) -> dict[int, int]:
    """The rank of each observation's species, by the definition and nothing else."""
    with fill_store(tmp_path / "plain", references) as store:
        rows = store.read([entry.photo for entry in references])
    inside = [n for n, entry in enumerate(references) if entry.species in allowed]
    observations: dict[int, list[int]] = defaultdict(list)
    for n in inside:
        observations[references[n].observation_id].append(n)
    ranks = {}
    for observation, own in observations.items():
        species = references[own[0]].species
        if sum(references[mine[0]].species == species for mine in observations.values()) < 2:
            continue
        fused: dict[int, float] = defaultdict(float)
        for view in own:
            others = [n for n in inside if references[n].observation_id != observation]
            near = sorted(others, key=lambda n: -float(rows[n] @ rows[view]))[:50]
            best: dict[int, float] = {}
            for n in near:
                key = references[n].observation_id
                best[key] = max(best.get(key, -1.0), float(rows[n] @ rows[view]))
            votes: dict[int, float] = defaultdict(float)
            for key, similarity in best.items():
                votes[references[observations[key][0]].species] += math.exp(similarity / temperature)
            for taxon, vote in votes.items():
                fused[taxon] += vote / sum(votes.values()) / len(own)
        ranking = sorted(fused, key=lambda taxon: -fused[taxon])
        ranks[observation] = ranking.index(species) + 1 if species in fused else 0
    return ranks


def test_an_observation_of_many_photos_leaves_room_for_the_neighbours_of_others(tmp_path: Path) -> None:
    many = [make_reference(SPECIES[0], 1, photo) for photo in range(30)]
    snapshot = published(tmp_path, [*many, make_reference(SPECIES[0], 2), make_reference(SPECIES[1], 3)])

    for photos in (1, None):
        outcomes = judge_snapshot(snapshot, flora=WORLD, voting=Voting(neighbours=1), photos=photos)

        assert all(outcome.first for outcome in outcomes), "its own photos took the only place"


@pytest.mark.parametrize("flora", [WORLD, "north"])
def test_every_rank_is_that_of_a_plain_computation(tmp_path: Path, flora: str) -> None:
    references = make_references(observations=3)
    snapshot = published(tmp_path, references)
    allowed = set(SPECIES if flora == WORLD else SPECIES[:6])

    outcomes = judge_snapshot(snapshot, flora=flora)

    expected = plain_ranks(tmp_path, references, allowed, snapshot.voting.temperature)
    assert {outcome.observation: outcome.rank for outcome in outcomes} == expected
    assert len(set(expected.values())) > 1, "the example is too easy to tell anything"


def test_only_observations_whose_species_has_another_are_asked(tmp_path: Path) -> None:
    references = [
        *make_references(SPECIES[:3], observations=2),
        make_reference(20, 20_000),
        make_reference(20, 20_000, 1),
    ]
    snapshot = published(tmp_path, references)

    asked = {outcome.observation for outcome in judge_snapshot(snapshot, flora=WORLD)}

    assert asked == {entry.observation_id for entry in references} - {20_000}
    assert count_queries(snapshot, WORLD) == 6


def test_all_photos_of_an_observation_are_asked_together(tmp_path: Path) -> None:
    snapshot = published(tmp_path, make_references(observations=2))

    both = judge_snapshot(snapshot, flora=WORLD)
    one = judge_snapshot(snapshot, flora=WORLD, photos=1)

    assert {outcome.photos for outcome in both} == {2}
    assert {outcome.photos for outcome in one} == {1}


def test_photos_of_an_observation_in_two_segments_are_still_one_question(tmp_path: Path) -> None:
    references = make_references(observations=2)
    late = [entry for n, entry in enumerate(references) if n % 2]
    published(tmp_path, [entry for entry in references if entry not in late]).close()
    snapshot = published(tmp_path, references)
    assert len(snapshot.segments) == 2

    outcomes = judge_snapshot(snapshot, flora=WORLD)

    assert {outcome.photos for outcome in outcomes} == {2}
    assert judge_snapshot(snapshot, flora=WORLD) == judge_snapshot(
        published(tmp_path / "whole", references), flora=WORLD
    )


def test_an_observation_never_answers_for_itself(tmp_path: Path) -> None:
    """Two observations of each species, all in directions of their own: only its own photos would be near."""
    references = make_references(observations=2)
    root = tmp_path / "a"
    from indexer.building.build import build_snapshot
    from indexer.embedding.embeddings import EmbeddingStore
    from retrieval.models.embedder import unit_rows
    from tests.catalogues import CARD, make_catalogue

    rng = np.random.default_rng(1)
    own = {entry.observation_id: rng.normal(size=256) for entry in references}
    with EmbeddingStore(tmp_path / "e", "made@1") as store:
        rows = unit_rows(np.stack([own[entry.observation_id] for entry in references]))
        store.add([entry.photo for entry in references], rows)
        build_snapshot(root, make_catalogue(references), store, CARD)
    publish_snapshot(root)

    outcomes = judge_snapshot(open_snapshot(root), flora=WORLD)

    assert np.mean([outcome.rank == 1 for outcome in outcomes]) < 0.4  # chance, not 1


def test_the_command_prints_the_measures_and_writes_the_same_as_json(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    snapshot = published(tmp_path, make_references(observations=3))

    code = main(["evaluate", "measure", "--indexes", str(tmp_path / "a"), "--json", str(tmp_path / "result.json")])

    printed = capsys.readouterr().out
    written = json.loads((tmp_path / "result.json").read_text())
    assert code == 0
    assert written["observations"] == 30
    assert written["snapshot"] == snapshot.name
    assert f"{written['measures']['top1']['value']:.3f}" in printed
    assert "macro-F1" in printed


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--flora", "nowhere"], "there is no flora 'nowhere'"),
        (["--temperature", "0"], "above 0"),
        (["--photos", "0"], "at least 1"),
        (["0123456789abcdef"], "there is no snapshot"),
    ],
)
def test_bad_questions_get_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    published(tmp_path, make_references(observations=2))

    code = main(["evaluate", "measure", *arguments, "--indexes", str(tmp_path / "a")])

    assert code == 1
    assert sentence in capsys.readouterr().err


def test_a_flora_where_nothing_can_be_left_out_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    published(tmp_path, make_references(observations=1))

    assert main(["evaluate", "measure", "--indexes", str(tmp_path / "a")]) == 1
    assert "two observations" in capsys.readouterr().err
