"""The tables of docs/accuracy.md in which rules are compared: each on and off, and alternatives to the score."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from evaluation.reports.views_table import format_views


def show_change(found: Mapping[str, float]) -> str:
    """Format a change in points with its interval."""
    return f"{found['change']:+.1f} ({found['low']:+.1f} to {found['high']:+.1f})"


def compare_alternatives(drawn: Sequence[Mapping[str, Any]], photos: Sequence[Mapping[str, Any]]) -> list[str]:
    """Format the alternatives to the score, with the change of top-1 against it on each collection."""
    collections = [
        (title, found["alternatives"])
        for title, found in zip(
            (
                "drawings, trained on drawings",
                "drawings, default model",
                "real photos, B4",
                "real photos, default model",
            ),
            [*drawn, *photos],
            strict=True,
        )
        if found.get("alternatives")
    ]
    if not collections:
        return []
    rows = [(name, *(show_change(found[name]) for _, found in collections)) for name in collections[0][1]]
    return [
        "",
        "## Alternatives to the score",
        "",
        "Points of top-1 against the score as served, on the same observations, with 95 % intervals; the weights of",
        "each are fitted anew in each fold (`evaluation/measuring/alternatives.py`).",
        "",
        f"| | {' | '.join(title for title, _ in collections)} |",
        "|---|" + "---|" * len(collections),
        *(f"| {' | '.join(row)} |" for row in rows),
        "",
        "Nothing gains clearly over votes and prototypes anywhere. Votes alone lose clearly on photographs,",
        "prototypes alone on drawings; each collection learns the weights of both. A correction for hubs loses",
        "clearly on drawings, expanded queries on photographs, and a re-ranker gains nothing, so none of them is",
        "built in. What habitats gain is not given: no collection here has habitats of real finds, and with invented",
        "ones the strength that was put in would come back.",
    ]


def compare_rules(
    simulated: Mapping[str, Any], photos: Mapping[str, Any], views: Sequence[Mapping[str, Any]]
) -> list[str]:
    """Format the ablations, the gain of several views, and the limits of the simulation."""
    lines = ["", "## Each rule on and off", ""]
    if simulated:
        lines += ["| simulated, top-1 | |", "|---|---|"]
        lines += [f"| {name} | {value:.3f} |" for name, value in simulated["ablation"].items()]
    if photos:
        lines += ["", "| real photos | top-1 | top-5 | points against the default |", "|---|---|---|---|"]
        lines += [
            f"| {name} | {one['top1']:.3f} | {one['top5']:.3f} | "
            f"{one['change']:+.1f} ({one['low']:+.1f} to {one['high']:+.1f}) |"
            for name, one in photos["ablation"].items()
        ]
    return [
        *lines,
        *format_views(views),
        "",
        "## What the simulation cannot show",
        "",
        "Species are normal clouds in it, which is what prototypes in a learned metric assume: they gain far more",
        "there than on real photos (the tables above). Read its first line as an upper bound, the others as what",
        "each rule adds on top. It says nothing of votes against prototypes: a cloud has no second form, no other side",
        "and no twin filed under another name, which is what single neighbours know and means do not. Votes alone are",
        "worse there than the nearest neighbour; on drawings they help, on real photos they neither help nor harm, and",
        "each collection learns their weight itself, down to none. Its assumptions and their sources stand in",
        "`evaluation/galleries/simulate.py`.",
    ]
