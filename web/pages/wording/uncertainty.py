"""What an answer that is not sure says beside its name: what else fits, and what to photograph next."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from web.pages.wording.template_words import aspect_word

SURE: Final = 0.8  # from here on a species is "probably" it
FITS: Final = 0.1  # what a species must have to be named beside the first
RIVALS: Final = 3
SIDES: Final = ("cap", "hymenium", "stipe", "section")  # what a fungus is told by, and a phone can show


def uncertainty_words() -> dict[str, Any]:
    """What the template of an answer may call."""
    return {
        "is_sure": is_sure,
        "is_uncertain": is_uncertain,
        "keeps_target": keeps_target,
        "rivals_of": rivals_of,
        "unseen_aspects": unseen_aspects,
    }


def is_uncertain(answer: Mapping[str, Any]) -> bool:
    """Whether the answer stops above the species, or names one that it is not sure of."""
    return stops_above(answer) or not is_sure(answer["specificity"])


def is_sure(specificity: Mapping[str, Any]) -> bool:
    """Whether the name that an answer gives, of whatever rank, is probably right."""
    return bool(specificity["probability"] >= SURE)


def keeps_target(specificity: Mapping[str, Any]) -> bool:
    """Whether the answer is itself as certain as the share of right answers that its rank was chosen for.

    Beside a smaller percentage the sentence about that share would contradict it.
    """
    return bool(specificity["calibrated"] and specificity["probability"] >= specificity["target"])


def rivals_of(answer: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """The species between which the photos leave a doubt; nothing where there is one alone."""
    fitting = [found for found in answer["species"][:RIVALS] if found["score"] >= FITS]
    return fitting if len(fitting) > 1 or stops_above(answer) else []


def stops_above(answer: Mapping[str, Any]) -> bool:
    """Whether the answer stops above the species."""
    specificity = answer["specificity"]
    return specificity is None or specificity["taxon"] is None or specificity["taxon"]["taxonRank"] != "species"


def unseen_aspects(answer: Mapping[str, Any]) -> list[str]:
    """The sides of the fungus that no photo shows, in words; nothing where it is not known what some photo shows."""
    said = list(answer.get("photoAspects", ())) or [""] * answer["photos"]
    shown = [one or guess for one, guess in zip(said, answer["guessedAspects"], strict=True)]
    return [aspect_word(side) for side in SIDES if side not in shown] if all(shown) else []
