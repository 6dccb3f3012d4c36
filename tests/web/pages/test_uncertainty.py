"""What an answer that is not sure says beside its name, and what people are told in place of programs."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from retrieval.answers.present import percent
from web.contracts.wording import common_names
from web.http.languages import vernacular
from web.pages.wording.uncertainty import is_uncertain, rivals_of, unseen_aspects


def answer(rank: str | None, probability: float = 0.9, scores: tuple[float, ...] = (), **rest: Any) -> dict[str, Any]:
    """An answer that stops at a rank, with species of these scores."""
    taxon = None if rank is None else {"taxonRank": rank}
    return {
        "specificity": {"taxon": taxon, "probability": probability},
        "species": [{"score": score} for score in scores],
        **rest,
    }


@pytest.mark.parametrize(
    ("rank", "probability", "uncertain"),
    [("species", 0.8, False), ("species", 0.79, True), ("genus", 0.99, True), (None, 1.0, True)],
)
def test_an_answer_is_uncertain_above_the_species_or_below_eight_in_ten(
    rank: str | None, probability: float, uncertain: bool
) -> None:
    assert is_uncertain(answer(rank, probability)) is uncertain


def test_the_species_that_leave_a_doubt_are_those_with_a_tenth_or_more() -> None:
    assert [found["score"] for found in rivals_of(answer("species", 0.5, (0.5, 0.1, 0.09)))] == [0.5, 0.1]
    assert [found["score"] for found in rivals_of(answer("genus", 0.9, (0.4, 0.3, 0.1, 0.1)))] == [0.4, 0.3, 0.1]


def test_a_species_without_a_rival_has_none_named() -> None:
    assert rivals_of(answer("species", 0.5, (0.5, 0.09))) == []
    assert len(rivals_of(answer("genus", 0.9, (0.5, 0.09)))) == 1


@pytest.mark.parametrize(
    ("said", "guessed", "unseen"),
    [
        (["cap", "hymenium"], ["", ""], ["stem", "cut"]),
        ([], ["cap", "section"], ["gills, pores or teeth", "stem"]),
        ([], ["cap", ""], []),
        (["cap", "hymenium", "stipe", "section"], [""] * 4, []),
    ],
    ids=["said", "guessed", "one not known", "all seen"],
)
def test_the_sides_that_no_photo_shows_are_named_where_it_is_known_what_each_shows(
    app: Flask, said: list[str], guessed: list[str], unseen: list[str]
) -> None:
    with app.test_request_context("/"):
        found = unseen_aspects({"photos": len(guessed), "photoAspects": said, "guessedAspects": guessed})

    assert found == unseen


def test_a_common_name_given_twice_has_the_language_that_is_stated(app: Flask) -> None:
    named = [("", "fly agaric"), ("da", "rød fluesvamp"), ("en", "fly agaric")]
    taxon = {"vernacularNames": [{"language": language, "vernacularName": name} for language, name in named]}

    with app.test_request_context("/", headers={"Accept-Language": "en"}):
        shown = vernacular(taxon)

    assert [name["vernacularName"] for name in shown] == ["fly agaric"]


def test_a_client_of_another_contract_has_a_common_name_in_the_language_that_is_stated() -> None:
    taxonomy = SimpleNamespace(vernacular_names=lambda _: [("", "fly agaric"), ("da", "flue"), ("en", "fly agaric")])
    snapshot, taxon = SimpleNamespace(taxonomy=taxonomy), SimpleNamespace(id=1)

    spoken = {language: common_names(taxon, snapshot, language) for language in ("da", "en", "de")}  # type: ignore[arg-type]

    assert spoken == {"da": ["flue"], "en": ["fly agaric"], "de": []}


@pytest.mark.parametrize(("path", "part"), [("/api/v1/identify", "photos"), ("/v2/identify/all", "images")])
def test_what_is_no_form_is_told_what_the_part_is_called_there(client: FlaskClient, path: str, part: str) -> None:
    refused = client.post(path, json={})

    assert refused.status_code == 415
    assert f"`{part}`" in refused.text


@pytest.mark.parametrize(
    ("share", "decimals", "said"), [(0.9551, 1, "95.5%"), (0.0009, 1, "<0.1%"), (0.0, 0, "<1%"), (0.01, 0, "1%")]
)
def test_a_terminal_never_says_that_something_is_impossible(share: float, decimals: int, said: str) -> None:
    assert percent(share, decimals) == said


@pytest.mark.parametrize(
    ("language", "said"),
    [("en", "There is no such page"), ("da", "Den side findes ikke"), ("de", "Diese Seite gibt es nicht")],
)
def test_a_person_at_a_wrong_address_is_told_so_and_led_on(client: FlaskClient, language: str, said: str) -> None:
    page = client.get("/nowhere", headers={"Accept": "text/html", "Accept-Language": language})

    assert page.status_code == 404
    assert said in page.text
    assert "/api/v1/" not in re.sub(r"<footer.*", "", page.text, flags=re.S)
    assert 'href="/"' in page.text


def test_the_server_says_in_the_visitors_language_that_nothing_works(client: FlaskClient) -> None:
    with client.application.test_request_context("/", headers={"Accept-Language": "de"}):
        from web.pages.wording.template_words import translated

        assert "Die Datenbank" in translated(
            "The database cannot be used; whoever runs this server finds the reason in its log."
        )
        assert translated("50 % of nothing") == "50 % of nothing"
        assert translated("") == ""
