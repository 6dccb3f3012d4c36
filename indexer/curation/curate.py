"""From a record that nobody has checked to one that can be trusted, or a rejection with its reason. Pure.

Reasons: no-photo, not-a-photo, not-a-fungus, no-identification, not-to-species, uncertain-identification,
unresolved-synonym, licence-missing, licence-reserved, licence-unknown, licence-not-accepted, no-author.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date

from indexer.curation.licences import NEEDS_AUTHOR, POLICIES, canonical_licence, is_reserved, licence_family
from indexer.curation.names import ABOVE_SPECIES, NameResolver, ParsedName, compose_name, parse_name, same_authorship
from indexer.curation.places import parse_coordinates, parse_country, parse_date, parse_language, parse_uncertainty
from indexer.records import CuratedRecord, Record, RejectedRecord

NOT_SAID = frozenset(
    {"", "-", "--", "?", "n/a", "na", "nan", "null", "none", "none stated", "not stated", "not recorded", "unknown",
     "unspecified", "anonymous", "\\n", "incertae sedis", "not assigned", "unassigned"}
)  # fmt: skip
KINGDOMS = {
    "eumycota": "Fungi",
    "mycota": "Fungi",
    "fungi": "Fungi",
    "mycetae": "Fungi",
    "amoebozoa": "Protozoa",
    "mycetozoa": "Protozoa",
}
GBIF_KEY = re.compile(r"(?:^|gbif:|gbif\.org/(?:\w\w/)?species/)(\d{1,10})(?:\.0)?$")
SYNONYM_STATUS = re.compile(r"synonym|misapplied|not accepted|unaccepted|invalid|replaced", re.I)
TOXIC = {
    "1": "poisonous",
    "1.0": "poisonous",
    "true": "poisonous",
    "yes": "poisonous",
    "y": "poisonous",
    "t": "poisonous",
}
NOT_TOXIC = frozenset({"0", "0.0", "false", "no", "n", "f", "edible", "-1"})
"""Words that are dropped: to repeat them would be a verdict on eating, which this project never gives."""
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
PHOTO_FORMATS = re.compile(r"^(?:image/)?(?:jpe?g|pjpeg|png|webp|hei[cf]|gif|tiff?|bmp|x-ms-bmp|\*)$|^image$", re.I)
STILL = frozenset({"", "stillimage", "image", "photograph", "photo", "picture"})


@dataclass(frozen=True, slots=True)
class CurationPolicy:
    """What may come in. The same policy and record give the same answer on any day: `today` is given."""

    today: date
    licences: str = "open"  # open, noncommercial or any; see indexer.curation.licences.POLICIES
    kingdoms: frozenset[str] = frozenset(
        {"Fungi", "Protozoa", ""}
    )  # slime moulds are Protozoa to GBIF, fungi to mycologists
    earliest: date = date(1700, 1, 1)
    uncertain: bool = False  # whether `cf.`, `aff.` and `?` are taken as if they were not there

    def __post_init__(self) -> None:
        if self.licences != "any" and self.licences not in POLICIES:
            raise ValueError(f"there is no licence policy {self.licences!r}: choose open, noncommercial or any")


@dataclass(frozen=True, slots=True)
class CuratedSpecies:
    """The accepted species a record is of, and the name it came under."""

    name: str
    authorship: str
    key: int | None
    synonym: str = ""
    synonym_key: int | None = None
    doubts: tuple[str, ...] = ()


def curate(record: Record, policy: CurationPolicy, names: NameResolver) -> CuratedRecord | RejectedRecord:
    """Check every field of `record` and bring it to one form, or say why it is left out."""
    if fault := find_photo_fault(record) or find_kingdom_fault(record, policy):
        return reject(record, *fault)
    species = find_species(record, policy, names)
    if not isinstance(species, CuratedSpecies):
        return reject(record, *species)
    licence, fault = find_licence(record, policy)
    if fault:
        return reject(record, *fault)
    creator, author_doubt = find_creator(record)
    holder = read_text(record.rights_holder)
    if not creator and not holder and policy.licences != "any" and licence_family(licence) in NEEDS_AUTHOR:
        return reject(record, "no-author", f"licence {licence} asks for the author's name, and none is given")
    day, date_doubt = parse_date(read_text(record.event_date), earliest=policy.earliest, today=policy.today)
    latitude, longitude, place_doubt = parse_coordinates(
        read_text(record.decimal_latitude), read_text(record.decimal_longitude)
    )
    uncertainty, metre_doubt = parse_uncertainty(read_text(record.coordinate_uncertainty))
    country, country_doubt = parse_country(read_text(record.country_code))
    licence_doubt = "" if licence else f"licence not known: {read_text(record.licence) or 'none given'}"
    doubts = (*species.doubts, licence_doubt, author_doubt, date_doubt, place_doubt, metre_doubt, country_doubt)
    return CuratedRecord(
        photo=record.photo,
        species_name=species.name,
        species_authorship=species.authorship,
        species_key=species.key,
        lineage=find_lineage(record, species.name),
        synonym=species.synonym,
        synonym_key=species.synonym_key,
        observation=read_text(record.observation),
        event_date=day,
        decimal_latitude=latitude,
        decimal_longitude=longitude,
        coordinate_uncertainty=uncertainty if latitude is not None else None,
        country_code=country,
        recorded_by=read_text(record.recorded_by),
        habitat=read_text(record.habitat),
        substrate=read_text(record.substrate),
        creator=creator,
        rights_holder=holder,
        licence=licence,
        references=read_text(record.references),
        aspect=find_aspect(record.aspect),
        position=int(record.position) if re.fullmatch(r"\d{1,9}", record.position) else 0,  # longer ones count nothing
        toxicity=find_toxicity(record.toxicity),
        vernacular_name=read_text(record.vernacular_name),
        vernacular_language=parse_language(read_text(record.vernacular_language)),
        file=record.file,
        line=record.line,
        doubts=tuple(doubt for doubt in doubts if doubt),
    )


def read_text(text: str) -> str:
    """Return the text trimmed, or nothing where it only says that nothing is said."""
    text = text.strip()
    return "" if text.lower() in NOT_SAID else text


def reject(record: Record, reason: str, detail: str) -> RejectedRecord:
    """Make a rejection that says where the record came from."""
    return RejectedRecord(reason, detail, record.file, record.line, record.photo)


Fault = tuple[str, str]  # reason and detail


def find_photo_fault(record: Record) -> Fault | None:
    """A record must point to a photo: sounds, pages and specimens without a picture are none."""
    if not record.photo.strip():
        return "no-photo", "the record names no photo"
    media_types = [
        re.split(r"[/#]", part)[-1].replace(" ", "") for part in re.split("[;|,]", record.media_type.lower())
    ]
    if not STILL.intersection(media_types):
        return "not-a-photo", f"the record is of type {record.media_type}"
    media_format = read_text(record.media_format).split(";")[0].strip()
    if media_format and not PHOTO_FORMATS.match(media_format):
        return "not-a-photo", f"the record is of format {record.media_format}"
    return None


def find_kingdom_fault(record: Record, policy: CurationPolicy) -> Fault | None:
    """Only a kingdom that is stated can rule a record out."""
    text = read_text(record.kingdom)
    kingdom = KINGDOMS.get(text.lower(), text.capitalize())
    if kingdom in policy.kingdoms:
        return None
    return "not-a-fungus", f"{read_text(record.scientific_name) or 'the record'} is of kingdom {kingdom or 'not said'}"


def find_species(record: Record, policy: CurationPolicy, names: NameResolver) -> CuratedSpecies | Fault:
    """Find the accepted species: what the archive says is accepted, then what the resolver knows better."""
    given = read_given_name(record)
    stated = parse_name(read_text(record.accepted_name))
    if given == parse_name("") and not stated.species:
        if read_text(record.scientific_name):
            return "not-to-species", f"{record.scientific_name!r} is not the name of a species"
        return "no-identification", "the record has no scientific name"
    uncertain = given.uncertain or stated.uncertain
    if uncertain and not policy.uncertain:
        return "uncertain-identification", f"{record.scientific_name!r} is marked {uncertain}"
    rank = record.taxon_rank.strip().lower()
    if not stated.species and (not given.species or rank in ABOVE_SPECIES):
        return "not-to-species", f"{record.scientific_name or given.full!r} is not identified to species"
    given_key, name, key = (
        read_gbif_key(record.taxon_key),
        stated.species or given.species,
        find_key(record, given, stated),
    )
    known = names.accepted(given.full, given_key) or names.accepted(name, key)
    if known is None and SYNONYM_STATUS.search(record.taxonomic_status) and not stated.species:
        known = names.accepted(name, read_gbif_key(record.accepted_taxon_key))
        if known is None:
            return (
                "unresolved-synonym",
                f"{given.full} is called a {record.taxonomic_status.lower()}, but of what is not said",
            )
    if known is not None:
        name, key = known[0], known[1] if known[1] is not None or known[0] != name else key
    return CuratedSpecies(
        name=name,
        authorship=find_authorship(record, name, given, stated),
        key=key,
        synonym=given.full if given.species and given.full != name else "",
        synonym_key=given_key if given.species and given.full != name and given_key != key else None,
        doubts=tuple(
            f"name {record.scientific_name!r} is {mark}" for mark in (given.loose, uncertain and "uncertain") if mark
        ),
    )


def read_given_name(record: Record) -> ParsedName:
    """Read the name the record came under, from one column or from the columns of genus and epithet."""
    given = parse_name(read_text(record.scientific_name))
    if not given.species and read_text(record.specific_epithet) and not given.uncertain:
        composed = parse_name(compose_name(read_text(record.genus) or given.genus, read_text(record.specific_epithet)))
        return composed if composed.species else given
    return given


def find_key(record: Record, given: ParsedName, stated: ParsedName) -> int | None:
    """The GBIF key of the species: keys of infraspecific names, and of synonyms, are not it."""
    if species_key := read_gbif_key(record.species_key):
        return species_key
    accepted_key = read_gbif_key(record.accepted_taxon_key)
    if stated.species:
        if stated.infraspecific:
            return None
        return accepted_key or (read_gbif_key(record.taxon_key) if stated.species == given.full else None)
    if given.infraspecific or SYNONYM_STATUS.search(record.taxonomic_status):
        return None
    return accepted_key or read_gbif_key(record.taxon_key)


def read_gbif_key(text: str) -> int | None:
    """Read a GBIF key from `5240151`, `gbif:5240151` or `https://www.gbif.org/species/5240151`."""
    found = GBIF_KEY.search(text.strip())
    return int(found[1]) or None if found else None


def find_authorship(record: Record, name: str, given: ParsedName, stated: ParsedName) -> str:
    """The authorship of the accepted species, from whichever name carries it."""
    if stated.species == name and not stated.infraspecific and stated.authorship:
        return stated.authorship
    if given.species == name:
        if given.authorship:
            return given.authorship
        if not given.infraspecific:
            return same_authorship(read_text(record.scientific_name_authorship))
    return ""


def find_lineage(record: Record, species: str) -> tuple[tuple[str, str], ...]:
    """Return (rank, name) from kingdom to genus, those that are known; the genus is that of the accepted name."""
    genus = species.split()[0]
    ranks = [("kingdom", record.kingdom), ("phylum", record.phylum), ("class", record.class_), ("order", record.order)]
    if (
        not read_text(record.genus)
        or read_text(record.genus).capitalize() == genus
        or record.scientific_name.startswith(genus)
    ):
        ranks.append(("family", record.family))  # of another genus, the family may be another too
    lineage = [(rank, read_text(name)) for rank, name in ranks]
    kept = [
        (rank, KINGDOMS.get(name.lower(), name.capitalize()))
        for rank, name in lineage
        if re.fullmatch(r"[^\W\d_]+", name)
    ]
    return (*kept, ("genus", genus))


def find_licence(record: Record, policy: CurationPolicy) -> tuple[str, Fault | None]:
    """Return (licence code or "", None), or ("", fault) where the policy does not let it pass."""
    text = read_text(record.licence)
    code = canonical_licence(text)
    if policy.licences == "any":
        return code or "", None
    if not text:
        return "", ("licence-missing", "no licence is given for the photo")
    if code is None and is_reserved(text):
        return "", ("licence-reserved", f"licence {text!r} keeps all rights")
    if code is None:
        return "", ("licence-unknown", f"licence {text!r} is not understood")
    if licence_family(code) not in POLICIES[policy.licences]:
        return "", ("licence-not-accepted", f"licence {code} is not among those of the policy {policy.licences!r}")
    return code, None


def find_creator(record: Record) -> tuple[str, str]:
    """Return (author of the photo, doubt). Where nobody is named, whoever recorded the find is taken to be it."""
    creator = read_text(record.creator)
    if creator or read_text(record.rights_holder) or not read_text(record.recorded_by):
        return creator, ""
    return read_text(record.recorded_by), "author not named; the recorder is taken instead"


def find_aspect(text: str) -> str:
    """Find what a photo shows in a word or phrase; nothing where several aspects are named."""
    found = {ASPECT_WORDS[word] for word in re.findall(r"[a-z]+", text.lower()) if word in ASPECT_WORDS}
    return found.pop() if len(found) == 1 else ""


def find_toxicity(text: str) -> str:
    """Keep what an archive says of poison, drop whatever says that there is none."""
    word = read_text(text)
    return "" if word.lower() in NOT_TOXIC or "edib" in word.lower() else TOXIC.get(word.lower(), word)
