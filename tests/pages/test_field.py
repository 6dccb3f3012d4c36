"""Recording, searching and reviewing observations: on phone and desktop, without scripts, by keyboard."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.pages.conftest import Opener, Visit, violations
from tests.pages.people import Populated, name_of, populated, sign_in
from tests.pages.test_identify import reach

__all__ = ["populated"]

PLACE = ("55.6761", "12.5683")


def record(
    seen: Visit, number: int = 1, *, place: tuple[str, str] = PLACE, obscured: bool = False, name: str = ""
) -> str:
    """Record a find from the empty form; gives the path of its page."""
    seen.goto("/observations/new")
    seen.page.set_input_files("#photos", seen.site.find(number))
    seen.page.fill("#date", "2026-09-20")
    seen.page.fill("#latitude", place[0])
    seen.page.fill("#longitude", place[1])
    seen.page.fill("#uncertainty", "25")
    seen.page.fill("#habitat", "Beech forest")
    if obscured:
        seen.page.check("#obscured")
    if name:
        seen.page.fill("#name", name)
        seen.page.select_option("#certainty", "probable")
    seen.page.click("#save")
    seen.page.wait_for_url(re.compile(r"/observations/[0-9a-f-]{36}"))
    return seen.page.url.removeprefix(seen.site.address).partition("?")[0]


@pytest.mark.usefixtures("built")
def test_an_observation_is_recorded_seen_agreed_with_and_removed(
    visit: Opener, width: str, populated: Populated, axe: str
) -> None:
    seen = visit(width)
    seen.goto("/observations/new")
    expect(seen.page.locator("#login")).to_be_visible()
    assert violations(seen.page, axe) == []
    sign_in(seen, "olga", "/observations/new")
    assert violations(seen.page, axe) == []
    seen.photograph("form")

    address = record(seen, name=name_of(populated.site))

    expect(seen.page.locator(".done")).to_contain_text("saved")
    expect(seen.page.locator("h1")).to_contain_text(name_of(populated.site))
    expect(seen.page.locator("#engine-says ~ .suggested li")).to_have_count(3)
    expect(seen.page.locator("#place-words")).to_contain_text("55.6761")
    expect(seen.page.locator(".proposals")).to_contain_text("Olga (probable)")
    expect(seen.page.locator("#map path").first).to_be_attached()
    assert violations(seen.page, axe) == []
    seen.photograph("observation")
    seen.goto("/observations/mine")
    expect(seen.page.locator(".observation-card").first).to_be_visible()
    assert violations(seen.page, axe) == []
    seen.photograph("mine")
    seen.goto(f"/observations/near?latitude={PLACE[0]}&longitude={PLACE[1]}&radius=25")
    expect(seen.page.locator(f"a[href='{address}']").first).to_be_visible()
    assert violations(seen.page, axe) == []
    seen.photograph("near")
    other = visit(width)
    sign_in(other, "erna", address)
    other.page.click("#agree")
    expect(other.page.locator(".done")).to_contain_text("Identification saved")
    expect(other.page.locator(".proposals")).to_contain_text("Erna (certain)")
    expect(other.page.locator(".history")).to_contain_text("Erna agreed with")
    seen.goto(f"{address}/edit")
    seen.page.locator(".previews select").first.select_option("hymenium")
    assert violations(seen.page, axe) == []
    seen.page.get_by_role("button", name="Save parts").click()
    expect(seen.page.locator("#photos li").first).to_contain_text("gills")
    seen.goto(f"{address}/edit")
    seen.page.fill("#habitat", "Oak forest")
    seen.page.click("#save")
    expect(seen.page.get_by_text("Oak forest")).to_be_visible()
    seen.goto(f"{address}/remove")
    assert violations(seen.page, axe) == []
    seen.page.get_by_role("button", name="Delete permanently").click()
    expect(seen.page.locator(".done")).to_contain_text("deleted")
    seen.goto(address)
    expect(seen.page.locator(".problem")).to_be_visible()


def test_an_obscured_place_is_shown_to_others_as_its_cell_alone(visit: Opener, populated: Populated) -> None:
    seen = visit(scripts=False)
    sign_in(seen, "olga")
    address = record(seen, 2, place=("57.0488", "9.9217"), obscured=True)
    expect(seen.page.locator("#place-words")).to_contain_text("57.0488")
    stranger = visit(scripts=False)

    for page in (address, "/observations", "/observations/near?latitude=57.1&longitude=9.9&radius=50"):
        stranger.goto(page)
        assert "57.04" not in stranger.page.content(), page

    stranger.goto(address)
    expect(stranger.page.locator("#place-words")).to_contain_text("obscured")
    expect(stranger.page.get_by_role("link", name="Sign in to agree or suggest an identification")).to_be_visible()


def test_what_cannot_be_recorded_is_said_and_what_was_typed_stays(visit: Opener, populated: Populated) -> None:
    seen = visit(scripts=False)
    sign_in(seen, "olga", "/observations/new")
    seen.page.set_input_files("#photos", populated.site.find())
    seen.page.fill("#latitude", PLACE[0])
    seen.page.fill("#habitat", "A garden")

    seen.page.click("#save")

    expect(seen.page.locator(".problem")).to_contain_text("both latitude and longitude", ignore_case=True)
    assert (seen.page.input_value("#habitat"), seen.page.input_value("#latitude")) == ("A garden", PLACE[0])


@pytest.mark.usefixtures("built")
def test_with_scripts_the_photos_stay_too(visit: Opener, populated: Populated) -> None:
    seen = visit()
    sign_in(seen, "olga", "/observations/new")
    photos = populated.site.find()
    seen.page.set_input_files("#photos", photos)
    expect(seen.page.locator(".tile")).to_have_count(len(photos))
    seen.page.fill("#latitude", PLACE[0])

    seen.page.click("#save")

    expect(seen.page.locator("#trouble .problem")).to_contain_text("both latitude and longitude", ignore_case=True)
    expect(seen.page.locator(".tile")).to_have_count(len(photos))


@pytest.mark.usefixtures("built")
def test_an_identification_becomes_an_observation(visit: Opener, width: str, populated: Populated) -> None:
    seen = visit(width)
    sign_in(seen, "olga")
    seen.goto("/")
    seen.page.set_input_files("#photos", populated.site.find(2))
    seen.page.click("#rank")
    expect(seen.page.locator("#answer-title")).to_be_focused()

    seen.page.get_by_role("button", name="Add details").click()

    expect(seen.page.locator(".tile")).to_have_count(len(populated.site.find(2)))
    expect(seen.page.locator("p.done")).to_contain_text("Obscure the location")
    seen.page.locator("button.name-offer").first.click()
    assert seen.page.input_value("#name") != ""
    seen.photograph("carried")
    seen.page.select_option("#licence", "CC-BY-4.0")
    seen.page.click("#save")
    expect(seen.page.locator("p.done")).to_contain_text("saved")
    seen.goto("/")
    seen.page.set_input_files("#photos", populated.site.find(1))
    seen.page.locator(".tile select").first.select_option("cap")
    seen.page.click("#rank")
    expect(seen.page.locator("#answer-title")).to_be_focused()
    named = seen.page.locator("[data-named]").get_attribute("data-named") or ""
    seen.page.click("#save-find")
    expect(seen.page.locator("p.done")).to_contain_text("saved")
    expect(seen.page.locator("h1")).to_contain_text(named)
    expect(seen.page.locator(".proposals")).to_contain_text("Olga (probable)")
    expect(seen.page.locator("#photos li").first).to_contain_text("cap")
    expect(seen.page.get_by_text("CC-BY-4.0", exact=True)).to_be_visible()


@pytest.mark.usefixtures("built")
def test_the_queue_is_gone_through_by_keyboard_alone(visit: Opener, width: str, populated: Populated, axe: str) -> None:
    recorder = visit(scripts=False)
    sign_in(recorder, "olga")
    for number in (1, 2):
        record(recorder, number, name=name_of(populated.site, number))
    seen = visit(width)
    sign_in(seen, "erna", "/validate")
    page = seen.page
    expect(page.locator("#place")).to_contain_text("1 of")
    expect(page.locator(".suggested .reference img").first).to_be_visible()
    assert violations(page, axe) == []
    seen.photograph("queue")
    waiting = int(re.sub(r"\D", "", (page.locator("#place").text_content() or "").partition("of")[2]))

    page.keyboard.press("j")
    expect(page.locator("#place")).to_contain_text("2 of")
    page.keyboard.press("k")
    expect(page.locator("#place")).to_contain_text("1 of")
    page.keyboard.press("z")
    expect(page.locator("dialog.compare")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("dialog")).to_have_count(0)
    page.keyboard.press("p")
    expect(page.locator("#name")).to_be_focused()
    page.keyboard.type("Amanita nusquam")
    page.keyboard.press("Enter")
    expect(page.locator(".problem")).to_contain_text("not in the catalogue")
    assert page.input_value("#name") == "Amanita nusquam"
    assert violations(page, axe) == []
    reach(page, "#name")
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type(name_of(populated.site, 1))
    page.keyboard.press("Enter")
    expect(page.locator(".done")).to_contain_text("Identification saved")
    expect(page.locator("#place")).to_contain_text(f"of {waiting - 1}")
    page.keyboard.press("e")
    expect(page.locator("#approved-name")).to_be_focused()
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type(name_of(populated.site, 2))
    page.keyboard.press("Enter")
    expect(page.locator(".done")).to_contain_text("Identification saved")
    page.locator(".done a").click()
    expect(page.locator(".expert-mark").first).to_be_visible()
    seen.photograph("approved")


@pytest.mark.usefixtures("built")
def test_shortcuts_can_be_turned_off_and_rest_while_somebody_types(visit: Opener, populated: Populated) -> None:
    recorder = visit(scripts=False)
    sign_in(recorder, "olga")
    record(recorder, 1, name=name_of(populated.site))
    seen = visit()
    sign_in(seen, "erna", "/validate")
    before = seen.page.url
    seen.page.focus("#remarks")
    seen.page.keyboard.type("ajk")
    assert seen.page.input_value("#remarks") == "ajk"
    seen.page.uncheck("#shortcuts")

    seen.page.keyboard.press("a")

    expect(seen.page.locator("#shortcuts-said")).to_contain_text("off")
    assert seen.page.url == before
    seen.page.reload()
    expect(seen.page.locator("#shortcuts")).not_to_be_checked()


def test_the_queue_works_without_scripts(visit: Opener, width: str, populated: Populated) -> None:
    seen = visit(width, scripts=False)
    sign_in(seen, "olga")
    record(seen, 1)
    expert = visit(width, scripts=False)
    sign_in(expert, "erna", "/validate")
    expert.page.fill("#approved-name", "Amanita nusquam")
    expert.page.click("#approve")
    expect(expert.page.locator(".problem")).to_contain_text("not in the catalogue")
    expert.page.get_by_role("search").get_by_role("button", name="Apply").click()
    expect(expert.page.locator("h1")).to_have_text("Review")
    expert.page.fill("#approved-name", "Amanita nusquam")
    expert.page.click("#approve")
    expert.page.locator(".languages button[lang=da]").click()
    expect(expert.page.locator("#propose")).to_have_text("Foreslå")
    expert.page.fill("#name", name_of(populated.site))

    expert.page.click("#propose")

    expect(expert.page.locator(".done")).to_be_visible()


@pytest.mark.usefixtures("built")
def test_an_account_shows_accuracy_quota_and_keys(visit: Opener, width: str, populated: Populated, axe: str) -> None:
    seen = visit(width)
    sign_in(seen, "olga", "/me")
    expect(seen.page.locator("#quota ~ p").first).to_contain_text("left today")
    assert violations(seen.page, axe) == []
    seen.photograph("account")
    seen.goto("/me/keys")
    seen.page.fill("#label", "my phone")

    seen.page.get_by_role("button", name="Create key").click()

    expect(seen.page.locator("#issued")).to_contain_text("fungarium_")
    assert violations(seen.page, axe) == []
    seen.photograph("keys")
    seen.page.get_by_role("button", name=re.compile("^Revoke")).first.click()
    expect(seen.page.get_by_text("revoked").first).to_be_visible()
    seen.goto("/me")
    seen.page.click("#sign-out")
    expect(seen.page.get_by_role("link", name="Sign in")).to_be_visible()


def test_a_wrong_password_is_said_and_the_login_stays(visit: Opener, populated: Populated) -> None:
    seen = visit(scripts=False)
    seen.goto("/sign-in")
    seen.page.fill("#login", "olga")
    seen.page.fill("#password", "something else")

    seen.page.get_by_role("button", name="Sign in").click()

    expect(seen.page.locator(".problem")).to_contain_text("Incorrect username or password")
    assert seen.page.input_value("#login") == "olga"
