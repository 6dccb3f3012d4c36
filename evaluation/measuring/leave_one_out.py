"""Asks a snapshot for each of its own observations, with that observation's photos left out of the answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np

from evaluation.measuring.metrics import Outcome
from retrieval.answers.identify import vote_views
from retrieval.domain import Neighbour
from retrieval.models.embedder import Embeddings, unit_rows
from retrieval.progress import Progress, silent
from retrieval.ranking.votes import Voting, fuse_shares, rank_taxa, share_votes
from retrieval.snapshots.flora import Flora
from retrieval.snapshots.snapshot import Snapshot

VIEWS_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class HeldOutObservation:
    """One observation of the snapshot as a question."""

    observation: int
    species: int
    embeddings: Embeddings  # (photos asked with, 256)
    held: int  # photos of the observation among the references, asked with or not


def judge_snapshot(
    snapshot: Snapshot,
    *,
    flora: str,
    voting: Voting | None = None,
    photos: int | None = None,
    progress: Progress = silent,
) -> list[Outcome]:
    """Judge every observation whose species has another one in the flora.

    The observation is the unit: all its photos are asked together (or the first `photos` of
    them), and none of them is among the references that answer.
    """
    chosen = snapshot.flora(flora)
    votes = voting or snapshot.voting
    total = count_queries(snapshot, flora)
    outcomes = []
    for block in gather(read_queries(snapshot, chosen), VIEWS_AT_ONCE, photos):
        near = search_without_own(chosen, block, votes.neighbours)
        for query, views in zip(block, near, strict=True):
            outcomes.append(judge(query, views, votes, snapshot))
        progress("evaluate", len(block), total)
    return sorted(outcomes, key=lambda outcome: settle(outcome, snapshot))


def settle(outcome: Outcome, snapshot: Snapshot) -> tuple[str, str, int, int, int]:
    """A place among the outcomes that no numbering of taxa or observations shows in, so that no resampling does."""
    name, first = (snapshot.taxonomy.taxon(taxon).name if taxon else "" for taxon in (outcome.species, outcome.first))
    return (name, first, outcome.rank, outcome.photos, outcome.observation)


def count_queries(snapshot: Snapshot, flora: str) -> int:
    """How many observations `judge_snapshot` will judge."""
    return sum(1 for _ in read_queries(snapshot, snapshot.flora(flora)))


def read_queries(snapshot: Snapshot, flora: Flora) -> Iterator[HeldOutObservation]:
    """The observations of the flora whose species has at least two, with their embeddings."""
    for species in flora.species.tolist():
        parts = []
        for segment in snapshot.segments:
            lists = segment.lists_of(np.array([species], dtype=np.int64))
            rows, numbers = segment.index.embeddings(lists)
            parts += [(int(segment.observations[n]), row) for n, row in zip(numbers.tolist(), rows, strict=True)]
        parts.sort(key=lambda part: part[0])
        groups = [(key, [row for _, row in group]) for key, group in groupby(parts, key=lambda part: part[0])]
        if len(groups) > 1:
            for observation, views in groups:
                yield HeldOutObservation(observation, species, unit_rows(np.stack(views)), len(views))


def gather(queries: Iterator[HeldOutObservation], views: int, photos: int | None) -> Iterator[list[HeldOutObservation]]:
    """Put queries together until they have about `views` views, so that passes over the lists are shared."""
    block: list[HeldOutObservation] = []
    held = 0
    for query in queries:
        kept = query if photos is None else replace(query, embeddings=query.embeddings[:photos])
        block.append(kept)
        held += len(kept.embeddings)
        if held >= views:
            yield block
            block, held = [], 0
    if block:
        yield block


def search_without_own(flora: Flora, block: list[HeldOutObservation], k: int) -> list[list[list[Neighbour]]]:
    """For each query and view the `k` nearest references that are not of the query's own observation."""
    extra = max(query.held for query in block)
    found = flora.neighbours(np.concatenate([query.embeddings for query in block]), k + extra)
    answers, start = [], 0
    for query in block:
        views = found[start : start + len(query.embeddings)]
        start += len(query.embeddings)
        answers.append([[n for n in near if n.observation != query.observation][:k] for near in views])
    return answers


def judge(query: HeldOutObservation, near: list[list[Neighbour]], voting: Voting, snapshot: Snapshot) -> Outcome:
    """Rank by the same rules as the answer line, and see where the truth stands."""
    shares = fuse_shares([share_votes(ballot) for ballot in vote_views(near, voting)])
    names = {species: snapshot.taxonomy.taxon(species).name for species in shares}
    ranking = rank_taxa(shares, names)
    first = ranking[0] if ranking else 0
    rank = ranking.index(query.species) + 1 if query.species in shares else 0
    genus = snapshot.taxonomy.ancestor(query.species, "genus")
    answered = snapshot.taxonomy.ancestor(first, "genus") if first else None
    genus_right = genus is not None and answered is not None and genus.id == answered.id
    return Outcome(query.observation, query.species, first, rank, genus_right, len(query.embeddings))
