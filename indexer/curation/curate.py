"""Validates and normalises a record, or rejects it with a reason. Pure functions.

The reasons, and what a curator can do about each, are in indexer.curation.reasons.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date

from indexer.curation.certainty import find_wild_fault
from indexer.curation.dates import find_date
from indexer.curation.licences import (
    NEEDS_AUTHOR,
    POLICIES,
    canonical_licence,
    is_reserved,
    is_restricted,
    licence_family,
)
from indexer.curation.media import find_media_fault
from indexer.curation.names import NameResolver
from indexer.curation.places import (
    is_no_language,
    parse_coordinates,
    parse_country,
    parse_language,
    parse_uncertainty,
    split_coordinates,
)
from indexer.curation.species import KINGDOMS, find_lineage, find_lineage_keys, find_species
from indexer.curation.texts import read_text
from indexer.records import CuratedRecord, DroppedValue, Record, RecordFault, RejectedRecord
from retrieval.domain import RANKS

TOXIC = {
    "1": "poisonous",
    "1.0": "poisonous",
    "true": "poisonous",
    "yes": "poisonous",
    "y": "poisonous",
    "t": "poisonous",
}
NOT_TOXIC = frozenset({"0", "0.0", "false", "no", "n", "f", "edible", "-1"})
"""Words that are dropped, since repeating them would be a statement on edibility, which this project never makes."""
ASPECT_WORDS = {
    word: aspect
    for aspect, words in (
        ("cap", ("cap", "pileus", "top", "upper")),
        (
            "hymenium",
            ("hymenium", "gill", "gills", "lamella", "lamellae", "pore", "pores", "teeth", "tubes", "underside"),
        ),
        ("stipe", ("stipe", "stem", "stalk", "foot", "base", "volva", "ring")),
        ("section", ("section", "cut", "flesh", "context")),
        ("habitat", ("habitat", "habit", "situ")),
        ("microscopy", ("microscopy", "microscopic", "micro", "spore", "spores", "basidia", "cystidia")),
    )
    for word in words
}


POSITION = re.compile(r"\d{1,9}")
DRAWN = re.compile(
    r"drawing|painting|illustration|artwork|diagram|(?<!photo)graph(?:ic)?\b|logo|icon|map\b|spectrogram|sketch", re.I
)
"""Audubon Core's subtypes of images that are not photographs."""


KEYED = ("genus", *(f"{rank}_key" for rank in RANKS[:-1]))
"""Record fields with the GBIF keys of the higher taxa."""


@dataclass(frozen=True, slots=True)
class CurationPolicy:
    """The rules of acceptance. Results depend only on policy and record: the date `today` is given."""

    today: date
    licences: str = "open"  # open, noncommercial or any; see indexer.curation.licences.POLICIES
    kingdoms: frozenset[str] = frozenset(
        {"Fungi", "Protozoa", ""}
    )  # slime moulds are Protozoa in GBIF, and studied by mycologists
    earliest: date = date(1700, 1, 1)
    uncertain: bool = False  # whether `cf.`, `aff.` and `?` are ignored

    def __post_init__(self) -> None:
        if self.licences != "any" and self.licences not in POLICIES:
            raise ValueError(f"there is no licence policy {self.licences!r}: choose open, noncommercial or any")


def curate(record: Record, policy: CurationPolicy, names: NameResolver) -> CuratedRecord | RejectedRecord:
    """Validate and normalise every field of `record`, or return a rejection."""
    if fault := find_photo_fault(record) or find_kingdom_fault(record, policy) or find_wild_fault(record):
        return reject(record, fault)
    species = find_species(record, names, uncertain=policy.uncertain)
    if isinstance(species, RecordFault):
        return reject(record, species)
    lineage = find_lineage(record, species.name)
    licence, fault = find_licence(record, policy)
    if fault:
        return reject(record, fault)
    creator, author_doubt = find_creator(record)
    holder = read_text(record.rights_holder)
    if not creator and not holder and policy.licences != "any" and licence_family(licence) in NEEDS_AUTHOR:
        detail = f"licence {licence} asks for the author's name, and none is given"
        return reject(record, RecordFault("no-author", detail, "creator"))
    day, date_doubt = find_date(
        read_text(record.event_date),
        (read_text(record.year), read_text(record.month), read_text(record.day)),
        earliest=policy.earliest,
        today=policy.today,
    )
    latitude, longitude, place_doubt = find_coordinates(record)
    uncertainty, metre_doubt = find_uncertainty(record, placed=latitude is not None)
    country, country_doubt = parse_country(read_text(record.country_code))
    language = parse_language(read_text(record.vernacular_language))
    doubts = (*species.doubts, author_doubt, date_doubt, place_doubt, metre_doubt, country_doubt)
    return CuratedRecord(
        photo=record.photo,
        species_name=species.name,
        species_authorship=species.authorship,
        species_key=species.key,
        lineage=lineage,
        lineage_keys=find_lineage_keys(lineage, {name: getattr(record, name) for name in KEYED}),
        synonym=species.synonym,
        synonym_key=species.synonym_key,
        observation=read_text(record.observation),
        event_date=day,
        decimal_latitude=latitude,
        decimal_longitude=longitude,
        coordinate_uncertainty=uncertainty,
        country_code=country,
        recorded_by=read_text(record.recorded_by),
        habitat=read_text(record.habitat),
        substrate=read_text(record.substrate),
        creator=creator,
        rights_holder=holder,
        licence=licence,
        references=read_text(record.references),
        aspect=find_aspect(record.aspect),
        position=int(record.position) if is_position(record.position) else 0,
        toxicity=find_toxicity(record.toxicity),
        vernacular_name=read_text(record.vernacular_name),
        vernacular_language=language,
        file=record.file,
        line=record.line,
        doubts=tuple(doubt for doubt in (*doubts, *find_lesser_doubts(record, licence, language)) if doubt),
    )


def reject(record: Record, fault: RecordFault) -> RejectedRecord:
    """Make a rejection with the location of the record."""
    return RejectedRecord(fault.reason, fault.detail, record.file, record.line, record.photo, fault.field, fault.text)


def find_coordinates(record: Record) -> tuple[float | None, float | None, DroppedValue | None]:
    """Read the coordinates from two columns, or from one cell with both."""
    latitude, longitude = read_text(record.decimal_latitude), read_text(record.decimal_longitude)
    if latitude and longitude:
        return parse_coordinates(latitude, longitude)
    cell = latitude or longitude or read_text(record.verbatim_coordinates)
    split = split_coordinates(cell)
    return parse_coordinates(*split) if all(split) else parse_coordinates(cell, "")


def find_uncertainty(record: Record, *, placed: bool) -> tuple[float | None, DroppedValue | None]:
    """Read the uncertainty of a place; ignored without a place."""
    metres, doubt = parse_uncertainty(text := read_text(record.coordinate_uncertainty))
    if metres is None or placed:
        return metres, doubt
    detail = "there are no coordinates that it belongs to"
    return None, DroppedValue("uncertainty-without-place", "coordinateUncertaintyInMeters", text, detail)


def find_lesser_doubts(record: Record, licence: str, language: str) -> Iterator[DroppedValue]:
    """Return the other values dropped from an accepted record."""
    if not licence:  # accepted by the policy
        detail = "the licence is not known" if read_text(record.licence) else "no licence is given"
        yield DroppedValue("licence-not-known", "license", record.licence, detail)
    said = read_text(record.vernacular_language)
    if read_text(record.vernacular_name) and said and not language and not is_no_language(said):
        yield DroppedValue(
            "language-not-known", "language", record.vernacular_language, "no language is known by this name"
        )
    if read_text(record.aspect) and not find_aspect(record.aspect):
        yield DroppedValue(
            "aspect-not-known", "subjectPart", record.aspect[:80], "no single aspect of a fungus is named"
        )
    if read_text(record.position) and not is_position(record.position):
        yield DroppedValue("position-not-read", "position", record.position[:80], "this is no small number")


def is_position(text: str) -> bool:
    """Return whether a text is a number usable as a photo's position; longer ones are not."""
    return POSITION.fullmatch(text) is not None


def find_photo_fault(record: Record) -> RecordFault | None:
    """Return why a record has no photo: sounds, pages and specimens without images have none."""
    if not record.photo.strip():
        return RecordFault("no-photo", "the record names no photo")
    fault = find_media_fault(read_text(record.media_type), read_text(record.media_format))
    if fault:
        return RecordFault("not-a-photo", f"the record is of {' '.join(fault)}", *fault)
    subtype = read_text(record.media_subtype)
    if DRAWN.search(subtype):
        return RecordFault("not-a-photo", f"the record is of subtype {subtype}", "subtype", subtype)
    return None


def find_kingdom_fault(record: Record, policy: CurationPolicy) -> RecordFault | None:
    """Return why the stated kingdom excludes a record."""
    text = read_text(record.kingdom)
    kingdom = KINGDOMS.get(text.lower(), text.capitalize())
    if kingdom in policy.kingdoms:
        return None
    name = read_text(record.scientific_name) or "the record"
    return RecordFault("not-a-fungus", f"{name} is of kingdom {kingdom or 'not said'}", "kingdom", text)


def find_licence(record: Record, policy: CurationPolicy) -> tuple[str, RecordFault | None]:
    """Return (licence code or "", None), or ("", fault) if the policy does not accept it.

    Other statements of rights count too: if they contradict the licence, there is none.
    """
    text, rights = read_text(record.licence), read_text(record.rights)
    code = canonical_licence(text)
    if code and rights and rights != text and contradicts(rights, code):
        text, code = f"{text}; {rights}", None
    if policy.licences == "any":
        return code or "", None
    if not text:
        beside = f"; beside it stands {rights}" if rights else ""
        return "", _licence_fault("licence-missing", f"no licence is given for the photo{beside}", text or rights)
    if code is None and is_reserved(text):
        return "", _licence_fault("licence-reserved", f"licence {text!r} keeps all rights", text)
    if code is None:
        return "", _licence_fault("licence-unknown", f"licence {text!r} is not understood", text)
    if licence_family(code) not in POLICIES[policy.licences]:
        detail = f"licence {code} is not among those of the policy {policy.licences!r}"
        return "", _licence_fault("licence-not-accepted", detail, text)
    return code, None


def contradicts(rights: str, code: str) -> bool:
    """Return whether a statement of rights names another licence than `code`, or restricts what that one grants."""
    other = canonical_licence(rights)
    return licence_family(other) != licence_family(code) if other else is_restricted(rights, code)


def _licence_fault(reason: str, detail: str, text: str) -> RecordFault:
    return RecordFault(reason, detail, "license", text)


def find_creator(record: Record) -> tuple[str, DroppedValue | None]:
    """Return (author of the photo, doubt). Without a named author, it is assumed to be the recorder."""
    creator, recorder = read_text(record.creator), read_text(record.recorded_by)
    if creator or read_text(record.rights_holder) or not recorder:
        return creator, None
    return recorder, DroppedValue(
        "author-is-recorder", "recordedBy", recorder, "no author is named; the recorder is taken"
    )


def find_aspect(text: str) -> str:
    """Return the aspect in a word or phrase; empty if several are named."""
    found = {ASPECT_WORDS[word] for word in re.findall(r"[a-z]+", text.lower()) if word in ASPECT_WORDS}
    return found.pop() if len(found) == 1 else ""


def find_toxicity(text: str) -> str:
    """Keep statements on toxicity, and drop those that deny it."""
    word = read_text(text)
    return "" if word.lower() in NOT_TOXIC or "edib" in word.lower() else TOXIC.get(word.lower(), word)
