"""The answer pipeline: from the photos of one observation to ranked species."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from retrieval.answers.candidates import (
    decide_specificity,
    judge_list,
    looks_better,
    make_candidates,
    make_higher,
    make_rankings,
)
from retrieval.answers.query import Query, search
from retrieval.answers.scoring import score_observation, share_votes
from retrieval.domain import WORLD, Candidate, Identification, Rejection
from retrieval.models.embedder import Embedder, Embeddings
from retrieval.photos.crops import WHOLE, ViewOptions, decode_crops, pool_crops
from retrieval.photos.views import PhotoLimits, check_count, decode_views
from retrieval.ranking.fusion import deciding_photo, same_photos
from retrieval.ranking.mixed import unlike_photos
from retrieval.ranking.options import IdentifyOptions
from retrieval.ranking.votes import Voting
from retrieval.search.partial_results import PartialSearch
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
    """Return one embedding for each photo, of the crops that `view_options` request."""
    if view_options == WHOLE:
        return embedder.embed(decode_views(photos, embedder.short_side, limits))
    check_count(len(photos), limits)
    boxes = view_options.boxes or [None] * len(photos)
    crops = [
        decode_crops(photo, embedder.short_side, limits, box=box, augmentation=view_options.augmentation)
        for photo, box in zip(photos, boxes, strict=True)
    ]
    return pool_crops(embedder.embed([view for views in crops for view in views]), [len(views) for views in crops])


def fill_aspects(given: Sequence[str], embeddings: Embeddings, snapshot: Snapshot) -> tuple[str, ...]:
    """Return the aspect of each photo: as given, else as predicted, else "". Empty if none is given or predicted."""
    if given and all(given):
        return tuple(given)
    predicted = snapshot.predict_aspects(embeddings)
    if not any(given):
        return predicted
    return tuple(one or guess for one, guess in zip(given, predicted or [""] * len(given), strict=True))


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
    aspects = fill_aspects(options.aspects, embeddings, snapshot)
    query = Query(embeddings, snapshot, voting, options, aspects)
    chosen = None if flora == WORLD else snapshot.flora(flora).with_partial(partial)
    everything = snapshot.flora(WORLD).under(() if chosen is None else chosen.licences).with_partial(partial)
    everywhere = search(query, everything)
    if snapshot.calibration.calibrated:
        answer = score_observation(query, everywhere, chosen)
        beside = answer if answer.scores.any() else replace(answer, scores=answer.fused)
    else:
        beside = share_votes(query, everywhere, None)
        answer = beside if chosen is None else share_votes(query, search(query, chosen), chosen)
    outside: tuple[Candidate, ...] = ()
    if answer.on_list is not None:
        outside = make_candidates(beside, snapshot, OUTSIDE, among=looks_better(beside, answer.on_list))
    rejection, units = answer.rejection, snapshot.tree.sum_units(answer.scores)
    rankings = make_rankings(answer, snapshot)
    return Identification(
        species=make_candidates(answer, snapshot, candidates, among=answer.on_list),
        genera=make_higher(answer, units, snapshot, "genus", candidates),
        families=make_higher(answer, units, snapshot, "family", candidates),
        outside=outside,
        flora=flora,
        photos=len(embeddings),
        snapshot=snapshot.name,
        model=snapshot.model,
        calibrated=snapshot.calibration.calibrated,
        fusion=query.fusion,
        priors=answer.expected.applied,
        specificity=decide_specificity(answer, units, snapshot, options, query.effective_photos),
        rejection=Rejection(rejection.rejected, rejection.probability, rejection.similarity, rejection.reason),
        of_list=judge_list(answer, outside),
        rankings=rankings,
        decided_by=deciding_photo(answer.per_photo, query.weights, rule=query.fusion, sharpening=query.sharpening),
        effective_photos=query.effective_photos,
        same_photos=tuple(tuple(group) for group in same_photos(embeddings)),
        unlike_photos=unlike_photos(rankings),
        aspects=aspects,
        aspects_predicted=not any(options.aspects) and bool(aspects),
        skipped=None if partial is None else partial.skipped,
    )
