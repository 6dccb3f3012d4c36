"""What the templates may call, and the words and addresses that the scripts are given."""

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

THIN: Final = "\u202f"  # a narrow space that no line breaks at
THUMBNAIL: Final = 320  # pixels of a reference photo, shown at half of that and sharp on a phone
LARGE: Final = 1280
TRACE: Final = 1e-9  # what a ranked name has at least: its score was rounded to 0, and nothing is impossible
COMPARED: Final = (320, 640)  # of photos that are compared


def percent(share: float) -> str:
    """A share for people: never 0 % or 100 % where it is only near."""
    if 0 < share < 0.01:
        return str(gettext("under %(number)s", number=f"1{THIN}%"))
    if 0.99 < share < 1:
        return str(gettext("over %(number)s", number=f"99{THIN}%"))
    return f"{share:.0%}".replace("%", f"{THIN}%")


def numbers_of(places: Sequence[int]) -> str:
    """Places counted from 0 as people count, one after the other."""
    return ", ".join(str(place + 1) for place in places)


def count(number: int) -> str:
    """A whole number as the visitor's language writes it."""
    return str(format_decimal(number))


def mark_commands(text: str) -> Markup:
    """A sentence whose commands, in backticks, are marked as code."""
    parts = text.split("`")
    return Markup("").join(
        Markup("<code>{}</code>").format(part) if place % 2 else part for place, part in enumerate(parts)
    )


def flora_title(flora: str, title: str) -> str:
    """What a region or checklist is called: as whoever made it said, and the world in the visitor's language."""
    return str(gettext("World (all species)")) if flora == WORLD else title


def rank_word(rank: str) -> str:
    """A rank in the visitor's language."""
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
    """What a photo shows, in the visitor's language."""
    return aspect_words().get(aspect, aspect)


def aspect_words() -> dict[str, str]:
    """Every aspect, in the visitor's language."""
    return {
        "cap": gettext("cap"),
        "hymenium": gettext("gills, pores or teeth"),
        "stipe": gettext("stem"),
        "section": gettext("cross-section"),
        "habitat": gettext("habitat"),
        "microscopy": gettext("microscopy"),
    }


def habitat_words() -> dict[str, str]:
    """Every class of habitat, in the visitor's language."""
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
    """Every class of substrate, in the visitor's language."""
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
    """A month, 1 to 12, in the visitor's language."""
    return str(get_locale().months["stand-alone"]["abbreviated"][month])


def sections() -> list[tuple[str, str]]:
    """The pages in the head of every page: (endpoint, title)."""
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
    """The sizes a browser may choose of a reference photo; `ratio` is its width by its height, where that is known.

    What it takes depends on the screen: a phone in the forest fetches no more than it can show.
    """
    return ", ".join(f"{photo_url(photo, size)} {round(size * min(1.0, ratio))}w" for size in sizes)


def here() -> str:
    """The address of this page, to come back to; that of the form where it was posted."""
    return request.full_path.rstrip("?") if request.method == "GET" else request.path


def template_words() -> dict[str, Any]:
    """What the templates may call."""
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
