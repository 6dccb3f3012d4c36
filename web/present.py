"""The engine's answers with the addresses of this server added."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from flask import url_for

from retrieval.domain import NOTICE, Evidence, Identification, Reference, Taxon
from retrieval.manifest import FloraCard
from retrieval.present import evidence_json, identification_json, reference_json, taxon_json
from retrieval.snapshot import Snapshot

RANKED = ("species", "genera", "families", "notOnTheList")


def photo_url(sha256: str, size: int | None = None) -> str:
    """Where the picture of a reference photo is; `size` in pixels of the longer side."""
    return url_for("photos.draw_reference_photo", sha256=sha256, size=size)


def identification_answer(answer: Identification, snapshot: Snapshot) -> dict[str, Any]:
    """An identification whose reference photos have addresses."""
    body = identification_json(answer, snapshot)
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
        "snapshot": snapshot.name,
        "model": snapshot.model,
        "notice": NOTICE,
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


def web_address(source: str) -> str:
    """The source if it is an address to link to, else nothing: archives write anything there, `javascript:` too."""
    try:
        parts = urlsplit(source)
    except ValueError:
        return ""
    return source if parts.scheme in {"http", "https"} and parts.netloc else ""
