"""Health checks, for monitoring and for load balancers."""

from __future__ import annotations

from typing import Any

from web.http.errors import sentence
from web.inference.cluster import parts_json
from web.inference.readiness import DEGRADED, OK, is_ready, run_checks
from web.schemas.answers import Readiness, ServerHealth
from web.schemas.openapi import ApiBlueprint
from web.services import services

blueprint = ApiBlueprint("health", __name__, description="Health check")


@blueprint.route("/healthz")
@blueprint.response(200, ServerHealth)
@blueprint.alt_response(503, schema=ServerHealth, description="No request can be answered at present")
def show_health() -> tuple[dict[str, Any], int]:
    """Show whether the server can answer, with its snapshot and model."""
    health = services().published.health()
    manifest = health.snapshot.manifest if health.snapshot else None
    body = {
        "status": health.status,
        "detail": health.detail,
        "snapshot": manifest.name if manifest else None,
        "model": manifest.model["model"] if manifest else None,
        "references": health.snapshot.references if health.snapshot else 0,
        "floras": len(manifest.floras) if manifest else 0,
        "index": services().backend.description,
    }
    cluster_search = services().backend.cluster
    if cluster_search is not None:
        body["cluster"] = parts_json(cluster_search.status())
        if health.status == "ok" and cluster_search.warning:
            body |= {"status": "degraded", "detail": sentence(cluster_search.warning)}
        if manifest and cluster_search.is_lost:
            body["status"] = "unavailable"
    if body["status"] == "ok" and (found := [check for check in run_checks(services()) if check.state != OK]):
        body |= {"status": DEGRADED, "detail": f"{found[0].name}: {found[0].detail}"}
    return body, 503 if body["status"] == "unavailable" or not manifest else 200


@blueprint.route("/readyz")
@blueprint.response(200, Readiness)
@blueprint.alt_response(503, schema=Readiness, description="Requests cannot be answered at present")
def show_readiness() -> tuple[dict[str, Any], int]:
    """Show whether requests can be answered, with a reason for each thing that is not as it should be."""
    checks = run_checks(services())
    ready = is_ready(checks)
    shown = [{"name": check.name, "state": check.state, "detail": check.detail} for check in checks]
    return {"ready": ready, "checks": shown}, 200 if ready else 503
