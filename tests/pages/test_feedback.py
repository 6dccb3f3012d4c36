"""“Was this right?” below an answer, with and without scripts."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect
from sqlalchemy import func, select

from database.field.models import AnswerFeedback
from database.session import open_database
from tests.pages.conftest import Opener, Site, too_wide, violations
from tests.pages.test_identify import choose


def count(site: Site) -> int:
    """Answers of which something was said."""
    with open_database(site.settings.database_url) as database, database.reading() as session:
        return session.scalar(select(func.count()).select_from(AnswerFeedback)) or 0


@pytest.mark.usefixtures("built")
def test_an_answer_is_judged_without_leaving_it(visit: Opener, width: str, site: Site, axe: str) -> None:
    before = count(site)
    seen = visit(width)
    page = seen.page
    seen.goto("/")
    choose(page, site)
    page.click("#rank")
    expect(page.locator("#answer-title")).to_be_focused()
    form = page.locator("#feedback")

    form.get_by_role("button", name="Send").click()  # no species was chosen
    expect(page.locator("#trouble")).to_contain_text("Choose the right species")
    form.get_by_label("Another species").select_option(index=1)
    form.scroll_into_view_if_needed()
    assert violations(page, axe) == []
    assert not too_wide(page)
    form.get_by_role("button", name="Send").click()

    thanks = page.locator(".feedback .done")
    expect(thanks).to_contain_text("Thank you")
    expect(page.locator("#trouble")).to_be_empty()
    expect(page.locator("#answer-title")).to_be_visible()
    assert violations(page, axe) == []
    assert count(site) == before + 1


def test_an_answer_is_judged_without_scripts(visit: Opener, width: str, site: Site) -> None:
    before = count(site)
    seen = visit(width, scripts=False)
    seen.goto("/")
    choose(seen.page, site)
    seen.page.click("#rank")

    seen.page.locator("#feedback").get_by_role("button", name="Yes").click()

    expect(seen.page.locator(".done")).to_contain_text("Thank you")
    assert count(site) == before + 1
