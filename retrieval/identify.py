"""The answer line: photos of one observation in, ranked species out. The whole path on one screen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from retrieval.domain import WORLD, Candidate, Evidence, Identification, Neighbour, Taxon, Vote
from retrieval.embedder import Embedder, Embeddings
from retrieval.ranking import Shares, Voting, cast_votes, fuse_shares, rank_taxa, share_votes, sum_shares
from retrieval.snapshot import Snapshot
from retrieval.views import PhotoLimits, decode_views

EVIDENCE = 4  # reference photos shown for a candidate
OUTSIDE = 5  # candidates shown that are not on the flora's list


def identify(
    photos: Sequence[bytes],
    snapshot: Snapshot,
    embedder: Embedder,
    *,
    flora: str = WORLD,
    voting: Voting | None = None,
    limits: PhotoLimits | None = None,
    candidates: int = 10,
) -> Identification:
    """Rank the species of `flora` for the photos of one observation."""
    snapshot.require_model(embedder.model)
    snapshot.flora(flora)
    views = decode_views(photos, embedder.short_side, limits)
    embeddings = embedder.embed(views)
    return identify_embeddings(
        embeddings, snapshot, flora=flora, voting=voting or snapshot.voting, candidates=candidates
    )


def identify_embeddings(
    embeddings: Embeddings, snapshot: Snapshot, *, flora: str, voting: Voting, candidates: int
) -> Identification:
    """Rank the species of `flora` for the embeddings of one observation's views."""
    chosen = snapshot.flora(flora)
    votes = vote_views(chosen.neighbours(embeddings, voting.neighbours), voting)
    per_view = [share_votes(ballot) for ballot in votes]
    shares = fuse_shares(per_view)
    outside: tuple[Candidate, ...] = ()
    if flora != WORLD:
        everywhere = snapshot.flora(WORLD)
        world_votes = vote_views(everywhere.neighbours(embeddings, voting.neighbours), voting)
        world_views = [share_votes(ballot) for ballot in world_votes]
        excluded = better_outside(fuse_shares(world_views), chosen.species.tolist())
        outside = make_candidates(excluded, world_views, world_votes, snapshot, OUTSIDE)
    return Identification(
        species=make_candidates(shares, per_view, votes, snapshot, candidates),
        genera=make_higher(shares, per_view, snapshot, "genus", candidates),
        families=make_higher(shares, per_view, snapshot, "family", candidates),
        outside=outside,
        flora=flora,
        photos=len(embeddings),
        snapshot=snapshot.name,
        model=snapshot.model,
    )


def vote_views(neighbours: Sequence[Sequence[Neighbour]], voting: Voting) -> list[list[Vote]]:
    """The votes of each view."""
    return [cast_votes(near, temperature=voting.temperature) for near in neighbours]


def better_outside(world: Shares, listed: Sequence[int]) -> dict[int, float]:
    """Species that got a larger share of the world's votes than any species of the list, and are not on it."""
    inside = set(listed)
    best = max((share for species, share in world.items() if species in inside), default=0.0)
    return {species: share for species, share in world.items() if species not in inside and share > best}


def make_candidates(
    shares: Shares, per_view: Sequence[Shares], votes: Sequence[Sequence[Vote]], snapshot: Snapshot, count: int
) -> tuple[Candidate, ...]:
    """The first `count` species of the ranking, each with the reference photos that spoke for it."""
    taxa = {species: snapshot.taxonomy.taxon(species) for species in shares}
    ranking = rank_taxa(shares, {species: taxon.name for species, taxon in taxa.items()})[:count]
    return tuple(
        Candidate(
            taxa[species],
            shares[species],
            tuple(find_evidence(species, votes, snapshot)),
            tuple(view.get(species, 0.0) for view in per_view),
        )
        for species in ranking
    )


def find_evidence(species: int, votes: Sequence[Sequence[Vote]], snapshot: Snapshot) -> list[Evidence]:
    """The reference photos that voted for the species, best first, each with the photo it resembles most."""
    closest: dict[int, tuple[float, int]] = {}
    for photo, ballot in enumerate(votes):
        for vote in ballot:
            if vote.species == species:
                found = (vote.similarity, -photo)  # the earlier photo, where two are equally similar
                closest[vote.row] = max(closest.get(vote.row, found), found)
    best = sorted(closest.items(), key=lambda item: (-item[1][0], item[0]))[:EVIDENCE]
    return [Evidence(snapshot.reference(row), similarity, -photo) for row, (similarity, photo) in best]


def make_higher(
    shares: Shares, per_view: Sequence[Shares], snapshot: Snapshot, rank: str, count: int
) -> tuple[Candidate, ...]:
    """The taxa of a wider rank, each with the sum of its species."""
    parents: dict[int, int] = {}
    taxa: dict[int, Taxon] = {}
    for species in shares:
        taxon = snapshot.taxonomy.ancestor(species, rank)
        if taxon is not None:
            parents[species], taxa[taxon.id] = taxon.id, taxon
    sums = sum_shares(shares, parents)
    view_sums: list[Mapping[int, float]] = [sum_shares(view, parents) for view in per_view]
    ranking = rank_taxa(sums, {key: taxon.name for key, taxon in taxa.items()})[:count]
    return tuple(
        Candidate(taxa[key], sums[key], (), tuple(view.get(key, 0.0) for view in view_sums)) for key in ranking
    )
