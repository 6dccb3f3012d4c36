"""The nouns of the build line: what an archive says, before and after it is trusted."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Record:
    """One photo line of an archive, not yet trusted: text as it stands there, stripped of surrounding blanks.

    Field names are the Darwin Core and Audubon Core terms in Python spelling; empty means not said.
    """

    photo: str  # path below the archive, or address
    scientific_name: str = ""
    scientific_name_authorship: str = ""
    taxon_rank: str = ""
    taxonomic_status: str = ""
    accepted_name: str = ""  # acceptedNameUsage
    taxon_key: str = ""  # GBIF key of the name as given
    accepted_taxon_key: str = ""  # GBIF key of the accepted taxon
    species_key: str = ""  # GBIF key of the species it belongs to
    kingdom: str = ""
    phylum: str = ""
    class_: str = ""
    order: str = ""
    family: str = ""
    genus: str = ""
    specific_epithet: str = ""
    vernacular_name: str = ""
    vernacular_language: str = ""
    observation: str = ""  # occurrenceID or its like; empty: the photo is an observation of its own
    event_date: str = ""
    decimal_latitude: str = ""
    decimal_longitude: str = ""
    coordinate_uncertainty: str = ""  # metres
    country_code: str = ""
    recorded_by: str = ""
    habitat: str = ""
    substrate: str = ""
    creator: str = ""
    rights_holder: str = ""
    licence: str = ""
    references: str = ""  # page about the photo
    media_type: str = ""  # DCMI type: StillImage, Sound, InteractiveResource
    media_format: str = ""  # MIME type, or what was written there
    aspect: str = ""
    position: str = ""  # order of the photo within its observation
    toxicity: str = ""
    file: str = ""  # the archive's file it was read from
    line: int = 0  # counted from 1; 0 where lines make no sense


@dataclass(frozen=True, slots=True)
class RejectedRecord:
    """A record left out, with its reason. `reason` is a short stable code; `detail` a sentence."""

    reason: str
    detail: str
    file: str = ""
    line: int = 0
    photo: str = ""


@dataclass(frozen=True, slots=True)
class CuratedRecord:
    """A record whose every field has been checked and brought to one form; the photo's bytes are not read yet."""

    photo: str
    species_name: str  # accepted, without authorship
    species_authorship: str
    species_key: int | None  # GBIF key
    lineage: tuple[tuple[str, str], ...]  # (rank, name) from kingdom to genus, those that are known
    synonym: str = ""  # the name the record carried, where it is not the accepted one
    synonym_key: int | None = None
    observation: str = ""
    event_date: date | None = None
    decimal_latitude: float | None = None
    decimal_longitude: float | None = None
    coordinate_uncertainty: float | None = None  # metres
    country_code: str = ""  # ISO 3166-1 alpha-2
    recorded_by: str = ""
    habitat: str = ""
    substrate: str = ""
    creator: str = ""
    rights_holder: str = ""
    licence: str = ""  # canonical code, such as CC-BY-4.0 or CC0-1.0; "" where the policy lets it pass unknown
    references: str = ""
    aspect: str = ""  # one of retrieval.domain.ASPECTS or empty
    position: int = 0
    toxicity: str = ""
    vernacular_name: str = ""
    vernacular_language: str = ""
    file: str = ""
    line: int = 0
    doubts: tuple[str, ...] = field(default=())  # what was dropped though the record was kept: "date in the future"


@dataclass(frozen=True, slots=True)
class ArchiveSource:
    """An archive as the person named it: its kind, where it lies and how its columns are called."""

    kind: str
    path: Path
    photos: Path | None = None  # folder that photo paths are relative to, where it is not the archive
    columns: tuple[tuple[str, str], ...] = ()  # (field of Record, header) given by the person
