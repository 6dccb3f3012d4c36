"""How a flora is searched, chosen by what it costs, and kept only if it is measured to find what exact search finds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

EXACT, TWO_STAGE = "exact", "two-stage"

RECALL_BAR = 0.99  # recall@10 below which nothing is published
DEPTHS = (400, 600, 800, 1200, 1600, 2400, 3200)
"""How many rows the first stage may hand to the second; a flora gets the least that reaches both aims."""
AIM_AT_10, AIM_AT_50 = 0.997, 0.993  # on a sample of references, kinder than new photos: above 0.99 and 0.98

# Nanoseconds for a view on one thread, from benchmarks/results/; only their ratios matter for the choice.
EXACT_ROW, CODES_ROW, CODES_LIST, RANKED_ROW, TWO_STAGE_ONCE = 14.0, 2.0, 150.0, 250.0, 60_000.0


@dataclass(frozen=True, slots=True)
class Recipe:
    """How a flora is searched. Recalls compare with exact search, on `queries` references of the flora itself."""

    kind: str = EXACT
    depth: int = 0  # rows that the first stage hands to the second
    recall_at_10: float = 1.0
    recall_at_50: float = 1.0
    queries: int = 0  # 0: nothing was measured, because the search is exact
    references: int = 0  # of the flora when it was measured

    def described(self) -> dict[str, Any]:
        """As the manifest keeps it."""
        return asdict(self)


def cost(kind: str, rows: int, lists: int, depth: int = 400) -> float:
    """Nanoseconds that a view is expected to take."""
    if kind == EXACT:
        return EXACT_ROW * rows
    return TWO_STAGE_ONCE + CODES_ROW * rows + CODES_LIST * lists + RANKED_ROW * min(depth, rows)


def cheaper_kind(rows: int, lists: int) -> str:
    """Exact search for small floras, two stages for those where that costs less."""
    return min((EXACT, TWO_STAGE), key=lambda kind: cost(kind, rows, lists))


def recipe_for(rows: int, lists: int, measured: Iterable[Recipe]) -> Recipe:
    """The recipe of a flora put together on the spot: as deep as the deepest that was measured."""
    depth = max((recipe.depth for recipe in measured), default=0)
    if not depth or cheaper_kind(rows, lists) == EXACT:
        return Recipe(references=rows)
    return Recipe(TWO_STAGE, depth, 0.0, 0.0, 0, rows)
