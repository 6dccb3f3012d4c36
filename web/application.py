"""Makes the Flask application from the services it is given."""

from __future__ import annotations

from typing import Final

from flask import Flask, Response
from werkzeug.middleware.proxy_fix import ProxyFix

from web import page
from web.access import SCHEMES, register_access
from web.api import (
    accounts,
    batches,
    embeddings,
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
    verdicts,
)
from web.contracts.registering import register_contracts
from web.contracts.shapes import shape_problem
from web.cors import register_cors
from web.errors import register_errors
from web.openapi import CONFIG, ProblemApi
from web.reception import register_reception
from web.services import Services
from web.serving import Serving
from web.unchanging import mark_unchanging
from web.uploads import PhotoRequest, upload_config

SECURITY: Final = {
    "Content-Security-Policy": "default-src 'none'; img-src 'self' data:; style-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}
"""No script, no font and no picture of others is ever loaded."""


def create_app(services: Services) -> Flask:
    """Put routes, errors and limits together. Opens no snapshot and no model."""
    app = Flask("web")
    app.request_class = PhotoRequest
    app.config.update(CONFIG, **upload_config(services.limits))
    app.json.ensure_ascii = False  # type: ignore[attr-defined] # of the default provider
    app.json.sort_keys = False  # type: ignore[attr-defined] # answers are told in order: species before genera
    app.extensions["services"] = services
    register_cors(app, services.contracts.origins)
    app.extensions["serving"] = Serving(services)
    register_reception(app)
    if services.policy.proxies:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=services.policy.proxies, x_proto=services.policy.proxies)  # type: ignore[method-assign]
    register_access(app)
    api = ProblemApi(app)
    for name, scheme in SCHEMES.items():
        api.spec.components.security_scheme(name, scheme)
    finds = (identifications, batches, similar, embeddings)
    for module in (
        overview,
        *finds,
        floras,
        species,
        photos,
        observations,
        verdicts,
        suggestions,
        accounts,
        keys,
        health,
    ):
        api.register_blueprint(module.blueprint)
    register_contracts(app, services)
    app.register_blueprint(page.blueprint)
    app.register_blueprint(metrics.blueprint)
    app.context_processor(page.template_words)
    register_errors(app, page.wants_page, page.render_problem, shape_problem)
    app.after_request(add_headers)
    return app


def add_headers(response: Response) -> Response:
    """Headers of every answer; only pictures may be kept by browsers, which say so themselves."""
    mark_unchanging(response)
    response.headers.extend({name: value for name, value in SECURITY.items() if name not in response.headers})
    if "Cache-Control" not in response.headers:
        response.headers["Cache-Control"] = "no-store"
    return response
