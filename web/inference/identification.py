"""Runs an identification from a form; the API and the pages differ only in how they show the answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from retrieval.answers.identify import identify_embeddings
from retrieval.domain import Identification
from retrieval.photos.crops import WHOLE, ViewOptions
from retrieval.ranking.options import IdentifyOptions
from retrieval.snapshots.snapshot import Snapshot
from web.http.deadlines import current_deadline
from web.inference.caching import make_key
from web.inference.serving import make_queries, serving
from web.photos.uploads import read_options, read_photos, read_view_options
from web.services import services


@contextmanager
def identify_request(form: Mapping[str, Any]) -> Iterator[tuple[Identification, Snapshot, list[bytes]]]:
    """Yield the answer to a validated form, its snapshot, which stays open meanwhile, and the photos."""
    photos, options, view_options = read_photos(form, services().limits), read_options(form), read_view_options(form)
    with services().published.lease(form["model"]) as snapshot:
        answer = identify_photos(
            photos,
            snapshot,
            flora=form["flora"],
            candidates=form["count"],
            options=options,
            view_options=view_options,
        )
        yield answer, snapshot, photos


@contextmanager
def answer_photos(
    photos: Sequence[bytes], *, flora: str, candidates: int, options: IdentifyOptions, view_options: ViewOptions = WHOLE
) -> Iterator[tuple[Identification, Snapshot]]:
    """Yield the answer for the photos of one observation, and its snapshot, which stays open meanwhile.

    Photos are decoded and embedded together with those of other requests; repeated queries to the same snapshot are
    answered from the cache. Raises the errors of `retrieval.answers.identify`, Overloaded and DeadlinePassed.
    """
    with services().published.lease() as snapshot:
        answer = identify_photos(
            photos, snapshot, flora=flora, candidates=candidates, options=options, view_options=view_options
        )
        yield answer, snapshot


def identify_photos(
    photos: Sequence[bytes],
    snapshot: Snapshot,
    *,
    flora: str,
    candidates: int,
    options: IdentifyOptions,
    view_options: ViewOptions = WHOLE,
) -> Identification:
    """Identify like `retrieval.answers.identify.identify`, with the caches and batches shared by this process."""
    given, shared = services(), serving()
    shared.record_snapshot(snapshot)
    shared.embedder_of(snapshot)
    snapshot.flora(flora)
    options.check(len(photos))
    queries = make_queries(photos, view_options)
    key = make_key(snapshot.edition, flora, candidates, options, [query.view_options for query in queries])
    known = shared.answers.get(key)
    shared.metrics.record_lookup("answers", hit=known is not None)
    if known is not None:
        return known
    embeddings = shared.embed(queries, snapshot, given.limits)
    current_deadline().left()  # do not search if the client no longer waits
    with shared.metrics.stage("rank"):
        answer = identify_embeddings(
            embeddings, snapshot, flora=flora, voting=snapshot.voting, candidates=candidates, options=options
        )
    if answer.skipped is None:  # partial answers are not cached
        shared.answers.put(key, answer)  # for repeated queries
    current_deadline().left()
    return answer
