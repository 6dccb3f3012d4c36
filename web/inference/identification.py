"""An identification as a form asks for it; the API and the page differ only in how they show the answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from retrieval.answers.identify import identify_embeddings
from retrieval.domain import Identification
from retrieval.photos.crops import WHOLE, Look
from retrieval.ranking.options import Wishes
from retrieval.snapshots.snapshot import Snapshot
from web.http.deadlines import present_deadline
from web.inference.caching import make_key
from web.inference.serving import make_queries, serving
from web.photos.uploads import read_look, read_photos, read_wishes
from web.services import services


@contextmanager
def identified(form: Mapping[str, Any]) -> Iterator[tuple[Identification, Snapshot, list[bytes]]]:
    """The answer to a loaded form, the snapshot it came from, open while it is shown, and the photos."""
    photos, wishes, look = read_photos(form, services().limits), read_wishes(form), read_look(form)
    asked = answered(photos, flora=form["flora"], candidates=form["count"], wishes=wishes, look=look)
    with asked as (answer, snapshot):
        yield answer, snapshot, photos


@contextmanager
def answered(
    photos: Sequence[bytes], *, flora: str, candidates: int, wishes: Wishes, look: Look = WHOLE
) -> Iterator[tuple[Identification, Snapshot]]:
    """The answer for the photos of one observation, and the snapshot it came from, open while it is shown.

    Photos are decoded and embedded together with those of other requests; the same question to the same snapshot
    is answered from memory. Raises what `retrieval.answers.identify` raises, Overloaded and DeadlinePassed.
    """
    with services().published.lease() as snapshot:
        answer = identify_photos(photos, snapshot, flora=flora, candidates=candidates, wishes=wishes, look=look)
        yield answer, snapshot


def identify_photos(
    photos: Sequence[bytes],
    snapshot: Snapshot,
    *,
    flora: str,
    candidates: int,
    wishes: Wishes,
    look: Look = WHOLE,
) -> Identification:
    """What `retrieval.answers.identify.identify` answers, by way of what the requests of this process share."""
    given, shared = services(), serving()
    shared.saw(snapshot)
    snapshot.require_model(shared.embedder().model)
    snapshot.flora(flora)
    wishes.check(len(photos))
    queries = make_queries(photos, look)
    key = make_key(snapshot.name, flora, candidates, wishes, [query.look for query in queries])
    known = shared.answers.get(key)
    shared.metrics.looked_up("answers", hit=known is not None)
    if known is not None:
        return known
    embeddings = shared.embed(queries, given.limits)
    present_deadline().left()  # nobody waits: nothing is searched
    with shared.metrics.stage("rank"):
        answer = identify_embeddings(
            embeddings, snapshot, flora=flora, voting=snapshot.voting, candidates=candidates, wishes=wishes
        )
    if answer.unsearched is None:  # what is missing may be back in a moment
        shared.answers.put(key, answer)  # whoever asks again has it at once
    present_deadline().left()
    return answer
