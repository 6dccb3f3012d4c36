"""Which observations are asked for: filters that can match, places on Earth, and where the page before ended."""

from __future__ import annotations

import binascii
import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any, Final

from flask import request, url_for

from database.accounts.people import known_person
from database.field.obscuring import Box
from database.field.search import ObservationFilter, Page
from database.session import Session
from database.taxonomy.lineages import find_taxon
from retrieval.domain import WORLD
from retrieval.errors import InvalidOption
from web.schemas.form_values import LARGEST_ID
from web.services import services

FOREIGN: Final = "was not given by this server for this question; begin again without it"
RADIUS: Final = 10.0  # kilometres, where nobody says


def read_search(session: Session, query: dict[str, Any]) -> ObservationFilter:
    """What a loaded query looks for; what cannot match anything is refused, not answered with nothing.

    Raises InvalidOption, UnknownFlora, UnknownName for a taxon and UnknownPerson for a person that there is not.
    """
    species = None
    if query["flora"] and query["flora"] != WORLD:
        with services().published.lease() as snapshot:
            species = [int(one) for one in snapshot.flora(query["flora"]).species]
    if query["taxon"] is not None:
        find_taxon(session, taxon_id=query["taxon"])
    if query["person"] is not None:
        known_person(session, query["person"])
    if query["first_day"] and query["last_day"] and query["first_day"] > query["last_day"]:
        raise InvalidOption("the first day, `from`, is after the last day, `to`")
    if query["radius"] is not None and not query["near"]:
        raise InvalidOption("`radius` goes with `near`")
    return ObservationFilter(
        taxon_id=query["taxon"],
        species=species,
        box=read_box(query["box"]) if query["box"] else None,
        first_day=query["first_day"],
        last_day=query["last_day"],
        statuses=tuple(query["status"]),
        person_id=query["person"],
    )


def read_point(text: str) -> tuple[float, float]:
    """Latitude and longitude with a comma between them. Raises InvalidOption."""
    latitude, longitude = read_numbers(text, "near", "latitude,longitude")
    if abs(latitude) > 90 >= abs(longitude):
        raise InvalidOption(f"`near`: {latitude:g} is no latitude; latitude comes first, then longitude")
    if abs(latitude) > 90 or abs(longitude) > 180:
        raise InvalidOption("`near` must be latitude,longitude in degrees, such as 55.68,12.57")
    return latitude, longitude


def read_box(text: str) -> Box:
    """West, south, east and north with commas between them; west may be east of east. Raises InvalidOption."""
    west, south, east, north = read_numbers(text, "box", "west,south,east,north")
    if max(abs(south), abs(north)) > 90 or max(abs(west), abs(east)) > 180:
        raise InvalidOption("`box` must be west,south,east,north in degrees: longitude comes first, then latitude")
    if south > north:
        raise InvalidOption(f"`box`: its south, {south:g}, lies north of its north, {north:g}")
    return Box(west, south, east, north)


def say_nothing(query: dict[str, Any]) -> str:
    """What was looked for where nothing matches, by the names of the filters."""
    names = {"first_day": "from", "last_day": "to"}
    asked = [
        f"{names.get(name, name)}={','.join(value) if isinstance(value, list) else value}"
        for name, value in query.items()
        if value not in (None, "", []) and name not in ("after", "limit")
    ]
    if query["near"] and query["radius"] is None:
        asked.append(f"radius={RADIUS:g}")
    return f"No observation matches {' and '.join(asked)}." if asked else "There is no observation here."


def read_numbers(text: str, name: str, order: str) -> list[float]:
    """Degrees with commas between them. Raises InvalidOption."""
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != len(order.split(",")) or not all(abs(number) <= 360 for number in numbers):
        raise InvalidOption(f"`{name}` must be {order} in degrees, with points in numbers and commas between them")
    return numbers


def read_cursor(text: str, count: int) -> tuple[float, ...] | None:
    """Where the page before ended. Raises InvalidOption."""
    if not text:
        return None
    try:
        numbers = tuple(float(part) for part in json.loads(urlsafe_b64decode(text.encode())))
    except (ValueError, TypeError, binascii.Error, OverflowError, RecursionError) as error:
        raise InvalidOption(f"`after` {FOREIGN}") from error
    if len(numbers) != count or not all(abs(number) <= LARGEST_ID for number in numbers):
        raise InvalidOption(f"`after` {FOREIGN}")
    return numbers


def cursor_of(page: Page) -> str:
    """Where the next page begins, as `read_cursor` reads it."""
    return urlsafe_b64encode(json.dumps(page.after).encode()).decode()


def next_address(page: Page) -> str | None:
    """The same question for the next page."""
    if page.after is None:
        return None
    asked: dict[str, Any] = {name: values for name, values in request.args.lists() if name not in ("after", "api-key")}
    return url_for("observations.find_observations", **asked, after=cursor_of(page))
