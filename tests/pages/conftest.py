"""A small drawn collection behind the real application, and Chromium to test it with.

Chromium is Debian's, found by name; nothing is downloaded. Where it or Playwright or the built scripts are missing, the
tests that need them are skipped and say what to do. Every page that a test leaves is photographed into `screenshots/`.
"""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect, sync_playwright
from werkzeug.serving import make_server

from evaluation.specimens.collection import draw_collection
from fungarium.cli import main
from settings import Settings
from web.application import create_app
from web.services import make_services

ROOT = Path(__file__).resolve().parents[2]
FRONTEND = ROOT / "web" / "frontend"
SCREENSHOTS = ROOT / "screenshots"
SPECIES = 6
SEED = 3
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
WIDTHS = {"phone": {"width": 390, "height": 844}, "desktop": {"width": 1280, "height": 900}}
PATIENCE = 30_000  # milliseconds for anything at all on a busy machine


@dataclass(frozen=True)
class Site:
    """The pages as they are served, and the finds that the index has not seen."""

    address: str
    settings: Settings
    finds: Path

    def find(self, number: int = 1) -> list[Path]:
        """The photos of a find."""
        return sorted((self.finds / f"find-{number:02}").glob("*.jpg"))


@pytest.fixture(scope="session")
def published(tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, Path]:
    """A drawn collection, imported, built, calibrated and published, by the commands that people use."""
    given = os.environ.get("PAGES_SITE")  # a folder to keep the collection in, so that working on pages is quick
    folder = Path(given) if given else tmp_path_factory.mktemp("site")
    drawn = draw_collection(folder / "drawn", seed=SEED, species=SPECIES).folder
    settings = Settings(data=folder / "data", flora_indexes=folder / "flora_indexes")
    if (settings.flora_indexes / "CURRENT").exists():
        return settings, drawn / "held_out"
    kept = dict(os.environ)
    os.environ.update(FUNGARIUM_DATA=str(settings.data), FUNGARIUM_FLORA_INDEXES=str(settings.flora_indexes))
    try:
        run("collection import dwca", str(drawn / "archive"), "--dataset drawings --title Drawings")
        for region in ("north", "south"):
            run("collection checklist import", str(drawn / "checklists" / region), f"--id {region} --title {region}")
            run(f"collection flora add {region} --title {region.title()} --checklist {region}")
        for command in ("embed", "build", "publish"):
            run(f"index {command}")
        run("evaluate calibrate")
        run("index publish")
    finally:
        os.environ.clear()
        os.environ.update(kept)
    return settings, drawn / "held_out"


def run(*words: str) -> None:
    """Run a command in this process; words with a blank are several, but for paths."""
    listed = [part for word in words for part in ([word] if "/" in word else word.split())]
    assert main(listed) == 0, listed


@pytest.fixture(scope="session")
def site(published: tuple[Settings, Path]) -> Iterator[Site]:
    """The application on a port of this machine, in threads of this process."""
    settings, finds = published
    app = create_app(make_services(settings))
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield Site(f"http://127.0.0.1:{server.server_port}", settings, finds)
    server.shutdown()
    thread.join()
    server.server_close()
    app.extensions["services"].published.close()


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Debian's Chromium without a window."""
    found = shutil.which("chromium")
    if found is None:
        pytest.skip("no Chromium: apt-get install chromium")
    expect.set_options(timeout=PATIENCE)
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=found, args=list(FLAGS))
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def built() -> None:
    """The scripts, without which there is nothing to test of them."""
    if not (ROOT / "web" / "static" / "built" / "manifest.json").exists():
        pytest.skip("the scripts have not been built: make pages")


@pytest.fixture(params=WIDTHS)
def width(request: pytest.FixtureRequest) -> str:
    """A phone and a desk."""
    return str(request.param)


@dataclass
class Visit:
    """A page in a context of its own, with all that it complained of."""

    page: Page
    site: Site
    name: str
    complaints: list[str]
    tolerated: str = ""  # words of a complaint that the test itself has caused

    def goto(self, path: str) -> None:
        """Open a page of the site."""
        self.page.goto(self.site.address + path)

    def wait_until(self, script: str) -> None:
        """Ask until a script says yes. Playwright's own way is evaluated by the page, whose policy forbids it."""
        ends = time.monotonic() + PATIENCE / 1000
        while not self.page.evaluate(script):
            assert time.monotonic() < ends, f"it did not come: {script}"
            self.page.wait_for_timeout(50)

    def photograph(self, name: str) -> None:
        """Keep a picture for people to look at."""
        SCREENSHOTS.mkdir(exist_ok=True)
        self.page.screenshot(path=SCREENSHOTS / f"{self.name}-{name}.png", full_page=True)


Opener = Callable[..., Visit]


@pytest.fixture
def visit(browser: Browser, site: Site, request: pytest.FixtureRequest) -> Iterator[Opener]:
    """Open a page at a width, with or without scripts; afterwards no script and no policy may have complained."""
    opened: list[tuple[BrowserContext, Visit]] = []

    def make(width: str = "desktop", *, scripts: bool = True, **options: Any) -> Visit:
        context = browser.new_context(
            viewport=WIDTHS[width],  # type: ignore[arg-type]
            java_script_enabled=scripts,
            locale=options.pop("locale", "en-GB"),
            reduced_motion="reduce",
            **options,
        )
        context.set_default_timeout(PATIENCE)
        page = context.new_page()
        name = request.node.name.split("[")[0].removeprefix("test_")[:60]
        visit = Visit(page, site, f"{name}-{width}", [])

        def heard(message: ConsoleMessage) -> None:
            if message.type in {"error", "warning"} and "status of" not in message.text:
                visit.complaints.append(message.text)

        page.on("console", heard)
        page.on("pageerror", lambda error: visit.complaints.append(str(error)))
        page.on("requestfailed", lambda asked: visit.complaints.extend(foreign(asked.url, site)))
        page.on("request", lambda asked: visit.complaints.extend(foreign(asked.url, site)))
        opened.append((context, visit))
        return visit

    yield make
    for context, visited in opened:
        visited.photograph("end")
        visited.complaints.extend(too_wide(visited.page))
        context.close()
        tolerated = visited.tolerated or "nothing at all"
        assert [complaint for complaint in visited.complaints if tolerated not in complaint] == []


def too_wide(page: Page) -> list[str]:
    """Whether a page can be pushed sideways: what is too wide has a place of its own to scroll in."""
    wide, room = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
    return [f"{page.url} is {wide} pixels wide on {room}"] if wide > room else []


def foreign(address: str, site: Site) -> list[str]:
    """An address that is not of the site's own."""
    return [] if address.startswith((site.address, "data:", "blob:")) else [f"asked for {address}"]


@pytest.fixture(scope="session")
def axe() -> str:
    """The checker of accessibility, from the packages that the scripts are built with."""
    path = FRONTEND / "node_modules" / "axe-core" / "axe.min.js"
    if not path.exists():
        pytest.skip("axe-core is not installed: make pages")
    return path.read_text(encoding="utf-8")


def violations(page: Page, axe: str) -> list[str]:
    """What is wrong with a page by the rules of WCAG 2.2 AA and good practice; injected past the page's policy."""
    session = page.context.new_cdp_session(page)
    asked = axe + ";axe.run(document, {resultTypes: ['violations']}).then((found) => JSON.stringify(found.violations))"
    answer = session.send("Runtime.evaluate", {"expression": asked, "awaitPromise": True, "returnByValue": True})
    found = json.loads(answer["result"]["value"])
    return [f"{each['id']}: {each['help']}, {[node['target'] for node in each['nodes']][:3]}" for each in found]
