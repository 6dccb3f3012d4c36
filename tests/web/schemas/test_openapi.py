from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from openapi_spec_validator import OpenAPIV31SpecValidator, validate

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def document(client: FlaskClient) -> dict[str, Any]:
    """The OpenAPI document as it is served."""
    found: dict[str, Any] = client.get("/api/v1/openapi.json").get_json()
    return found


def test_the_document_is_valid_openapi_3_1(document: dict[str, Any]) -> None:
    validate(document, cls=OpenAPIV31SpecValidator)

    assert document["openapi"] == "3.1.0"


def test_every_route_of_the_api_is_in_the_document(app: Flask, document: dict[str, Any]) -> None:
    plain = {"/api/v1/openapi.json", "/api/v1/docs"}

    routes = {
        str(rule) for rule in app.url_map.iter_rules() if str(rule).startswith(("/api/v1/", "/healthz", "/readyz"))
    } - plain

    assert {path.replace("{", "<").replace("}", ">") for path in document["paths"]} == {
        re.sub(r"<[^>]*:", "<", route) for route in routes
    }


def test_photos_are_described_as_repeated_files(document: dict[str, Any]) -> None:
    body = document["paths"]["/api/v1/identify"]["post"]["requestBody"]["content"]
    schema = document["components"]["schemas"][body["multipart/form-data"]["schema"]["$ref"].split("/")[-1]]

    options = {"latitude", "longitude", "date", "priors", "within", "aspects", "target", "fusion", "noReject"}
    options |= {"habitat", "substrate", "boxes", "augmentation", "detail", "partial"}
    assert set(schema["properties"]) == {"photos", "images", "flora", "count"} | options
    assert schema["properties"]["photos"]["items"] == {"type": "string", "format": "binary"}


def test_errors_are_described_as_problem_details(document: dict[str, Any]) -> None:
    answers = document["components"]["responses"]

    assert set(answers) >= {"DEFAULT_ERROR", "UNPROCESSABLE_ENTITY"}
    for answer in answers.values():
        assert set(answer["content"]) == {"application/problem+json"}
        assert answer["content"]["application/problem+json"]["schema"]["$ref"].endswith("/ProblemDetails")
    for operations in document["paths"].values():
        for name, operation in operations.items():
            assert name == "parameters" or operation["responses"]["default"]["$ref"].endswith("DEFAULT_ERROR")


def test_every_route_has_a_summary_and_every_field_of_an_answer_a_type(document: dict[str, Any]) -> None:
    for operations in document["paths"].values():
        for name, operation in operations.items():
            assert name == "parameters" or operation["summary"].endswith(".")
    for schema in document["components"]["schemas"].values():
        assert all({"type", "$ref", "allOf", "anyOf"} & part.keys() for part in schema["properties"].values())


def test_the_pages_load_nothing_from_elsewhere(client: FlaskClient) -> None:
    for address in ("/", "/api/v1/docs"):
        page = client.get(address).get_data(as_text=True)

        assert all(address.startswith("/") for address in re.findall(r"(?:src|<link[^>]*href)=\"([^\"]+)", page))
        assert "http://" not in page
        assert "https://" not in page


def test_every_route_is_in_the_written_documentation(document: dict[str, Any]) -> None:
    written = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")

    for path, operations in document["paths"].items():
        for method in operations.keys() - {"parameters"}:
            assert f"`{method.upper()} {path}`" in written, f"{method} {path}"
