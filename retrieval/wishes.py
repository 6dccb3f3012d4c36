"""What a person may ask for beside the photos: priors, a target, nodes known already, how photos are fused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from retrieval.augmentation import WHOLE, check_recipe
from retrieval.errors import ImpossibleWish
from retrieval.fusion import FUSIONS
from retrieval.priors import PRIORS
from retrieval.specificity import TARGET
from retrieval.views import Box

SMALLEST_BOX = 0.05  # of a side; below it, a region of interest was a slip of the finger


@dataclass(frozen=True, slots=True)
class Wishes:
    """The options of an identification; the defaults ask for nothing."""

    coordinates: tuple[float, float] | None = None  # latitude and longitude in degrees
    day: date | None = None  # of the find
    priors: Sequence[str] | None = None  # of PRIORS; None: season and place, where a day and a place are given
    within: Sequence[int] = ()  # taxon ids that a person is sure of: the answer is under one of them
    aspects: Sequence[str] = ()  # what each photo shows, in their order; empty: not known
    target: float = TARGET  # of answers right
    fusion: str = "mean"
    no_reject: bool = False
    views: str = WHOLE  # recipe by which views are made of each photo
    boxes: Sequence[Box | None] = ()  # region of interest of each photo, in their order; empty: the whole of all

    def check(self, photos: int) -> None:
        """Raise ImpossibleWish, with a sentence, for what there is not."""
        if self.fusion not in FUSIONS:
            raise ImpossibleWish(f"photos are fused by {', '.join(FUSIONS)}, not by {self.fusion!r}")
        if strangers := sorted(set(self.priors or ()) - set(PRIORS)):
            raise ImpossibleWish(f"there is no prior {strangers[0]!r}; there are: {', '.join(PRIORS)}")
        if {"uniform", "regional"} <= set(self.priors or ()):
            raise ImpossibleWish("the priors uniform and regional contradict each other: choose one")
        if not 0.5 <= self.target < 1:
            raise ImpossibleWish(f"the target accuracy is a share from 0.5 to below 1, not {self.target}")
        if self.aspects and len(self.aspects) != photos:
            raise ImpossibleWish(f"{len(self.aspects)} aspects were given for {photos} photos")

        check_recipe(self.views)
        if self.boxes and len(self.boxes) != photos:
            raise ImpossibleWish(f"{len(self.boxes)} regions of interest were given for {photos} photos")
        for box in self.boxes:
            if box is not None:
                check_box(box)

    @property
    def asked_priors(self) -> tuple[str, ...]:
        """The priors to apply, those that want a day or a place only where one is given."""
        wanted = ("season", "place") if self.priors is None else tuple(self.priors)
        given = {"season": self.day is not None, "place": self.coordinates is not None}
        return tuple(prior for prior in PRIORS if prior in wanted and given.get(prior, True))


def check_box(box: Box) -> None:
    """Raise ImpossibleWish for a region of interest that does not lie in its photo, or is too small to show a thing."""
    left, top, right, bottom = box
    inside = all(0 <= share <= 1 for share in box)
    if not inside or right - left < SMALLEST_BOX or bottom - top < SMALLEST_BOX:
        raise ImpossibleWish(
            "a region of interest is left,top,right,bottom in shares of the photo's sides, such as 0.2,0.1,0.8,0.9, "
            f"and at least {SMALLEST_BOX} wide and high"
        )


def read_box(text: str) -> Box | None:
    """The region of interest that a text gives, None for an empty one; raises ImpossibleWish."""
    if not text.strip():
        return None
    try:
        left, top, right, bottom = (float(part) for part in text.split(","))
    except ValueError as error:
        raise ImpossibleWish("a region of interest is four numbers: left,top,right,bottom") from error
    return (left, top, right, bottom)
