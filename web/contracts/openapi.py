"""The second OpenAPI document: the contracts of others, with their own errors, apart from API v1."""

from __future__ import annotations

from typing import Any, Final

from flask_smorest import Api
from marshmallow import EXCLUDE, Schema, fields

from web.http.access import ignore_foreign_keys
from web.schemas.answers import Answer, about
from web.schemas.openapi import CONFIG, ApiBlueprint

NAME: Final = "CONTRACTS_"  # prefix of its configuration, and its key among flask-smorest's documents
CONTRACTS_CONFIG: Final = {
    f"{NAME}{key}": value
    for key, value in {
        **CONFIG,
        "API_TITLE": "Contracts of other services, answered by Fungarium",
        "OPENAPI_URL_PREFIX": "/api/contracts",
        "API_SPEC_OPTIONS": {
            "info": {
                "description": "Pl@ntNet API v2, c4c, iNaturalist's score_image and the Danish imagevision: "
                "their clients use this server unchanged.",
                "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            }
        },
    }.items()
}


class ContractApi(Api):  # type: ignore[misc] # flask-smorest has no type information
    """A document whose errors each contract describes, and `web.http.errors` answers in the shapes of `shapes`."""

    DEFAULT_ERROR_RESPONSE_NAME = None

    def _register_error_handlers(self) -> None:
        """Leave them to `web.http.errors`."""


class ContractBlueprint(ApiBlueprint):
    """Routes of a contract, whose errors all have one shape."""

    def __init__(self, name: str, module: str, *, error: type[Schema], **other: Any) -> None:
        super().__init__(name, module, **other)
        self._error = error
        self.before_request(ignore_foreign_keys)

    def _prepare_response_doc(self, doc: Any, doc_info: Any, **other: Any) -> Any:
        """Describe the contract's error in place of flask-smorest's."""
        answers = doc_info.setdefault("response", {}).setdefault("responses", {})
        for status in [status for status in answers if str(status) == "422"]:
            del answers[status]
        answers["default"] = [{"schema": self._error(), "description": "Any error", "content_type": None}]
        return super()._prepare_response_doc(doc, doc_info, **other)


class ContractQuery(Schema):
    """Base of what contracts' clients send: what is not known here is not looked at."""

    class Meta:
        """Clients send their keys, tokens and wishes of their own."""

        unknown = EXCLUDE


class PlantnetError(Answer):
    """An error as Pl@ntNet words it."""

    status_code = fields.Integer()
    error = fields.String()
    message = fields.String(metadata=about("`Species not found` for rejected photos and answers without species."))
