"""Writes the PQ codes of segments, for collections large enough for two-stage search."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from retrieval.progress import Progress, silent
from retrieval.search.faiss_codes import BLOCK, read_codebook, train_codebook, write_codes
from retrieval.search.recipes import CODES_ROW, EXACT_ROW
from retrieval.snapshots.staging import settle_file

CODES_FROM = 50_000  # references of a collection from which PQ codes are written


def codes_pay(root: Path, segments: Sequence[str]) -> bool:
    """Return whether scanning the codes of these segments costs less than comparing their rows.

    Fast-scan pads the list of each species to whole blocks of 32: for species with two references on average, there are
    sixteen times as many codes as rows, and codes are neither faster nor smaller.
    """
    sizes = [np.diff(np.load(root / "segments" / name / "offsets.npy")) for name in segments]
    counts = np.concatenate([np.zeros(0, np.int64), *sizes])
    return float(CODES_ROW * np.sum(-(-counts // BLOCK) * BLOCK)) < EXACT_ROW * float(counts.sum())


def ensure_codes(
    root: Path,
    staging: Path,
    segments: Sequence[str],
    codebook: str,
    written: Mapping[str, str],
    whole: Collection[str],
    species: NDArray[np.int64],
    progress: Progress = silent,
) -> tuple[str, dict[str, str]]:
    """Ensure that every segment has codes of one codebook; returns its name and the code file of each segment.

    The previous snapshot's codebook is reused, so that existing codes remain valid and comparable; the first one is
    fitted to a sample of the largest segment. Files `written` before are kept if they are among the `whole` (verified)
    ones; new files store lists in the order of `species`. A file is named after its order, since snapshots share it.
    """
    if not codebook:
        largest = max(segments, key=lambda name: (root / "segments" / name / "embeddings.npy").stat().st_size)
        book = train_codebook(np.load(root / "segments" / largest / "embeddings.npy", mmap_mode="r"))
        codebook = book.id
        fitted = staging / "codebook"
        fitted.mkdir()
        book.write(fitted)
        (root / "codebooks" / codebook).mkdir(parents=True, exist_ok=True)
        for path in sorted(fitted.iterdir()):
            settle_file(path, root / "codebooks" / codebook / path.name)
    folder = root / "codebooks" / codebook
    book = read_codebook(folder)
    codes = {}
    for name in segments:
        place = folder / written.get(name, "none")
        if place.relative_to(root).as_posix() not in whole or not place.exists():
            segment = root / "segments" / name
            order = order_lists(np.load(segment / "species.npy"), species)
            place = folder / f"{name}-{sha256(order.tobytes()).hexdigest()[:8]}.codes"
            rows = np.load(segment / "embeddings.npy", mmap_mode="r")
            write_codes(staging / place.name, rows, np.load(segment / "offsets.npy"), book, order, progress)
            settle_file(staging / place.name, place)
        codes[name] = place.name
    return codebook, codes


def order_lists(lists: NDArray[np.int64], species: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the order of a segment's lists (ascending taxon ids) by `species`, with unlisted species at the end."""
    rank = np.full(len(lists), len(species), dtype=np.int64)
    places = np.searchsorted(lists, species)
    here = (places < len(lists)) & (lists[np.minimum(places, len(lists) - 1)] == species)
    rank[places[here]] = np.flatnonzero(here)
    return np.argsort(rank, kind="stable").astype(np.int64)
