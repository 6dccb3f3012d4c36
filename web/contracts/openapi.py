"""The second OpenAPI document: contracts of other services with their own error formats, separate from API v1."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from flask_smorest import Api
from marshmallow import EXCLUDE, Schema, fields, pre_load

from web.http.access import check_key
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
                "description": "Pl@ntNet API v2, c4c, iNaturalist's scores and taxa, and the Danish imagevision: "
                "their clients use this server unchanged.",
                "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
            }
        },
    }.items()
}


class ContractApi(Api):  # type: ignore[misc] # flask-smorest has no type information
    """A document in which each contract describes its errors; `web.http.errors` formats them by `shapes`."""

    DEFAULT_ERROR_RESPONSE_NAME = None

    def _register_error_handlers(self) -> None:
        """Register none: `web.http.errors` handles errors."""


class ContractBlueprint(ApiBlueprint):
    """Routes of a contract that share one error format.

    `keyed`: the routes require a key if identification does.
    """

    def __init__(self, name: str, module: str, *, error: type[Schema], keyed: bool = False, **other: Any) -> None:
        super().__init__(name, module, **other)
        self._error = error
        self.before_request(partial(check_key, needed=keyed))

    def _prepare_response_doc(self, doc: Any, doc_info: Any, **other: Any) -> Any:
        """Document the contract's error format instead of flask-smorest's."""
        answers = doc_info.setdefault("response", {}).setdefault("responses", {})
        for status in [status for status in answers if str(status) == "422"]:
            del answers[status]
        answers["default"] = [{"schema": self._error(), "description": "Any error", "content_type": None}]
        return super()._prepare_response_doc(doc, doc_info, **other)


class ContractQuery(Schema):
    """Base of contracts' request schemas: unknown fields are ignored, and empty values count as missing."""

    class Meta:
        """Unknown fields are ignored: clients send their own keys, tokens and options."""

        unknown = EXCLUDE

    @pre_load
    def drop_empty(self, data: Any, **_: Any) -> Any:
        """Remove empty values, such as `lat=` and `pageSize=` from form fields left blank."""
        if not isinstance(data, Mapping):
            return data
        names = [field.data_key or name for name, field in self.fields.items()]
        return {name: value for name in names if name in data and (value := data[name]) not in ("", [""])}


class PlantnetError(Answer):
    """An error in the format of Pl@ntNet."""

    status_code = fields.Integer()
    error = fields.String()
    message = fields.String(metadata=about("`Species not found` for rejected photos and answers without species."))
