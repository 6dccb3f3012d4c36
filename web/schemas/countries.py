"""Country codes as numbers for maps, and as names for people."""

from __future__ import annotations

from collections.abc import Sequence

import pycountry
from flask_babel import get_locale


def country_numbers(codes: Sequence[str]) -> list[str]:
    """Return the ISO 3166-1 numbers of alpha-2 codes, which are the ids of outlines; unknown codes are omitted."""
    found = [pycountry.countries.get(alpha_2=code) for code in codes]
    return [country.numeric for country in found if country is not None]


def country_names(codes: Sequence[str]) -> list[str]:
    """Return the countries' names in the visitor's language."""
    territories = get_locale().territories
    return [territories.get(code, code) for code in codes]
