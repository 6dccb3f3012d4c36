"""The nouns of the build line: what an archive says, before and after it is trusted."""

from __future__ import annotations

from dataclasses import dataclass
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
    identification_qualifier: str = ""  # cf., aff., ?: what stands beside the name and not in it
    verbatim_identification: str = ""  # the name before whoever published the archive tidied it
    verification_status: str = ""  # identificationVerificationStatus, or iNaturalist's quality grade
    taxonomic_status: str = ""
    accepted_name: str = ""  # acceptedNameUsage
    taxon_key: str = ""  # GBIF key of the name as given
    accepted_taxon_key: str = ""  # GBIF key of the accepted taxon
    species_key: str = ""  # GBIF key of the species it belongs to
    kingdom_key: str = ""  # GBIF keys of what it belongs to
    phylum_key: str = ""
    class_key: str = ""
    order_key: str = ""
    family_key: str = ""
    genus_key: str = ""
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
    year: str = ""
    month: str = ""
    day: str = ""
    occurrence_status: str = ""
    establishment_means: str = ""  # captive and cultivated finds say so here, or in the degree of establishment
    degree_of_establishment: str = ""
    basis_of_record: str = ""
    decimal_latitude: str = ""
    decimal_longitude: str = ""
    verbatim_coordinates: str = ""  # both in one cell
    coordinate_uncertainty: str = ""  # metres
    country_code: str = ""  # or the country's name
    recorded_by: str = ""
    habitat: str = ""
    substrate: str = ""
    creator: str = ""
    rights_holder: str = ""
    licence: str = ""
    rights: str = ""  # what else is said of the rights, in columns beside the licence
    references: str = ""  # page about the photo
    media_type: str = ""  # DCMI type: StillImage, Sound, InteractiveResource
    media_subtype: str = ""  # Audubon Core: Photograph, Drawing, Map
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
    field: str = ""  # the Darwin Core term at fault, where it is one
    text: str = ""  # what stands there


@dataclass(frozen=True, slots=True)
class RecordFault:
    """Why a record is left out, before it is known where the record came from."""

    reason: str
    detail: str
    field: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class DroppedValue:
    """What was dropped or assumed though the record was kept. `reason` is one of indexer.curation.reasons."""

    reason: str
    field: str  # Darwin Core term
    text: str  # what stands there
    detail: str  # a sentence


@dataclass(frozen=True, slots=True)
class CuratedRecord:
    """A record whose every field has been checked and brought to one form; the photo's bytes are not read yet."""

    photo: str
    species_name: str  # accepted, without authorship
    species_authorship: str
    species_key: int | None  # GBIF key
    lineage: tuple[tuple[str, str], ...]  # (rank, name) from kingdom to genus, those that are known
    lineage_keys: tuple[tuple[str, int], ...] = ()  # (rank, GBIF key) of these, those that are known
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
    doubts: tuple[DroppedValue, ...] = ()


@dataclass(frozen=True, slots=True)
class ArchiveSource:
    """An archive as the person named it: its kind, where it lies and how its columns are called."""

    kind: str
    path: Path
    photos: Path | None = None  # folder that photo paths are relative to, where it is not the archive
    columns: tuple[tuple[str, str], ...] = ()  # (field of Record, header) given by the person
    encoding: str = ""  # of its tables, as the person says; empty: it is found out
