"""From scores to results: candidates with evidence, higher taxa, rankings of single photos, specificity.

Arrays are over all species with references; names, evidence and lineages are looked up only for the results shown.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from retrieval.answers.scoring import ScoredAnswer
from retrieval.domain import RANKS, Candidate, Evidence, ListVerdict, Lookalike, Taxon, TaxonomicSpecificity
from retrieval.ranking.lookalikes import lookalikes_of
from retrieval.ranking.options import IdentifyOptions
from retrieval.ranking.specificity import choose_node
from retrieval.segments.store import NearestReferences
from retrieval.snapshots.snapshot import Snapshot

EVIDENCE = 4  # reference photos shown for a candidate
OWN_RANKING = 5  # species listed for each photo alone
LEAST = 1e-6  # a species with less than this and without a vote is not a candidate
DIGITS = 15  # scores that are the same to so many are equal: the order of sums may not settle a ranking
TAIL = 1e-3  # of the best: where enough are above that, the others need not be looked at


def make_candidates(
    answer: ScoredAnswer, snapshot: Snapshot, count: int, *, among: NDArray[np.bool_] | None = None
) -> tuple[Candidate, ...]:
    """Return the first `count` species of the ranking, each with the reference photos that voted for it."""
    scores, voted = answer.scores, answer.neighbours.voted
    chosen = scores > LEAST
    chosen[voted[scores[voted] > 0]] = True
    columns = np.flatnonzero(chosen if among is None else chosen & among)
    ranked = rank_best(scores[columns], snapshot.tree.species[columns], count, snapshot)
    found = find_evidence([taxon.id for _, taxon in ranked], answer.neighbours.found)
    references = snapshot.references_at({row for closest in found.values() for row, _, _ in closest})
    evidence = {
        taxon: tuple(Evidence(references[row], similarity, photo) for row, similarity, photo in closest)
        for taxon, closest in found.items()
    }
    return tuple(
        make_candidate(answer, taxon, int(columns[place]), snapshot, evidence[taxon.id]) for place, taxon in ranked
    )


def looks_better(answer: ScoredAnswer, on_list: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return a mask of species off the list that are more similar or more probable than any on it, (species,)."""
    better: NDArray[np.bool_] = ~on_list & (
        (answer.fused > answer.fused[on_list].max(initial=0.0))
        | (answer.scores > answer.scores[on_list].max(initial=0.0))
    )
    return better


def judge_list(answer: ScoredAnswer, outside: Sequence[Candidate]) -> ListVerdict | None:
    """Return the probability that the species is not on the list; None without a weighted list."""
    if answer.on_list is None or not answer.soft:
        return None
    off_list = float(answer.scores[~answer.on_list].sum())
    return ListVerdict(off_list, off_list + answer.rejection.probability, outside[0].taxon if outside else None)


def rank_best(
    scores: NDArray[np.float64], taxa: NDArray[np.int64], count: int, snapshot: Snapshot
) -> list[tuple[int, Taxon]]:
    """Return the `count` best, best first, as places among the scores with their taxa; ties by name, then by id.

    Names are the same in every snapshot, unlike places. They are looked up only for possible results.
    """
    rounded = np.round(scores, DIGITS)
    if 0 < count < len(rounded):
        places = np.flatnonzero(rounded >= np.partition(rounded, -count)[-count])
    else:
        places = np.arange(len(rounded) if count else 0)
    named = {place: snapshot.taxonomy.taxon(int(taxa[place])) for place in places.tolist()}
    order = sorted(named, key=lambda place: (-rounded[place], named[place].name, named[place].id))
    return [(place, named[place]) for place in order[:count]]


def make_candidate(
    answer: ScoredAnswer, taxon: Taxon, column: int, snapshot: Snapshot, evidence: tuple[Evidence, ...]
) -> Candidate:
    """Return a candidate with its scores, evidence and look-alikes."""
    expected = answer.expected
    return Candidate(
        taxon,
        float(answer.fused[column]),
        evidence,
        tuple(answer.per_photo[:, column].tolist()),
        score=float(answer.scores[column]),
        prior=1.0 if expected.log_lift is None else math.exp(float(expected.log_lift[column])),
        expected_here=expected.expects("place", column),
        expected_now=expected.expects("season", column),
        expected_habitat=expected.expects("habitat", column),
        expected_substrate=expected.expects("substrate", column),
        priors=expected.factors(column),
        lookalikes=tuple(
            Lookalike(snapshot.taxonomy.taxon(other), share, snapshot.taxonomy.toxicity(other))
            for other, share in lookalikes_of(taxon.id, snapshot.calibration.lookalikes)
        ),
    )


def find_evidence(species: Collection[int], neighbours: NearestReferences) -> dict[int, list[tuple[int, float, int]]]:
    """Return the references that voted for each species, best first: row, similarity, and most similar query photo.

    Of several photos of one reference observation, the closest one has voted.
    """
    closest: dict[int, dict[int, tuple[float, int]]] = {taxon: {} for taxon in species}
    parts = (neighbours.species, neighbours.observations, neighbours.rows, neighbours.similarities)
    for photo, lines in enumerate(zip(*(part.tolist() for part in parts), strict=True)):
        seen: set[tuple[int, int]] = set()
        for taxon, observation, row, similarity in zip(*lines, strict=True):  # best first
            if taxon in closest and row >= 0 and (taxon, observation) not in seen:
                seen.add((taxon, observation))
                rows = closest[taxon]
                rows[row] = max(rows.get(row, (-1.0, 0)), (similarity, -photo))
    return {
        taxon: [
            (row, similarity, -photo)
            for row, (similarity, photo) in sorted(rows.items(), key=lambda item: (-item[1][0], item[0]))[:EVIDENCE]
        ]
        for taxon, rows in closest.items()
    }


def make_higher(
    answer: ScoredAnswer, units: NDArray[np.float64], snapshot: Snapshot, rank: str, count: int
) -> tuple[Candidate, ...]:
    """Return the best taxa of a higher rank, each the sum of its species, on the list or not.

    `units` are the scores summed by lineage, (units,); shares are summed for the taxa shown.
    """
    level = RANKS.index(rank)
    taxa, sums = snapshot.tree.sum_rank(units, level)
    held = np.flatnonzero(sums > 0)
    ranked = rank_best(sums[held], taxa[held], count, snapshot)
    made = []
    for node, taxon in ranked:
        species = snapshot.tree.below(level, int(held[node]))
        share, alone = float(answer.fused[species].sum()), answer.per_photo[:, species].sum(axis=1)
        made.append(Candidate(taxon, share, (), tuple(alone.tolist()), score=float(sums[held[node]])))
    return tuple(made)


def make_rankings(answer: ScoredAnswer, snapshot: Snapshot) -> tuple[tuple[tuple[Taxon, float], ...], ...]:
    """Return the ranking of each photo alone: its first species with their shares."""
    rankings = []
    for photo in answer.per_photo:
        columns = np.flatnonzero(photo > max(LEAST, TAIL * float(photo.max(initial=0.0))))
        if len(columns) < OWN_RANKING:
            columns = np.flatnonzero(photo > LEAST)
        ranked = rank_best(photo[columns], snapshot.tree.species[columns], OWN_RANKING, snapshot)
        rankings.append(tuple((taxon, float(photo[columns[place]])) for place, taxon in ranked))
    return tuple(rankings)


def decide_specificity(
    answer: ScoredAnswer, units: NDArray[np.float64], snapshot: Snapshot, options: IdentifyOptions, photos: float
) -> TaxonomicSpecificity:
    """Return the most specific taxon that reaches the target; none for a rejected answer.

    `units` as in `make_higher`; `photos` is the effective number of photos.
    """
    on_list = answer.on_list if answer.soft else None
    fitted = snapshot.calibration.thresholds_of(photos, listed=on_list is not None)
    thresholds = thresholds_for(options.target, fitted)
    if answer.rejection.rejected:
        return TaxonomicSpecificity(None, 0.0, 0, float(thresholds[0]), options.target, bool(fitted))
    found = choose_node(answer.scores, snapshot.tree, thresholds, within=options.within, on_list=on_list, units=units)
    taxon = None if found.taxon is None else snapshot.taxonomy.taxon(found.taxon)
    return TaxonomicSpecificity(taxon, found.probability, found.depth, found.threshold, options.target, bool(fitted))


def thresholds_for(target: float, fitted: Mapping[float, NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return the threshold of each rank, (7,), for a target accuracy, interpolated between the fitted ones.

    Without fitted thresholds it is the target itself. A target above the fitted ones gets a stricter threshold than the
    last.
    """
    if not fitted:
        return np.full(len(RANKS), target)
    targets = [*sorted(fitted), 1.0]
    limits = np.stack([fitted[one] for one in sorted(fitted)])
    limits = np.vstack([limits, np.maximum(limits[-1], 1.0)])
    return np.array([np.interp(target, targets, limits[:, rank]) for rank in range(len(RANKS))])
