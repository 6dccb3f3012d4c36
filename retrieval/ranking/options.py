"""The options of an identification besides its photos."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from retrieval.domain import HABITATS, SUBSTRATES
from retrieval.errors import InvalidOption
from retrieval.ranking.fusion import FUSIONS, LEARNED
from retrieval.ranking.priors import CIRCUMSTANCES, PRIORS
from retrieval.ranking.specificity import TARGET


@dataclass(frozen=True, slots=True)
class IdentifyOptions:
    """The options of an identification."""

    coordinates: tuple[float, float] | None = None  # latitude and longitude in degrees
    day: date | None = None  # of the observation
    habitat: str = ""  # one of HABITATS, or empty if unknown
    substrate: str = ""  # one of SUBSTRATES
    priors: Sequence[str] | None = None  # of PRIORS; None: season, place, habitat and substrate, as far as given
    within: Sequence[int] = ()  # taxon ids that the person is sure of: the answer is one of them or a descendant
    aspects: Sequence[str] = ()  # aspect of each photo, in order, "" where unknown; empty: none is known
    target: float = TARGET  # target share of right answers
    fusion: str = LEARNED  # or one of FUSIONS
    no_reject: bool = False
    partial: bool = False  # whether to answer without unavailable references, naming them

    def check(self, photos: int) -> None:
        """Raise InvalidOption for an invalid value."""
        if self.fusion not in (LEARNED, *FUSIONS):
            raise InvalidOption(f"photos are fused by {', '.join(FUSIONS)} or as {LEARNED}, not by {self.fusion!r}")
        if strangers := sorted(set(self.priors or ()) - set(PRIORS)):
            raise InvalidOption(f"there is no prior {strangers[0]!r}; there are: {', '.join(PRIORS)}")
        for what, said, classes in (("habitat", self.habitat, HABITATS), ("substrate", self.substrate, SUBSTRATES)):
            if said and said not in classes:
                raise InvalidOption(f"there is no {what} {said!r}; there are: {', '.join(classes)}")
        if {"uniform", "regional"} <= set(self.priors or ()):
            raise InvalidOption("the priors uniform and regional contradict each other: choose one")
        if not 0.5 <= self.target < 1:
            raise InvalidOption(f"the target accuracy is a share from 0.5 to below 1, not {self.target}")
        if self.aspects and len(self.aspects) != photos:
            raise InvalidOption(f"{len(self.aspects)} aspects were given for {photos} photos")

    @property
    def requested_priors(self) -> tuple[str, ...]:
        """Return the priors to apply; those that depend on a date, place, habitat or substrate only if it is given."""
        wanted = CIRCUMSTANCES if self.priors is None else tuple(self.priors)
        given = {
            "season": self.day is not None,
            "place": self.coordinates is not None,
            "habitat": bool(self.habitat),
            "substrate": bool(self.substrate),
        }
        return tuple(prior for prior in PRIORS if prior in wanted and given.get(prior, True))
