"""Health check, for monitoring."""

from __future__ import annotations

from typing import Any

from web.http.errors import sentence
from web.inference.cluster import parts_json
from web.schemas.answers import ServerHealth
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
    if health.status == "ok" and (trouble := services().decoders.trouble):
        body |= {"status": "degraded", "detail": sentence(trouble)}
    cluster_search = services().backend.cluster
    if cluster_search is not None:
        body["cluster"] = parts_json(cluster_search.status())
        if health.status == "ok" and cluster_search.warning:
            body |= {"status": "degraded", "detail": sentence(cluster_search.warning)}
        if manifest and cluster_search.is_lost:
            body["status"] = "unavailable"
    return body, 503 if body["status"] == "unavailable" or not manifest else 200
