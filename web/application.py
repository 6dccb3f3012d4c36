"""Makes the Flask application from the services it is given."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from flask import Flask, Response

from web import assets
from web.api import floras, health, identifications, overview, photos, species, taxa
from web.errors import register_errors
from web.languages import register_languages
from web.openapi import CONFIG, ProblemApi
from web.pages.blueprint import load_pages
from web.pages.problems import render_problem, wants_page
from web.pages.script_words import identify_words
from web.pages.words import template_words
from web.services import Services, services
from web.uploads import PhotoRequest, upload_config

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:{tiles}; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""Only our own files, and pictures that a page made itself (`blob:`); map tiles from where the settings say."""

SECURITY: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}
"""Headers of every answer, beside the policy."""


def create_app(services: Services) -> Flask:
    """Put routes, errors and limits together. Opens no snapshot and no model."""
    app = Flask("web")
    app.request_class = PhotoRequest
    app.config.update(CONFIG, **upload_config(services.limits))
    app.json.ensure_ascii = False  # type: ignore[attr-defined] # of the default provider
    app.json.sort_keys = False  # type: ignore[attr-defined] # answers are told in order: species before genera
    app.extensions["services"] = services
    api = ProblemApi(app)
    for module in (overview, identifications, floras, species, taxa, photos, health):
        api.register_blueprint(module.blueprint)
    register_languages(app)
    app.register_blueprint(assets.blueprint)
    app.register_blueprint(load_pages())
    app.context_processor(lambda: template_words() | {"identify_words": identify_words})
    register_errors(app, wants_page, render_problem)
    app.after_request(add_headers)
    return app


def add_headers(response: Response) -> Response:
    """Headers of every answer; only files and pictures may be kept by browsers, which say so themselves."""
    headers = {**SECURITY, "Content-Security-Policy": policy(services().tiles)}
    response.headers.extend({name: value for name, value in headers.items() if name not in response.headers})
    if "Cache-Control" not in response.headers:
        response.headers["Cache-Control"] = "no-store"
    return response


def policy(tiles: str) -> str:
    """The Content-Security-Policy; `tiles` is the address of map tiles, or empty."""
    parts = urlsplit(tiles)
    host = parts.netloc.replace("{s}", "*")
    return POLICY.format(tiles=f" {parts.scheme}://{host}" if host else "")
