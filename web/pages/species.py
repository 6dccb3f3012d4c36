"""A species: photos by aspect, months and places of records, look-alikes, and photo credits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from flask import Response, jsonify, render_template, request

from retrieval.answers.present import reference_json, taxon_json
from retrieval.domain import ASPECTS, Reference
from retrieval.errors import UnknownTaxon
from retrieval.ranking.lookalikes import lookalikes_of
from retrieval.snapshots.cells import cell_outline
from retrieval.snapshots.snapshot import Snapshot
from web.api.species import known_credits
from web.pages.blueprint import blueprint
from web.pages.wording.script_words import species_words
from web.services import services

SHOWN: Final = 24  # photos of an aspect shown at first
BESIDE: Final = 4  # photos of a look-alike beside those of the species


@dataclass(frozen=True, slots=True)
class Credit:
    """A dataset's share of a species' photos."""

    title: str
    citation: str
    photos: int
    authors: int
    licences: tuple[str, ...]


@blueprint.route("/species/<int(max=9223372036854775807):species>")
def show_species(species: int) -> str:
    """Show everything that the snapshot contains about a species."""
    with services().published.lease() as snapshot:
        taxon = snapshot.taxonomy.taxon(species)
        if taxon.rank != "species":
            raise UnknownTaxon(f"taxon {species}, {taxon.name}, is a {taxon.rank} and no species")
        references = snapshot.references_of(species)
        return render_template(
            "species.html",
            taxon=taxon_json(taxon, snapshot),
            lineage=snapshot.taxonomy.lineage(species)[:-1],
            synonyms=snapshot.taxonomy.synonyms(species),
            photos=by_aspect(references),
            all_of=request.args.get("aspect"),
            number=len(references),
            months=month_counts(snapshot, species),
            cells=len(recorded_cells(snapshot, species)),
            lookalikes=describe_lookalikes(snapshot, species),
            own=[reference_json(reference) for reference in choose_photos(references)],
            credits=credit_datasets(references),
            SHOWN=SHOWN,
            BESIDE=BESIDE,
            snapshot=snapshot,
            said=species_words(species),
        )


@blueprint.route("/species/<int(max=9223372036854775807):species>/cells.json")
def list_cells(species: int) -> Response:
    """Serve the grid cells with records of the species, and their numbers; the snapshot has no exact places."""
    with services().published.lease() as snapshot:
        snapshot.taxonomy.taxon(species)
        found = recorded_cells(snapshot, species)
        return jsonify([{"outline": cell_outline(cell), "records": int(number)} for cell, number in found])


def by_aspect(references: Sequence[Reference]) -> list[tuple[str, list[dict[str, Any]]]]:
    """Group the photos by aspect, those without one last."""
    shelves: dict[str, list[dict[str, Any]]] = {aspect: [] for aspect in (*ASPECTS, "")}
    for reference in references:
        shelves.setdefault(reference.aspect, []).append(reference_json(reference))
    return [(aspect, photos) for aspect, photos in shelves.items() if photos]


def month_counts(snapshot: Snapshot, species: int) -> list[int]:
    """Return the number of records of the species in each month; empty without records."""
    column = column_of(snapshot, species)
    if column is None or snapshot.occurrences is None:
        return []
    counts = snapshot.occurrences.months[column]
    return [int(number) for number in counts] if counts.any() else []


def recorded_cells(snapshot: Snapshot, species: int) -> list[tuple[int, float]]:
    """Return the H3 cells in which the species was recorded, with the number of records."""
    column = column_of(snapshot, species)
    if column is None or snapshot.occurrences is None:
        return []
    mine = snapshot.occurrences.columns == column
    return list(zip(snapshot.occurrences.cells[mine].tolist(), snapshot.occurrences.counts[mine].tolist(), strict=True))


def column_of(snapshot: Snapshot, species: int) -> int | None:
    """Return the species' column in the counts of records; None if it has none."""
    place = int(np.searchsorted(snapshot.all_species, species))
    known = place < len(snapshot.all_species) and int(snapshot.all_species[place]) == species
    return place if known else None


def describe_lookalikes(snapshot: Snapshot, species: int) -> list[dict[str, Any]]:
    """Return the species that this one is often confused with, each with some photos."""
    return [
        {
            "taxon": taxon_json(snapshot.taxonomy.taxon(other), snapshot),
            "share": share,
            "photos": [reference_json(reference) for reference in choose_photos(snapshot.references_of(other))],
        }
        for other, share in lookalikes_of(species, snapshot.calibration.lookalikes)
    ]


def choose_photos(references: Sequence[Reference], most: int = BESIDE) -> list[Reference]:
    """Return at most `most` photos, beginning with one of each aspect."""
    chosen = {reference.aspect: reference for reference in reversed(references)}
    first = [chosen[aspect] for aspect in (*ASPECTS, "") if aspect in chosen]
    return [*first, *(reference for reference in references if reference not in first)][:most]


def credit_datasets(references: Sequence[Reference]) -> list[Credit]:
    """Credit the photos dataset by dataset, the largest share first."""
    datasets = sorted({reference.observation.partition(":")[0] for reference in references})
    known = known_credits(datasets)
    shares: dict[str, list[Reference]] = {}
    for reference in references:
        shares.setdefault(reference.observation.partition(":")[0], []).append(reference)
    listed = []
    for dataset, photos in shares.items():
        credit = known.get(dataset)
        licences = Counter(reference.licence for reference in photos)
        listed.append(
            Credit(
                credit.title if credit else dataset,
                credit.citation if credit else "",
                len(photos),
                len({reference.author for reference in photos}),
                tuple(licence for licence, _ in licences.most_common() if licence),
            )
        )
    return sorted(listed, key=lambda credit: (-credit.photos, credit.title))
