"""Search recipes: how a flora is searched, chosen by estimated cost among those whose measured recall suffices."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

EXACT, TWO_STAGE, PROTOTYPE_FIRST = "exact", "two-stage", "prototype-first"

RECALL_BAR = 0.99  # lowest recall@10 of a published recipe
DEPTHS = (200, 300, 400, 600, 800, 1200, 1600, 2400, 3200)
"""Numbers of candidates passed to the second stage; a flora gets the smallest that reaches both target recalls."""
PROBES = (2, 3, 4, 6, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 128, 192, 256, 384, 512)
"""Numbers of species searched, those with the most similar mean embeddings (nprobe)."""
AIM_AT_10, AIM_AT_50 = 0.997, 0.993  # target recalls on references, easier than new photos, hence above 0.99 and 0.98
PROBING_AT_50 = 0.9955  # higher for prototype-first: a skipped species costs many neighbours, so estimates vary more

# Nanoseconds per view on one thread, from benchmarks/results/; only their ratios matter for the choice.
EXACT_ROW, CODES_ROW, CODES_LIST, RANKED_ROW, COARSE_ROW = 14.0, 1.1, 250.0, 150.0, 10.0
TWO_STAGE_ONCE, COARSE_ONCE = 60_000.0, 10_000.0


ALIKE = 8  # measured floras of similar size that determine the recipe of an ad-hoc flora


@dataclass(frozen=True, slots=True)
class Probed:
    """Measured recall of a flora for one number of species searched."""

    probes: int
    recall_at_10: float
    recall_at_50: float
    looked_at: int  # references of the species searched, on average


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a flora is searched. Recalls are relative to exact search, on `queries` references of the flora itself."""

    kind: str = EXACT
    depth: int = 0  # candidates passed to the second stage; 0: no first stage
    recall_at_10: float = 1.0
    recall_at_50: float = 1.0
    queries: int = 0  # 0: not measured, since the search is exact
    references: int = 0  # of the flora when it was measured
    probes: int = 0  # species searched for each view; 0: all
    looked_at: int = 0  # references of the species searched, on average; 0: all
    tried: tuple[Probed, ...] = ()  # recall for other numbers of species, used for ad-hoc floras

    def described(self) -> dict[str, Any]:
        """Return the recipe as JSON values, for the manifest."""
        tried = [list(asdict(one).values()) for one in self.tried]
        return {**asdict(self), "tried": tried}


def read_recipe(described: Mapping[str, Any]) -> Recipe:
    """Read a recipe from the manifest; older manifests lack `tried`."""
    return Recipe(**{**described, "tried": tuple(Probed(*one) for one in described.get("tried", ()))})


def cost(recipe: Recipe, rows: int, species: int) -> float:
    """Estimate the nanoseconds per view in a flora of so many references (`rows`) and species."""
    if recipe.kind == EXACT:
        return EXACT_ROW * rows
    ranked = TWO_STAGE_ONCE + RANKED_ROW * min(recipe.depth, rows)
    if recipe.kind == TWO_STAGE:
        return ranked + CODES_ROW * rows
    looked_at = recipe.looked_at or rows
    coarse = COARSE_ONCE + COARSE_ROW * species + CODES_LIST * recipe.probes
    return coarse + (ranked + CODES_ROW * looked_at if recipe.depth else EXACT_ROW * looked_at)


def cheapest(recipes: Iterable[Recipe], rows: int, species: int) -> Recipe:
    """Return the recipe with the lowest estimated cost; the first of equal ones."""
    return min(recipes, key=lambda recipe: cost(recipe, rows, species))


def recipe_for(rows: int, species: int, measured: Iterable[Recipe]) -> Recipe:
    """Choose the recipe of an ad-hoc flora, which was not measured, from measured floras of the nearest sizes.

    For prototype-first search, the number of species searched is the smallest whose recall, pooled over these floras,
    reaches the target: estimates from single floras of one size vary threefold. For each kind with PQ codes, the third
    quartile of the measured parameters is used. The cheapest kind is returned.
    """
    known = [recipe for recipe in measured if recipe.kind != EXACT]
    alike = sorted(known, key=lambda recipe: abs(math.log(max(1, recipe.references) / max(1, rows))))[:ALIKE]
    choices = [Recipe(references=rows)]
    for probed in pool_tried([recipe.tried for recipe in alike if recipe.tried]):
        if reaches(probed.recall_at_10, probed.recall_at_50, PROBING_AT_50):
            looked_at = min(rows, probed.looked_at)
            choices.append(Recipe(PROTOTYPE_FIRST, 0, 0.0, 0.0, 0, rows, probed.probes, looked_at))
            break
    kinds: dict[tuple[str, bool], list[Recipe]] = {}
    for recipe in alike:
        if recipe.depth or not recipe.tried:  # older snapshots lack `tried`
            kinds.setdefault((recipe.kind, recipe.depth > 0), []).append(recipe)
    for (kind, _), ones in sorted(kinds.items()):
        most = -1 - len(ones) // 4
        depth, probes, looked_at = (
            sorted(values)[most] for values in zip(*((r.depth, r.probes, r.looked_at) for r in ones), strict=True)
        )
        choices.append(Recipe(kind, depth, 0.0, 0.0, 0, rows, probes, min(rows, looked_at)))
    return cheapest(choices, rows, species)


def reaches(at_10: float, at_50: float, aim_at_50: float = AIM_AT_50) -> bool:
    """Whether measured recalls reach the targets."""
    return at_10 >= AIM_AT_10 and at_50 >= aim_at_50


def pool_tried(tried: Sequence[Sequence[Probed]]) -> list[Probed]:
    """Average the recalls of several floras, for each number of species from the first that all have tried.

    A flora whose measurement stopped earlier, since it found everything, counts with its last value.
    """
    pooled = []
    for probes in PROBES if tried else ():
        ones = [[one for one in flora if one.probes <= probes] for flora in tried]
        if all(ones):
            last = [kept[-1] for kept in ones]
            at_10, at_50, looked_at = (
                sum(values) / len(last)
                for values in zip(*((one.recall_at_10, one.recall_at_50, one.looked_at) for one in last), strict=True)
            )
            pooled.append(Probed(probes, at_10, at_50, round(looked_at)))
    return pooled
