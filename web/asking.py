"""An identification as a form asks for it; the API and the page differ only in how they show the answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from retrieval.domain import Identification
from retrieval.identify import identify
from retrieval.snapshot import Snapshot
from retrieval.wishes import Wishes
from web.services import services
from web.uploads import read_photos, read_wishes


@contextmanager
def identified(form: Mapping[str, Any]) -> Iterator[tuple[Identification, Snapshot, list[bytes]]]:
    """The answer to a loaded form, the snapshot it came from, open while it is shown, and the photos."""
    given = services()
    photos, wishes = read_photos(form, given.limits), read_wishes(form)
    with given.published.lease() as snapshot:
        yield (
            identify_photos(photos, snapshot, flora=form["flora"], candidates=form["count"], wishes=wishes),
            snapshot,
            photos,
        )


def identify_photos(
    photos: Sequence[bytes], snapshot: Snapshot, *, flora: str, candidates: int, wishes: Wishes
) -> Identification:
    """The answer of a snapshot for the photos of one observation. Raises what `retrieval.identify` raises."""
    given = services()
    return identify(
        photos,
        snapshot,
        given.embedder(),
        flora=flora,
        limits=given.limits,
        candidates=candidates,
        wishes=wishes,
    )
