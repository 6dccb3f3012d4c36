"""Measures what two-stage search finds of what exact search finds in each flora, and chooses how deep it must look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from retrieval.embedder import Embeddings, unit_rows
from retrieval.flora import Flora
from retrieval.recipes import AIM_AT_10, AIM_AT_50, DEPTHS, EXACT, TWO_STAGE, Recipe, cheaper_kind
from retrieval.store import Part, choose_rows, search_parts

QUERIES = 192  # references of the flora that are asked for, each without its own observation
DRIFT = 0.05  # how far a flora may grow or shrink before it is measured anew
OWN = 14  # rows looked for beyond 50, since those of the query's own observation do not count


def measure_recipes(floras: Sequence[Flora], before: Mapping[str, Recipe]) -> dict[str, Recipe]:
    """The recipes of floras that are not searched exactly; one measured before is kept while its flora is as large."""
    recipes = {}
    for flora in floras:
        kept = before.get(flora.card.id)
        if kept is not None and abs(flora.card.references - kept.references) <= DRIFT * kept.references:
            recipes[flora.card.id] = kept
        else:
            recipe = measure_recipe(flora)
            if recipe.kind != EXACT:
                recipes[flora.card.id] = recipe
    return recipes


def measure_recipe(flora: Flora) -> Recipe:
    """The shallowest two-stage recipe that finds enough, or exact search where that is cheaper or nothing suffices."""
    exact = Recipe(references=flora.card.references)
    parts = flora.parts()
    if any(part.segment.codes is None for part in parts):
        return exact
    if cheaper_kind(flora.card.references, flora.card.covered) == EXACT:
        return exact
    queries, observations = draw_queries(parts)
    truth = search_parts(parts, queries, 50 + OWN, exact, threads=2)
    targets = [
        rows[(seen != own) & (rows >= 0)][:50]
        for rows, seen, own in zip(truth.rows, truth.observations, observations.tolist(), strict=True)
    ]
    for depth in DEPTHS:
        chosen = [
            rows
            for start in range(0, len(queries), 64)
            for rows in choose_rows(parts, queries[start : start + 64], 50 + OWN, depth)
        ]
        at_10, at_50 = (
            float(np.mean([np.isin(target[:k], rows).mean() for target, rows in zip(targets, chosen, strict=True)]))
            for k in (10, 50)
        )
        if at_10 >= AIM_AT_10 and at_50 >= AIM_AT_50:
            measured = round(at_10, 5), round(at_50, 5)
            return Recipe(TWO_STAGE, depth, *measured, len(queries), flora.card.references)
    return exact


def draw_queries(parts: Sequence[Part]) -> tuple[Embeddings, NDArray[np.int64]]:
    """A seeded sample of the references that may answer: their embeddings and observations."""
    rows = []
    for number, part in enumerate(parts):
        offsets = part.segment.offsets
        own = np.concatenate([np.arange(offsets[n], offsets[n + 1]) for n in part.lists.tolist()])
        if part.hidden is not None:
            own = own[~part.hidden[own]]
        rows.append(np.stack([np.full(len(own), number), own], axis=1))
    every = np.concatenate(rows)
    drawn = every[np.sort(np.random.default_rng(11).choice(len(every), min(QUERIES, len(every)), replace=False))]
    embeddings = [parts[number].segment.store.take(np.array([row])) for number, row in drawn.tolist()]
    seen = [int(parts[number].segment.observations[row]) for number, row in drawn.tolist()]
    return unit_rows(np.concatenate(embeddings).astype(np.float32)), np.array(seen, dtype=np.int64)
