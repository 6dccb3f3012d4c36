"""Outings: finds that one person made in one place at one time, which resemble each other more than others do."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from retrieval.ranking.people import names_alike


def number_outings(
    columns: NDArray[np.int64],
    months: NDArray[np.int64] | None,
    cells: NDArray[np.int64] | None,
    authors: Sequence[str],
) -> NDArray[np.int64]:
    """Number the rows of one species (column), author, month and cell alike, from 1; 0: one is unknown. All (rows,).

    A snapshot has no day, so the month has to do. Photos taken at one place in one season often show the same mycelium,
    and one find is often in two archives, which may write its author's name differently: names that are alike, directly
    or by way of others, count as one author.
    """
    if months is None or cells is None:
        return np.zeros(len(authors), dtype=np.int64)
    named: dict[tuple[int, int, int], dict[str, int]] = {}
    said = list(zip(columns.tolist(), months.tolist(), cells.tolist(), strict=True))
    for place, author in zip(said, authors, strict=True):
        if all(place[1:]) and author:
            named.setdefault(place, {}).setdefault(author, 0)
    count = 0
    for outings in named.values():
        for author in outings:
            alike = {number for other, number in outings.items() if number and names_alike(author, other)}
            count += 1
            for other, number in outings.items():
                if number in alike:
                    outings[other] = count
            outings[author] = count
    return np.array(
        [named.get(place, {}).get(author, 0) for place, author in zip(said, authors, strict=True)], np.int64
    )
