"""The nouns of the answer line as plain values. Imports nothing of this project and no big library."""

from __future__ import annotations

from dataclasses import dataclass, field

RANKS = ("kingdom", "phylum", "class", "order", "family", "genus", "species")
"""The seven ranks an answer can stop at, from the widest to the narrowest."""

ASPECTS = ("cap", "hymenium", "stipe", "section", "habitat", "microscopy")
"""What a photo of an observation may show. `hymenium` covers gills, pores and teeth."""

WORLD = "world"
"""The flora that is always there: every species that has references."""

NOTICE = (
    "This is a suggestion by a machine, not an identification by an expert, "
    "and no advice on eating: never eat a fungus because of it."
)
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
class Vote:
    """What one reference observation says of one view, through its closest photo."""

    species: int
    observation: int
    row: int  # the closest photo
    similarity: float
    weight: float  # exp((similarity - best similarity of the view) / temperature)


@dataclass(frozen=True, slots=True)
class Candidate:
    """A taxon in the answer, with its evidence."""

    taxon: Taxon
    share: float  # of the votes, 0 to 1; not yet calibrated, so not called a score
    evidence: tuple[Evidence, ...] = ()
    per_photo: tuple[float, ...] = ()  # the share each photo alone would have given


@dataclass(frozen=True, slots=True)
class Evidence:
    """A reference photo that spoke for a candidate, and the query photo it resembles most."""

    reference: Reference
    similarity: float
    photo: int  # position of the query photo, from 0


@dataclass(frozen=True, slots=True)
class Identification:
    """The answer for one observation."""

    species: tuple[Candidate, ...]  # ranked, best first; shares add up to at most 1 over all species
    genera: tuple[Candidate, ...]  # each the sum of its species
    families: tuple[Candidate, ...]
    outside: tuple[Candidate, ...]  # looked better than the flora's best, but are not on its list; shares of world
    flora: str
    photos: int
    snapshot: str
    model: str
    notice: str = field(default=NOTICE)
