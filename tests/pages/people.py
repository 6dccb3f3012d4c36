"""People of the small site, an import with rejections, and observations."""

from __future__ import annotations

import json
from contextlib import closing
from dataclasses import dataclass

import pytest

from database.accounts.people import add_person
from database.collection.imports import RejectionEntry, count_batch, finish_run, start_run
from database.errors import InvalidPerson
from database.session import open_database
from tests.pages.conftest import Site, Visit
from tests.web.people import PASSWORD, QUICK

PEOPLE = {"olga": "observer", "erna": "expert", "ada": "administrator"}


@dataclass(frozen=True)
class Populated:
    """The site with people in it."""

    site: Site
    ids: dict[str, int]


@pytest.fixture(scope="session")
def populated(site: Site) -> Populated:
    """The site, with an observer, an expert, an administrator, and two imports: one done, one broken off."""
    with closing(open_database(site.settings.database_url)) as database:
        ids = {}
        for login, role in PEOPLE.items():
            try:
                with database.writing() as session:
                    ids[login] = add_person(session, login, login.title(), role, PASSWORD, hasher=QUICK).id
            except InvalidPerson:
                continue  # the collection is kept between runs
        if ids:
            with database.writing() as session:
                run = start_run(session, "photographs", title="Photographs", archive="/archives/autumn.zip")
                wrong = [
                    RejectionEntry("no-licence", "the photo has no licence", "multimedia.csv", line) for line in (3, 9)
                ]
                odd = RejectionEntry(
                    "date-not-read", "no date", "multimedia.csv", 7, "a.jpg", "eventDate", "late autumn"
                )
                left = [*wrong, RejectionEntry("no-photo", "gone")]
                count_batch(session, run, accepted=5, added=5, rejections=left, dropped=[odd])
                finish_run(session, run)
                start_run(session, "photographs", archive="/archives/winter.zip")
    return Populated(site, ids)


def sign_in(seen: Visit, login: str, following: str = "/observations/mine") -> None:
    """Sign in, and be led to a page."""
    seen.goto(f"/sign-in?next={following}")
    seen.page.fill("#login", login)
    seen.page.fill("#password", PASSWORD)
    seen.page.get_by_role("button", name="Sign in").click()
    seen.page.wait_for_url("**" + following.partition("?")[0] + "*")


def name_of(site: Site, number: int = 1) -> str:
    """The species that a find was drawn as."""
    answers = json.loads((site.finds / "answers.json").read_text(encoding="utf-8"))["observations"]
    return next(str(one["scientificName"]) for one in answers if one["observation"] == f"find-{number:02}")
