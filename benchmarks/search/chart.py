"""Draws the results of a benchmark as an SVG: `python -m benchmarks.search.chart RESULT.json CHART.svg`.

RESULT is of `flora_search`, whose latencies are drawn against the size of floras, or of `answer_cost`, whose processor
times are drawn against the number of species.
"""

from __future__ import annotations

import json
import math
import statistics
import sys
from html import escape
from pathlib import Path
from typing import Any

WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 760, 430, 60, 30, 60
NAMES = {
    "world": "world",
    "part-30": "flora of 30 %",
    "part-02": "flora of 2 %",
    "prototypes": "of it, similarities to prototypes",
    "taxon:Genus1 or taxon:Genus2": "list of the moment",
}
COLOURS = ("#b5452c", "#e0a18f", "#555555", "#8a8a8a", "#2c6e9b", "#7b9e3c", "#7a4f9a", "#c49a2a")


def draw(results: dict[str, Any]) -> str:
    """Plot milliseconds per observation against a size, both logarithmic, one line per method."""
    sizes: dict[str, int] = results["floras"]
    columns: dict[str, dict[str, float]] = results["latency_ms"]
    spans = math.log10(min(sizes.values())), math.log10(max(sizes.values()))
    every = [taken for per_flora in columns.values() for taken in per_flora.values()]
    low, high = math.floor(math.log10(min(every))), math.ceil(math.log10(max(every)))

    def x(references: float) -> float:
        return LEFT + (math.log10(references) - spans[0]) / (spans[1] - spans[0]) * (WIDTH - LEFT - 270)

    def y(milliseconds: float) -> float:
        return HEIGHT - BOTTOM - (math.log10(milliseconds) - low) / (high - low) * (HEIGHT - TOP - BOTTOM)

    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" font-family="sans-serif"',
        ' font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<text x="{LEFT}" y="18">{escape(results["title"])}</text>',
        f'<text x="{LEFT}" y="{HEIGHT - 15}">{escape(results["axis"])}</text>',
    ]
    for power in range(low, high + 1):
        level = y(10**power)
        lines.append(f'<line x1="{LEFT}" x2="{WIDTH - 270}" y1="{level:.0f}" y2="{level:.0f}" stroke="#ddd"/>')
        lines.append(f'<text x="{LEFT - 8}" y="{level + 4:.0f}" text-anchor="end">{10**power:g}</text>')
    for tick in (10**power for power in range(3, 8) if spans[0] <= power <= spans[1] + 0.01):
        lines.append(f'<text x="{x(tick):.0f}" y="{HEIGHT - 40}" text-anchor="middle">{tick:,}</text>')
    for number, (name, per_flora) in enumerate(columns.items()):
        colour = COLOURS[number % len(COLOURS)]
        points = sorted((sizes[flora], taken) for flora, taken in per_flora.items())
        path = " ".join(f"{x(size):.1f},{y(taken):.1f}" for size, taken in points)
        lines.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{3 if not number else 1.5}"/>'
        )
        size = results.get("bytes_per_reference", {}).get(name)
        label = escape(name) + (f", {size:,.0f} B" if size else "")
        lines.append(
            f'<text x="{WIDTH - 262}" y="{TOP + 18 * number + 12}" fill="{colour}" font-size="11">{label}</text>'
        )
    return "\n".join([*lines, "</svg>", ""])


def read_results(path: Path) -> dict[str, Any]:
    """Return the data for `draw` from a result of either benchmark."""
    results: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(results["species"], dict):
        title = f"ms an observation, one thread, {results['references']:,} references"
        return {**results, "title": title, "axis": "references in the flora"}
    lines: dict[str, dict[str, float]] = {}
    for species, programs in results["species"].items():
        rounds = programs["now"]["rounds"]
        for key in rounds[0]:
            what, _, photos = key.rpartition(", ")
            name = f"{NAMES.get(what, what)}, {photos} photo{'s' if photos != '1' else ''}"
            lines.setdefault(name, {})[species] = statistics.median(asked[key]["cpu"] for asked in rounds)
    return {
        "floras": {species: int(species) for species in results["species"]},
        "latency_ms": lines,
        "title": "processor ms of an answer, embeddings given, one thread",
        "axis": "species with references",
    }


if __name__ == "__main__":
    Path(sys.argv[2]).write_text(draw(read_results(Path(sys.argv[1]))), encoding="utf-8")
