"""Measures what faster searches find of what exact search finds in each flora, and takes the cheapest that suffices."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from retrieval.embedder import Embeddings, unit_rows
from retrieval.flora import Flora
from retrieval.index import Rows
from retrieval.recipes import (
    AIM_AT_10,
    AIM_AT_50,
    DEPTHS,
    EXACT,
    PROBES,
    PROBING_AT_50,
    PROTOTYPE_FIRST,
    TWO_STAGE,
    Recipe,
    cheapest,
    cost,
)
from retrieval.store import Guided, Part, choose_rows, search_parts

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
    """The cheapest recipe that finds enough; exact search where that is cheaper or nothing else suffices."""
    references, species = flora.card.references, flora.card.covered
    exact = Recipe(references=references)
    parts, guided = flora.prepared.parts, flora.prepared.guided
    hopeful = Recipe(PROTOTYPE_FIRST, DEPTHS[0], references=references, probes=PROBES[0], looked_at=1)
    least = cheapest([exact, hopeful, replace(hopeful, depth=0)], references, species)
    if any(part.segment.codes is None for part in parts) or least == exact:
        return exact
    queries, observations = draw_queries(parts)
    truth = search_parts(parts, queries, 50 + OWN, exact, threads=2)
    targets = [
        rows[(seen != own) & (rows >= 0)][:50]
        for rows, seen, own in zip(truth.rows, truth.observations, observations.tolist(), strict=True)
    ]

    def measured(recipe: Recipe) -> Recipe:
        """The recipe with its recalls."""
        if recipe.depth:
            chosen: Sequence[Rows] = choose_rows(parts, queries, 50 + OWN, recipe, guided)
        else:
            found = search_parts(parts, queries, 50 + OWN, recipe, threads=2, guided=guided)
            others = (found.observations != observations[:, None]) & (found.rows >= 0)
            chosen = [rows[other] for rows, other in zip(found.rows, others, strict=True)]
        at_10, at_50 = (
            float(np.mean([np.isin(target[:k], rows).mean() for target, rows in zip(targets, chosen, strict=True)]))
            for k in (10, 50)
        )
        return replace(recipe, recall_at_10=round(at_10, 5), recall_at_50=round(at_50, 5), queries=len(queries))

    def dearer(recipe: Recipe, *than: Recipe) -> bool:
        """Whether a recipe costs more than another even if it is as cheap as its kind can be."""
        return any(cost(recipe, references, species) >= cost(other, references, species) for other in than)

    found = [exact]
    probing = 0
    if guided is not None:
        near = (replace(hopeful, depth=0, probes=probes) for probes in PROBES if probes < species)
        first = first_good(measured(with_looked_at(recipe, parts, guided, queries)) for recipe in near)
        if first is not None:
            found.append(first)
            probing = first.probes
    if not dearer(Recipe(TWO_STAGE, DEPTHS[0]), *found):
        deep = first_good(measured(Recipe(TWO_STAGE, depth, references=references)) for depth in DEPTHS)
        found += [deep] if deep is not None else []
    if guided is not None and probing:
        coded = with_looked_at(replace(hopeful, probes=2 * probing), parts, guided, queries)
        if not dearer(coded, *found):
            deep = first_good(measured(replace(coded, depth=depth)) for depth in DEPTHS)
            found += [deep] if deep is not None else []
    return cheapest(found, references, species)


def first_good(recipes: Iterable[Recipe]) -> Recipe | None:
    """The first that finds as much as is aimed at."""
    for recipe in recipes:
        aim = PROBING_AT_50 if recipe.kind == PROTOTYPE_FIRST and not recipe.depth else AIM_AT_50
        if recipe.recall_at_10 >= AIM_AT_10 and recipe.recall_at_50 >= aim:
            return recipe
    return None


def with_looked_at(recipe: Recipe, parts: Sequence[Part], guided: Guided, queries: Embeddings) -> Recipe:
    """The recipe with how many references lie, on average, in the species that a view resembles most."""
    lines = guided.guide.nearest(queries, recipe.probes, guided.cut)
    total = 0
    for part in parts:
        lists = part.lists_at(lines[lines >= 0])
        total += part.segment.count_rows(lists[lists >= 0])
    return replace(recipe, looked_at=max(1, round(total / len(queries))))


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
