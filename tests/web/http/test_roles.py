"""The permissions of every route by role; a route missing in the table fails."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from database.session import open_database, upgrade
from tests.snapshots import Made
from tests.web.conftest import make_app
from tests.web.people import Server, close, serve
from web.services import Policy

CALLERS = (
    "nobody",
    "read key",
    "identify key",
    "write key",
    "validate key",
    "observer's key",
    "expert's key",
    "administrator's key",
    "observer",
    "expert",
    "administrator",
    "wrong key",
)
EVERYBODY = frozenset(CALLERS)
"""For routes that look at no key at all."""

KNOWN = EVERYBODY - {"nobody", "wrong key"}
WHOLE = {"observer's key", "expert's key", "administrator's key", "observer", "expert", "administrator"}
SIGNED_IN = frozenset({"observer", "expert", "administrator"})
ANYBODY = EVERYBODY - {"wrong key"}
READS = frozenset({"nobody", "read key"} | WHOLE)
IDENTIFIES = frozenset({"nobody", "identify key"} | WHOLE)  # open by default; see the test of `keyed` below
WRITES = frozenset({"write key"} | WHOLE)
VALIDATES = frozenset({"validate key"} | WHOLE)
EXPERTS = frozenset({"expert's key", "administrator's key", "expert", "administrator"})
ADMINISTERS = frozenset({"administrator's key", "administrator"})

ROUTES: dict[str, frozenset[str]] = {
    # pages
    "GET /": EVERYBODY,
    "POST /": IDENTIFIES,
    "GET /answers/<string:name>": EVERYBODY,  # who knows the link
    "GET /answers/<string:name>/photos/<int:number>": EVERYBODY,
    "POST /feedback": EVERYBODY,  # who has an answer; nothing is done in anybody's name
    "GET /similar": EVERYBODY,  # the form; a search by a reference asks for leave
    "POST /similar": IDENTIFIES,
    "GET /floras": EVERYBODY,
    "GET /floras/areas.json": EVERYBODY,
    "GET /floras/<string:flora>": EVERYBODY,
    "GET /floras/<string:flora>/species.json": EVERYBODY,
    "GET /species/<int(max=9223372036854775807):species>": EVERYBODY,
    "GET /species/<int(max=9223372036854775807):species>/cells.json": EVERYBODY,
    "GET /atlas": EVERYBODY,
    "GET /atlas/photos.json": EVERYBODY,
    "GET /atlas/<string:flora>/names.json": EVERYBODY,
    "GET /atlas/<string:flora>/points.bin": EVERYBODY,
    "POST /language": EVERYBODY,
    "GET /assets/<string:name>": EVERYBODY,
    "GET /static/<path:filename>": EVERYBODY,
    "GET /healthz": EVERYBODY,
    "GET /readyz": EVERYBODY,
    "GET /metrics": EVERYBODY,  # from where `FUNGARIUM_METRICS` says
    # pages of observations, of accounts and of administration
    "GET /sign-in": EVERYBODY,
    "POST /sign-in": EVERYBODY,
    "POST /sign-out": SIGNED_IN,
    "GET /invitations/<string:token>": EVERYBODY,  # who knows the link
    "POST /invitations/<string:token>": EVERYBODY,
    "GET /new-password/<string:token>": EVERYBODY,
    "POST /new-password/<string:token>": EVERYBODY,
    "GET /forgotten-password": EVERYBODY,
    "POST /forgotten-password": EVERYBODY,
    "POST /me/mail": SIGNED_IN,
    "POST /administration/invitations": ADMINISTERS,
    "POST /administration/links/<int(max=2147483647):link>/revoke": ADMINISTERS,
    "POST /administration/people/<int(max=2147483647):person>/reset-link": ADMINISTERS,
    "GET /me": SIGNED_IN,
    "POST /me": SIGNED_IN,
    "POST /me/password": SIGNED_IN,
    "GET /me/keys": SIGNED_IN,
    "POST /me/keys": SIGNED_IN,
    "POST /me/keys/<int(max=2147483647):key>/revoke": SIGNED_IN,
    "GET /observations": READS,
    "GET /observations/near": READS,
    "GET /observations/mine": SIGNED_IN,
    "GET /observations/new": WRITES,
    "POST /observations/new": WRITES,
    "GET /observations/<string:key>": READS,
    "GET /observations/<string:key>/edit": WRITES,
    "POST /observations/<string:key>/edit": WRITES,
    "POST /observations/<string:key>/aspects": WRITES,
    "POST /observations/<string:key>/photos": WRITES,
    "POST /observations/<string:key>/photos/<string:sha256>/remove": WRITES,
    "GET /observations/<string:key>/remove": WRITES,
    "POST /observations/<string:key>/remove": WRITES,
    "POST /observations/<string:key>/verdicts": VALIDATES,
    "GET /validate": VALIDATES,
    "GET /administration": ADMINISTERS,
    "GET /administration/snapshots": ADMINISTERS,
    "GET /administration/snapshots/<string:name>": ADMINISTERS,
    "GET /administration/snapshots/<string:name>/report": ADMINISTERS,
    "GET /administration/snapshots/<string:name>/publish": ADMINISTERS,
    "POST /administration/snapshots/<string:name>/publish": ADMINISTERS,
    "GET /administration/roll-back": ADMINISTERS,
    "POST /administration/roll-back": ADMINISTERS,
    "GET /administration/publications/<string:name>": ADMINISTERS,
    "GET /administration/imports": ADMINISTERS,
    "GET /administration/imports/<int(max=2147483647):run>": ADMINISTERS,
    "GET /administration/people": ADMINISTERS,
    "POST /administration/people": ADMINISTERS,
    "GET /administration/people/<int(max=2147483647):person>": ADMINISTERS,
    "POST /administration/people/<int(max=2147483647):person>": ADMINISTERS,
    "POST /administration/people/<int(max=2147483647):person>/keys/<int(max=2147483647):key>": ADMINISTERS,
    "GET /administration/model": ADMINISTERS,
    # API v1: the published snapshot
    "GET /api/v1/": EVERYBODY,
    "GET /api/v1/docs": EVERYBODY,
    "GET /api/v1/openapi.json": EVERYBODY,
    "GET /api/v1/floras": EVERYBODY,
    "GET /api/v1/floras/<string:flora>": EVERYBODY,
    "GET /api/v1/floras/<string:flora>/species": EVERYBODY,
    "GET /api/v1/species/<int(max=9223372036854775807):species>": EVERYBODY,
    "GET /api/v1/taxa": EVERYBODY,
    "GET /api/v1/photos/<string:sha256>": EVERYBODY,
    "POST /api/v1/identify": IDENTIFIES,
    "POST /api/v1/identify/batch": IDENTIFIES,
    "POST /api/v1/similar": IDENTIFIES,
    # observations and what is said of them
    "GET /api/v1/observations": READS,
    "POST /api/v1/observations": WRITES,
    "GET /api/v1/observations/<string:key>": READS,
    "PATCH /api/v1/observations/<string:key>": WRITES,
    "DELETE /api/v1/observations/<string:key>": WRITES,
    "POST /api/v1/observations/<string:key>/photos": WRITES,
    "GET /api/v1/observations/<string:key>/photos/<string:sha256>": READS,
    "DELETE /api/v1/observations/<string:key>/photos/<string:sha256>": WRITES,
    "GET /api/v1/observations/<string:key>/verdicts": READS,
    "POST /api/v1/observations/<string:key>/verdicts": VALIDATES,
    "DELETE /api/v1/observations/<string:key>/verdicts": VALIDATES,
    "PUT /api/v1/observations/<string:key>/approval": EXPERTS,
    "DELETE /api/v1/observations/<string:key>/approval": EXPERTS,
    "GET /api/v1/suggestions/fates": EXPERTS,
    "GET /api/v1/exports/": EVERYBODY,
    "GET /api/v1/exports/<string:name>": EVERYBODY,
    "POST /api/v1/similar/embeddings": IDENTIFIES,
    "GET /api/v1/similar/<string:photo>": IDENTIFIES,
    "POST /api/v1/embeddings": IDENTIFIES,
    # contracts of others
    "GET /api/contracts/openapi.json": EVERYBODY,
    "POST /v2/identify/<string:project>": IDENTIFIES,
    "GET /v2/identify/<string:project>": IDENTIFIES,
    "POST /v2/survey/tiles/<string:project>": IDENTIFIES,
    "POST /v2/cost/survey/<string:project>": EVERYBODY,
    "GET /v2/cost/survey/<string:project>": EVERYBODY,
    "POST /v2/embeddings": IDENTIFIES,
    "GET /v2/diseases": EVERYBODY,
    "GET /v2/varieties": EVERYBODY,
    "POST /v2/varieties/identify": EVERYBODY,
    "POST /v2/diseases/identify": EVERYBODY,
    "GET /v2/projects": EVERYBODY,
    "GET /v2/projects/<string:project>/species": EVERYBODY,
    "GET /v2/projects/<string:project>/species/align": EVERYBODY,
    "GET /v2/species": EVERYBODY,
    "GET /v2/languages": EVERYBODY,
    "GET /v2/_status": EVERYBODY,
    "GET /v2/quota": ANYBODY,
    "GET /v2/quota/daily": ANYBODY,
    "GET /v2/quota/history": ANYBODY,
    "GET /v2/subscription": ANYBODY,
    "POST /c4c/identify": IDENTIFIES,
    "GET /c4c/identify": IDENTIFIES,
    "GET /c4c/taxa": EVERYBODY,
    "GET /c4c/status": EVERYBODY,
    "GET /c4c/help": EVERYBODY,
    "POST /v1/computervision/score_image": IDENTIFIES,
    "POST /v2/computervision/score_image": IDENTIFIES,
    "GET /v1/computervision/score_observation/<string:key>": READS & IDENTIFIES,
    "GET /v1/taxa/autocomplete": EVERYBODY,
    "GET /v1/taxa/<string:ids>": EVERYBODY,
    "POST /api/imagevision": IDENTIFIES,
    # people, keys, quotas
    "GET /api/v1/session": ANYBODY,
    "POST /api/v1/session": EVERYBODY,
    "DELETE /api/v1/session": SIGNED_IN,
    "PUT /api/v1/session/password": SIGNED_IN,
    "PATCH /api/v1/session/person": SIGNED_IN,
    "GET /api/v1/quota": ANYBODY,
    "GET /api/v1/quota/history": READS,
    "GET /api/v1/keys": SIGNED_IN,
    "POST /api/v1/keys": SIGNED_IN,
    "DELETE /api/v1/keys/<int(max=2147483647):key>": SIGNED_IN,
    "GET /api/v1/people": ADMINISTERS,
    "POST /api/v1/people": ADMINISTERS,
    "PATCH /api/v1/people/<int(max=2147483647):person>": ADMINISTERS,
}
"""Each route with the callers that are let in. Everybody else is answered 401 or 403 before anything is read."""

HOW = """
{route} is not in the table of roles and routes. Who may ask for it?
Add a line to ROUTES in tests/web/http/test_roles.py, with one of EVERYBODY, ANYBODY, READS, IDENTIFIES, WRITES,
VALIDATES, SIGNED_IN or ADMINISTERS, and put @require("...") of web.http.access first below the route if not all may.
"""


@pytest.fixture(scope="module")
def table_server(made: Made, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for the whole table: no request of it gets as far as changing anything."""
    url = f"sqlite:///{tmp_path_factory.mktemp('table') / 'table.sqlite'}"
    upgrade(url)
    with open_database(url) as database:
        server = serve(database, made.root, photos_at=tmp_path_factory.mktemp("photos"))
        yield server
        close(server)


def routes(app: Flask) -> list[str]:
    """`METHOD RULE` of every route; Flask answers HEAD and OPTIONS itself."""
    return sorted(
        f"{method} {rule.rule}"
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    )


@pytest.fixture(scope="module")
def any_app(made: Made) -> Flask:
    """An application to read routes from."""
    return make_app(made.root, made.photos)


def test_every_route_is_in_the_table_and_nothing_else(any_app: Flask) -> None:
    there = routes(any_app)

    for route in there:
        assert route in ROUTES, HOW.format(route=route)
    assert sorted(ROUTES) == there, "the table speaks of routes that are gone: remove their lines"


@pytest.fixture
def system() -> str:
    """One is enough here: what differs between the two is tested in tests/database."""
    return "sqlite"


def ask(server: Server, route: str) -> Callable[[str], TestResponse]:
    """Asks for a route as one caller or another, with nothing in the request that could be done."""
    method, _, rule = route.partition(" ")
    path = re.sub(r"<[^>]*>", "987654", rule)
    browsers = {login: server.signed_in(login) for login in ("olga", "erna", "ada")}
    logins = {"observer": "olga", "expert": "erna", "administrator": "ada"}

    def answer(caller: str) -> TestResponse:
        request: dict[str, Any] = {"method": method, "headers": {}}
        client = server.visitor()
        if caller in logins:
            client = browsers[logins[caller]].client
            request["headers"] = browsers[logins[caller]].token
        elif caller == "wrong key":
            request["headers"] = {"X-API-Key": "fungarium_" + "x" * 43}
        elif caller.endswith("'s key"):
            request["headers"] = server.key(logins[caller.removesuffix("'s key")])
        elif caller != "nobody":
            request["headers"] = server.key("olga", caller.removesuffix(" key"))
        return client.open(path, **request)

    return answer


@pytest.mark.parametrize("route", sorted(ROUTES))
def test_a_route_lets_in_whom_the_table_names(table_server: Server, route: str) -> None:
    answer = ask(table_server, route)

    statuses = {caller: answer(caller).status_code for caller in CALLERS}  # in this order: the last may sign out

    let_in = {caller for caller, status in statuses.items() if status not in (401, 403)}
    assert let_in == ROUTES[route], statuses
    assert not {caller for caller, status in statuses.items() if status >= 500}, statuses
    refused = {caller: 401 if caller in ("nobody", "wrong key") else 403 for caller in EVERYBODY - ROUTES[route]}
    if ROUTES[route] != SIGNED_IN:  # where a key is no session, whatever it opens
        assert {caller: statuses[caller] for caller in refused} == refused


@pytest.mark.parametrize("route", [route for route, callers in ROUTES.items() if callers == IDENTIFIES])
def test_where_identifying_is_keyed_nobody_in_particular_is_let_in(start: Callable[..., Server], route: str) -> None:
    answer = ask(start(policy=Policy(identify_open=False)), route)

    assert answer("nobody").status_code == 401
    assert answer("read key").status_code == 403
    assert answer("identify key").status_code not in (401, 403)
