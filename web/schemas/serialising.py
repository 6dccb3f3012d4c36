"""The engine's answers with the addresses of this server added."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from flask import url_for

from database.collection.datasets import DatasetCredit
from retrieval.answers.present import evidence_json, identification_json, reference_json, taxon_json
from retrieval.domain import ASPECTS, NOTICE, Evidence, Identification, Reference, Taxon
from retrieval.snapshots.manifest import STABLE, FloraCard
from retrieval.snapshots.snapshot import Snapshot

RANKED = ("species", "genera", "families", "notOnTheList")
LONG = ("genera", "families", "photoRankings", "shareMeaning")  # left out of a brief answer
FLAGS = ("expectedHere", "expectedNow", "expectedInHabitat", "expectedOnSubstrate")
SHORT = ("taxon", "score", *FLAGS, "lookalikes")  # of a candidate, kept in a brief answer


def photo_url(sha256: str, size: int | None = None) -> str:
    """Where the picture of a reference photo is; `size` in pixels of the longer side."""
    return url_for("photos.draw_reference_photo", sha256=sha256, size=size)


def named(snapshot: Snapshot) -> dict[str, str]:
    """What every answer says of where it comes from."""
    return {"snapshot": snapshot.name, "model": snapshot.model, "notice": NOTICE, **named_line(snapshot)}


def named_line(snapshot: Snapshot) -> dict[str, str]:
    """The published line that answered, where it is not the stable one."""
    return {} if snapshot.line == STABLE else {"line": snapshot.line}


def brief(body: Mapping[str, Any]) -> dict[str, Any]:
    """An identification without evidence and without what each photo alone says."""
    kept = {name: value for name, value in body.items() if name not in LONG}
    return kept | {
        ranked: [{name: value for name, value in candidate.items() if name in SHORT} for candidate in body[ranked]]
        for ranked in ("species", "notOnTheList")
    }


def identification_answer(answer: Identification, snapshot: Snapshot) -> dict[str, Any]:
    """An identification whose reference photos have addresses."""
    body = identification_json(answer, snapshot) | named_line(snapshot)
    for ranked in RANKED:
        for candidate in body[ranked]:
            for evidence in candidate["evidence"]:
                evidence["url"] = photo_url(evidence["photo"])
    return body


def similar_answer(found: Sequence[Evidence], photos: int, flora: str, snapshot: Snapshot) -> dict[str, Any]:
    """Similar reference photos, best first, each with its taxon."""
    return {
        "references": [
            evidence_json(evidence)
            | {
                "url": photo_url(evidence.reference.photo),
                "taxon": taxon_json(snapshot.taxonomy.taxon(evidence.reference.species), snapshot),
            }
            for evidence in found
        ],
        "flora": flora,
        "photos": photos,
        **named(snapshot),
    }


def flora_answer(card: FloraCard) -> dict[str, Any]:
    """A flora with its coverage and the address of its species."""
    return {
        "id": card.id,
        "title": card.title,
        "species": card.species,
        "covered": card.covered,
        "missing": card.species - card.covered,
        "references": card.references,
        "url": url_for("floras.show_flora", flora=card.id),
        "speciesUrl": url_for("floras.list_species", flora=card.id),
    }


def species_line(taxon: Taxon, references: int, snapshot: Snapshot) -> dict[str, Any]:
    """A species of a flora with the number of its reference photos."""
    return {
        "taxon": taxon_json(taxon, snapshot),
        "references": references,
        "url": url_for("species.show_species", species=taxon.id),
    }


def reference_answer(reference: Reference) -> dict[str, Any]:
    """A reference photo with its address, author and licence."""
    return reference_json(reference) | {"url": photo_url(reference.photo)}


def aspect_counts(references: Sequence[Reference]) -> list[dict[str, Any]]:
    """How many reference photos show what."""
    counts = Counter(reference.aspect for reference in references)
    return [{"aspect": aspect, "photos": counts[aspect]} for aspect in (*ASPECTS, "") if counts[aspect]]


def credit_answer(references: Sequence[Reference], known: Mapping[str, DatasetCredit]) -> list[dict[str, Any]]:
    """The datasets that photos come from, with how to cite them where that is known."""
    counts = Counter(dataset_of(reference) for reference in references)
    return [
        {"dataset": dataset, "photos": photos}
        | (
            {"title": known[dataset].title, "citation": known[dataset].citation, "licence": known[dataset].licence}
            if dataset in known
            else {}
        )
        for dataset, photos in sorted(counts.items())
    ]


def dataset_of(reference: Reference) -> str:
    """The dataset of a reference, which its observation is named after."""
    return reference.observation.partition(":")[0]


def web_address(source: str) -> str:
    """The source if it is an address to link to, else nothing: archives write anything there, `javascript:` too."""
    try:
        parts = urlsplit(source)
    except ValueError:
        return ""
    return source if parts.scheme in {"http", "https"} and parts.netloc else ""
