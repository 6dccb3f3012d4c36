"""Measures the recall of approximate search in each flora, and chooses the cheapest recipe that reaches the targets."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from retrieval.models.embedder import Embeddings, unit_rows
from retrieval.progress import Progress, silent
from retrieval.search.recipes import (
    AIM_AT_10,
    DEPTHS,
    EXACT,
    PROBES,
    PROBING_AT_50,
    PROTOTYPE_FIRST,
    TWO_STAGE,
    Probed,
    Recipe,
    cheapest,
    cost,
    reaches,
)
from retrieval.segments.store import CoarseSearch, SegmentPart, choose_rows, scan_codes, search_parts, width_of
from retrieval.snapshots.flora import Flora

QUERIES = 192  # references of the flora used as queries, each without its own observation
DRIFT = 0.05  # relative change of a flora's size after which it is measured again
WORTH_KEEPING, ALL_BUT = 0.9, 0.9995  # range of recall@50 for which measurements are stored in the manifest
OWN = 14  # rows retrieved beyond 50, since those of the query's own observation do not count


def measure_recipes(
    floras: Sequence[Flora], before: Mapping[str, Recipe], progress: Progress = silent
) -> dict[str, Recipe]:
    """Return the recipes of floras not searched exactly, by id; earlier ones are kept while the size is similar."""
    recipes = {}
    for flora in floras:
        kept = before.get(flora.card.id)
        told = kept is not None and (kept.kind != PROTOTYPE_FIRST or bool(kept.tried))  # older ones lack `tried`
        if kept is not None and told and abs(flora.card.references - kept.references) <= DRIFT * kept.references:
            recipes[flora.card.id] = kept
        else:
            recipe = measure_recipe(flora)
            if recipe.kind != EXACT:
                recipes[flora.card.id] = recipe
        progress("recipes", 1, len(floras))
    return recipes


def measure_recipe(flora: Flora) -> Recipe:
    """Return the cheapest recipe that reaches the target recalls; exact search if that is cheaper or none does."""
    references, species = flora.card.references, flora.card.covered
    exact = Recipe(references=references)
    parts, coarse = flora.prepared.parts, flora.prepared.coarse
    hopeful = Recipe(PROTOTYPE_FIRST, DEPTHS[0], references=references, probes=PROBES[0], looked_at=1)
    least = cheapest([exact, hopeful, replace(hopeful, depth=0)], references, species)
    has_codes = bool(parts) and all(part.segment.codes is not None for part in parts)
    if least == exact or not (has_codes or coarse is not None):
        return exact
    queries, observations = draw_queries(parts)
    truth = search_parts(parts, queries, 50 + OWN, exact, threads=2)
    others = (truth.observations != observations[:, None]) & (truth.rows >= 0)
    counted = others & (np.cumsum(others, axis=1) <= 50)
    targets = [rows[here] for rows, here in zip(truth.rows, counted, strict=True)]

    def dearer(recipe: Recipe, *than: Recipe) -> bool:
        """Return whether a recipe, in its kind's cheapest form, costs at least as much as one of the others."""
        return any(cost(recipe, references, species) >= cost(other, references, species) for other in than)

    found = [exact]
    tried: tuple[Probed, ...] = ()
    if coarse is not None:
        tried = try_probes(parts, coarse, queries, truth.species, counted)
        enough = [one for one in tried if reaches(one.recall_at_10, one.recall_at_50, PROBING_AT_50)]
        if enough:
            first = enough[0]
            recalls = (first.recall_at_10, first.recall_at_50, len(queries), references)
            found.append(Recipe(PROTOTYPE_FIRST, 0, *recalls, first.probes, first.looked_at))
    if has_codes and not dearer(Recipe(TWO_STAGE, DEPTHS[0]), *found):
        deep = first_good(measure_depths(parts, queries, targets, Recipe(TWO_STAGE, references=references)))
        found += [deep] if deep is not None else []
    wider: list[Probed] = []
    if has_codes and len(found) > 1 and found[1].probes:  # twice the species, or the most tried: PQ codes are cheap
        wider = [one for one in tried if one.probes >= 2 * found[1].probes] or list(tried[-1:])
    if wider:
        coded = replace(hopeful, probes=wider[0].probes, looked_at=wider[0].looked_at)
        if not dearer(coded, *found):
            deep = first_good(measure_depths(parts, queries, targets, coded, coarse))
            found += [deep] if deep is not None else []
    return replace(cheapest(found, references, species), tried=tried)


def measure_depths(
    parts: Sequence[SegmentPart],
    queries: Embeddings,
    targets: Sequence[NDArray[np.int64]],
    recipe: Recipe,
    coarse: CoarseSearch | None = None,
) -> Iterator[Recipe]:
    """Yield the recipe for each of DEPTHS with its measured recalls, from one scan for the deepest.

    The candidates of a depth are the rows whose codes are more similar than the one after the `depth` best. A query for
    which these are too few is searched by itself, since it looks further. `targets` are each query's true neighbours.
    """
    k = 50 + OWN
    near, rows, complete = scan_codes(parts, queries, width_of(parts, DEPTHS[-1]), recipe, coarse)
    best = -np.sort(-near, axis=1)
    found = [similarities_of(*line) for line in zip(near, rows, targets, strict=True)]
    for depth in DEPTHS:
        deep, border = replace(recipe, depth=depth), best[:, width_of(parts, depth) - 1]
        few = (np.count_nonzero(best > border[:, None], axis=1) < k) & ~(complete & np.isneginf(border))
        kept = [line > limit for line, limit in zip(found, border, strict=True)]
        again = choose_rows(parts, queries[few], k, deep, coarse) if few.any() else []
        for query, chosen in zip(np.flatnonzero(few).tolist(), again, strict=True):
            kept[query] = np.isin(targets[query], chosen)
        at_10, at_50 = (float(np.mean([line[:first].mean() for line in kept])) for first in (10, 50))
        yield replace(deep, recall_at_10=round(at_10, 5), recall_at_50=round(at_50, 5), queries=len(queries))


def similarities_of(
    near: NDArray[np.float32], rows: NDArray[np.int64], wanted: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Return the similarities of the wanted rows among those found, (wanted,); -inf for those not found."""
    order = np.argsort(rows)
    places = order[np.minimum(np.searchsorted(rows, wanted, sorter=order), len(rows) - 1)]
    return np.where(rows[places] == wanted, near[places], np.float32(-np.inf))


def first_good(recipes: Iterable[Recipe]) -> Recipe | None:
    """Return the first recipe that reaches the target recalls, or None."""
    return next((recipe for recipe in recipes if reaches(recipe.recall_at_10, recipe.recall_at_50)), None)


def try_probes(
    parts: Sequence[SegmentPart],
    coarse: CoarseSearch,
    queries: Embeddings,
    species: NDArray[np.int64],
    targets: Sequence[NDArray[np.bool_]],
) -> tuple[Probed, ...]:
    """Compute the recall of prototype-first search for each number of species searched (nprobe).

    No search is needed: a neighbour is found if its species is searched, so the rank of its species by the coarse
    quantiser decides. `species` are those of each query's true neighbours, (queries, n); `targets` masks the
    neighbours that count.
    """
    lines = coarse.quantiser.nearest(queries, PROBES[-1], coarse.cut)
    place_of = np.empty(len(coarse.quantiser.species), dtype=np.int64)
    order = np.argsort(coarse.quantiser.species)
    sizes = np.zeros(len(place_of), dtype=np.int64)
    for part in parts:
        lists = part.lists_at(coarse.lines)
        held = lists >= 0
        counted = np.diff(part.segment.offsets)
        sizes[coarse.lines[held]] += counted[lists[held]]
    ranks = []
    for own, listed, wanted in zip(species, lines, targets, strict=True):
        place_of[:] = PROBES[-1]
        place_of[listed] = np.arange(len(listed))
        known = order[np.searchsorted(coarse.quantiser.species, own[wanted], sorter=order)]
        ranks.append(place_of[known])
    looked_at = np.cumsum(sizes[lines], axis=1).mean(axis=0)
    tried = []
    for probes in PROBES:
        if probes >= len(coarse.lines):
            break
        at_10, at_50 = (float(np.mean([np.mean(rank[:k] < probes) for rank in ranks])) for k in (10, 50))
        one = Probed(probes, round(at_10, 5), round(at_50, 5), max(1, round(float(looked_at[probes - 1]))))
        if one.recall_at_50 >= WORTH_KEEPING:
            tried.append(one)
        if one.recall_at_10 >= AIM_AT_10 and one.recall_at_50 >= ALL_BUT:
            break
    return tuple(tried)


def draw_queries(parts: Sequence[SegmentPart]) -> tuple[Embeddings, NDArray[np.int64]]:
    """Draw a seeded sample of active references: embeddings (queries, 256) and observations (queries,)."""
    standing = [active_lists(part) for part in parts]
    ends = np.cumsum([counts.sum() for counts in standing])
    every = int(ends[-1])
    embeddings, seen = [], []
    for number in np.sort(np.random.default_rng(11).choice(every, min(QUERIES, every), replace=False)).tolist():
        which = int(np.searchsorted(ends, number, side="right"))
        part = parts[which]
        row = row_of(part, standing[which], number - int(ends[which] - standing[which].sum()))
        embeddings.append(part.segment.store.take(np.array([row])))
        seen.append(int(part.segment.observations[row]))
    return unit_rows(np.concatenate(embeddings).astype(np.float32)), np.array(seen, dtype=np.int64)


def active_lists(part: SegmentPart) -> NDArray[np.int64]:
    """Return the number of unmasked rows in each of the part's lists."""
    offsets = part.segment.offsets
    if part.hidden is None:
        return np.asarray(offsets[part.lists + 1] - offsets[part.lists])
    return np.array([np.count_nonzero(~part.hidden[offsets[n] : offsets[n + 1]]) for n in part.lists.tolist()])


def row_of(part: SegmentPart, standing: NDArray[np.int64], number: int) -> int:
    """Return the `number`-th active row; `standing` are the active rows of each list."""
    ends = np.cumsum(standing)
    place = int(np.searchsorted(ends, number, side="right"))
    within = number - int(ends[place] - standing[place])
    first, end = (int(part.segment.offsets[part.lists[place] + more]) for more in (0, 1))
    return first + (within if part.hidden is None else int(np.flatnonzero(~part.hidden[first:end])[within]))
