"""Lists of observations with a map: all, the person's own, and those near a place."""

from __future__ import annotations

from typing import Any, Final

from flask import render_template, request, url_for
from flask_babel import gettext
from marshmallow import ValidationError
from werkzeug.datastructures import MultiDict

from database.field.search import Page, search, search_near
from database.field.validation import STATUSES
from database.taxonomy.lineages import find_taxon
from retrieval.errors import FungariumError, InvalidOption
from retrieval.snapshots.manifest import FloraCard
from web.api.accounts import signed_in
from web.api.observation_search import RADIUS, cursor_of, read_cursor, read_point, read_search
from web.http import access
from web.http.access import require
from web.http.decimals import with_points
from web.pages.blueprint import blueprint
from web.pages.visitor import describe, load
from web.pages.wording.observation_words import observations_words
from web.schemas.observation_forms import Search
from web.schemas.observations import observation_answer
from web.services import services

AT_ONCE: Final = 24
RADII: Final = (2, 5, 10, 25, 50, 100)  # kilometres
ASKED: Final = ("flora", "from", "to")
KNOWN: Final = frozenset({*ASKED, "after", "done", "latitude", "longitude", "radius", "status", "taxon"})
FOLLOWED: Final = frozenset(
    {"fbclid", "gclid", *(f"utm_{what}" for what in ("source", "medium", "campaign", "content"))}
)
"""What other sites append to links; it filters nothing."""


@blueprint.route("/observations")
@require("read")
def list_observations() -> str | tuple[str, int]:
    """List all observations, the last recorded first; by taxon, flora, date and status."""
    return show_list("all", {})


@blueprint.route("/observations/mine")
@require("session")
def show_own_observations() -> str | tuple[str, int]:
    """List the person's own observations."""
    return show_list("mine", {"person": signed_in().id})


@blueprint.route("/observations/near")
@require("read")
def list_near_observations() -> str | tuple[str, int]:
    """Those near a place, the nearest first."""
    latitude, longitude = (with_points(request.args.get(name, "").strip()) for name in ("latitude", "longitude"))
    return show_list("near", {"near": f"{latitude},{longitude}"} if latitude or longitude else {})


def show_list(kind: str, given: dict[str, Any]) -> str | tuple[str, int]:
    """Show a page of a list; an invalid filter is reported above it, and the values entered are kept."""
    problem, found = None, Page([], None)
    asking = access.caller()
    try:
        query = read_query(request.args, given)
        with services().database().reading() as session:
            if taxon := request.args.get("taxon", "").strip():
                query["taxon"] = find_taxon(session, name=taxon[:1].upper() + taxon[1:]).id
            wanted, near = read_search(session, query), query["near"]
            after = read_cursor(query["after"], 2 if near else 1)
            if near:
                (latitude, longitude), km = read_place(near), query["radius"] or RADIUS
                found = search_near(session, wanted, latitude, longitude, km, after=after, limit=AT_ONCE)
            elif kind != "near":
                found = search(session, wanted, after=after, limit=AT_ONCE)
            listed = [observation_answer(observation, asking) for observation in found.observations]
    except (FungariumError, ValidationError) as error:
        problem, listed = describe(error), []
    names: dict[str, Any] = {name: values for name, values in request.args.lists() if name != "after"}
    page = render_template(
        "observations.html",
        kind=kind,
        listed=listed,
        following=url_for(request.endpoint or "", **names, after=cursor_of(found)) if found.after else "",
        typed=request.args,
        chosen=request.args.getlist("status"),
        asked=kind != "near" or bool(given),
        filtered=bool([one for one in ("taxon", "status", *ASKED) if request.args.get(one)]),
        floras=known_floras(),
        STATUSES=STATUSES,
        RADII=RADII,
        problem=problem,
        said=observations_words(listed, None if kind != "near" else given.get("near", "")),
    )
    return (page, problem.status) if problem else page


def read_query(args: MultiDict[str, str], given: dict[str, Any]) -> dict[str, Any]:
    """The filters as the API reads them; raises ValidationError, in the words of the form."""
    if unknown := sorted(set(args) - KNOWN - FOLLOWED):
        raise InvalidOption(gettext("there is no filter “%(name)s”", name=unknown[0]))
    asked: dict[str, Any] = {name: args.get(name, "").strip() for name in (*ASKED, "after")}
    if given.get("near"):
        asked["radius"] = args.get("radius", "").strip()
    return load(Search(), asked | {"status": args.getlist("status")} | given)


def read_place(near: str) -> tuple[float, float]:
    """Latitude and longitude of the search; raises InvalidOption."""
    try:
        latitude, longitude = (float(part) for part in near.split(","))
    except ValueError as error:
        raise InvalidOption("give both latitude and longitude, in degrees such as 55.68 and 12.57") from error
    if abs(latitude) > 90 >= abs(longitude):
        raise InvalidOption("check the location: latitude and longitude may be the wrong way round")
    if not (abs(latitude) <= 90 and abs(longitude) <= 180):
        raise InvalidOption("check the location: latitude must be between -90 and 90, longitude between -180 and 180")
    return read_point(f"{latitude},{longitude}")


def known_floras() -> tuple[FloraCard, ...]:
    """Return the floras of the published snapshot; empty without one."""
    try:
        with services().published.lease() as snapshot:
            return snapshot.floras
    except FungariumError:
        return ()
