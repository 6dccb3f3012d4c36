"""How a flora is searched, chosen by what it costs, and kept only if it is measured to find what exact search finds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

EXACT, TWO_STAGE, PROTOTYPE_FIRST = "exact", "two-stage", "prototype-first"

RECALL_BAR = 0.99  # recall@10 below which nothing is published
DEPTHS = (200, 300, 400, 600, 800, 1200, 1600, 2400, 3200)
"""How many rows the first stage may hand to the second; a flora gets the least that reaches both aims."""
PROBES = (4, 8, 16, 32, 64, 128, 256, 512)
"""How many species may be looked at, those whose mean a view resembles most."""
AIM_AT_10, AIM_AT_50 = 0.997, 0.993  # on a sample of references, kinder than new photos: above 0.99 and 0.98
PROBING_AT_50 = 0.9955  # where species are left out, misses come many at once, so that a sample says less

# Nanoseconds for a view on one thread, from benchmarks/results/; only their ratios matter for the choice.
EXACT_ROW, CODES_ROW, CODES_LIST, RANKED_ROW, GUIDE_LINE = 14.0, 1.1, 250.0, 150.0, 10.0
TWO_STAGE_ONCE, GUIDE_ONCE = 60_000.0, 10_000.0


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

    def described(self) -> dict[str, Any]:
        """As the manifest keeps it."""
        return asdict(self)


def cost(recipe: Recipe, rows: int, species: int) -> float:
    """Nanoseconds that a view is expected to take in a flora of so many references and species."""
    if recipe.kind == EXACT:
        return EXACT_ROW * rows
    ranked = TWO_STAGE_ONCE + RANKED_ROW * min(recipe.depth, rows)
    if recipe.kind == TWO_STAGE:
        return ranked + CODES_ROW * rows
    looked_at = recipe.looked_at or rows
    guided = GUIDE_ONCE + GUIDE_LINE * species + CODES_LIST * recipe.probes
    return guided + (ranked + CODES_ROW * looked_at if recipe.depth else EXACT_ROW * looked_at)


def cheapest(recipes: Iterable[Recipe], rows: int, species: int) -> Recipe:
    """The recipe that is expected to cost least; the first of those that cost the same."""
    return min(recipes, key=lambda recipe: cost(recipe, rows, species))


def recipe_for(rows: int, species: int, measured: Iterable[Recipe]) -> Recipe:
    """The recipe of a flora put together on the spot, which nobody has measured.

    Of each kind that was measured it takes what would have done for three quarters of those floras, and of these kinds
    the cheapest.
    """
    choices = [Recipe(references=rows)]
    kinds: dict[tuple[str, bool], list[Recipe]] = {}
    for recipe in measured:
        if recipe.kind != EXACT:
            kinds.setdefault((recipe.kind, recipe.depth > 0), []).append(recipe)
    for (kind, _), known in sorted(kinds.items()):
        most = -1 - len(known) // 4
        depth, probes, looked_at = (
            sorted(values)[most] for values in zip(*((r.depth, r.probes, r.looked_at) for r in known), strict=True)
        )
        choices.append(Recipe(kind, depth, 0.0, 0.0, 0, rows, probes, min(rows, looked_at)))
    return cheapest(choices, rows, species)
