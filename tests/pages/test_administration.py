"""Snapshots, imports, people and the model on the administrators' pages."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from retrieval.snapshots.manifest import read_current
from retrieval.snapshots.publishing import publish_snapshot
from tests.pages.conftest import Opener, violations
from tests.pages.people import Populated, populated, sign_in

__all__ = ["populated"]


@pytest.mark.usefixtures("built")
def test_snapshots_are_looked_at_rolled_back_and_published(
    visit: Opener, width: str, populated: Populated, axe: str
) -> None:
    root = populated.site.settings.flora_indexes
    first = read_current(root)
    report = root / "snapshots" / first / "report.html"
    report.write_text("<!doctype html><title>Accuracy</title><style>p{color:green}</style><p>Right in nine of ten</p>")
    seen = visit(width)
    sign_in(seen, "ada", "/administration/snapshots")
    page = seen.page
    expect(page.locator("tbody tr")).to_have_count(2)
    assert violations(page, axe) == []
    seen.photograph("snapshots")
    page.get_by_role("rowheader").get_by_role("link", name=first).click()
    expect(page.frame_locator("iframe.report").locator("p")).to_have_text("Right in nine of ten")
    assert violations(page, axe) == []
    seen.photograph("snapshot")

    seen.goto("/administration/roll-back")
    assert violations(page, axe) == []
    page.get_by_role("button", name="Roll back").click()

    expect(page.locator(".done")).to_contain_text("Rolled back")
    assert violations(page, axe) == []
    second = read_current(root)
    assert second != first
    seen.goto(f"/administration/snapshots/{first}/publish")
    page.get_by_role("button", name="Publish").click()
    expect(page.locator(".done")).to_contain_text(first)
    assert read_current(root) == first
    report.unlink()


def test_a_damaged_snapshot_is_not_published_and_the_page_says_why(visit: Opener, populated: Populated) -> None:
    root = populated.site.settings.flora_indexes
    current = read_current(root)
    other = next(path for path in (root / "snapshots").iterdir() if path.name != current)
    bits = next((other / "floras").glob("*.bits"))
    whole = bits.read_bytes()
    bits.write_bytes(whole[:-1])
    seen = visit(scripts=False)
    sign_in(seen, "ada", f"/administration/snapshots/{other.name}/publish")

    seen.page.get_by_role("button", name="Publish").click()

    expect(seen.page.locator(".problem")).to_contain_text("another length")
    assert read_current(root) == current
    bits.write_bytes(whole)
    assert publish_snapshot(root, current) == current


@pytest.mark.usefixtures("built")
def test_imports_show_progress_and_what_was_left_out(visit: Opener, width: str, populated: Populated, axe: str) -> None:
    seen = visit(width)
    sign_in(seen, "ada", "/administration/imports")
    expect(seen.page.get_by_text("running or interrupted").first).to_be_visible()
    assert violations(seen.page, axe) == []
    seen.photograph("imports")

    seen.page.locator("tr", has_text="autumn.zip").get_by_role("link").click()
    seen.page.get_by_role("link", name="no-licence").click()

    expect(seen.page.locator("tbody tr")).to_have_count(2)
    expect(seen.page.get_by_text("multimedia.csv:3")).to_be_visible()
    assert violations(seen.page, axe) == []

    seen.page.get_by_role("link", name="date-not-read").click()

    expect(seen.page.locator("tbody tr")).to_have_count(1)
    expect(seen.page.get_by_text("eventDate: late autumn")).to_be_visible()
    assert violations(seen.page, axe) == []


@pytest.mark.usefixtures("built")
def test_people_are_made_and_given_roles_and_quotas(visit: Opener, width: str, populated: Populated, axe: str) -> None:
    seen = visit(width)
    sign_in(seen, "ada", "/administration/people")
    assert violations(seen.page, axe) == []
    seen.photograph("people")
    seen.page.fill("#login", "x")
    seen.page.locator("#login").evaluate("(field) => field.removeAttribute('minlength')")
    seen.page.get_by_role("button", name="Add user").click()
    expect(seen.page.locator(".problem")).to_be_visible()
    assert seen.page.input_value("#login") == "x"
    seen.page.fill("#login", f"nora-{width}-{id(seen)}")
    seen.page.get_by_role("button", name="Add user").click()
    expect(seen.page.locator(".done")).to_contain_text("added")
    assert violations(seen.page, axe) == []

    seen.page.select_option("#role", "expert")
    seen.page.fill("#dailyQuota", "7")
    seen.page.get_by_role("button", name="Save").click()

    expect(seen.page.locator(".lead")).to_contain_text("expert")
    assert seen.page.input_value("#dailyQuota") == "7"
    seen.goto("/administration/model")
    expect(seen.page.locator("dl.card")).to_contain_text("model")
    assert violations(seen.page, axe) == []


def test_others_are_not_let_in(visit: Opener, populated: Populated) -> None:
    seen = visit(scripts=False)
    sign_in(seen, "erna")

    seen.goto("/administration/snapshots")

    expect(seen.page.locator(".problem")).to_contain_text("permission")
    expect(seen.page.get_by_role("link", name="Administration")).to_have_count(0)
