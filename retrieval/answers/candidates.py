"""From scores to what is shown: candidates with their evidence, wider taxa, each photo's own ranking, where to stop."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from retrieval.answers.query_priors import QueryPriors
from retrieval.domain import RANKS, Candidate, Evidence, Lookalike, Taxon, TaxonomicSpecificity, Vote
from retrieval.ranking.lookalikes import lookalikes_of
from retrieval.ranking.options import IdentifyOptions
from retrieval.ranking.specificity import choose_node
from retrieval.ranking.votes import rank_taxa, sum_shares
from retrieval.snapshots.snapshot import Snapshot

EVIDENCE = 4  # reference photos shown for a candidate
OWN_RANKING = 5  # species listed for each photo alone
LEAST = 1e-6  # a species with less than this and without a vote is not a candidate


@dataclass(frozen=True, slots=True)
class FusedAnswer:
    """Scores of a flora's species as arrays."""

    species: NDArray[np.int64]  # (species,) taxon ids
    lineages: NDArray[np.int64]  # (species, 7)
    votes: Sequence[Sequence[Vote]]  # of each photo
    per_photo: NDArray[np.float64]  # (photos, species)
    fused: NDArray[np.float64]  # (species,): what the photos alone say
    scores: NDArray[np.float64]  # (species,): with priors, and "none of these" taken off
    decided_by: int
    expected: QueryPriors | None = None
    aspects: tuple[str, ...] = ()  # of the photos, given or told; empty: not known
    compared: bool = True  # whether any reference could vote

    @property
    def shares(self) -> dict[int, float]:
        """What the photos say, by taxon id; species that nothing speaks for are left out."""
        return {taxon: share for taxon, share in zip(self.species.tolist(), self.fused.tolist(), strict=True) if share}

    def listed(self) -> dict[int, int]:
        """Columns of the species that are candidates, by taxon id."""
        voted = {vote.species for ballot in self.votes for vote in ballot}
        return {
            taxon: column
            for column, (taxon, score) in enumerate(zip(self.species.tolist(), self.scores.tolist(), strict=True))
            if score > LEAST or (score > 0 and taxon in voted)
        }


def make_candidates(
    answer: FusedAnswer, snapshot: Snapshot, count: int, *, only: Collection[int] | None = None
) -> tuple[Candidate, ...]:
    """The first `count` species of the ranking, each with the reference photos that spoke for it."""
    columns = {taxon: column for taxon, column in answer.listed().items() if only is None or taxon in only}
    taxa = {species: snapshot.taxonomy.taxon(species) for species in columns}
    scores = {species: round(float(answer.scores[column]), 15) for species, column in columns.items()}
    ranking = rank_taxa(scores, {species: taxon.name for species, taxon in taxa.items()})[:count]
    return tuple(make_candidate(answer, taxa[species], columns[species], snapshot) for species in ranking)


def make_candidate(answer: FusedAnswer, taxon: Taxon, column: int, snapshot: Snapshot) -> Candidate:
    """One species with all that is said of it."""
    expected = answer.expected
    return Candidate(
        taxon,
        float(answer.fused[column]),
        tuple(find_evidence(taxon.id, answer.votes, snapshot)),
        tuple(float(photo[column]) for photo in answer.per_photo),
        score=float(answer.scores[column]),
        prior=1.0 if expected is None else math.exp(float(expected.log_lift[column])),
        expected_here=None if expected is None or expected.here is None else bool(expected.here[column]),
        expected_now=None if expected is None or expected.now is None else bool(expected.now[column]),
        lookalikes=tuple(
            Lookalike(snapshot.taxonomy.taxon(other), share, snapshot.taxonomy.toxicity(other))
            for other, share in lookalikes_of(taxon.id, snapshot.calibration.lookalikes)
        ),
    )


def find_evidence(species: int, votes: Sequence[Sequence[Vote]], snapshot: Snapshot) -> list[Evidence]:
    """The reference photos that voted for the species, best first, each with the photo it resembles most."""
    closest: dict[int, tuple[float, int]] = {}
    for photo, ballot in enumerate(votes):
        for vote in ballot:
            if vote.species == species:
                closest[vote.row] = max(closest.get(vote.row, (-1.0, 0)), (vote.similarity, -photo))
    best = sorted(closest.items(), key=lambda item: (-item[1][0], item[0]))[:EVIDENCE]
    return [Evidence(snapshot.reference(row), similarity, -photo) for row, (similarity, photo) in best]


def make_higher(answer: FusedAnswer, snapshot: Snapshot, rank: str, count: int) -> tuple[Candidate, ...]:
    """The taxa of a wider rank, each with the sums of its species."""
    nodes = answer.lineages[:, RANKS.index(rank)].tolist()
    parents = {column: node for column, node in enumerate(nodes) if node >= 0}

    def summed(row: NDArray[np.float64]) -> dict[int, float]:
        return sum_shares({column: value for column, value in enumerate(row.tolist()) if value}, parents)

    scores, shares = summed(answer.scores), summed(answer.fused)
    per_photo = [summed(photo) for photo in answer.per_photo]
    names = {node: snapshot.taxonomy.taxon(node) for node in scores}
    rounded = {node: round(score, 15) for node, score in scores.items()}
    ranking = rank_taxa(rounded, {node: taxon.name for node, taxon in names.items()})[:count]
    return tuple(
        Candidate(
            names[node],
            shares.get(node, 0.0),
            (),
            tuple(photo.get(node, 0.0) for photo in per_photo),
            score=scores[node],
        )
        for node in ranking
    )


def make_rankings(answer: FusedAnswer, snapshot: Snapshot) -> tuple[tuple[tuple[Taxon, float], ...], ...]:
    """What each photo alone would have said: its first species with their shares."""
    rankings = []
    for photo in answer.per_photo:
        shares = {t: s for t, s in zip(answer.species.tolist(), photo.tolist(), strict=True) if s > LEAST}
        first = sorted(shares, key=lambda taxon: -shares[taxon])[: 4 * OWN_RANKING]
        taxa = {taxon: snapshot.taxonomy.taxon(taxon) for taxon in first}
        ranking = rank_taxa({t: shares[t] for t in first}, {t: taxon.name for t, taxon in taxa.items()})
        rankings.append(tuple((taxa[taxon], shares[taxon]) for taxon in ranking[:OWN_RANKING]))
    return tuple(rankings)


def decide_specificity(answer: FusedAnswer, snapshot: Snapshot, options: IdentifyOptions) -> TaxonomicSpecificity:
    """How narrow the answer may be to be right as often as was asked for."""
    thresholds = snapshot.calibration.thresholds
    fitted = sorted((float(target), threshold) for target, threshold in thresholds.items())
    if fitted:
        fitted.append((1.0, 1.0))  # who asks for more than was fitted gets a stricter threshold, not the last one
        threshold = float(np.interp(options.target, [t for t, _ in fitted], [limit for _, limit in fitted]))
    else:
        threshold = options.target  # a share is no probability, but the larger, the surer
    found = choose_node(answer.scores, answer.lineages, threshold, within=options.within)
    taxon = None if found.taxon is None else snapshot.taxonomy.taxon(found.taxon)
    return TaxonomicSpecificity(taxon, found.probability, found.depth, threshold, options.target, bool(fitted))
