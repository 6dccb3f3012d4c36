"""The probability of every species and of none of them, which ranking, rejection and specificity use."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retrieval.answers.query import Neighbours, Query, fuse, score_photos, search
from retrieval.answers.query_priors import QueryPriors, compute_query_priors
from retrieval.ranking.calibration import prepare_terms
from retrieval.ranking.posterior import off_list_weight, settle, weigh_evidence
from retrieval.ranking.rejection import (
    RejectionDecision,
    decide_rejection,
    none_probability,
    nothing_compared,
    observe,
)
from retrieval.ranking.unknown import observe_unknown, unknown_probability
from retrieval.snapshots.flora import Flora


@dataclass(frozen=True, slots=True)
class ScoredAnswer:
    """An answer as arrays over all species with references."""

    neighbours: Neighbours
    per_photo: NDArray[np.float64]  # (photos, species)
    fused: NDArray[np.float64]  # (species,): what the photos alone say
    scores: NDArray[np.float64]  # (species,): with the list and priors, and "none of these" taken off
    expected: QueryPriors
    rejection: RejectionDecision
    on_list: NDArray[np.bool_] | None = None  # (species,); None: no list was asked for
    soft: bool = False  # whether species off the list have a probability too, in the same sum


def score_observation(query: Query, everywhere: Neighbours, flora: Flora | None) -> ScoredAnswer:
    """Return a probability for each species of the snapshot and for none of them; they sum to 1.

    A flora's list changes the weights of species but excludes none. The probability of none of them is based on all
    references of the snapshot, whatever the list.
    """
    snapshot, learned = query.snapshot, query.snapshot.calibration
    expected = compute_query_priors(snapshot, query.options)
    terms = prepare_terms(compare_species(query), snapshot.observations, learned)
    per_photo = score_photos(query, everywhere, terms)
    fused = fuse(query, per_photo)
    listed = None if flora is None else search(query, flora)
    on_list = None if flora is None else flora.bits[snapshot.referenced]
    if not (everywhere if listed is None else listed).compared:
        nobody = nothing_compared(no_reject=query.options.no_reject)
        return ScoredAnswer(everywhere, per_photo, fused, np.zeros_like(fused), expected, nobody, on_list, True)
    rejection = judge_unknown(query, everywhere, per_photo, fused, expected)
    found, weight = everywhere, 1.0
    if listed is not None and on_list is not None:
        found, seen = everywhere.joined(listed), snapshot.observations
        per_photo = score_photos(query, found, terms)
        fused = fuse(query, per_photo)
        weight = off_list_weight(learned.off_list_rate, float(seen[on_list].sum()), float(seen[~on_list].sum()))
    likely = weigh_evidence(
        fused,
        on_list=on_list,
        off_list=weight,
        log_lift=expected.log_lift,
        temper=learned.temper_of(expected.applied),
    )
    scores = settle(
        likely[None],
        np.array([query.effective_photos]),
        np.array([rejection.probability]),
        learned.recalibration_of(expected.applied),
        listed=on_list is not None,
    )[0]
    return ScoredAnswer(found, per_photo, fused, scores, expected, rejection, on_list, True)


def compare_species(query: Query) -> NDArray[np.floating]:
    """Return the similarities to the species' prototypes, (photos, species); zeros where they have no weight."""
    if query.snapshot.calibration.prototypes:
        return query.snapshot.compare_prototypes(query.embeddings)
    return np.zeros((len(query.embeddings), len(query.snapshot.referenced)), dtype=np.float32)


def share_votes(query: Query, neighbours: Neighbours, flora: Flora | None) -> ScoredAnswer:
    """Return the shares of votes, for snapshots without calibration; of the species on the list only."""
    snapshot, learned = query.snapshot, query.snapshot.calibration
    on_list = None if flora is None else flora.bits[snapshot.referenced]
    per_photo = score_photos(query, neighbours, None, among=on_list)
    fused = fuse(query, per_photo)
    expected = compute_query_priors(snapshot, query.options, None if flora is None else flora.bits)
    temper = learned.temper_of(expected.applied)
    likely = weigh_evidence(fused, log_lift=expected.log_lift, temper=temper)
    if neighbours.compared:
        rejection = judge_entropy(query, neighbours, likely, expected)
    else:
        rejection = nothing_compared(no_reject=query.options.no_reject)
    none, photos = np.array([rejection.probability]), np.array([query.effective_photos])
    scores = settle(likely[None], photos, none, learned.recalibration_of(expected.applied))[0]
    return ScoredAnswer(neighbours, per_photo, fused, scores, expected, rejection, on_list)


def judge_unknown(
    query: Query,
    everywhere: Neighbours,
    per_photo: NDArray[np.float64],
    fused: NDArray[np.float64],
    expected: QueryPriors,
) -> RejectionDecision:
    """Decide by the learned model of unknown species whether the photos show none of the species with references."""
    learned, snapshot = query.snapshot.calibration, query.snapshot
    if not learned.unknown:
        temper = learned.temper_of(expected.applied)
        likely = weigh_evidence(fused, log_lift=expected.log_lift, temper=temper)
        return judge_entropy(query, everywhere, likely, expected)
    features = observe_unknown(
        everywhere.found.similarities,
        everywhere.columns,
        per_photo,
        fused,
        query.voices,
        snapshot.typical[snapshot.referenced],
        snapshot.observations,
        learned.typical,
    )
    none = float(unknown_probability(features, learned.unknown))
    closest = everywhere.closest(query.voices)
    return decide_rejection(closest, none, {"strange": learned.strange}, no_reject=query.options.no_reject)


def judge_entropy(
    query: Query, neighbours: Neighbours, likely: NDArray[np.float64], expected: QueryPriors
) -> RejectionDecision:
    """Decide the same by closest similarity and entropy, for snapshots from before `unknown` was learned."""
    weights = query.snapshot.calibration.rejection_of(expected.applied)
    similarity, entropy = observe(np.array([neighbours.closest(query.voices)]), likely)
    none = none_probability(similarity, entropy, weights)
    return decide_rejection(similarity, none, weights, no_reject=query.options.no_reject)
