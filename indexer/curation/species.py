"""Finds the accepted species of a record from its names, its keys and a resolver of synonyms. Pure functions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from indexer.curation.certainty import find_doubt, is_wide
from indexer.curation.names import ABOVE_SPECIES, NameResolver, ParsedName, compose_name, parse_name, same_authorship
from indexer.curation.texts import read_text
from indexer.records import DroppedValue, Record, RecordFault

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
SIGN = re.compile(r"[\W_]")
WORD = re.compile(r"[^\W\d_]+")
SENSE_IN_AUTHORSHIP = re.compile(r"\b(?:auctt?|sensu|ss|non|nec|s\.\s?l|s\.\s?lat|agg|prov|ined|cf)\b", re.I)


@dataclass(frozen=True, slots=True)
class CuratedSpecies:
    """The accepted species of a record, and its original name."""

    name: str
    authorship: str
    key: int | None
    synonym: str = ""
    synonym_key: int | None = None
    doubts: tuple[DroppedValue, ...] = ()


def find_species(record: Record, names: NameResolver, *, uncertain: bool = False) -> CuratedSpecies | RecordFault:
    """Return the accepted species: as stated by the archive, unless the resolver knows better.

    `uncertain` accepts doubtful identifications, with a doubt.
    """
    given = read_given_name(record)
    stated = parse_name(read_text(record.accepted_name))
    written = record.scientific_name or given.full
    if given == parse_name("") and not stated.species:
        if read_text(record.scientific_name):
            return _fault("not-to-species", f"{written!r} is not the name of a species", written)
        return _fault("no-identification", "the record has no scientific name", "")
    mark = given.uncertain or stated.uncertain or parse_name(read_text(record.verbatim_identification)).uncertain
    guess = _fault("uncertain-identification", f"{written!r} is marked {mark}", written) if mark else find_doubt(record)
    if guess and not uncertain:
        return guess
    rank = SIGN.sub("", record.taxon_rank.lower())
    if not stated.species and (not given.species or rank in ABOVE_SPECIES):
        return _fault("not-to-species", f"{written!r} is not identified to species", written)
    given_key, name, key = (
        read_gbif_key(record.taxon_key),
        stated.species or given.species,
        find_key(record, given, stated),
    )
    known = names.accepted(given.full, given_key) or names.accepted(name, key)
    if known is None and SYNONYM_STATUS.search(record.taxonomic_status) and not stated.species:
        known = names.accepted(name, read_gbif_key(record.accepted_taxon_key))
        if known is None:
            status = record.taxonomic_status.lower()
            return _fault("unresolved-synonym", f"{given.full} is called a {status}, but of what is not said", written)
    if known is not None:
        name, key = known[0], known[1] if known[1] is not None or known[0] != name else key
    return CuratedSpecies(
        name=name,
        authorship=find_authorship(record, name, given, stated),
        key=key,
        synonym=given.full if given.species and given.full != name else "",
        synonym_key=given_key if given.species and given.full != name and given_key != key else None,
        doubts=find_name_doubts(record, given, guess),
    )


def find_name_doubts(record: Record, given: ParsedName, guess: RecordFault | None) -> tuple[DroppedValue, ...]:
    """Return assumptions about the name: that an aggregate, a hybrid or a doubtful name stands for its species."""
    text = record.scientific_name
    doubts = []
    if given.loose == "aggregate" or is_wide(record.identification_qualifier):
        doubts.append(
            DroppedValue("name-in-wide-sense", "scientificName", text, "the name is used for more than its species")
        )
    if given.loose == "hybrid":
        doubts.append(DroppedValue("name-of-hybrid", "scientificName", text, "the name is of a hybrid"))
    if guess:
        doubts.append(DroppedValue("name-uncertain", guess.field, guess.text, guess.detail))
    return tuple(doubts)


def _fault(reason: str, detail: str, text: str) -> RecordFault:
    return RecordFault(reason, detail, "scientificName", text)


def read_given_name(record: Record) -> ParsedName:
    """Read the record's original name, from one column or from genus and epithet.

    A separate authorship column can negate the name: `auct. non L.`
    """
    given = parse_name(read_text(record.scientific_name))
    if not given.species and read_text(record.specific_epithet) and not given.uncertain:
        composed = parse_name(compose_name(read_text(record.genus) or given.genus, read_text(record.specific_epithet)))
        given = composed if composed.species or composed.uncertain else given
    if given.species and SENSE_IN_AUTHORSHIP.search(record.scientific_name_authorship):
        whole = parse_name(f"{given.full} {record.scientific_name_authorship}")
        given = replace(given, uncertain=given.uncertain or whole.uncertain, loose=given.loose or whole.loose)
    return given


def find_key(record: Record, given: ParsedName, stated: ParsedName) -> int | None:
    """Return the GBIF key of the species; keys of infraspecific names and of synonyms are not used."""
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
    """Return the authorship of the accepted species, from any name that has it."""
    if stated.species == name and not stated.infraspecific and stated.authorship:
        return stated.authorship
    if given.species == name:
        if given.authorship:
            return given.authorship
        if not given.infraspecific:
            return same_authorship(read_text(record.scientific_name_authorship))
    return ""


def find_lineage_keys(lineage: Iterable[tuple[str, str]], texts: Mapping[str, str]) -> tuple[tuple[str, int], ...]:
    """Return (rank, GBIF key) of a lineage, from fields such as `family_key` and `genus`.

    The key of a genus applies only to the genus stated with it.
    """
    found = []
    for rank, name in lineage:
        key = read_gbif_key(texts.get(f"{rank}_key", ""))
        if key is not None and (rank != "genus" or read_text(texts.get("genus", "")).capitalize() in ("", name)):
            found.append((rank, key))
    return tuple(found)


def find_lineage(record: Record, species: str) -> tuple[tuple[str, str], ...]:
    """Return the known (rank, name) from kingdom to genus; the genus is that of the accepted name."""
    genus = species.split()[0]
    ranks = [("kingdom", record.kingdom), ("phylum", record.phylum), ("class", record.class_), ("order", record.order)]
    if (
        not read_text(record.genus)
        or read_text(record.genus).capitalize() == genus
        or record.scientific_name.startswith(genus)
    ):
        ranks.append(("family", record.family))  # of another genus, so the family may differ too
    lineage = [(rank, read_text(name)) for rank, name in ranks]
    kept = [(rank, KINGDOMS.get(name.lower(), name.capitalize())) for rank, name in lineage if WORD.fullmatch(name)]
    return (*kept, ("genus", genus))
