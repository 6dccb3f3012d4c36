"""Metrics for Prometheus; not part of the OpenAPI document, since they are for the server's administrator."""

from __future__ import annotations

import ipaddress
from typing import Final

from flask import Blueprint, Response, abort, request

from web.http.metrics import MEDIA_TYPE
from web.inference.readiness import run_checks
from web.inference.serving import serving
from web.services import services

blueprint = Blueprint("metrics", __name__)

FORWARDED: Final = ("X-Forwarded-For", "Forwarded", "X-Real-Ip")


@blueprint.route("/metrics")
def show_metrics() -> Response:
    """Serve the metrics of all workers, if the setting allows the caller to read them."""
    allowed = services().metrics_for
    if allowed == "nobody":
        abort(404)
    if allowed == "loopback" and not asked_from_here():
        abort(403, "The metrics are read from the server itself; FUNGARIUM_METRICS=everybody opens them.")
    serving().metrics.record_checks({check.name: check.state for check in run_checks(services())})
    return Response(serving().metrics.text(), content_type=MEDIA_TYPE)


def asked_from_here() -> bool:
    """Return whether the request comes from this machine, and not through a proxy on it."""
    if any(name in request.headers for name in FORWARDED):
        return False
    try:
        return ipaddress.ip_address(request.remote_addr or "").is_loopback
    except ValueError:
        return False
