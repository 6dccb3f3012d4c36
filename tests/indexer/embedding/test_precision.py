"""The recall criterion for lower precisions: at most half a percentage point may be lost."""

from __future__ import annotations

import io
import itertools
from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image

from fungarium.jobs.models import read_squares
from indexer.embedding.embed import PhotoToEmbed
from indexer.embedding.projection import Labels
from indexer.embedding.quantise import CALIBRATION, judge_precision, spread_evenly
from retrieval.errors import BuildError
from retrieval.models.card import Preprocessing
from retrieval.models.embedder import Embeddings, unit_rows

SPECIES = 67  # of three observations each: one of the 201 is 0.00498, and two are 0.00995


@pytest.fixture
def labels() -> Labels:
    """One photo an observation."""
    return Labels(np.repeat(np.arange(SPECIES), 3).astype(np.int64), np.arange(3 * SPECIES, dtype=np.int64))


def beside(species: np.ndarray, seed: int) -> Embeddings:
    """Photos beside all others of their species (cosine about .9), and far from all else."""
    apart = unit_rows(np.random.default_rng(seed).normal(size=(len(species), 256)))
    return unit_rows(np.eye(256)[species] + 0.35 * apart)


@pytest.fixture
def exact(labels: Labels) -> Embeddings:
    return beside(labels.species, 3)


def confuse(exact: Embeddings, observations: int) -> Embeddings:
    """The same rows, of which some now lie in another species; what they leave and join is still found."""
    rows = exact.copy()
    moved = np.arange(observations)
    rows[3 * moved] = beside(SPECIES - 1 - moved, 4)
    return rows


def test_where_nothing_is_lost_the_gate_says_what_it_measured(labels: Labels, exact: Embeddings) -> None:
    gate = judge_precision(exact, exact, labels, "net@1")

    assert gate == {"model": "net@1", "observations": 201, "recall_f32": 1.0, "recall": 1.0, "cosine": 1.0}


def test_a_loss_within_half_a_point_passes(labels: Labels, exact: Embeddings) -> None:
    gate = judge_precision(exact, confuse(exact, 1), labels, "net@1")

    assert gate["recall"] == pytest.approx(200 / 201, abs=1e-6)


def test_a_loss_of_more_than_half_a_point_is_refused(labels: Labels, exact: Embeddings) -> None:
    with pytest.raises(BuildError, match=r"from 1\.000 to 0\.990 over 201 observations, by more than 0\.005"):
        judge_precision(exact, confuse(exact, 2), labels, "net@1")


def test_a_gain_passes(labels: Labels, exact: Embeddings) -> None:
    gate = judge_precision(confuse(exact, 5), exact, labels, "net@1")

    assert gate["recall"] > gate["recall_f32"]


def test_a_copy_of_a_photo_that_taught_the_model_does_not_judge_it(labels: Labels, exact: Embeddings) -> None:
    taught = np.zeros(len(exact), dtype=bool)
    taught[0] = True
    copied = exact.copy()
    copied[[1, 4]] = unit_rows(exact[[0, 3]] + 0.002)  # filed twice: the first taught the model

    gate = judge_precision(copied, copied, labels, "net@1", taught=taught)

    assert gate["observations"] == 201 - 2 - 1  # neither the taught one nor its copy; two that are one ask once


def test_without_a_species_of_two_observations_there_is_nothing_to_ask(exact: Embeddings) -> None:
    strangers = Labels(np.arange(len(exact), dtype=np.int64), np.arange(len(exact), dtype=np.int64))

    with pytest.raises(BuildError, match="the recall gate has nothing to ask"):
        judge_precision(exact, exact, strangers, "net@1")


@pytest.mark.parametrize("count", [1, 299, 300, 301, 527, 1199, 1200, 5000])
def test_calibration_takes_every_stretch_of_a_collection_alike(count: int) -> None:
    places = spread_evenly(count, CALIBRATION)

    assert sorted(places) == list(range(count))
    used = sorted(places[:CALIBRATION])
    partial = {after - before for before, after in itertools.pairwise(used)}
    assert len(used) == min(count, CALIBRATION)
    assert max(partial, default=1) - min(partial, default=1) <= 1
    assert count - used[-1] <= count // CALIBRATION + 1


def test_a_network_is_calibrated_on_all_species_whatever_the_order_of_their_photos() -> None:
    species = np.random.default_rng(1).permutation(np.repeat(np.arange(50), 12))  # 600 photos
    read: list[int] = []

    def photo(place: int) -> PhotoToEmbed:
        return PhotoToEmbed(f"{place:064x}", look(place))

    def look(place: int) -> Callable[[], bytes]:
        def bytes_of_it() -> bytes:
            read.append(place)
            if species[place] == 7:
                raise FileNotFoundError
            drawn = io.BytesIO()
            Image.new("RGB", (40, 30), (int(species[place]), 0, 0)).save(drawn, "PNG")
            return drawn.getvalue()

        return bytes_of_it

    labels = Labels(species.astype(np.int64), np.arange(600, dtype=np.int64))
    squares = read_squares([photo(place) for place in range(600)], labels, Preprocessing(resize=20, crop=16))

    found = Counter(int(square[0, 0, 0]) for square in squares)
    assert len(squares) == CALIBRATION  # others stand in for the species whose files are gone
    assert set(found) == set(range(50)) - {7}
    assert max(found.values()) <= 6 + 2
    assert len(read) == len(set(read))
