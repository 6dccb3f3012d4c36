"""Embeddings as an opaque token for further searches, so that the server stores nothing of a person's photo."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Final

import numpy as np

from retrieval.errors import InvalidOption
from retrieval.models.embedder import DIM, Embeddings, unit_rows

MOST_VIEWS: Final = 8


def write_token(embeddings: Embeddings) -> str:
    """Encode the embeddings of some views, at half precision."""
    return urlsafe_b64encode(embeddings.astype("<f2").tobytes()).decode()


def read_token(token: str) -> Embeddings:
    """Decode a token; raises InvalidOption if it is invalid."""
    strange = InvalidOption("this search has expired; search again with the photo")
    try:
        rows = np.frombuffer(urlsafe_b64decode(token), dtype="<f2").astype(np.float32).reshape(-1, DIM)
    except ValueError as error:  # not Base64
        raise strange from error
    if not 0 < len(rows) <= MOST_VIEWS or not np.isfinite(rows).all() or not rows.any(axis=1).all():
        raise strange
    return unit_rows(rows)
