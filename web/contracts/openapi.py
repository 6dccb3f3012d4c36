"""The second OpenAPI document: the contracts of others, with their own errors, apart from API v1."""

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
    """A document whose errors each contract describes, and `web.http.errors` answers in the shapes of `shapes`."""

    DEFAULT_ERROR_RESPONSE_NAME = None

    def _register_error_handlers(self) -> None:
        """Leave them to `web.http.errors`."""


class ContractBlueprint(ApiBlueprint):
    """Routes of a contract, whose errors all have one shape.

    `keyed`: routes that need a key, where identifying needs one.
    """

    def __init__(self, name: str, module: str, *, error: type[Schema], keyed: bool = False, **other: Any) -> None:
        super().__init__(name, module, **other)
        self._error = error
        self.before_request(partial(check_key, needed=keyed))

    def _prepare_response_doc(self, doc: Any, doc_info: Any, **other: Any) -> Any:
        """Describe the contract's error in place of flask-smorest's."""
        answers = doc_info.setdefault("response", {}).setdefault("responses", {})
        for status in [status for status in answers if str(status) == "422"]:
            del answers[status]
        answers["default"] = [{"schema": self._error(), "description": "Any error", "content_type": None}]
        return super()._prepare_response_doc(doc, doc_info, **other)


class ContractQuery(Schema):
    """Base of what contracts' clients send: what is not known here is not looked at, and what is empty was not sent."""

    class Meta:
        """Clients send their keys, tokens and wishes of their own."""

        unknown = EXCLUDE

    @pre_load
    def drop_empty(self, data: Any, **_: Any) -> Any:
        """Leave out empty values: `lat=` and `pageSize=` come from fields of a form that nobody filled in."""
        if not isinstance(data, Mapping):
            return data
        names = [field.data_key or name for name, field in self.fields.items()]
        return {name: value for name in names if name in data and (value := data[name]) not in ("", [""])}


class PlantnetError(Answer):
    """An error as Pl@ntNet words it."""

    status_code = fields.Integer()
    error = fields.String()
    message = fields.String(metadata=about("`Species not found` for rejected photos and answers without species."))
