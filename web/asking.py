"""An identification as a form asks for it; the API and the page differ only in how they show the answer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from retrieval.domain import Identification
from retrieval.identify import identify
from retrieval.snapshot import Snapshot
from web.services import services
from web.uploads import read_photos, read_wishes


@contextmanager
def identified(form: Mapping[str, Any]) -> Iterator[tuple[Identification, Snapshot, list[bytes]]]:
    """The answer to a loaded form, the snapshot it came from, open while it is shown, and the photos."""
    given = services()
    photos, wishes = read_photos(form, given.limits), read_wishes(form)
    with given.published.lease() as snapshot:
        answer = identify(
            photos,
            snapshot,
            given.embedder(),
            flora=form["flora"],
            limits=given.limits,
            candidates=form["count"],
            wishes=wishes,
        )
        yield answer, snapshot, photos
