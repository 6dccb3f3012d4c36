"""The tables of docs/accuracy.md on several views of a photo, from the stored measurements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

VIEWS: Final = ("accuracy/default-views.json", "accuracy/views.json")
"""Measurements of `fungarium evaluate views` with the default model and with another."""


def format_views(measured: Sequence[Mapping[str, Any]]) -> list[str]:
    """Format a table for each measurement; nothing without any."""
    lines = []
    for found in filter(None, measured):
        asked = found["rows"][0]["top1"]["observations"]
        lines += [
            "",
            f"Model {found['model']}, {found['photos']} photos, {asked} observations, votes alone at T = "
            f"{found['temperature']:g}, seed {found['seed']}:",
            "",
            "| references | queries | pooled by | views | ms a photo | top-1 | points gained | top-5 | points gained |",
            "|---|---|---|---:|---:|---|---|---|---|",
        ]
        for row in found["rows"]:
            cells = [row["references"], row["queries"], row["pooling"] if row["views"] > 1 else "", str(row["views"])]
            cells.append(f"{found['milliseconds'][row['queries']]:.0f}")
            for name in ("top1", "top5"):
                one = row[name]
                cells += [f"{one['after']:.3f}", f"{one['gain']:+.1f} ({one['low']:+.1f} to {one['high']:+.1f})"]
            lines.append(f"| {' | '.join(cells)} |")
    if not lines:
        return []
    return [
        "",
        "## Several views of a photo",
        "",
        "By `fungarium evaluate views`, with 95 % paired bootstrap intervals; the milliseconds are processor time for",
        "decoding and embedding one query photo. Embeddings of references are the mean over their views.",
        *lines,
    ]
