"""The floras, and the species of each, with and without reference photos."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from flask import Response, jsonify, render_template, request, url_for
from numpy.typing import NDArray

from retrieval.domain import WORLD
from retrieval.snapshots.flora import Flora
from retrieval.snapshots.snapshot import Snapshot
from web.pages.blueprint import blueprint
from web.pages.catalogue import known_countries
from web.pages.wording.script_words import flora_words, floras_words
from web.schemas.countries import country_names, country_numbers
from web.services import services

AT_ONCE: Final = 100  # species on a page without scripts
MOST_SCRIPTED: Final = 50_000  # species of a flora up to which scripts show them all: some four megabytes
COVERAGES: Final = ("all", "covered", "missing")


@blueprint.route("/floras")
def show_floras() -> str:
    """Show all floras in a list and on a map."""
    countries = known_countries()
    with services().published.lease() as snapshot:
        listed = [(card, country_names(countries.get(card.id, ()))) for card in snapshot.floras]
        return render_template("floras.html", floras=listed, snapshot=snapshot, said=floras_words())


@blueprint.route("/floras/areas.json")
def list_areas() -> Response:
    """Serve the countries of each flora, for the map and for suggesting the nearest flora."""
    countries = known_countries()
    with services().published.lease() as snapshot:
        return jsonify(
            [
                {
                    "id": card.id,
                    "title": card.title,
                    "url": url_for("page.show_flora", flora=card.id),
                    "countries": country_numbers(countries.get(card.id, ())),
                    "species": card.species,
                }
                for card in snapshot.floras
                if card.id != WORLD
            ]
        )


@blueprint.route("/floras/<string:flora>")
def show_flora(flora: str) -> str:
    """A flora's species: all of them with scripts, a page of them without, and of very many."""
    wanted = " ".join(request.args.get("q", "").split())
    coverage = request.args.get("show", "all")
    first = max(0, request.args.get("from", 0, type=int))
    with services().published.lease() as snapshot:
        chosen = snapshot.flora(flora)
        species = covered_species(snapshot, chosen, coverage)
        if wanted:
            species = species[named_so(snapshot, species, wanted)]
        total = len(species)
        return render_template(
            "flora.html",
            card=chosen.card,
            rows=species_rows(snapshot, species[first : first + AT_ONCE]),
            scripted=chosen.card.species <= MOST_SCRIPTED,
            total=total,
            first=first,
            following=first + AT_ONCE if first + AT_ONCE < total else None,
            before=max(0, first - AT_ONCE) if first else None,
            wanted=wanted,
            coverage=coverage if coverage in COVERAGES else "all",
            countries=country_names(known_countries().get(flora, ())),
            snapshot=snapshot,
            said=flora_words(flora),
        )


@blueprint.route("/floras/<string:flora>/species.json")
def list_flora_species(flora: str) -> Response:
    """Serve all species of a flora in short, for the script's list."""
    with services().published.lease() as snapshot:
        return jsonify(species_rows(snapshot, snapshot.by_name(snapshot.flora(flora))))


def covered_species(snapshot: Snapshot, flora: Flora, coverage: str) -> NDArray[np.int64]:
    """Return a flora's species in the order of names: all, or those with (covered) or without (missing) photos."""
    species = snapshot.by_name(flora)
    if coverage not in ("covered", "missing"):
        return species
    fitting: NDArray[np.bool_] = (snapshot.count_references(species) > 0) == (coverage == "covered")
    return np.asarray(species[fitting])


def species_rows(snapshot: Snapshot, species: NDArray[np.int64]) -> list[list[Any]]:
    """Return [taxon id, name, family, common names, number of references, whether listed as toxic] of each species."""
    counts, facts = snapshot.count_references(species), snapshot.taxonomy.describe_many(species.tolist())
    return [
        [
            taxon,
            facts[taxon].name,
            facts[taxon].family,
            ", ".join(facts[taxon].vernacular_names),
            number,
            facts[taxon].toxic,
        ]
        for taxon, number in zip(species.tolist(), counts.tolist(), strict=True)
    ]


def named_so(snapshot: Snapshot, species: NDArray[np.int64], words: str) -> NDArray[np.bool_]:
    """Which species have the words in their name, in a common one, or in that of their family, (species,)."""
    named = snapshot.taxonomy.containing(words, "species", common=True)
    families = snapshot.taxonomy.containing(words, "family").tolist()
    under = snapshot.all_species[snapshot.arrays.tree.under(families)] if families else named[:0]
    return np.asarray(np.isin(species, named) | np.isin(species, under))
