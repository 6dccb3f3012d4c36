"""Similar photos, floras, species and the atlas, on phone and desktop, with and without scripts."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, Route, expect

from tests.pages.conftest import Opener, Site, violations


@pytest.mark.usefixtures("built")
def test_similar_photos_scroll_on_and_each_is_searched_by(visit: Opener, width: str, site: Site, axe: str) -> None:
    seen = visit(width)
    seen.goto("/similar")
    assert violations(seen.page, axe) == []

    seen.page.set_input_files("#photos", site.find()[0])

    expect(seen.page.locator(".shot").first).to_be_visible()
    first = seen.page.locator(".shot").count()
    seen.page.evaluate("window.scrollTo(0, document.body.scrollHeight)")
    expect(seen.page.locator(".shot")).not_to_have_count(first)
    assert all("CC0" in words for words in seen.page.locator(".shot-credit .licence").all_text_contents())
    clipped = "(spans) => spans.filter((one) => one.scrollHeight > one.clientHeight + 1).map((one) => one.textContent)"
    assert seen.page.locator(".shot-credit > span").evaluate_all(clipped) == []
    outside = """(shots) => shots.filter((shot) => {
      const end = shot.querySelector('.licence').getBoundingClientRect().bottom;
      return end > shot.getBoundingClientRect().bottom + 1;
    }).length"""
    assert seen.page.locator(".shot").evaluate_all(outside) == 0
    assert violations(seen.page, axe) == []
    named = seen.page.locator(".shot .shot-name a").nth(2).inner_text()
    seen.page.locator(".by-this").nth(2).click()
    expect(seen.page.locator(".query-photo")).to_contain_text(named)
    expect(seen.page.locator(".shot").first).to_contain_text(named)


@pytest.mark.usefixtures("built")
def test_a_part_of_a_photo_is_searched_by(visit: Opener, site: Site) -> None:
    seen = visit()
    seen.goto("/similar")
    seen.page.set_input_files("#photos", site.find()[0])
    expect(seen.page.locator(".shot").first).to_be_visible()
    seen.page.get_by_role("button", name="Crop").click()

    with seen.page.expect_request(lambda asked: asked.method == "POST"):
        seen.page.get_by_role("button", name="Apply").click()

    expect(seen.page.locator(".shot").first).to_be_visible()


def test_similar_photos_are_filtered_and_paged_without_scripts(visit: Opener, site: Site) -> None:
    seen = visit(scripts=False)
    seen.goto("/similar")
    seen.page.set_input_files("#photos", site.find()[0])
    seen.page.select_option("#flora", "north")
    seen.page.click("#rank")
    expect(seen.page.locator(".shot")).to_have_count(40)

    with seen.page.expect_navigation():
        seen.page.get_by_role("button", name="More", exact=True).click()

    expect(seen.page.locator(".shot")).to_have_count(40)
    expect(seen.page.locator("#flora")).to_have_value("north")


FRAMES = """async () => {
  for (let frame = 0; frame < 5; frame++) await new Promise((done) => requestAnimationFrame(done));
}"""
SHIFTS = """() => {
  window.shifts = [];
  new PerformanceObserver((seen) => {
    for (const {sources} of seen.getEntries()) window.shifts.push(sources.map(({node}) => node?.className ?? ""));
  }).observe({type: "layout-shift"});
}"""


class Held:
    """Requests for an address, kept waiting until they are let go; so many go through before."""

    def __init__(self, page: Page, pattern: str, after: int = 0) -> None:
        self.waiting: list[Route] = []
        self._open = False
        self._after = after
        page.route(pattern, self.come)

    def come(self, route: Route) -> None:
        self._after -= 1
        if self._open or self._after >= 0:
            route.continue_()
        else:
            self.waiting.append(route)

    def release(self) -> None:
        self._open = True
        while self.waiting:
            self.waiting.pop().continue_()


def test_photos_of_the_grid_have_their_place_before_they_have_come(visit: Opener, site: Site) -> None:
    seen = visit(scripts=False)
    photos = Held(seen.page, "**/api/v1/photos/**")
    seen.goto("/similar")
    seen.page.set_input_files("#photos", site.find()[0])
    seen.page.click("#rank", no_wait_after=True)
    seen.page.wait_for_selector(".shot", state="attached")
    expect(seen.page.locator(".shot")).to_have_count(40)

    shapes = seen.page.locator(".shot img").evaluate_all("(all) => all.map((one) => one.width / one.height)")
    photos.release()

    assert len(shapes) == 40
    assert all(0.4 < shape < 3 for shape in shapes)


@pytest.mark.usefixtures("built")
def test_the_grid_never_shifts_when_photos_come_or_more_are_added(visit: Opener, width: str, site: Site) -> None:
    seen = visit(width)
    photos = Held(seen.page, "**/api/v1/photos/**")
    seen.goto("/similar")
    further = Held(seen.page, "**/similar", after=1)  # the first search, that is
    seen.page.set_input_files("#photos", site.find()[0])
    seen.page.wait_for_selector(".shot")
    before = seen.page.locator(".shot").count()
    seen.page.evaluate("document.querySelector('.shot-more').scrollIntoView({block: 'end'})")
    seen.page.evaluate(FRAMES)
    seen.page.evaluate(SHIFTS)

    photos.release()
    seen.wait_until(
        "[...document.querySelectorAll('.shot img')].some((one) => one.complete && one.getBoundingClientRect().top > 0)"
    )
    further.release()
    expect(seen.page.locator(".shot")).not_to_have_count(before)
    seen.page.evaluate(FRAMES)

    assert seen.page.evaluate("window.shifts") == []


@pytest.mark.usefixtures("built")
def test_every_row_of_the_grid_but_the_last_is_as_wide_as_the_page(visit: Opener, width: str, site: Site) -> None:
    seen = visit(width)
    seen.goto("/similar")
    seen.page.set_input_files("#photos", site.find()[0])
    seen.page.wait_for_selector(".shot img")

    rows: dict[float, list[float]] = {}
    boxes = seen.page.locator(".shot:not([hidden])").evaluate_all(
        "(all) => all.map((one) => one.getBoundingClientRect()).map(({top, left, right}) => [top, left, right])"
    )
    for top, left, right in boxes:
        rows.setdefault(round(top), []).extend([left, right])
    room = seen.page.locator("#grid").evaluate("(grid) => [grid.getBoundingClientRect().left, grid.clientWidth]")

    assert len(rows) > 2
    for ends in rows.values():
        assert min(ends) == pytest.approx(room[0], abs=1)
        assert max(ends) == pytest.approx(room[0] + room[1], abs=1)


@pytest.mark.usefixtures("built")
def test_photos_come_as_webp_no_larger_than_they_are_shown(visit: Opener, site: Site) -> None:
    seen, got = visit(), []
    seen.page.on("response", lambda reply: got.append(reply) if "/api/v1/photos/" in reply.url else None)
    seen.goto("/similar")
    seen.page.set_input_files("#photos", site.find()[0])
    seen.page.wait_for_selector(".shot img")
    seen.page.wait_for_load_state("networkidle")

    assert got
    assert {reply.headers["content-type"] for reply in got} == {"image/webp"}
    assert {reply.url.rpartition("size=")[2] for reply in got} <= {"160", "320"}
    assert all("immutable" in reply.headers["cache-control"] for reply in got)


@pytest.mark.usefixtures("built")
def test_floras_lie_on_a_map_and_their_species_in_a_list(visit: Opener, width: str, axe: str) -> None:
    seen = visit(width)
    seen.goto("/floras")
    expect(seen.page.locator("#map path.leaflet-interactive").first).to_be_attached()
    assert violations(seen.page, axe) == []
    seen.photograph("map")

    seen.page.get_by_role("link", name="North", exact=True).click()

    expect(seen.page.locator("#rows .row").first).to_be_visible()
    assert violations(seen.page, axe) == []
    rows = seen.page.locator("#rows .row").count()
    seen.page.select_option("#show", "missing")
    expect(seen.page.locator("#rows .row")).not_to_have_count(rows)
    expect(seen.page.locator("#rows .row:not(.missing)")).to_have_count(0)


def test_a_floras_species_are_searched_without_scripts(visit: Opener) -> None:
    seen = visit("phone", scripts=False)
    seen.goto("/floras/north")
    name = seen.page.locator(".species-table tbody a").first.inner_text()

    seen.page.fill("#q", name)
    seen.page.locator("#filters button").click()

    expect(seen.page.locator(".species-table tbody a")).to_have_text([name])


@pytest.mark.usefixtures("built")
def test_a_species_shows_photos_months_cells_and_credits(visit: Opener, width: str, axe: str) -> None:
    seen = visit(width)
    seen.goto("/floras/north?show=covered")
    seen.page.locator("#rows .row a").first.click()

    expect(seen.page.locator("h1")).to_be_visible()
    expect(seen.page.locator(".months rect.bar-share")).to_have_count(12)
    seen.page.locator("#cells-words").scroll_into_view_if_needed()
    expect(seen.page.locator("#cells path.leaflet-interactive").first).to_be_attached()
    expect(seen.page.locator(".credits")).to_contain_text("Drawings")
    assert violations(seen.page, axe) == []
    seen.page.locator(".zoomable").first.click()
    expect(seen.page.locator("dialog.compare figcaption").first).to_contain_text("CC0-1.0")
    assert violations(seen.page, axe) == []


@pytest.mark.usefixtures("built")
def test_the_atlas_moves_and_opens_a_record(visit: Opener, width: str, axe: str) -> None:
    seen = visit(width)
    seen.goto("/atlas")
    expect(seen.page.locator("#legend li").first).to_be_visible()
    assert violations(seen.page, axe) == []
    seen.page.locator(".atlas canvas").focus()
    for _ in range(9):
        seen.page.keyboard.press("+")
    seen.photograph("near")
    seen.page.keyboard.press("ArrowLeft")
    for _ in range(9):
        seen.page.keyboard.press("-")
    for _ in range(30):  # far beyond the last point: some stay in sight
        seen.page.keyboard.press("ArrowRight")
    drawn = "new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(true))))"
    assert seen.page.evaluate(drawn)
    box = seen.page.locator(".atlas canvas").bounding_box()
    assert box is not None

    found = seen.page.evaluate("""() => {
      const canvas = document.querySelector(".atlas canvas"), ratio = canvas.width / canvas.clientWidth;
      const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
      const at = [...Array(canvas.width * canvas.height).keys()].find((pixel) => pixels[4 * pixel + 3] > 0);
      return [(at % canvas.width) / ratio, Math.floor(at / canvas.width) / ratio];
    }""")
    seen.page.mouse.click(box["x"] + found[0] + 1, box["y"] + found[1] + 1)

    expect(seen.page.locator("dialog.atlas-open")).to_contain_text("CC0-1.0")
    assert violations(seen.page, axe) == []


@pytest.mark.parametrize("path", ["/", "/similar", "/floras", "/floras/north", "/atlas", "/api/v1/docs"])
def test_every_page_is_there_in_danish_and_in_the_dark(visit: Opener, axe: str, path: str) -> None:
    seen = visit("phone", locale="da-DK", color_scheme="dark")

    seen.goto(path)

    assert seen.page.locator("html").get_attribute("lang") == "da"
    assert seen.page.locator(".sections").inner_text().startswith("Bestem")
    assert violations(seen.page, axe) == []


def test_the_language_is_chosen_and_remembered(visit: Opener) -> None:
    seen = visit(scripts=False)
    seen.goto("/floras/north?show=missing")

    seen.page.get_by_role("button", name="Dansk").click()

    expect(seen.page.locator("#filters button")).to_have_text("Anvend")
    assert seen.page.url.endswith("/floras/north?show=missing")
    seen.goto("/")
    expect(seen.page.locator("h1")).to_have_text("Hvad har du fundet?")


def test_no_page_scrolls_sideways_on_a_phone(visit: Opener) -> None:
    seen = visit("phone")
    for path in ("/", "/similar", "/floras", "/floras/north", "/atlas"):
        seen.goto(path)

        assert seen.page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), path


def test_files_are_kept_for_ever_under_the_names_of_their_content(visit: Opener) -> None:
    seen = visit(scripts=False)

    with seen.page.expect_response(lambda answer: "/assets/fungarium-" in answer.url) as styles:
        seen.goto("/")

    assert "immutable" in styles.value.headers["cache-control"]
    assert re.search(r"/assets/fungarium-\w{8,10}\.", styles.value.url)
