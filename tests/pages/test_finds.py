"""Two finds never mix, and nothing that somebody picked or typed is lost on the way."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, Route, expect

from tests.pages.conftest import Opener, Visit, too_wide, violations
from tests.pages.people import Populated, name_of, populated, sign_in
from tests.pages.test_identify import choose, genus_of, wait_for_the_shelf
from tests.web.people import PASSWORD

__all__ = ["populated"]


SENT_ASPECTS = """
window.sentAspects = [];
const send = XMLHttpRequest.prototype.send;
XMLHttpRequest.prototype.send = function (form) {
  window.sentAspects.push(form.getAll("aspects"));
  send.call(this, form);
};"""


def rank(seen: Visit) -> None:
    """Identify what is in the tray, and wait for the answer."""
    seen.page.click("#rank")
    expect(seen.page.locator("#answer-title")).to_be_focused()


@pytest.mark.usefixtures("built")
def test_two_finds_never_mix(visit: Opener, width: str, axe: str) -> None:
    seen = visit(width)
    page, site = seen.page, seen.site
    seen.goto("/")
    first = choose(page, site)
    expect(page.locator(".tile")).to_have_count(first)
    rank(seen)
    more = site.find(2)

    page.set_input_files("#photos", more)
    expect(page.locator("dialog.question")).to_be_visible()
    assert violations(page, axe) == []
    page.get_by_role("button", name="Cancel").last.click()
    expect(page.locator("dialog")).to_have_count(0)
    expect(page.locator(".tile")).to_have_count(first)
    expect(page.locator("#answer-title")).to_be_visible()

    page.set_input_files("#photos", more[:1])
    page.get_by_role("button", name="Yes, add it").click()
    expect(page.locator(".tile")).to_have_count(first + 1)
    expect(page.locator(".previews img")).to_have_count(first)
    page.set_input_files("#answer-tools input[type=file]", more[1:2])  # what "Add photos to this one" opens
    expect(page.locator(".tile")).to_have_count(first + len(more[:2]))
    expect(page.locator("#rank")).to_have_text("Identify again")

    page.set_input_files("#photos", more)
    page.get_by_role("button", name="No, identify another").click()
    expect(page.locator(".tile")).to_have_count(len(more))
    expect(page.locator("#answer-title")).to_have_count(0)
    rank(seen)
    page.get_by_role("button", name="Share", exact=True).click()
    expect(page.locator(".kept a")).to_be_visible()
    wait_for_the_shelf(seen)
    kept = page.url
    assert "/answers/" in kept

    page.reload()
    expect(page.locator(".restored")).to_contain_text("earlier visit")
    expect(page.locator(".tile")).to_have_count(len(more))
    assert violations(page, axe) == []
    page.get_by_role("button", name="Remove: Your photo 1").click()
    rank(seen)
    assert page.url == f"{site.address}/"  # the link shows what it was made for, and this is another answer
    page.get_by_role("link", name="New identification").click()
    expect(page.locator("#answer-title")).to_have_count(0)
    expect(page.locator(".tile")).to_have_count(0)
    seen.goto(kept.removeprefix(site.address))
    expect(page.locator("#answer-title")).to_be_visible()
    expect(page.locator(".tile")).to_have_count(0)


@pytest.mark.usefixtures("built")
def test_photos_of_an_earlier_visit_are_discarded_on_request(visit: Opener) -> None:
    seen = visit("phone")
    seen.goto("/")
    choose(seen.page, seen.site)
    rank(seen)
    wait_for_the_shelf(seen)
    seen.page.reload()

    seen.page.get_by_role("button", name="Discard").click()

    expect(seen.page.locator(".tile")).to_have_count(0)
    expect(seen.page.locator("#answer-title")).to_have_count(0)
    seen.page.reload()
    expect(seen.page.locator("form.enhanced")).to_be_visible()
    expect(seen.page.locator(".restored")).to_have_count(0)


@pytest.mark.usefixtures("built")
def test_what_is_said_of_some_photos_is_sent_and_what_is_guessed_is_not(visit: Opener) -> None:
    seen = visit()
    page = seen.page
    page.add_init_script(SENT_ASPECTS)
    held: list[Route] = []
    page.route("**/assets/identify-*.js", lambda route: held.append(route))
    seen.page.goto(seen.site.address, wait_until="commit")
    photos = choose(page, seen.site)  # before the script is there
    while not held:
        page.wait_for_timeout(20)
    held[0].continue_()
    page.unroute_all()
    expect(page.locator(".tile")).to_have_count(photos)
    page.locator(".tile select").first.select_option("cap")

    for _ in range(2):  # the second time there are guesses for the others
        rank(seen)
        assert page.evaluate("window.sentAspects.pop()") == ["cap"] + [""] * (photos - 1)

    page.locator(".languages button[lang=de]").click()
    expect(page.locator("html")).to_have_attribute("lang", "de")
    expect(page.locator(".tile")).to_have_count(photos)
    expect(page.locator("#answer-title")).to_contain_text(genus_of(seen.site))  # asked again in German
    expect(page.locator("#save-find")).to_have_text("Als Beobachtung speichern")
    assert page.locator(".tile select").first.input_value() == "cap"


@pytest.mark.usefixtures("built")
def test_a_closed_section_opens_for_what_is_wrong_in_it_and_sending_can_be_cancelled(visit: Opener) -> None:
    seen = visit("phone")
    page = seen.page
    seen.goto("/")
    photos = choose(page, seen.site)
    expect(page.locator(".tile")).to_have_count(photos)
    more = page.locator("#more")
    more.locator("summary").click()
    page.fill("#latitude", "60,5")
    page.fill("#longitude", "9,25")
    page.locator("#date").press("1")  # half a date
    expect(page.locator(".proposal")).to_contain_text("North")  # understood with its comma
    more.locator("summary").click()
    page.click("#rank")
    expect(page.locator("#date")).to_be_visible()
    page.locator("#date").press("Backspace")
    page.fill("#known", "Nothing of that name")
    more.locator("summary").click()
    page.click("#rank")
    expect(page.locator("#trouble")).to_contain_text("not a known genus")
    expect(page.locator("#known")).to_be_visible()
    page.fill("#known", "")

    held: list[Route] = []
    page.route("**/", lambda route: held.append(route))
    page.click("#rank")
    page.locator("#progress button").click()
    expect(page.locator("#trouble")).to_contain_text("Cancelled")
    page.clock.install()
    page.click("#rank")
    while len(held) < 2:
        page.wait_for_timeout(20)
    page.clock.fast_forward("04:00")
    expect(page.locator("#trouble")).to_contain_text("No response")
    expect(page.locator(".tile")).to_have_count(photos)
    page.unroute_all()
    rank(seen)


@pytest.mark.usefixtures("built")
def test_photos_are_compared_with_two_fingers_and_swipes_and_back_closes(visit: Opener, axe: str) -> None:
    seen = visit("phone", has_touch=True)
    page = seen.page
    seen.goto("/")
    choose(page, seen.site)
    rank(seen)
    address = page.url
    page.locator(".candidate summary").first.click()
    page.locator(".candidate").first.locator(".reference .zoomable").first.click()
    dialog = page.locator("dialog.compare")
    expect(dialog.locator("figcaption").last).to_contain_text("CC0-1.0")
    assert violations(page, axe) == []
    shown = dialog.locator("img").last
    before = shown.get_attribute("src")
    box = dialog.locator(".compare-pane").last.bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2

    touch(page, [(x - 10, y), (x + 10, y)], [(x - 40, y), (x + 40, y)])
    assert scale_of(page) > 2
    touch(page, [(x - 60, y), (x + 60, y)], [(x - 5, y), (x + 5, y)])
    assert scale_of(page) == 1
    touch(page, [(x + 50, y)], [(x - 50, y)])
    seen.wait_until(f"document.querySelectorAll('dialog.compare img')[1]?.getAttribute('src') !== {before!r}")
    expect(dialog.locator("figcaption").last).to_contain_text("CC0-1.0")

    page.go_back()

    expect(dialog).to_have_count(0)
    assert page.url == address
    expect(page.locator("#answer-title")).to_be_visible()


def touch(page: Page, start: list[tuple[float, float]], end: list[tuple[float, float]]) -> None:
    """Put fingers down, move them in five steps, and lift them."""
    session = page.context.new_cdp_session(page)
    steps = [
        [{"x": a[0] + (b[0] - a[0]) * part / 5, "y": a[1] + (b[1] - a[1]) * part / 5, "id": number}
         for number, (a, b) in enumerate(zip(start, end, strict=True))]
        for part in range(6)
    ]  # fmt: skip
    session.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": steps[0]})
    for points in steps[1:]:
        session.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": points})
    session.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})


def scale_of(page: Page) -> float:
    """How often the photos of the comparison are magnified."""
    style = page.locator("dialog.compare img").last.evaluate("(picture) => picture.style.transform")
    return float(re.findall(r"scale\(([\d.]+)\)", style)[0])


@pytest.mark.usefixtures("built")
def test_whoever_is_signed_out_while_recording_signs_in_and_goes_on(visit: Opener, populated: Populated) -> None:
    seen = visit("phone")
    page = seen.page
    sign_in(seen, "olga", "/observations/new")
    photos = populated.site.find()
    page.set_input_files("#photos", photos)
    expect(page.locator(".tile")).to_have_count(len(photos))
    page.locator(".tile select").first.select_option("hymenium")
    page.fill("#remarks", "Smells of aniseed")
    page.fill("#name", name_of(populated.site))
    page.select_option("#licence", "CC0-1.0")
    page.context.clear_cookies()

    page.click("#save")
    page.get_by_role("button", name="Sign in and continue").click()
    page.fill("#login", "olga")
    page.fill("#password", PASSWORD)
    page.get_by_role("button", name="Sign in").click()

    expect(page.locator(".tile")).to_have_count(len(photos))
    assert page.input_value("#remarks") == "Smells of aniseed"
    page.click("#save")
    expect(page.locator("p.done")).to_contain_text("saved")
    expect(page.get_by_text("Smells of aniseed")).to_be_visible()
    expect(page.locator("#photos li").first).to_contain_text("gills")
    page.locator("#photos a.zoomable").first.click()
    enlarged = page.locator("dialog.compare img")
    expect(enlarged).to_have_count(1)
    seen.wait_until("document.querySelector('dialog.compare img').naturalWidth > 0")
    expect(page.locator("dialog.compare figcaption")).to_contain_text("Olga · CC0-1.0")
    page.go_back()
    expect(page.locator("dialog")).to_have_count(0)


@pytest.mark.usefixtures("built")
def test_nothing_is_wider_than_a_narrow_screen_with_large_letters(visit: Opener) -> None:
    seen = visit("phone")
    page = seen.page
    page.set_viewport_size({"width": 320, "height": 640})
    larger = "document.documentElement.style.fontSize = '200%'"
    for path in ("/similar", "/floras/north", "/observations", "/atlas", "/sign-in", "/"):
        seen.goto(path)
        page.evaluate(larger)
        assert too_wide(page) == [], path
    choose(page, seen.site)
    rank(seen)
    page.locator(".candidate summary").first.click()
    assert too_wide(page) == []
    cut = "(all) => all.filter((one) => one.scrollWidth > one.clientWidth + 1).map((one) => one.textContent)"
    assert page.locator(".share").evaluate_all(cut) == []
