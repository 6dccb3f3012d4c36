"""Arbitrary bodies, URLs and queries: every route answers with a status below 500."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.web.people import Server

DEEP = 50_000
BODIES = (
    b"{",
    b"[]",
    b"null",
    b"1",
    b'"text"',
    b"[" * DEEP,
    b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    b"9" * 6000,
    b'{"login": ' + b"9" * 6000 + b', "dailyQuota": ' + b"9" * 6000 + b"}",
    b"\xff\xfe",
    b'{"login": "\\ud800", "password": "\\ud800", "name": "\\ud800", "scientificName": "\\ud800"}',
    b'{"login": "\\u0000", "password": "long enough\\u0000", "name": "\\u0000", "scientificName": "\\u0000"}',
    b'{"dailyQuota": NaN, "decimalLatitude": Infinity, "decimalLongitude": -Infinity, "embeddings": [[1e400]]}',
    b'{"photos": {}, "scopes": {"a": 1}, "expires": [1], "scientificName": [], "eventDate": {}, "name": 5}',
)
NUMBERS = ("0", "-1", "9" * 25, "9" * 6000, "1e400", "NaN")
WORDS = (
    "%00",
    "%ED%A0%80",
    "..",
    "x" * 5000,
    "'",
    "taxon:" + "9" * 40,
    "taxon:" + "9" * 6000,
    "near:1e400,1e400",
    "[]",
)
QUERIES = (
    *("flora", "q", "rows", "limit", "cursor", "page", "pageSize", "taxon", "near", "box", "name", "lang", "locale"),
    *("from", "to", "date", "count", "target", "size", "status", "id", "observer", "km", "observed_on", "taxon_id"),
)


def requests(server: Server, dice: random.Random) -> Iterator[tuple[str, str, bytes]]:
    """Methods, addresses and bodies: each route with each spoilt part of its address, question and body."""
    for rule in server.app.url_map.iter_rules():
        parts = re.findall(r"<[^>]+>", rule.rule)
        plain = re.sub(r"<[^>]+>", "1", rule.rule)
        for method in sorted((rule.methods or set()) - {"OPTIONS", "HEAD"}):
            if (method, plain) == ("DELETE", "/api/v1/session"):
                continue  # the rest is asked by somebody who is signed in
            for part in parts:
                for spoilt in (*NUMBERS, *WORDS):
                    yield method, re.sub(r"<[^>]+>", "1", rule.rule.replace(part, spoilt)), BODIES[0]
            if method == "GET":
                for name in QUERIES:
                    yield method, f"{plain}?{name}={dice.choice(NUMBERS)}", b""
                    yield method, f"{plain}?{name}={dice.choice(WORDS)}", b""
            else:
                yield from ((method, plain, body) for body in BODIES)


@pytest.mark.parametrize("system", ["sqlite"], indirect=True)
def test_no_spoilt_request_is_answered_as_the_servers_own_fault(server: Server) -> None:
    browser, key = server.signed_in("ada"), server.key("ada")
    failures: list[tuple[Any, ...]] = []
    count = 0
    for method, address, body in requests(server, random.Random(7)):
        count += 1
        answer = browser.client.open(
            address, method=method, data=body or None, content_type="application/json", headers=key | browser.token
        )
        if answer.status_code >= 500 and answer.status_code != 503:
            failures.append((answer.status_code, method, address[:80], body[:40]))
        answer.close()

    assert failures == []
    assert count > 3_000


def test_a_body_that_is_no_form_with_photos_may_be_a_megabyte(server: Server) -> None:
    body = b'{"login": "olga", "password": "' + b"x" * 1_000_000 + b'"}'

    answer = server.visitor().post("/api/v1/session", data=body, content_type="application/json")

    assert answer.status_code == 413
    assert "1,000,000 bytes" in answer.get_json()["detail"]
