"""Functions and constants for templates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from flask import current_app, request
from flask_babel import format_decimal, get_locale, gettext
from markupsafe import Markup

from retrieval.domain import WORLD
from web.http.access import visitor, visitor_may
from web.http.assets import asset_url
from web.http.languages import LANGUAGES, language, vernacular
from web.pages.wording.observation_terms import certainty_word, day, role_word, scope_word, status_word, verdict_word
from web.schemas.serialising import photo_url, web_address

THIN: Final = "\u202f"  # narrow no-break space
THUMBNAIL: Final = 320  # pixels of a reference photo, shown at half of that for high-density screens
LARGE: Final = 1280
TRACE: Final = 1e-9  # shown for a score that was rounded to 0, which does not mean impossible
COMPARED: Final = (320, 640)  # sizes of photos in a comparison


def percent(share: float) -> str:
    """Format a share as a percentage; one near 0 or 1 is not rounded to it."""
    if 0 < share < 0.01:
        return str(gettext("under %(number)s", number=f"1{THIN}%"))
    if 0.99 < share < 1:
        return str(gettext("over %(number)s", number=f"99{THIN}%"))
    return f"{share:.0%}".replace("%", f"{THIN}%")


def numbers_of(places: Sequence[int]) -> str:
    """List positions counted from 0 as numbers from 1."""
    return ", ".join(str(place + 1) for place in places)


def count(number: int) -> str:
    """Format an integer in the visitor's language."""
    return str(format_decimal(number))


def mark_commands(text: str) -> Markup:
    """Mark the commands of a sentence, which are in backticks, as code."""
    parts = text.split("`")
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if place % 2 else part for place, part in enumerate(parts)
    )


def flora_title(flora: str, title: str) -> str:
    """Return the title of a region or checklist; that of the world is translated."""
    return str(gettext("World (all species)")) if flora == WORLD else title


def rank_word(rank: str) -> str:
    """Return the name of a taxonomic rank in the visitor's language."""
    return str(
        {
            "kingdom": gettext("kingdom"),
            "phylum": gettext("phylum"),
            "class": gettext("class"),
            "order": gettext("order"),
            "family": gettext("family"),
            "genus": gettext("genus"),
            "species": gettext("species"),
        }.get(rank, rank)
    )


def aspect_word(aspect: str) -> str:
    """Return the name of an aspect in the visitor's language."""
    return aspect_words().get(aspect, aspect)


def aspect_words() -> dict[str, str]:
    """Return the names of all aspects in the visitor's language."""
    return {
        "cap": gettext("cap"),
        "hymenium": gettext("gills, pores or teeth"),
        "stipe": gettext("stem"),
        "section": gettext("cross-section"),
        "habitat": gettext("habitat"),
        "microscopy": gettext("microscopy"),
    }


def habitat_words() -> dict[str, str]:
    """Return the names of all habitat classes in the visitor's language."""
    return {
        "deciduous-forest": gettext("deciduous forest"),
        "coniferous-forest": gettext("coniferous forest"),
        "mixed-forest": gettext("mixed forest"),
        "wet-forest": gettext("wet forest"),
        "scrub": gettext("scrub or hedge"),
        "grassland": gettext("meadow or pasture"),
        "heath": gettext("heath"),
        "bog": gettext("bog or fen"),
        "coast": gettext("dune or shore"),
        "arable": gettext("field"),
        "garden": gettext("garden, park or roadside"),
        "bare-ground": gettext("bare or rocky ground"),
    }


def substrate_words() -> dict[str, str]:
    """Return the names of all substrate classes in the visitor's language."""
    return {
        "soil": gettext("soil"),
        "litter": gettext("leaf or needle litter"),
        "deciduous-wood": gettext("wood of a broadleaf tree"),
        "coniferous-wood": gettext("wood of a conifer"),
        "wood": gettext("wood, kind not known"),
        "living-tree": gettext("living tree"),
        "mulch": gettext("wood chips or compost"),
        "dung": gettext("dung"),
        "moss": gettext("moss"),
        "herbs": gettext("herbs or grasses"),
        "fungi": gettext("another fungus"),
        "burnt-ground": gettext("burnt ground"),
        "cones": gettext("cones, fruits or nuts"),
        "animal": gettext("insect or other animal"),
        "stone": gettext("stone or wall"),
    }


def month_name(month: int) -> str:
    """Return the abbreviated name of a month, 1 to 12, in the visitor's language."""
    return str(get_locale().months["stand-alone"]["abbreviated"][month])


def sections() -> list[tuple[str, str]]:
    """Return endpoint and title of the pages in the main navigation."""
    titles = {
        "page.show_form": gettext("Identify"),
        "page.show_similar": gettext("Similar photos"),
        "page.show_floras": gettext("Regions"),
        "page.show_atlas": gettext("Atlas"),
        "page.list_observations": gettext("Observations"),
        **({"page.show_queue": gettext("Review")} if visitor_may("validate") else {}),
        **({"page.show_snapshots": gettext("Administration")} if visitor_may("administer") else {}),
    }
    return [(page, title) for page, title in titles.items() if page in current_app.view_functions]


def photo_set(photo: str, sizes: Sequence[int] = (160, THUMBNAIL), ratio: float = 1.0) -> str:
    """Return the `srcset` of a reference photo; `ratio` is width divided by height, if known.

    The browser chooses by the screen, so that a phone downloads no more than it can show.
    """
    return ", ".join(f"{photo_url(photo, size)} {round(size * min(1.0, ratio))}w" for size in sizes)


def here() -> str:
    """Return the path of this page, to return to; of a posted form the nearest path above that can be asked for."""
    if request.method == "GET":
        return request.full_path.rstrip("?")
    path, adapter = request.path, current_app.create_url_adapter(request)
    while path and adapter is not None and not adapter.test(path, "GET"):
        path = path.rpartition("/")[0]
    return path or "/"


def template_words() -> dict[str, Any]:
    """Return the functions and constants that templates use."""
    return {
        "percent": percent,
        "numbers_of": numbers_of,
        "count": count,
        "rank_word": rank_word,
        "mark_commands": mark_commands,
        "flora_title": flora_title,
        "aspect_word": aspect_word,
        "aspect_words": aspect_words,
        "habitat_words": habitat_words,
        "substrate_words": substrate_words,
        "month_name": month_name,
        "photo_url": photo_url,
        "photo_set": photo_set,
        "web_address": web_address,
        "asset_url": asset_url,
        "sections": sections,
        "visitor": visitor,
        "status_word": status_word,
        "certainty_word": certainty_word,
        "verdict_word": verdict_word,
        "role_word": role_word,
        "scope_word": scope_word,
        "day": day,
        "vernacular": vernacular,
        "language": language,
        "LANGUAGES": LANGUAGES,
        "here": here,
        "THUMBNAIL": THUMBNAIL,
        "LARGE": LARGE,
        "COMPARED": COMPARED,
        "TRACE": TRACE,
    }
