"""The snapshot's card: what people should know of it before they rely on it."""

from __future__ import annotations

import json

from retrieval.domain import NOTICE
from retrieval.manifest import Manifest


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
        "Index: exact. Every reference of a flora is compared at float16; nothing is left out.",
        "Votes: {neighbours} neighbours a photo, temperature {temperature}.".format(**manifest.voting),
        "Shares are not calibrated.",
        "",
        NOTICE,
        "",
        "## Model card",
        "",
        "```json",
        json.dumps(model, indent=1, sort_keys=True, ensure_ascii=False),
        "```",
        "",
    ]
    return "\n".join(lines)
