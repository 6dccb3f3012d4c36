"""Bodies made from the schemas of the OpenAPI documents, spoilt at random: no route answers them with 500."""

from __future__ import annotations

import io
import json
import random
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from werkzeug.test import encode_multipart

from tests.snapshots import MUSCARIA, draw_photo
from tests.web.conftest import made
from tests.web.people import Server, server, start

__all__ = ["made", "server", "start"]  # fixtures

DOCUMENTS = ("/api/v1/openapi.json", "/api/contracts/openapi.json")
ODD: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 2**31, 2**63, 10**30, 1e308, -0.0, "", " ", "0", "a", "x" * 5000),
    *("\ud800", "\x00", "é\u0301", "../../etc/passwd", "2026-02-30", "9999-12-31", "0001-01-01", "NaN", "1e400"),
    *([], {}, [None], [[]], {"a": 1}, [1, "a", None], "taxon:1", "near:1e400,1", "Amanita muscaria", "'; --"),
)
PHOTO = draw_photo(MUSCARIA, 7)


def operations(document: Mapping[str, Any]) -> Iterator[tuple[str, str, list[str], bool]]:
    """Yield method, address, names of the body's members, and whether it is a form."""
    for address, methods in document["paths"].items():
        for method, operation in methods.items():
            content = operation.get("requestBody", {}).get("content", {}) if isinstance(operation, dict) else {}
            for kind, body in content.items():
                yield method.upper(), address, members(document, body.get("schema", {})), kind != "application/json"


def members(document: Mapping[str, Any], schema: Mapping[str, Any]) -> list[str]:
    """Return the names of a schema's members, through references."""
    found = list(schema.get("properties", {}))
    if "$ref" in schema:
        found += members(document, document["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    for part in (*schema.get("allOf", ()), *schema.get("oneOf", ()), *schema.get("anyOf", ())):
        found += members(document, part)
    return found


def make_value(dice: random.Random, depth: int = 0) -> Any:
    """Return an odd value, or a list or an object of some."""
    if depth < 3 and dice.random() < 0.25:
        some = [make_value(dice, depth + 1) for _ in range(dice.randrange(4))]
        return some if dice.random() < 0.5 else {f"m{place}": value for place, value in enumerate(some)}
    return dice.choice(ODD)


def make_body(dice: random.Random, names: list[str], *, form: bool) -> dict[str, Any]:
    """Return the body of a request for Flask's client: some members, each with an odd value."""
    some = {name: make_value(dice) for name in names if dice.random() < 0.7}
    if dice.random() < 0.2:
        some["unheardOf"] = make_value(dice)
    if not form:
        body = json.dumps(some if dice.random() < 0.9 else make_value(dice)).encode()
        if dice.random() < 0.1:
            body = body[: dice.randrange(len(body) + 1)]
        return {"data": body, "content_type": "application/json"}
    texts: dict[str, Any] = {name: as_text(value) for name, value in some.items()}
    for name in names:
        if name in {"photos", "images", "image"} and dice.random() < 0.7:
            photo = dice.choice((PHOTO, b"", PHOTO[:50], b"\xff\xd8\xff\xe0" * 20))
            texts[name] = (io.BytesIO(photo), "a.jpg")
    boundary, body = encode_multipart(texts)
    if dice.random() < 0.1:
        body = body[: dice.randrange(len(body) + 1)]
    return {"data": body, "content_type": f"multipart/form-data; boundary={boundary}"}


def as_text(value: Any) -> str:
    """Return a value as it is typed into a form."""
    text = value if isinstance(value, str) else json.dumps(value)
    return text.encode("utf-8", "replace").decode()


@pytest.mark.parametrize("system", ["sqlite"], indirect=True)
def test_no_body_made_from_the_schemas_is_answered_as_the_servers_own_fault(
    server: Server, rounds: Callable[..., int]
) -> None:
    browser = server.signed_in("ada")
    dice, asked = random.Random(22), 0
    failures: list[tuple[Any, ...]] = []
    for document in DOCUMENTS:
        for method, address, names, form in operations(server.visitor().get(document).get_json()):
            for _ in range(rounds(4, exhaustively=1000)):
                path = re.sub(r"{[^}]+}", lambda _: dice.choice(("1", "99", "x", "%00")), address)
                body = make_body(dice, names, form=form)
                answer = browser.client.open(path, method=method, headers=browser.token, **body)
                asked += 1
                if answer.status_code >= 500 and answer.status_code != 503:
                    failures.append((answer.status_code, method, path, body["data"][:200]))
                answer.close()
                if (method, path) == ("PUT", "/api/v1/session/password") or answer.status_code == 401:
                    browser = server.signed_in("ada")

    assert failures == []
    assert asked > 80
