"""iNaturalist's CSV exports of observations, each with the URL of its first photo."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from indexer.archives.terms import TABLE_TERMS, plain_term

RESERVED_HOST = "static.inaturalist.org"
MARKS = frozenset({"imageurl", "qualitygrade", "iconictaxonname"})
"""Headers found together only in these exports."""
OBSCURED_CELL = "31400"  # metres: the diagonal of the 0.2-degree cell of an obscured place
TERMS: Mapping[str, tuple[str, ...]] = {
    **TABLE_TERMS,
    "scientific_name": ("scientificname", "taxonname", "speciesguess"),
    "kingdom": ("iconictaxonname",),
    "observation": ("uuid", "id"),
    "coordinate_uncertainty": ("publicpositionalaccuracy", "positionalaccuracy"),
    "country_code": ("placecountryname",),
    "creator": ("username", "userlogin"),
    "recorded_by": ("username", "userlogin"),
    "licence": tuple(
        f"{kind}{licence}{code}"
        for kind in ("photo", "photos", "photos0", "image")
        for licence in ("license", "licence")
        for code in ("code", "")
    ),  # `license` is that of the observation
    "references": ("url",),
}


def is_export(headers: Sequence[str]) -> bool:
    """Return whether a table is such an export, by its headers."""
    return {plain_term(header) for header in headers} >= MARKS


def read_licence(fields: Mapping[str, str], cells: Mapping[str, str]) -> dict[str, str]:
    """Return the licence status of a photo by its URL, since no column has it.

    Openly licensed photos are in a separate bucket; on the other server, all rights are reserved.
    """
    if fields.get("licence"):
        return dict(fields)
    if urlsplit(cells.get("imageurl", "").strip()).hostname == RESERVED_HOST:
        return {**fields, "licence": "all rights reserved"}
    if licence := cells.get("license", "").strip():
        return {**fields, "rights": f"{licence}, of the observation and not of its photos"}
    return dict(fields)


def read_public_place(fields: Mapping[str, str], cells: Mapping[str, str]) -> dict[str, str]:
    """Return the uncertainty of an obscured place, and whether the organism was introduced there."""
    read = dict(fields)
    if cells.get("coordinatesobscured", "").strip().lower() == "true" and not cells.get("publicpositionalaccuracy", ""):
        read["coordinate_uncertainty"] = OBSCURED_CELL
    if cells.get("captivecultivated", "").strip().lower() == "true":
        read["establishment_means"] = "captive"
    return read
