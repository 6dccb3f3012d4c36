"""The answer line: photos of one observation in, ranked species out. The whole path on one screen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from retrieval.answers.candidates import FusedAnswer, decide_specificity, make_candidates, make_higher, make_rankings
from retrieval.answers.query_priors import compute_query_priors
from retrieval.domain import WORLD, Candidate, Identification, Neighbour, Rejection, Vote
from retrieval.models.embedder import Embedder, Embeddings
from retrieval.photos.crops import WHOLE, ViewOptions, decode_crops, pool_crops
from retrieval.photos.views import PhotoLimits, check_count, decode_views
from retrieval.ranking.calibration import Calibration
from retrieval.ranking.fusion import LEARNED, deciding_photo, fuse_scores, weigh_photos
from retrieval.ranking.options import IdentifyOptions
from retrieval.ranking.priors import apply_prior
from retrieval.ranking.recalibration import recalibrate_top_score
from retrieval.ranking.rejection import decide_rejection, none_probability, nothing_compared, observe
from retrieval.ranking.specificity import under
from retrieval.ranking.votes import Shares, Voting, cast_votes, share_rows
from retrieval.search.partial_results import PartialSearch
from retrieval.snapshots.flora import Flora
from retrieval.snapshots.snapshot import Snapshot

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
    options: IdentifyOptions | None = None,
    view_options: ViewOptions = WHOLE,
) -> Identification:
    """Rank the species of `flora` for the photos of one observation."""
    snapshot.require_model(embedder.model)
    snapshot.flora(flora)
    (options or IdentifyOptions()).check(len(photos))
    view_options.check(len(photos))
    embeddings = embed_photos(photos, embedder, limits or PhotoLimits(), view_options)
    return identify_embeddings(
        embeddings, snapshot, flora=flora, voting=voting or snapshot.voting, candidates=candidates, options=options
    )


def embed_photos(
    photos: Sequence[bytes], embedder: Embedder, limits: PhotoLimits, view_options: ViewOptions
) -> Embeddings:
    """One embedding for each photo, looked at as a person wants."""
    if view_options == WHOLE:
        return embedder.embed(decode_views(photos, embedder.short_side, limits))
    check_count(len(photos), limits)
    boxes = view_options.boxes or [None] * len(photos)
    crops = [
        decode_crops(photo, embedder.short_side, limits, box=box, augmentation=view_options.augmentation)
        for photo, box in zip(photos, boxes, strict=True)
    ]
    return pool_crops(embedder.embed([view for views in crops for view in views]), [len(views) for views in crops])


def identify_embeddings(
    embeddings: Embeddings,
    snapshot: Snapshot,
    *,
    flora: str,
    voting: Voting,
    candidates: int,
    options: IdentifyOptions | None = None,
) -> Identification:
    """Rank the species of `flora` for the embeddings of one observation's views."""
    options = options or IdentifyOptions()
    options.check(len(embeddings))
    for taxon in options.within:
        snapshot.taxonomy.taxon(taxon)  # refuses what is no taxon: nothing lies within it
    partial = PartialSearch() if options.partial else None
    chosen = snapshot.flora(flora).with_partial(partial)
    answer = answer_flora(embeddings, snapshot, chosen, voting, options)
    expected = compute_query_priors(snapshot, chosen, options)
    learned = snapshot.calibration
    boosted = apply_prior(answer.fused, expected.log_lift, temper=learned.temper_of(expected.applied))
    closest = np.array([ballot[0].similarity for ballot in answer.votes if ballot])
    weights = learned.rejection_of(expected.applied)
    if answer.compared:
        similarity, entropy = observe(closest, boosted)
        none = none_probability(similarity, entropy, weights)
        rejection = decide_rejection(similarity, none, weights, no_reject=options.no_reject)
    else:
        rejection = nothing_compared(no_reject=options.no_reject)
    photos = np.array([float(len(embeddings))])
    trusted = recalibrate_top_score(boosted[None], photos, learned.recalibration_of(expected.applied))[0]
    scored = replace(answer, scores=trusted * (1 - rejection.probability), expected=expected)
    outside: tuple[Candidate, ...] = ()
    if flora != WORLD:
        everywhere = snapshot.flora(WORLD).with_partial(partial)
        world = answer_flora(embeddings, snapshot, everywhere, voting, replace(options, within=()))
        excluded = better_outside(world.shares, chosen.species.tolist())
        outside = make_candidates(replace(world, scores=world.fused), snapshot, OUTSIDE, only=excluded)
    return Identification(
        species=make_candidates(scored, snapshot, candidates),
        genera=make_higher(scored, snapshot, "genus", candidates),
        families=make_higher(scored, snapshot, "family", candidates),
        outside=outside,
        flora=flora,
        photos=len(embeddings),
        snapshot=snapshot.name,
        model=snapshot.model,
        calibrated=learned.calibrated,
        fusion=fusion_of(learned, options),
        priors=expected.applied,
        specificity=decide_specificity(scored, snapshot, options),
        rejection=Rejection(rejection.rejected, rejection.probability, rejection.similarity, rejection.reason),
        rankings=make_rankings(scored, snapshot),
        decided_by=answer.decided_by,
        aspects=answer.aspects,
        aspects_predicted=not options.aspects and bool(answer.aspects),
        skipped=None if partial is None else partial.skipped,
    )


def answer_flora(
    embeddings: Embeddings, snapshot: Snapshot, flora: Flora, voting: Voting, options: IdentifyOptions
) -> FusedAnswer:
    """What the photos alone say of a flora: each photo's scores, and the fused ones."""
    learned = snapshot.calibration
    votes = vote_views(flora.neighbours(embeddings, voting.neighbours), voting)
    columns = {species: column for column, species in enumerate(flora.species.tolist())}
    shares = share_rows(votes, columns, len(columns))
    per_photo = snapshot.score_views(flora, embeddings, shares)
    skipped = flora.partial is not None and flora.partial.skipped is not None
    compared = any(votes) or skipped
    if not compared:
        per_photo = np.zeros_like(per_photo)  # what was learned of the species is no evidence of itself
    lineages = snapshot.flora_lineages(flora.card.id)
    if options.within:
        per_photo = per_photo * under(lineages, options.within)
        per_photo = per_photo / np.maximum(per_photo.sum(axis=1, keepdims=True), 1e-300)
    aspects = tuple(options.aspects) or snapshot.predict_aspects(embeddings)
    weights = weigh_photos(embeddings, aspects, learned.aspects)
    rule = fusion_of(learned, options)
    sharpening = learned.sharpening.get(rule, 0.0)
    fused = fuse_scores(per_photo, weights, rule=rule, sharpening=sharpening)
    decided = deciding_photo(per_photo, weights, rule=rule, sharpening=sharpening)
    return FusedAnswer(
        flora.species, lineages, votes, per_photo, fused, fused, decided, aspects=aspects, compared=compared
    )


def fusion_of(learned: Calibration, options: IdentifyOptions) -> str:
    """The rule by which photos are fused: the one asked for, or else the one that the calibration chose."""
    return learned.fusion if options.fusion == LEARNED else options.fusion


def vote_views(neighbours: Sequence[Sequence[Neighbour]], voting: Voting) -> list[list[Vote]]:
    """The votes of each view."""
    return [cast_votes(near, temperature=voting.temperature) for near in neighbours]


def better_outside(world: Shares, listed: Sequence[int]) -> dict[int, float]:
    """Species that got a larger share of the world than any species of the list, and are not on it."""
    inside = set(listed)
    best = max((share for species, share in world.items() if species in inside), default=0.0)
    return {species: share for species, share in world.items() if species not in inside and share > best}
