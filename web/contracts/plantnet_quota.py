"""Pl@ntNet's API v2: what a caller has used, and whether the server answers."""

from __future__ import annotations

from datetime import date
from typing import Any

from flask import Response

from web.contracts.allowance import Allowance, left, today, used
from web.contracts.openapi import ContractBlueprint, PlantnetError
from web.contracts.plantnet_schemas import Day, DayQuery, Status, YearQuery
from web.contracts.shapes import json_response

blueprint = ContractBlueprint(
    "plantnet quota", __name__, url_prefix="/v2", error=PlantnetError, description="What was used, and what is left"
)


@blueprint.route("/_status")
@blueprint.response(200, Status)
def show_status() -> dict[str, str]:
    """Say that the server is there."""
    return {"status": "ok"}


@blueprint.route("/quota")
@blueprint.response(200, Day(many=True))
def show_quota() -> list[dict[str, Any]]:
    """Show today's identifications."""
    return [describe_day(today())]


@blueprint.route("/quota/daily")
@blueprint.arguments(DayQuery, location="query", error_status_code=400)
@blueprint.response(200, Day(many=True))
def show_day(query: dict[str, Any]) -> list[dict[str, Any]]:
    """Show the identifications of one day, today's where none is named."""
    return [describe_day(query["day"] or today())]


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
    """A day and what was asked on it; of today also what is left."""
    count = used(day, day).get(day, 0)
    told: dict[str, Any] = {"count": count}
    allowance = left() if day == today() else Allowance(None, None)
    if allowance.limit is not None and allowance.remaining is not None:
        told = {"count": allowance.limit - allowance.remaining, "total": allowance.limit, "remaining": allowance.left}
    return {"day": day.isoformat(), "quota": {"identify": told}}
