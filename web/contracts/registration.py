"""Registers the contracts of other services with the application, in a separate OpenAPI document."""

from __future__ import annotations

from flask import Flask

from web.contracts import (
    c4c,
    danish,
    inaturalist,
    inaturalist_taxa,
    plantnet,
    plantnet_quota,
    plantnet_species,
    plantnet_survey,
    plantnet_tools,
)
from web.contracts.openapi import CONTRACTS_CONFIG, NAME, ContractApi
from web.contracts.projects import KnownProjects
from web.http.access import SCHEMES
from web.http.method_override import MethodOverride, refuse_unreadable
from web.photos.remote_photos import RemotePhotos
from web.services import Services


def register_contracts(app: Flask, services: Services) -> None:
    """Register the routes, without opening any resource."""
    app.config.update(CONTRACTS_CONFIG)
    app.wsgi_app = MethodOverride(app.wsgi_app)  # type: ignore[method-assign]
    app.before_request(refuse_unreadable)
    app.extensions["projects"] = KnownProjects()
    app.extensions["queries"] = c4c.Queries()
    app.extensions["remote_photos"] = RemotePhotos(services.guard, services.limits)
    api = ContractApi(app, config_prefix=NAME)
    for name, scheme in SCHEMES.items():
        api.spec.components.security_scheme(name, scheme)
    plantnets = (plantnet, plantnet_species, plantnet_quota, plantnet_survey, plantnet_tools)
    for module in (*plantnets, c4c, inaturalist, inaturalist_taxa, danish):
        api.register_blueprint(module.blueprint)
