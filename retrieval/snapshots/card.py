"""The snapshot's card: what people should know of it before they rely on it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from retrieval.domain import NOTICE
from retrieval.models.provenance import hide_digests
from retrieval.snapshots.manifest import Manifest


def write_card(manifest: Manifest) -> str:
    """The card as Markdown, from the manifest alone."""
    model = manifest.model
    lines = [
        f"# Snapshot {manifest.name}",
        "",
        f"{manifest.references:,} reference photos of {manifest.observations:,} observations of "
        f"{manifest.species:,} species, in {len(manifest.segments)} segment(s).",
        "",
        f"Model: `{model['model']}` ({model.get('runtime', 'unknown runtime')}, {model.get('precision', '')}). "
        "A query made with another model, precision or preprocessing is refused.",
        "",
        "| flora | title | species listed | with references | references |",
        "|---|---|---:|---:|---:|",
        *(
            f"| {flora.id} | {flora.title} | {flora.species:,} | {flora.covered:,} | {flora.references:,} |"
            for flora in manifest.floras
        ),
        "",
        "| licence of the photos | references |",
        "|---|---:|",
        *(f"| {licence or 'not stated'} | {count:,} |" for licence, count in manifest.licences.items()),
        "",
        *describe_search(manifest),
        "Votes: {neighbours} neighbours a photo, temperature {temperature}.".format(**manifest.voting),
        describe_calibration(manifest),
        "",
        NOTICE,
        "",
        "## Model card",
        "",
        "```json",
        json.dumps(hide_digests(model), indent=1, sort_keys=True, ensure_ascii=False),
        "```",
        "",
    ]
    return "\n".join(lines)


def describe_calibration(manifest: Manifest) -> str:
    """Whether scores are calibrated, and on what: a build carries over what the published snapshot had learned."""
    if not manifest.calibration:
        return "Shares are not calibrated: `fungarium evaluate calibrate` learns what they mean."
    fitted = manifest.calibration.get("fitted", {})
    source = fitted.get("learnedFrom", {})
    counts = {"references": manifest.references, "observations": manifest.observations, "species": manifest.species}
    if not source or all(source.get(name) == count for name, count in counts.items()):
        return f"Scores were calibrated on held-out observations of this snapshot.{describe_photos(fitted)}"
    return (
        f"Scores were calibrated on snapshot {source['snapshot']} ({source['references']:,} references of "
        f"{source['species']:,} species) and carried over: `fungarium evaluate calibrate` learns them anew."
        f"{describe_photos(fitted)}"
    )


def describe_photos(fitted: Mapping[str, Any]) -> str:
    """For which kind of photos scores and thresholds were learned; empty where that was not noted."""
    if "unknownShare" not in fitted:
        return ""
    low, middle, high = fitted["closest"]
    asked, alone, unknown = fitted["observations"], fitted["onePhoto"], fitted["unknownShare"]
    return (
        f" They hold for finds like the {asked:,} that were asked for: {alone:.0%} with one photo, {unknown:.0%} "
        f"taken to be of species without references, asked of the world and of {fitted['lists']} floras; the closest "
        f"reference of most has a similarity of {low:.2f} to {high:.2f} ({middle:.2f} in the middle)."
    )


def describe_search(manifest: Manifest) -> list[str]:
    """How floras are searched, and what that was measured to find."""
    withdrawn = sum(manifest.withdrawn.values())
    left_out = [f"{withdrawn:,} withdrawn references lie in the segments and answer nothing.", ""] if withdrawn else []
    if not manifest.recipes:
        return [*left_out, "Index: exact. Every reference of a flora is compared at float16; nothing is left out."]
    return [
        *left_out,
        "Index: exact, but for the floras below: short codes choose `depth` references, which are compared "
        "at float16, or references are compared of the species only that a photo resembles most on average.",
        "",
        "| flora | depth | species looked in | recall@10 | recall@50 | measured on |",
        "|---|---:|---:|---:|---:|---:|",
        *(
            f"| {flora} | {recipe['depth'] or 'all'} | {recipe.get('probes') or 'all'} | {recipe['recall_at_10']:.4f} "
            f"| {recipe['recall_at_50']:.4f} | {recipe['queries']} of its references |"
            for flora, recipe in manifest.recipes.items()
        ),
        "",
    ]
