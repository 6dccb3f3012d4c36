"""Paired comparison of training variants: the change that each option makes, with bootstrap intervals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 4000
BEGIN, END = "<!-- options: begin -->", "<!-- options: end -->"
MEASURES = ("species", "frequent", "genus")
"""Recall@1 of species, each species alike; each weighing as often as it was learned; of genera, each species alike."""


@dataclass(slots=True)
class ComparisonLine:
    """The results of one training variant, by seed."""

    name: str
    against: str = ""  # the line it is compared with
    judged_by: str = ""  # the measure that says whether it helps
    shares: list[dict[str, NDArray[np.float64]]] = field(default_factory=list)  # per seed: (species,) of each rank

    def add(self, shares: dict[str, NDArray[np.float64]]) -> None:
        """Add the results of a seed: recall@1 of species and of genus, for each species."""
        self.shares.append(shares)

    def table(self, measure: str) -> NDArray[np.float64]:
        """(seeds, species) of a measure."""
        return np.stack([one["genus" if measure == "genus" else "species"] for one in self.shares])


def compare_lines(lines: Sequence[ComparisonLine], learned: NDArray[np.int64]) -> list[dict[str, Any]]:
    """Return each variant's metrics and changes; `learned` counts the training observations of each species."""
    by_name = {line.name: line for line in lines}
    found = []
    for line in lines:
        row: dict[str, Any] = {"line": line.name, "against": line.against, "judged by": line.judged_by}
        for measure in MEASURES:
            weights = learned if measure == "frequent" else np.ones_like(learned)
            own = line.table(measure)
            row[measure] = float(np.average(own.mean(axis=0), weights=weights))
            row[f"{measure} by seed"] = [float(np.average(one, weights=weights)) for one in own]
            if line.against:
                apart = own - by_name[line.against].table(measure)
                row[f"{measure} change"] = paired_change(apart, weights)
        found.append(row)
    return found


def paired_change(apart: NDArray[np.float64], weights: NDArray[np.int64], *, seed: int = 1) -> dict[str, float]:
    """Return the mean of differences (seeds, species) with its 95 % bootstrap interval.

    Seeds and species are resampled together, since both are random samples.
    """
    draw = np.random.default_rng(seed)
    seeds, species = apart.shape
    means = np.empty(RESAMPLES)
    for number in range(RESAMPLES):
        rows = draw.integers(seeds, size=seeds)
        columns = draw.integers(species, size=species)
        means[number] = np.average(apart[rows].mean(axis=0)[columns], weights=weights[columns])
    low, high = np.quantile(means, (0.025, 0.975))
    return {"mean": float(np.average(apart.mean(axis=0), weights=weights)), "low": float(low), "high": float(high)}


def tabulate(found: dict[str, Any]) -> str:
    """Format the results as Markdown: metrics, then changes in points; the deciding metric is in bold."""
    lines = [
        "| | species, each alike | species, as frequent as learned | genus |",
        "|---|---:|---:|---:|",
        *(f"| {row['line']} | " + " | ".join(f"{row[name]:.3f}" for name in MEASURES) + " |" for row in found["lines"]),
        "",
        "| change in points | against | species, each alike | species, as frequent | genus |",
        "|---|---|---:|---:|---:|",
    ]
    for row in found["lines"]:
        if row["against"]:
            shown = " | ".join(show_change(row, name) for name in MEASURES)
            lines.append(f"| {row['line']} | {row['against']} | {shown} |")
    size = found["collection"]
    lines += [
        "",
        conclude(found),
        "",
        f"{size['species']} species in {size['genera']} genera, {size['observations learned from']} observations "
        f"({size['pictures learned from']} pictures) learned from, {size['held-out observations']} asked for; "
        f"{found['recipe']['steps']} steps of {found['recipe']['batch']}; seeds {', '.join(map(str, found['seeds']))}; "
        f"{found['machine']}, torch {found['versions']['torch']}.",
    ]
    return "\n".join(lines)


def conclude(found: dict[str, Any]) -> str:
    """Say which options are shown to help or to harm, by the metric chosen for each beforehand."""
    groups: dict[str, list[str]] = {"help": [], "harm": [], "nothing": []}
    for row in found["lines"]:
        if row["against"]:
            change = row[f"{row['judged by']} change"]
            group = "help" if change["low"] > 0 else "harm" if change["high"] < 0 else "nothing"
            groups[group].append(row["line"].removeprefix("+ ").removeprefix("plain, "))
    said = {"help": "Shown to help", "harm": "Shown to harm", "nothing": "Not shown to do either"}
    return " ".join(f"{said[group]}: {', '.join(names) or 'none'}." for group, names in groups.items())


def show_change(row: dict[str, Any], measure: str) -> str:
    """Format a change with its interval."""
    change = {name: 100 * value for name, value in row[f"{measure} change"].items()}
    text = f"{change['mean']:+.1f} ({change['low']:+.1f} to {change['high']:+.1f})"
    return f"**{text}**" if row["judged by"] == measure else text
