"""Uncertain answers: which species remain possible, and which views to photograph next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from web.pages.wording.template_words import aspect_word

SURE: Final = 0.8  # from this probability on, "probably"
FITS: Final = 0.1  # minimum score to be listed as a best match
RIVALS: Final = 3  # best matches, at most
SIDES: Final = ("cap", "hymenium", "stipe", "section")  # diagnostic aspects that a phone can photograph


def uncertainty_words() -> dict[str, Any]:
    """Return the functions that the template of an answer uses."""
    return {
        "is_sure": is_sure,
        "is_uncertain": is_uncertain,
        "keeps_target": keeps_target,
        "outcome_of": outcome_of,
        "pictured_first": pictured_first,
        "rivals_of": rivals_of,
        "unseen_aspects": unseen_aspects,
    }


def outcome_of(answer: Mapping[str, Any]) -> str:
    """Return which kind of answer it is.

    "rejected": the photos show none of the species; "off-list": the species is probably not on the chosen list;
    "named": a taxon is named; "unrelated": no taxon is probable enough; "unranked": nothing could be compared.
    """
    rejection, flora_list, stop = answer["rejection"], answer.get("floraList"), answer["specificity"]
    if rejection and rejection["rejected"]:
        return "rejected"
    if flora_list and flora_list["probable"]:
        return "off-list"
    if stop is None:
        return "unranked"
    return "named" if stop["taxon"] else "unrelated"


def pictured_first(answer: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the candidate whose best reference photo is shown beside the person's photo; None without candidates.

    It is the best species of the taxon that the answer names.
    """
    outcome = outcome_of(answer)
    if outcome == "off-list" and answer["notOnTheList"]:
        best: Mapping[str, Any] = answer["notOnTheList"][0]
        return best
    species: list[Mapping[str, Any]] = answer["species"]
    named = answer["specificity"]["taxon"] if outcome == "named" else None
    within = [found for found in species if named and named["scientificName"] in names_above(found["taxon"])]
    return next(iter(within or species), None)


def names_above(taxon: Mapping[str, Any]) -> tuple[str | None, ...]:
    """Return the names of a species, its genus and its family, as far as they are known."""
    return (taxon["scientificName"], taxon.get("genus"), taxon.get("family"))


def is_uncertain(answer: Mapping[str, Any]) -> bool:
    """Return whether the answer stops above the species, or names one with a low probability."""
    return stops_above(answer) or not is_sure(answer["specificity"])


def is_sure(specificity: Mapping[str, Any]) -> bool:
    """Return whether the named taxon, of any rank, is probably right."""
    return bool(specificity["probability"] >= SURE)


def keeps_target(specificity: Mapping[str, Any]) -> bool:
    """Return whether the answer's probability reaches the target precision that its rank was chosen for.

    Beside a lower percentage, the sentence about the target would contradict it.
    """
    return bool(specificity["calibrated"] and specificity["probability"] >= specificity["target"])


def rivals_of(answer: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the best matching species, at most three; empty if only one species matches."""
    fitting = [found for found in answer["species"][:RIVALS] if found["score"] >= FITS]
    return fitting if len(fitting) > 1 or stops_above(answer) else []


def stops_above(answer: Mapping[str, Any]) -> bool:
    """Return whether the answer names a higher taxon or none."""
    specificity = answer["specificity"]
    return specificity is None or specificity["taxon"] is None or specificity["taxon"]["taxonRank"] != "species"


def unseen_aspects(answer: Mapping[str, Any]) -> list[str]:
    """Return the names of the aspects that no photo shows; empty if the aspect of some photo is unknown."""
    given = list(answer.get("photoAspects", ())) or [""] * answer["photos"]
    shown = [aspect or guess for aspect, guess in zip(given, answer["guessedAspects"], strict=True)]
    return [aspect_word(side) for side in SIDES if side not in shown] if all(shown) else []
