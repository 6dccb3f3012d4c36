"""Pl@ntNet's API v2: status of the server and usage of the caller."""

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
    """Require a key if identification does; the status needs none."""
    if request.endpoint != f"{blueprint.name}.{show_status.__name__}":
        check_key(needed=True)


@blueprint.route("/_status")
@blueprint.response(200, Status)
def show_status() -> dict[str, str]:
    """Show the status of the server."""
    return {"status": "ok"}


@blueprint.route("/quota")
@blueprint.response(200, Day)
def show_quota() -> dict[str, Any]:
    """Show today's identifications and the quota."""
    return describe_day(today())


@blueprint.route("/quota/daily")
@blueprint.arguments(DayQuery, location="query", error_status_code=400)
@blueprint.response(200, Day)
def show_day(query: dict[str, Any]) -> dict[str, Any]:
    """Show the identifications of one day, today by default."""
    return describe_day(query["day"] or today())


@blueprint.route("/quota/history")
@blueprint.arguments(YearQuery, location="query", error_status_code=400)
@blueprint.response(200, Day(many=True))
def show_history(query: dict[str, Any]) -> list[dict[str, Any]]:
    """Show the days of a year with identifications, this year by default."""
    year = query["year"] or today().year
    counts = used(date(year, 1, 1), date(year, 12, 31))
    return [{"day": day.isoformat(), "quota": {"identify": {"count": count}}} for day, count in sorted(counts.items())]


@blueprint.route("/subscription")
@blueprint.response(200, {"type": "object"})
def show_subscription() -> Response:
    """Show the subscription: this server is free of charge."""
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
    """Return a day with its counts, always as numbers, since clients compare them."""
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
