"""What a page of another origin asks from a browser: iNaturalist's own library, request by request.

The library is not on npm under its name. These are the requests that inaturalistjs 2.21 makes, header by header:
an upload carries `Access-Control-Allow-Methods` and `X-Via`, and a long question is a POST that says it is a GET.
"""

from __future__ import annotations

import threading
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from playwright.sync_api import Browser, Page
from werkzeug.serving import make_server

from tests.snapshots import MUSCARIA, draw_photo, make_snapshot
from tests.web.conftest import make_app

LIBRARY = """
({ api, photo, token }) => {
  const methods = { "Access-Control-Allow-Methods": "GET, POST, OPTIONS, PUT, DELETE, HEAD" };
  const via = { Accept: "application/json", "X-Via": "inaturalistjs" };
  const json = { "Content-Type": "application/json" };
  const signed = token ? { Authorization: token } : {};
  const bytes = Uint8Array.from(atob(photo), (sign) => sign.charCodeAt(0));
  const ask = async (route, options) => {
    try {
      const answer = await fetch(`${api}/${route}`, options);
      return { status: answer.status, body: await answer.json() };
    } catch (error) {
      return { status: 0, body: String(error) };
    }
  };
  window.inaturalist = {
    upload: (route, values, withPhoto) => {
      const body = new FormData();
      if (withPhoto) body.append("image", new Blob([bytes], { type: "image/jpeg" }));
      for (const [name, value] of Object.entries(values)) body.append(name, value);
      return ask(route, { method: "post", headers: { ...via, ...methods, ...signed }, body });
    },
    fetch: (route) => ask(route, { headers: { ...json, ...signed } }),
    get: (route) => ask(route, { headers: { ...via, ...json, ...signed } }),
    getLong: (route, values) => {
      const headers = { ...via, ...json, ...methods, ...signed, "X-HTTP-Method-Override": "GET" };
      return ask(route, { method: "post", headers, body: JSON.stringify(values) });
    },
  };
}
"""

Ask = Callable[[str], dict[str, Any]]


@contextmanager
def listening(app: Any) -> Iterator[str]:
    """A WSGI application on a port of this machine; its origin."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def blank(_: Any, start_response: Any) -> Iterable[bytes]:
    """A page of somebody else."""
    start_response("200 OK", [("Content-Type", "text/html")])
    return [b"<!doctype html><title>Somebody else's page</title>"]


@pytest.fixture(scope="module")
def origins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str, str]]:
    """A page that may ask, one that may not, and the server that is asked."""
    made = make_snapshot(tmp_path_factory.mktemp("flora_indexes"))
    with listening(blank) as allowed, listening(blank) as stranger:
        app = make_app(made.root, made.photos, cors_origins=(allowed,))
        with listening(app) as api:
            yield allowed, stranger, f"{api}/v1"
        app.extensions["services"].published.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context()
    yield context.new_page()
    context.close()


def open_library(page: Page, origin: str, api: str, token: str = "") -> Ask:
    """Open a page, and give it the library's ways of asking."""
    page.goto(origin)
    photo = b64encode(draw_photo(MUSCARIA, 7)).decode()
    page.evaluate(LIBRARY, {"api": api, "photo": photo, "token": token})

    def ask(call: str) -> dict[str, Any]:
        answer: dict[str, Any] = page.evaluate(f"inaturalist.{call}")
        return answer

    return ask


@pytest.mark.parametrize("token", ["", "eyJhbGciOiJIUzUxMiJ9.e30.c2lnbmF0dXJl"], ids=["nobody", "token"])
def test_inaturalists_library_is_answered_on_a_page_of_another_origin(
    page: Page, origins: tuple[str, str, str], token: str
) -> None:
    allowed, _, api = origins
    ask = open_library(page, allowed, api, token)

    place = '{"lat": "56.1", "lng": "10.2", "observed_on": "2024-09-10", "locale": "da", "taxon_id": "47170"}'
    scored = ask(f'upload("computervision/score_image", {place}, true)')
    bare = ask('upload("computervision/score_image", {"lat": "", "lng": "", "observed_on": ""}, true)')
    missing = ask('upload("computervision/score_image", {}, false)')
    taxa = ask('fetch("taxa/11,4")')
    names = ask('get("taxa/autocomplete?q=aman&per_page=3")')
    long = ask('getLong("taxa/autocomplete", {"q": "aman", "per_page": 3, "fields": {"name": true}})')
    gone = ask('get("computervision/score_observation/1")')

    assert (scored["status"], scored["body"]["results"][0]["taxon"]["name"]) == (200, "Amanita muscaria")
    assert scored["body"]["results"][0]["taxon"]["preferred_common_name"] == "rød fluesvamp"
    assert (bare["status"], bare["body"]["results"][0]["taxon"]["id"]) == (200, MUSCARIA)
    assert (missing["status"], missing["body"]["status"]) == (422, 422)
    assert (taxa["status"], [taxon["id"] for taxon in taxa["body"]["results"]]) == (200, [11, 4])
    assert (names["status"], len(names["body"]["results"])) == (200, 3)
    assert long == names
    assert (gone["status"], gone["body"]["status"]) == (503, 503)  # it has no database: the page can read that, too


def test_the_library_is_refused_on_a_page_that_nobody_allowed(page: Page, origins: tuple[str, str, str]) -> None:
    _, stranger, api = origins
    ask = open_library(page, stranger, api)

    answers = [
        ask('upload("computervision/score_image", {}, true)'),
        ask('fetch("taxa/11")'),
        ask('getLong("taxa/autocomplete", {"q": "aman"})'),
    ]

    assert [answer["status"] for answer in answers] == [0, 0, 0]
    assert all("Failed to fetch" in answer["body"] for answer in answers)
