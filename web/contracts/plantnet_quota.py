"""Pl@ntNet's API v2: what a caller has used, and whether the server answers."""

from __future__ import annotations

from datetime import date
from typing import Any

from flask import Response, request

from web.contracts.allowance import UNLIMITED, left, today, used
from web.contracts.openapi import ContractBlueprint, PlantnetError
from web.contracts.plantnet_schemas import Day, DayQuery, Status, YearQuery
from web.contracts.shapes import json_response
from web.http.access import check_key

blueprint = ContractBlueprint(
    "plantnet quota", __name__, url_prefix="/v2", error=PlantnetError, description="What was used, and what is left"
)


@blueprint.before_request
def need_key() -> None:
    """Ask for a key where identifying needs one; whether the server answers, everybody may know."""
    if request.endpoint != f"{blueprint.name}.{show_status.__name__}":
        check_key(needed=True)


@blueprint.route("/_status")
@blueprint.response(200, Status)
def show_status() -> dict[str, str]:
    """Say that the server is there."""
    return {"status": "ok"}


@blueprint.route("/quota")
@blueprint.response(200, Day)
def show_quota() -> dict[str, Any]:
    """Show today's identifications."""
    return describe_day(today())


@blueprint.route("/quota/daily")
@blueprint.arguments(DayQuery, location="query", error_status_code=400)
@blueprint.response(200, Day)
def show_day(query: dict[str, Any]) -> dict[str, Any]:
    """Show the identifications of one day, today's where none is named."""
    return describe_day(query["day"] or today())


@blueprint.route("/quota/history")
@blueprint.arguments(YearQuery, location="query", error_status_code=400)
@blueprint.response(200, Day(many=True))
def show_history(query: dict[str, Any]) -> list[dict[str, Any]]:
    """Show the identifications of each day of a year that has any; of this year where none is named."""
    year = query["year"] or today().year
    counts = used(date(year, 1, 1), date(year, 12, 31))
    return [{"day": day.isoformat(), "quota": {"identify": {"count": count}}} for day, count in sorted(counts.items())]


@blueprint.route("/subscription")
@blueprint.response(200, {"type": "object"})
def show_subscription() -> Response:
    """Show the terms: there is nothing to pay here."""
    allowance = left()
    terms = {
        "account": {},
        "contract": {"type": "self-hosted", "identificationsPerDay": allowance.limit},
        "history": [],
        "billing": {},
        "security": {"exposeKey": False, "ips": [], "domains": []},
    }
    return json_response(terms, 200)


def describe_day(day: date) -> dict[str, Any]:
    """A day and what was asked on it, as numbers always: clients compare them."""
    allowance = left()
    total = UNLIMITED if allowance.limit is None else allowance.limit
    if day == today() and allowance.remaining is not None:
        count = total - allowance.remaining
    else:
        count = used(day, day).get(day, 0)
    return {
        "day": day.isoformat(),
        "quota": {"identify": {"count": count, "total": total, "remaining": max(0, total - count)}},
    }
