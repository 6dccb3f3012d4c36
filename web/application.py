"""Creates the Flask application from its services."""

from __future__ import annotations

from typing import Final

from flask import Flask, Response
from werkzeug.middleware.proxy_fix import ProxyFix

from web.api import (
    accounts,
    batches,
    embeddings,
    exports,
    floras,
    health,
    identifications,
    keys,
    metrics,
    observations,
    overview,
    photos,
    similar,
    species,
    suggestions,
    taxa,
    verdicts,
)
from web.contracts.registration import register_contracts
from web.contracts.shapes import shape_problem
from web.http import assets
from web.http.access import SCHEMES, register_access
from web.http.content_security import content_security_policy
from web.http.cors import register_cors
from web.http.errors import register_errors
from web.http.etags import set_etag
from web.http.languages import register_languages
from web.http.versions import register_versions, set_version_etag
from web.inference.serving import Serving
from web.mail import Errands
from web.pages.blueprint import load_pages
from web.pages.problems import render_problem, wants_page
from web.pages.wording.script_words import identify_words
from web.pages.wording.template_words import template_words
from web.pages.wording.uncertainty import uncertainty_words
from web.photos.uploads import PhotoRequest, upload_config
from web.request_lifecycle import register_request_lifecycle
from web.rescoring import Rescoring
from web.schemas.openapi import CONFIG, ProblemApi, refuse_overlooked_query
from web.services import Services, services

SECURITY: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}
"""Headers of every response, besides the Content-Security-Policy."""


def create_app(services: Services) -> Flask:
    """Register routes, error handlers and limits. Opens no snapshot and no model."""
    app = Flask("web")
    app.request_class = PhotoRequest
    app.config.update(CONFIG, **upload_config(services.limits))
    app.json.ensure_ascii = False  # type: ignore[attr-defined] # of the default provider
    app.json.sort_keys = False  # type: ignore[attr-defined] # keep the order of members: species before genera
    app.extensions["services"] = services
    register_cors(app, services.cors_origins)
    app.extensions["serving"] = Serving(services)
    app.extensions["rescoring"] = Rescoring(services.database)
    app.extensions["errands"] = Errands()
    register_request_lifecycle(app)
    if services.policy.proxies:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=services.policy.proxies, x_proto=services.policy.proxies)  # type: ignore[method-assign]
    register_access(app)
    register_versions(app)
    app.before_request(refuse_overlooked_query)
    api = ProblemApi(app)
    for name, scheme in SCHEMES.items():
        api.spec.components.security_scheme(name, scheme)
    finds = (identifications, batches, similar, embeddings)
    things = (floras, species, taxa, photos, observations, verdicts, suggestions, exports)
    for module in (overview, *finds, *things, accounts, keys, health):
        api.register_blueprint(module.blueprint)
    register_contracts(app, services)
    register_languages(app)
    app.register_blueprint(assets.blueprint)
    app.register_blueprint(load_pages())
    app.register_blueprint(metrics.blueprint)
    app.context_processor(lambda: template_words() | uncertainty_words() | {"identify_words": identify_words})
    register_errors(app, wants_page, render_problem, shape_problem)
    app.after_request(add_headers)
    return app


def add_headers(response: Response) -> Response:
    """Add headers to every response. Browsers may only cache files and images, which set their own header."""
    set_version_etag(set_etag(response))
    headers = {**SECURITY, "Content-Security-Policy": content_security_policy(services().tiles)}
    response.headers.extend({name: value for name, value in headers.items() if name not in response.headers})
    if "Cache-Control" not in response.headers:
        response.headers["Cache-Control"] = "no-store"
    return response
