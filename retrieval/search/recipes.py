"""How a flora is searched, chosen by what it costs, and kept only if it is measured to find what exact search finds."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

EXACT, TWO_STAGE, PROTOTYPE_FIRST = "exact", "two-stage", "prototype-first"

RECALL_BAR = 0.99  # recall@10 below which nothing is published
DEPTHS = (200, 300, 400, 600, 800, 1200, 1600, 2400, 3200)
"""How many rows the first stage may hand to the second; a flora gets the least that reaches both aims."""
PROBES = (2, 3, 4, 6, 8, 10, 12, 14, 16, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 128, 192, 256, 384, 512)
"""How many species may be looked at, those whose mean a view resembles most."""
AIM_AT_10, AIM_AT_50 = 0.997, 0.993  # on a sample of references, kinder than new photos: above 0.99 and 0.98
PROBING_AT_50 = 0.9955  # where species are left out, misses come many at once, so that a sample says less

# Nanoseconds for a view on one thread, from benchmarks/results/; only their ratios matter for the choice.
EXACT_ROW, CODES_ROW, CODES_LIST, RANKED_ROW, GUIDE_LINE = 14.0, 1.1, 250.0, 150.0, 10.0
TWO_STAGE_ONCE, GUIDE_ONCE = 60_000.0, 10_000.0


ALIKE = 8  # measured floras of about its size that say how a flora of the moment is searched


@dataclass(frozen=True, slots=True)
class Probed:
    """What was found of a flora where so many species were looked at."""

    probes: int
    recall_at_10: float
    recall_at_50: float
    looked_at: int  # references of those species, on average


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a flora is searched. Recalls compare with exact search, on `queries` references of the flora itself."""

    kind: str = EXACT
    depth: int = 0  # rows that the first stage hands to the second; 0: there is no first stage
    recall_at_10: float = 1.0
    recall_at_50: float = 1.0
    queries: int = 0  # 0: nothing was measured, because the search is exact
    references: int = 0  # of the flora when it was measured
    probes: int = 0  # species that each view is looked for in; 0: all
    looked_at: int = 0  # references of those species, on average; 0: all
    tried: tuple[Probed, ...] = ()  # what looking at fewer or more species finds, for floras that nobody has measured

    def described(self) -> dict[str, Any]:
        """As the manifest keeps it."""
        tried = [list(asdict(one).values()) for one in self.tried]
        return {**asdict(self), "tried": tried}


def read_recipe(described: Mapping[str, Any]) -> Recipe:
    """The recipe that the manifest describes; those of before say nothing of what was tried."""
    return Recipe(**{**described, "tried": tuple(Probed(*one) for one in described.get("tried", ()))})


def cost(recipe: Recipe, rows: int, species: int) -> float:
    """Nanoseconds that a view is expected to take in a flora of so many references and species."""
    if recipe.kind == EXACT:
        return EXACT_ROW * rows
    ranked = TWO_STAGE_ONCE + RANKED_ROW * min(recipe.depth, rows)
    if recipe.kind == TWO_STAGE:
        return ranked + CODES_ROW * rows
    looked_at = recipe.looked_at or rows
    coarse = GUIDE_ONCE + GUIDE_LINE * species + CODES_LIST * recipe.probes
    return coarse + (ranked + CODES_ROW * looked_at if recipe.depth else EXACT_ROW * looked_at)


def cheapest(recipes: Iterable[Recipe], rows: int, species: int) -> Recipe:
    """The recipe that is expected to cost least; the first of those that cost the same."""
    return min(recipes, key=lambda recipe: cost(recipe, rows, species))


def recipe_for(rows: int, species: int, measured: Iterable[Recipe]) -> Recipe:
    """The recipe of a flora put together on the spot, which nobody has measured.

    The measured floras whose size is nearest speak for it. Species are probed as many as it takes for the queries of
    all these floras together to find what is aimed at: what suffices for one flora alone varies threefold between
    floras of one size, by the luck of its sample. Of each kind with codes it takes what would have done for three
    quarters of them, and of all kinds the cheapest.
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
        if recipe.depth or not recipe.tried:  # snapshots of before do not say what was tried
            kinds.setdefault((recipe.kind, recipe.depth > 0), []).append(recipe)
    for (kind, _), ones in sorted(kinds.items()):
        most = -1 - len(ones) // 4
        depth, probes, looked_at = (
            sorted(values)[most] for values in zip(*((r.depth, r.probes, r.looked_at) for r in ones), strict=True)
        )
        choices.append(Recipe(kind, depth, 0.0, 0.0, 0, rows, probes, min(rows, looked_at)))
    return cheapest(choices, rows, species)


def reaches(at_10: float, at_50: float, aim_at_50: float = AIM_AT_50) -> bool:
    """Whether measured recalls are as high as is aimed at."""
    return at_10 >= AIM_AT_10 and at_50 >= aim_at_50


def pool_tried(tried: Sequence[Sequence[Probed]]) -> list[Probed]:
    """What several floras found together, for each number of species from that which all have tried.

    A flora that found all with fewer is taken at its last.
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
