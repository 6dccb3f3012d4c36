"""What visitors said of answers, beside what calibrated scores promise."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from evaluation.reports.charts import table
from evaluation.reports.promises import wilson

SELF_SELECTED = (
    "Visitors choose which answers they comment on, and few know the species for certain. These shares are not a "
    "measurement of accuracy; only a large difference between bands or from the promise is worth a closer look."
)


def describe_feedback(bands: Sequence[Mapping[str, Any]], width: float = 0.1) -> dict[str, Any]:
    """Return the share confirmed of each score band, with its count and Wilson's interval.

    A band has `band` (the score divided by `width`; None if not calibrated) and the counts `yes`, `no`, `other`,
    `unknown` and `among_five`. The share is of those who knew: without `unknown`.
    """
    rows = []
    for one in bands:
        known = one["yes"] + one["no"] + one["other"]
        low, high = wilson(one["yes"], known)
        band = one["band"]
        rows.append(
            {
                "promisedLow": None if band is None else round(band * width, 6),
                "promisedHigh": None if band is None else round((band + 1) * width, 6),
                "right": one["yes"] / known if known else None,
                "observations": known,
                "low": low,
                "high": high,
                "inPlaces2To5": one["among_five"],
                "unknown": one["unknown"],
            }
        )
    return {"answers": sum(row["observations"] + row["unknown"] for row in rows), "bands": rows, "words": SELF_SELECTED}


def feedback_section(found: Mapping[str, Any] | None) -> list[str]:
    """Format the feedback as a part of the report; nothing where none was read."""
    if found is None:
        return []
    heading = "<h2>What visitors said of answers</h2>"
    if not found["answers"]:
        return [heading, "<p>Nobody has said yet whether an answer of this snapshot was right.</p>"]
    rows = [
        (
            "not calibrated"
            if one["promisedLow"] is None
            else f"{one['promisedLow']:.1f} to {one['promisedHigh']:.1f}",
            "none" if one["right"] is None else f"{one['right']:.3f} ({one['low']:.3f} to {one['high']:.3f})",
            one["observations"],
            one["inPlaces2To5"],
            one["unknown"],
        )
        for one in found["bands"]
    ]
    head = ("score, which is the promised share", "confirmed (95 % interval)", "answers", "right one in places 2 to 5",
            "do not know")  # fmt: skip
    return [heading, f"<p>{found['answers']} answers of this snapshot. {found['words']}</p>", table(head, rows)]
