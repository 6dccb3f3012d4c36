from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from openapi_spec_validator import OpenAPIV31SpecValidator, validate

ROOT = Path(__file__).resolve().parents[3]
OF_CONTRACTS = ("/v1/", "/v2/", "/c4c/", "/api/imagevision")


@pytest.fixture
def document(client: FlaskClient) -> dict[str, Any]:
    found: dict[str, Any] = client.get("/api/contracts/openapi.json").get_json()
    return found


def test_the_contracts_document_is_valid_openapi_3_1(document: dict[str, Any]) -> None:
    validate(document, cls=OpenAPIV31SpecValidator)

    assert document["openapi"] == "3.1.0"


def test_every_route_of_a_contract_is_in_it_and_no_other(app: Flask, document: dict[str, Any]) -> None:
    routes = {str(rule) for rule in app.url_map.iter_rules() if str(rule).startswith(OF_CONTRACTS)}

    assert {path.replace("{", "<").replace("}", ">") for path in document["paths"]} == {
        re.sub(r"<[^>]*:", "<", route) for route in routes
    }


def test_each_contract_describes_its_own_errors(document: dict[str, Any]) -> None:
    for path, operations in document["paths"].items():
        for name, operation in operations.items():
            if name != "parameters":
                schema = operation["responses"]["default"]["content"]["application/json"]["schema"]
                expected = "PlantnetError" if path.startswith("/v2/") and "computervision" not in path else ""
                assert schema["$ref"].endswith(expected)
                assert "422" not in operation["responses"]
                assert operation["summary"].endswith(".")


def test_every_route_of_a_contract_is_in_the_written_documentation(document: dict[str, Any]) -> None:
    written = (ROOT / "docs" / "clients.md").read_text(encoding="utf-8")

    for path, operations in document["paths"].items():
        for method in operations.keys() - {"parameters"}:
            assert f"`{method.upper()} {path}`" in written, f"{method} {path}"


def test_api_v1_knows_nothing_of_it(client: FlaskClient) -> None:
    paths = client.get("/api/v1/openapi.json").get_json()["paths"]

    assert not [path for path in paths if path.startswith(OF_CONTRACTS)]
