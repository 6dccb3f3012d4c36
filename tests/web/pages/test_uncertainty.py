"""What pages show with uncertain answers."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask, render_template_string
from flask.testing import FlaskClient

from retrieval.answers.present import percent
from web.contracts.wording import common_names
from web.http.languages import vernacular
from web.pages.wording.uncertainty import is_sure, is_uncertain, keeps_target, rivals_of, unseen_aspects


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


def decision(app: Flask, rank: str, probability: float, *, target: float = 0.9, calibrated: bool = True) -> str:
    """What the page says of an answer in its first sentences, without marks."""
    taxon = {"taxonRank": rank, "scientificName": "Amanita"}
    specificity = {"taxon": taxon, "probability": probability, "target": target, "calibrated": calibrated}
    shown = {"photos": 1, "guessedAspects": [""], "species": [], "rejection": None, "specificity": specificity}
    with app.test_request_context("/"):
        page = render_template_string(
            "{% from 'answer.html' import decision, advice with context %}{{ decision(answer) }}{{ advice(answer) }}",
            answer=shown,
        )
    return re.sub(r"\s+", " ", re.sub(r"<[^>]*>", "", page)).replace("\u202f", " ")


@pytest.mark.parametrize(
    ("rank", "probability", "said", "claimed"),
    [
        ("species", 0.95, "Probably Amanita (95 %)", "We name a species only when at least 90 %"),
        (
            "genus",
            0.93,
            "We’re pretty sure it’s in the genus Amanita (93 %)",
            "We name a genus only when at least 90 %",
        ),
        ("species", 0.85, "Probably Amanita (85 %)", ""),
        ("species", 0.49, "Best match: Amanita (49 %) – low confidence", ""),
        ("family", 0.62, "Best match: family Amanita (62 %) – low confidence", ""),
    ],
)
def test_an_answer_claims_no_more_than_its_own_percentage(
    app: Flask, rank: str, probability: float, said: str, claimed: str
) -> None:
    words = decision(app, rank, probability)

    assert said in words
    assert claimed in words
    assert claimed or "90 %" not in words


def test_an_answer_without_calibration_claims_nothing(app: Flask) -> None:
    words = decision(app, "species", 0.97, calibrated=False)

    assert "not calibrated" in words
    assert "90 %" not in words


@pytest.mark.parametrize(
    ("probability", "sure", "kept"), [(0.9, True, True), (0.89, True, False), (0.79, False, False)]
)
def test_a_name_is_sure_from_eight_in_ten_and_keeps_the_target_where_it_reaches_it(
    probability: float, sure: bool, kept: bool
) -> None:
    specificity = {"probability": probability, "target": 0.9, "calibrated": True}

    assert (is_sure(specificity), keeps_target(specificity)) == (sure, kept)


def test_the_species_that_leave_a_doubt_are_those_with_a_tenth_or_more() -> None:
    assert [found["score"] for found in rivals_of(answer("species", 0.5, (0.5, 0.1, 0.09)))] == [0.5, 0.1]
    assert [found["score"] for found in rivals_of(answer("genus", 0.9, (0.4, 0.3, 0.1, 0.1)))] == [0.4, 0.3, 0.1]


def test_a_species_without_a_rival_has_none_named() -> None:
    assert rivals_of(answer("species", 0.5, (0.5, 0.09))) == []
    assert len(rivals_of(answer("genus", 0.9, (0.5, 0.09)))) == 1


@pytest.mark.parametrize(
    ("said", "guessed", "unseen"),
    [
        (["cap", "hymenium"], ["", ""], ["stem", "cross-section"]),
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
    [("en", "Page not found"), ("da", "Siden blev ikke fundet"), ("de", "Seite nicht gefunden")],
)
def test_a_person_at_a_wrong_address_is_told_so_and_led_on(client: FlaskClient, language: str, said: str) -> None:
    page = client.get("/nowhere", headers={"Accept": "text/html", "Accept-Language": language})

    assert page.status_code == 404
    assert said in page.text
    assert "/api/v1/" not in re.sub(r"<footer.*", "", page.text, flags=re.S)
    assert 'href="/"' in page.text
