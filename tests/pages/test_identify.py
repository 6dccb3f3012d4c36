"""Identification from photos to species, on phone and desktop, without scripts, and with the keyboard only."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import FileChooser, Page, expect

from retrieval.domain import NOTICE
from tests.pages.conftest import Opener, Site, Visit, violations
from tests.retrieval.photos.oddities import exif, save, scene

SLOW_DECODER = """
const real = window.createImageBitmap;
window.createImageBitmap = async (...given) => {
  await new Promise((done) => setTimeout(done, 400));
  return real.apply(window, given);
};"""


def choose(page: Page, site: Site, number: int = 1) -> int:
    """Pick the photos of a find; gives how many."""
    photos = site.find(number)
    page.set_input_files("#photos", photos)
    return len(photos)


def genus_of(site: Site, number: int = 1) -> str:
    """The genus of the species that a find was drawn as; species look much alike in so small a collection."""
    answers = json.loads((site.finds / "answers.json").read_text(encoding="utf-8"))["observations"]
    return next(str(one["scientificName"]).split()[0] for one in answers if one["observation"] == f"find-{number:02}")


@pytest.mark.usefixtures("built")
def test_a_find_is_identified_from_photos_to_species(visit: Opener, width: str, site: Site, axe: str) -> None:
    seen = visit(width)
    seen.goto("/")
    assert violations(seen.page, axe) == []
    photos = choose(seen.page, site)
    expect(seen.page.locator(".tile")).to_have_count(photos)
    assert violations(seen.page, axe) == []

    seen.page.click("#rank")

    expect(seen.page.locator("#answer-title")).to_be_focused()
    first = seen.page.locator(".candidate").first
    expect(first.locator("h3")).to_contain_text(genus_of(site))
    expect(seen.page.locator(".hero .pair img")).to_have_count(2)
    expect(seen.page.locator(".hero .licence")).to_have_text("CC0-1.0")
    assert seen.page.locator(".hero .licence").evaluate("(words) => words.scrollWidth <= words.clientWidth + 1")
    expect(first.locator(".thumb img")).to_have_count(2)
    expect(first.locator("figcaption.credit .licence")).to_have_text("CC0-1.0")
    expect(first.locator(".candidate-body")).to_be_hidden()
    screens = "(shown) => Math.max(...shown.map((one) => one.getBoundingClientRect().bottom))"
    first_screen = seen.page.locator("#answer-title, .hero, #save-find, #answer-actions button")
    assert first_screen.evaluate_all(screens) < seen.page.viewport_size["height"]  # type: ignore[index]
    first.locator("summary").first.click()
    expect(first.locator(".pair img")).to_have_count(2)
    expect(first.locator(".reference .licence").nth(1)).to_contain_text("CC0-1.0")
    expect(seen.page.locator(".decision")).to_be_visible()
    expect(seen.page.locator(".answer .notice")).to_have_text(NOTICE)
    expect(seen.page.locator(".tile")).to_have_count(photos)
    assert violations(seen.page, axe) == []


def test_a_find_is_identified_without_scripts(visit: Opener, width: str, site: Site) -> None:
    seen = visit(width, scripts=False)
    seen.goto("/")
    choose(seen.page, site)

    seen.page.click("#rank")

    expect(seen.page.locator(".candidate").first.locator("h3")).to_contain_text(genus_of(site))
    expect(seen.page.locator(".answer .notice")).to_have_text(NOTICE)


@pytest.mark.usefixtures("built")
def test_a_find_is_identified_by_keyboard_alone(visit: Opener, site: Site) -> None:
    seen = visit()
    seen.goto("/")
    choosers: list[FileChooser] = []
    seen.page.on("filechooser", lambda chooser: choosers.append(chooser))
    reach(seen.page, "#photos")
    for _ in range(10):  # the browser begins to hand choosers over a moment after it was asked to
        seen.page.keyboard.press("Space")
        seen.page.wait_for_timeout(200)
        if choosers:
            break
    choosers[0].set_files(site.find())
    expect(seen.page.locator(".tile")).to_have_count(len(site.find()))
    reach(seen.page, ".tile:first-child button[aria-label^='Crop']")
    seen.page.keyboard.press("Enter")
    for key in ("ArrowRight", "Shift+ArrowLeft", "ArrowDown"):
        seen.page.keyboard.press(key)
    reach(seen.page, "dialog button.main")
    seen.page.keyboard.press("Enter")

    reach(seen.page, "#rank")
    seen.page.keyboard.press("Enter")

    expect(seen.page.locator("#answer-title")).to_be_focused()
    reach(seen.page, ".hero .mine a")
    seen.page.keyboard.press("Enter")
    expect(seen.page.locator("dialog.compare img")).to_have_count(2)
    seen.page.keyboard.press("+")
    seen.page.keyboard.press("Escape")
    expect(seen.page.locator("dialog")).to_have_count(0)


def reach(page: Page, wanted: str) -> None:
    """Press Tab until an element has the focus."""
    for _ in range(120):
        if page.evaluate("(wanted) => document.activeElement?.matches(wanted) ?? false", wanted):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"Tab does not lead to {wanted}")


@pytest.mark.usefixtures("built")
def test_photos_are_turned_cut_and_sent_without_their_metadata(visit: Opener, tmp_path: Path) -> None:
    photo = tmp_path / "secret.jpg"
    photo.write_bytes(save(scene(3000, 2000), exif=exif(1, secret="SECRET GARDEN")))
    seen = visit()
    seen.goto("/")
    seen.page.set_input_files("#photos", photo)
    seen.page.click("button[aria-label^='Rotate']")

    with seen.page.expect_request(lambda asked: asked.method == "POST") as asked:
        seen.page.click("#rank")

    sent = asked.value.post_data_buffer or b""
    expect(seen.page.locator("#answer-title")).to_be_visible()
    assert b"SECRET" not in sent
    assert len(sent) < 1_000_000
    size = seen.page.locator(".hero .mine img").evaluate("(picture) => [picture.naturalWidth, picture.naturalHeight]")
    assert size[0] < size[1]


@pytest.mark.usefixtures("built")
def test_the_place_of_a_photo_is_used_only_with_consent(visit: Opener, tmp_path: Path, axe: str) -> None:
    photo = tmp_path / "placed.jpg"
    photo.write_bytes(save(scene(), exif=placed_exif()))
    seen = visit()
    seen.goto("/")

    seen.page.set_input_files("#photos", photo)

    expect(seen.page.locator(".consent")).to_contain_text("includes a location")
    assert violations(seen.page, axe) == []
    assert seen.page.input_value("#latitude") == ""
    seen.page.get_by_role("button", name="Use date and location").click()
    assert (seen.page.input_value("#latitude"), seen.page.input_value("#longitude")) == ("60.5000", "9.2500")
    assert seen.page.input_value("#date") == "2026-09-20"
    expect(seen.page.locator(".proposal")).to_contain_text("North")
    seen.page.get_by_role("button", name="Use “North”").click()
    assert seen.page.input_value("#flora") == "north"


def placed_exif() -> bytes:
    """Metadata with a day and a place in Norway."""
    from PIL import Image

    made = Image.Exif()
    made.get_ifd(0x8769)[0x9003] = "2026:09:20 10:00:00"
    made.get_ifd(0x8825).update({1: "N", 2: (60.0, 30.0, 0.0), 3: "E", 4: (9.0, 15.0, 0.0)})
    return made.tobytes()


@pytest.mark.usefixtures("built")
def test_a_place_is_chosen_on_the_map(visit: Opener, axe: str) -> None:
    seen = visit()
    seen.goto("/")
    seen.page.click("#more summary")
    seen.page.get_by_role("button", name="Choose on a map").click()
    seen.page.locator(".map path.country").first.wait_for(state="attached")

    seen.page.locator(".map").click(position={"x": 300, "y": 150})

    expect(seen.page.locator("#latitude")).to_have_value(re.compile(r"^\d\d\.\d{4}$"))
    assert violations(seen.page, axe) == []


@pytest.mark.usefixtures("built")
def test_what_is_no_photo_is_refused_by_name_and_the_others_stay(visit: Opener, site: Site, tmp_path: Path) -> None:
    text = tmp_path / "shopping list.jpg"
    text.write_text("bread, milk")
    seen = visit()
    seen.page.add_init_script(SLOW_DECODER)  # the photos are still being decoded when the next file comes
    seen.goto("/")
    photos = choose(seen.page, site)

    seen.page.set_input_files("#photos", text)

    expect(seen.page.locator(".tile")).to_have_count(photos)
    expect(seen.page.locator(".tray-trouble")).to_contain_text("shopping list.jpg is not a photo")


@pytest.mark.usefixtures("built")
@pytest.mark.parametrize(
    ("status", "said"),
    [(0, "could not be reached"), (503, "busy or restarting"), (413, "too large")],
    ids=["offline", "busy", "too large"],
)
def test_trouble_on_the_way_is_said_and_nothing_is_lost(visit: Opener, site: Site, status: int, said: str) -> None:
    seen = visit()
    seen.goto("/")
    photos = choose(seen.page, site)
    seen.page.click("#more summary")
    seen.page.fill("#date", "2026-09-01")
    seen.page.fill("#known", "Fungi")
    if status:
        seen.page.route("**/", lambda route: route.fulfill(status=status, body="<h1>a proxy's own page</h1>"))
    else:
        seen.tolerated = "ERR_INTERNET_DISCONNECTED"
        seen.page.context.set_offline(True)

    seen.page.click("#rank")

    expect(seen.page.locator("#trouble")).to_contain_text(said)
    expect(seen.page.locator("#trouble")).to_contain_text("still here")
    expect(seen.page.locator(".tile")).to_have_count(photos)
    assert (seen.page.input_value("#date"), seen.page.input_value("#known")) == ("2026-09-01", "Fungi")
    seen.page.unroute_all()
    seen.page.context.set_offline(False)
    seen.page.click("#rank")
    expect(seen.page.locator("#answer-title")).to_be_visible()


@pytest.mark.usefixtures("built")
def test_what_the_server_refuses_is_said_where_it_happens(visit: Opener, site: Site) -> None:
    seen = visit()
    seen.goto("/")
    photos = choose(seen.page, site)
    seen.page.click("#more summary")
    seen.page.fill("#known", "Nothing of that name")

    seen.page.click("#rank")

    expect(seen.page.locator("#trouble [role=alert]")).to_contain_text("not a known genus")
    expect(seen.page.locator(".tile")).to_have_count(photos)
    assert seen.page.input_value("#known") == "Nothing of that name"


@pytest.mark.usefixtures("built")
def test_what_is_known_is_completed_and_keeps_the_answer_within_it(visit: Opener, site: Site) -> None:
    genus = genus_of(site)
    seen = visit()
    seen.goto("/")
    choose(seen.page, site)
    seen.page.click("#more summary")
    seen.page.locator("#known").press_sequentially(genus[:4])
    seen.page.locator(f"#known-names option[value='{genus}']").wait_for(state="attached")
    seen.page.fill("#known", genus)

    seen.page.click("#rank")

    seen.page.wait_for_selector("#answer-title")
    shown = seen.page.locator(".candidates > .candidate h3 > i").all_inner_texts()
    assert shown
    assert {name.split()[0] for name in shown} == {genus}


@pytest.mark.usefixtures("built")
def test_an_answer_is_kept_only_on_request_and_then_at_a_link_for_all(visit: Opener, site: Site, axe: str) -> None:
    seen = visit()
    seen.goto("/")
    choose(seen.page, site)
    seen.page.click("#more summary")
    seen.page.fill("#latitude", "60.4321")
    seen.page.fill("#longitude", "9.8765")
    seen.page.click("#rank")
    seen.page.wait_for_selector("#answer-title")
    kept = site.settings.data / "answers"
    before = len(list(kept.iterdir())) if kept.exists() else 0

    seen.page.get_by_role("button", name="Share", exact=True).click()

    link = seen.page.locator(".kept a").get_attribute("href") or ""
    assert len(list(kept.iterdir())) == before + 1
    for file in (kept / link.rpartition("/")[2]).iterdir():
        assert b"60.43" not in file.read_bytes()
        assert b"9.87" not in file.read_bytes()
    other = visit("phone", scripts=False)
    other.goto(link)
    expect(other.page.locator(".candidate").first.locator("h3")).to_contain_text(genus_of(site))
    loaded = "(picture) => picture.complete && picture.naturalWidth > 0"
    expect(other.page.locator(".previews img")).to_have_count(len(site.find()))
    again = visit()
    again.goto(link)
    assert again.page.locator(".previews img").first.evaluate(loaded)
    assert violations(again.page, axe) == []


@pytest.mark.usefixtures("built")
def test_back_and_loading_anew_bring_photos_form_and_answer_again(visit: Opener, site: Site) -> None:
    seen = visit("phone")
    seen.goto("/")
    photos = choose(seen.page, site)
    seen.page.select_option("#flora", "north")
    seen.page.click("#more summary")
    seen.page.fill("#known", "Fungi")
    seen.page.click("#rank")
    first = seen.page.locator(".candidate").first.locator("h3")
    expect(first).to_contain_text(genus_of(site))
    named = first.inner_text()
    wait_for_the_shelf(seen)
    seen.page.get_by_role("link", name="Species page").click()
    seen.page.wait_for_url("**/species/*")

    for come_back in (seen.page.go_back, seen.page.reload):
        come_back()

        expect(first).to_have_text(named)
        expect(seen.page.locator(".tile")).to_have_count(photos)
        assert (seen.page.input_value("#flora"), seen.page.input_value("#known")) == ("north", "Fungi")
        loaded = "(picture) => picture.complete && picture.naturalWidth > 0"
        assert all(own.evaluate(loaded) for own in seen.page.locator(".previews img").all())

    seen.page.click("#rank")
    expect(seen.page.locator("#answer-title")).to_be_focused()
    seen.page.click(".wordmark")
    expect(seen.page.locator(".tile")).to_have_count(0)
    expect(seen.page.locator("#answer-title")).to_have_count(0)


def wait_for_the_shelf(seen: Visit) -> None:
    """Wait until the browser's own store has the answer; opening it before the page did would make an empty one."""
    seen.wait_until(
        """(async () => {
          const shared = location.pathname.includes("/answers/");  // kept once more with its link when it is shared
          const is = (left) => Boolean(left?.answer && (!shared || location.pathname.endsWith(left.kept || "none")));
          if (!(await indexedDB.databases()).some((made) => made.name === "fungarium")) return false;
          return new Promise((done) => {
            const opening = indexedDB.open("fungarium");
            opening.onsuccess = () => {
              const shelf = opening.result.transaction("carried").objectStore("carried");
              const asked = shelf.get(`left:${history.state?.find}`);
              asked.onsuccess = () => { opening.result.close(); done(is(asked.result)); };
            };
          });
        })()"""
    )
