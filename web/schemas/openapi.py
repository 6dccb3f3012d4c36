"""The OpenAPI 3.1 document: written by the same decorators that read requests and shape answers."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Final

from flask import current_app, request
from flask_smorest import Api, Blueprint
from flask_smorest.utils import prepare_response

from retrieval.errors import InvalidOption
from web.http.errors import MEDIA_TYPE
from web.photos.uploads import parser
from web.schemas.answers import ProblemDetails

PREFIX: Final = "/api/v1"
CONFIG: Final = {
    "API_TITLE": "Fungarium",
    "API_VERSION": "1.0.0",
    "OPENAPI_VERSION": "3.1.0",
    "OPENAPI_URL_PREFIX": PREFIX,
    "OPENAPI_JSON_PATH": "openapi.json",
    "API_SPEC_OPTIONS": {
        "info": {
            "description": "Ranks the species of a region for several photos of one find, "
            "and shows the reference photos that speak for each.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        }
    },
}


class ProblemApi(Api):  # type: ignore[misc] # flask-smorest has no type information
    """flask-smorest's document with our shape of errors. The errors themselves are answered by `web.http.errors`."""

    ERROR_SCHEMA = ProblemDetails

    def _register_error_handlers(self) -> None:
        """Leave them to `web.http.errors`, which also answers what flask-smorest does not know."""

    def _register_responses(self) -> None:
        answers = {status.name: status.phrase for status in HTTPStatus if status >= 400}
        for name, description in {
            **answers,
            "DEFAULT_ERROR": "Any error: problem details, as RFC 9457 has them",
        }.items():
            response = {"description": description, "schema": self.ERROR_SCHEMA}
            prepare_response(response, self.spec, MEDIA_TYPE)
            self.spec.components.response(name, response, lazy=True)


class ApiBlueprint(Blueprint):  # type: ignore[misc] # as above
    """Routes of one noun, which read forms with our parser."""

    ARGUMENTS_PARSER = parser

    def arguments(self, schema: Any, **options: Any) -> Any:
        """Read requests by one object of the schema: made anew for each, it costs as much as reading them."""
        decorate = super().arguments(schema() if isinstance(schema, type) else schema, **options)

        def marked(view: Callable[..., Any]) -> Any:
            read = decorate(view)
            read.reads_query = options.get("location") == "query" or getattr(view, "reads_query", False)
            return read

        return marked


def refuse_overlooked_query() -> None:
    """Refuse a query at addresses of our API that read none: a filter there would be ignored in silence."""
    if not request.path.startswith(PREFIX) or (view := current_app.view_functions.get(request.endpoint or "")) is None:
        return
    asked = sorted(set(request.args) - {"api-key"})
    is_own = isinstance(current_app.blueprints.get(request.blueprint or ""), ApiBlueprint)
    if asked and is_own and not getattr(view, "reads_query", False):
        raise InvalidOption(f"`{asked[0]}`: this address reads nothing from its query")
