"""The nouns of the answer line as plain values. Imports nothing of this project and no big library."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

RANKS = ("kingdom", "phylum", "class", "order", "family", "genus", "species")
"""The seven ranks an answer can stop at, from the widest to the narrowest."""

ASPECTS = ("cap", "hymenium", "stipe", "section", "habitat", "microscopy")
"""What a photo of an observation may show. `hymenium` covers gills, pores and teeth."""

HABITATS = (
    "deciduous-forest",
    "coniferous-forest",
    "mixed-forest",
    "wet-forest",
    "scrub",
    "grassland",
    "heath",
    "bog",
    "coast",
    "arable",
    "garden",
    "bare-ground",
)
"""What grows around a find. Snapshots count by the place in this tuple: add at the end."""

SUBSTRATES = (
    "soil",
    "litter",
    "deciduous-wood",
    "coniferous-wood",
    "wood",
    "living-tree",
    "mulch",
    "dung",
    "moss",
    "herbs",
    "fungi",
    "burnt-ground",
    "cones",
    "animal",
    "stone",
)
"""What a fungus grows on. Snapshots count by the place in this tuple: add at the end."""

WORLD = "world"
"""The flora that is always there: every species that has references."""

NOTICE = "This is an automatic suggestion, not an identification by an expert. Never eat a fungus based on this result."
"""Comes with every identification."""


@dataclass(frozen=True, slots=True)
class Taxon:
    """A node of the taxonomy. `rank` is one of RANKS; `parent` is None for a root."""

    id: int
    name: str  # scientific name without authorship
    rank: str
    parent: int | None = None
    authorship: str = ""
    gbif_key: int | None = None


@dataclass(frozen=True, slots=True)
class Reference:
    """A curated photo of a known species: one row of the index."""

    row: int  # its place in the snapshot; not stable between snapshots
    photo: str  # sha256 of the photo's bytes, in hexadecimal; stable, and the id in addresses
    observation: str  # dataset and observation identifier; photos of one observation share it
    species: int  # taxon id
    author: str
    licence: str
    source: str  # address or name of where the photo comes from; may be empty
    aspect: str = ""  # one of ASPECTS or empty


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A reference near to a view."""

    row: int
    species: int
    observation: int  # ordinal of the reference's observation in the snapshot
    similarity: float  # cosine: 1.0 is the same picture, 0.0 is unrelated


@dataclass(frozen=True, slots=True)
class Candidate:
    """A taxon in the answer, with its evidence."""

    taxon: Taxon
    share: float  # what the photos alone say, 0 to 1: a share of votes, or a calibrated score where that was learned
    evidence: tuple[Evidence, ...] = ()
    per_photo: tuple[float, ...] = ()  # the share each photo alone would have given
    score: float = 0.0  # the share with priors, and with the probability of "none of these" taken off
    prior: float = 1.0  # what the priors multiplied the share by, before all were brought to their sum
    priors: Mapping[str, float] = field(default_factory=dict)  # the same for each of them
    expected_here: bool | None = None  # None: no place was given, or nothing is known of places
    expected_now: bool | None = None
    expected_habitat: bool | None = None  # None: no habitat was given, or nothing is known of habitats
    expected_substrate: bool | None = None
    lookalikes: tuple[Lookalike, ...] = ()


@dataclass(frozen=True, slots=True)
class Lookalike:
    """A species that is often confused with a candidate in this collection."""

    taxon: Taxon
    share: float  # of the observations of one that were taken for the other
    toxicity: str  # what a source says of its poison, in its words; empty where nobody says anything


@dataclass(frozen=True, slots=True)
class TaxonomicSpecificity:
    """Where the answer stops: the deepest taxon that is probable enough to be right in `target` of all answers."""

    taxon: Taxon | None  # None: not even the widest is probable enough
    probability: float
    depth: int  # kingdom 1 to species 7, 0 for none
    threshold: float
    target: float
    calibrated: bool  # whether the threshold was fitted; else it is the target itself


@dataclass(frozen=True, slots=True)
class Rejection:
    """Whether the answer is to be trusted at all."""

    rejected: bool
    none: float  # probability that it is none of the species with references
    similarity: float  # of the closest reference
    reason: str


@dataclass(frozen=True, slots=True)
class ListVerdict:
    """How probable it is that it is of no species on the flora's list."""

    off_list: float  # probability of all species with references that are not on it, together
    none_of_list: float  # of them and of "none of these"
    most_like: Taxon | None  # the most probable of those that it looks more like than any on the list

    @property
    def probable(self) -> bool:
        """Whether it is more probably none of the list than one of it."""
        return self.none_of_list >= 0.5


@dataclass(frozen=True, slots=True)
class SkippedReferences:
    """What an answer is silent about, because a part of the references gave none."""

    parts: tuple[int, ...]  # of the cluster
    species: tuple[int, ...]  # taxon ids, ascending: their references, or some of them, were not compared
    references: int


@dataclass(frozen=True, slots=True)
class Evidence:
    """A reference photo that spoke for a candidate, and the query photo it resembles most."""

    reference: Reference
    similarity: float
    photo: int  # position of the query photo, from 0


@dataclass(frozen=True, slots=True)
class Identification:
    """The answer for one observation."""

    species: tuple[Candidate, ...]  # of the flora, best first
    genera: tuple[Candidate, ...]  # each the sum of its species
    families: tuple[Candidate, ...]
    outside: tuple[Candidate, ...]  # look better than the flora's best, but are not on its list
    flora: str
    photos: int
    snapshot: str
    model: str
    notice: str = field(default=NOTICE)
    calibrated: bool = False
    fusion: str = "mean"
    priors: tuple[str, ...] = ()  # those that were applied
    specificity: TaxonomicSpecificity | None = None
    rejection: Rejection | None = None
    of_list: ListVerdict | None = None  # None: the world, or not calibrated
    rankings: tuple[tuple[tuple[Taxon, float], ...], ...] = ()  # each photo's own first species
    decided_by: int = 0  # the photo without which the first species would lose most
    aspects: tuple[str, ...] = ()  # what each photo shows, as given or told; empty: not known
    aspects_predicted: bool = False  # by the machine, from the photos
    effective_photos: float = 1.0  # near-identical ones counted once
    same_photos: tuple[tuple[int, ...], ...] = ()  # groups of photos that show the same, by their positions from 0
    unlike_photos: tuple[tuple[int, int], ...] = ()  # pairs that look like two finds, by their positions from 0
    skipped: SkippedReferences | None = None  # only where somebody asked for an answer all the same
