"""Gives segments the short codes of the first stage, once a collection is large enough to want one."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

from retrieval.faiss_codes import read_codebook, train_codebook, write_codes
from retrieval.staging import settle_file

CODES_FROM = 50_000  # references from which floras may be large enough for two stages


def ensure_codes(root: Path, staging: Path, segments: Sequence[str], codebook: str, whole: Collection[str]) -> str:
    """See that every segment has codes of one codebook, and give its name.

    The codebook of the snapshot before is kept, so that old codes stay and old and new rows compare. A first one
    is fitted to a sample of the largest segment. Files that are not known to be `whole` are written anew.
    """
    if not codebook:
        largest = max(segments, key=lambda name: (root / "segments" / name / "embeddings.npy").stat().st_size)
        book = train_codebook(np.load(root / "segments" / largest / "embeddings.npy", mmap_mode="r"))
        codebook = book.id
        written = staging / "codebook"
        written.mkdir()
        book.write(written)
        (root / "codebooks" / codebook).mkdir(parents=True, exist_ok=True)
        for path in sorted(written.iterdir()):
            settle_file(path, root / "codebooks" / codebook / path.name)
    folder = root / "codebooks" / codebook
    book = read_codebook(folder)
    for name in segments:
        place = folder / f"{name}.codes"
        if place.relative_to(root).as_posix() not in whole or not place.exists():
            segment = root / "segments" / name
            rows = np.load(segment / "embeddings.npy", mmap_mode="r")
            write_codes(staging / place.name, rows, np.load(segment / "offsets.npy"), book)
            settle_file(staging / place.name, place)
    return codebook
