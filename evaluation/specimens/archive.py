"""Files beside the drawings: a Darwin Core Archive, regional checklists, and the answers of held-out observations."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from xml.sax.saxutils import escape

from evaluation.specimens.camera import STATEMENT
from evaluation.specimens.world import Find, ListedSpecies, World, statuses

AUTHOR = "Fungarium drawing program"
LICENCE = "http://creativecommons.org/publicdomain/zero/1.0/"
TITLE = "Drawings of fungi that do not exist"

LINEAGE = {"kingdom": "Fungi", "phylum": "Fictomycota", "class": "Fictomycetes", "order": "Fictales"}
"""All of it invented but the kingdom."""

_DWC = "http://rs.tdwg.org/dwc/terms/"
_DC = "http://purl.org/dc/terms/"
_OCCURRENCE = (
    "occurrenceID",
    "basisOfRecord",
    "scientificName",
    "scientificNameAuthorship",
    "taxonRank",
    *LINEAGE,
    "family",
    "genus",
    "specificEpithet",
    "vernacularName",
    "eventDate",
    "decimalLatitude",
    "decimalLongitude",
    "coordinateUncertaintyInMeters",
    "countryCode",
    "habitat",
    "recordedBy",
    "datasetName",
    "occurrenceRemarks",
)
_MULTIMEDIA = {
    "type": _DC,
    "format": _DC,
    "identifier": _DC,
    "title": _DC,
    "creator": _DC,
    "license": _DC,
    "rightsHolder": _DC,
    "references": _DC,
    "subjectPart": "http://rs.tdwg.org/ac/terms/",
}


def occurrence_id(world: World, find: Find) -> str:
    """Return the identifier of an observation, which names the seed it was drawn with."""
    return f"fungarium:drawing:{world.seed}:{find.number}"


def photo_path(find: Find, position: int) -> str:
    """Return the path of a photo relative to the archive; `position` counts from 0."""
    folder = find.species.name.replace(" ", "_")
    return f"photos/{folder}/{find.number:05d}-{position + 1}-{find.aspects[position]}.jpg"


def write_archive(folder: Path, world: World) -> None:
    """Write meta.xml, eml.xml, occurrence.txt and multimedia.txt."""
    folder.mkdir(parents=True, exist_ok=True)
    occurrences = [[*_occurrence(world, find)] for find in world.finds]
    photos = [
        [occurrence_id(world, find), *_photo(find, position)]
        for find in world.finds
        for position in range(len(find.aspects))
    ]
    write_text(folder / "occurrence.txt", _table(_OCCURRENCE, occurrences, "\t"))
    write_text(folder / "multimedia.txt", _table(("coreid", *_MULTIMEDIA), photos, "\t"))
    write_text(folder / "meta.xml", _meta())
    write_text(folder / "eml.xml", _eml(world))


def write_checklist(folder: Path, world: World, region: str) -> None:
    """Write a region's taxon.csv, distribution.csv and vernacularname.csv."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = statuses(world, region)
    listed = list({member.name: member for member, _, _ in lines}.values())
    taxa = [
        [
            _taxon_id(member),
            member.name,
            "",
            "species",
            *LINEAGE.values(),
            member.genus.family.name,
            member.genus.name,
            member.name.split()[1],
            "ICN",
            member.toxicity,
            LICENCE,
            STATEMENT,
        ]
        for member in listed
    ]
    header = ("taxonID", "scientificName", "scientificNameAuthorship", "taxonRank", *LINEAGE, "family", "genus")
    header = (*header, "specificEpithet", "nomenclaturalCode", "toxicity", "license", "taxonRemarks")
    write_text(folder / "taxon.csv", _table(header, taxa, ","))
    source = f"Invented list of the {region}, {AUTHOR}"
    ranges = [
        [_taxon_id(member), f"ISO_3166-2:{country}", f"the {region}", country, status, source]
        for member, country, status in lines
    ]
    header = ("taxonID", "locationID", "locality", "countryCode", "occurrenceStatus", "source")
    write_text(folder / "distribution.csv", _table(header, ranges, ","))
    spoken = [
        [_taxon_id(member), name, language]
        for member in listed
        for name, language in ((member.english, "en"), (member.danish, "da"))
        if name
    ]
    write_text(folder / "vernacularname.csv", _table(("taxonID", "vernacularName", "language"), spoken, ","))


def write_answers(path: Path, world: World) -> None:
    """Write the species of the held-out observations, in the order of their folders."""
    answers = [
        {
            "observation": held_out_folder(place),
            "scientificName": find.species.name,
            "flora": find.species.regions[0],
            "files": [f"{held_out_folder(place)}/{aspect}.jpg" for aspect in find.aspects],
            "aspects": list(find.aspects),
        }
        for place, find in enumerate(world.held_out)
    ]
    write_text(path, json.dumps({"statement": STATEMENT, "observations": answers}, indent=2) + "\n")


def held_out_folder(place: int) -> str:
    """Return the folder of a held-out observation by its position."""
    return f"find-{place + 1:02d}"


def write_text(path: Path, text: str) -> None:
    """Write a file atomically."""
    beside = path.with_name(f".{path.name}.part")
    beside.write_text(text, encoding="utf-8", newline="")
    beside.replace(path)


def _occurrence(world: World, find: Find) -> tuple[str, ...]:
    species = find.species
    return (
        occurrence_id(world, find),
        "Occurrence",  # the most general term: nobody has observed or collected anything
        species.name,
        "",
        "species",
        *LINEAGE.values(),
        species.genus.family.name,
        species.genus.name,
        species.name.split()[1],
        species.english,
        find.day.isoformat(),
        f"{find.latitude:.4f}",
        f"{find.longitude:.4f}",
        str(find.uncertainty),
        find.country,
        find.habitat,
        AUTHOR,
        TITLE,
        STATEMENT,
    )


def _photo(find: Find, position: int) -> tuple[str, ...]:
    aspect = find.aspects[position]
    title = f"Drawing of {find.species.name} (does not exist): {aspect}"
    return ("StillImage", "image/jpeg", photo_path(find, position), title, AUTHOR, LICENCE, AUTHOR, STATEMENT, aspect)


def _taxon_id(member: ListedSpecies) -> str:
    return f"fungarium:invented:{member.name.replace(' ', '-').lower()}"


def _table(header: tuple[str, ...], rows: list[list[str]], separator: str) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, delimiter=separator, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return buffer.getvalue()


def _meta() -> str:
    layout = (
        r'encoding="UTF-8" fieldsTerminatedBy="\t" linesTerminatedBy="\n" fieldsEnclosedBy="" ignoreHeaderLines="1"'
    )
    core = [f'    <field index="{k}" term="{_DWC}{name}"/>' for k, name in enumerate(_OCCURRENCE)]
    media = [f'    <field index="{k}" term="{space}{name}"/>' for k, (name, space) in enumerate(_MULTIMEDIA.items(), 1)]
    return "\n".join(
        [
            '<?xml version="1.0" encoding="UTF-8"?>',
            '<archive xmlns="http://rs.tdwg.org/dwc/text/" metadata="eml.xml">',
            f'  <core {layout} rowType="{_DWC}Occurrence">',
            "    <files><location>occurrence.txt</location></files>",
            '    <id index="0"/>',
            *core,
            "  </core>",
            f'  <extension {layout} rowType="http://rs.gbif.org/terms/1.0/Multimedia">',
            "    <files><location>multimedia.txt</location></files>",
            '    <coreid index="0"/>',
            *media,
            "  </extension>",
            "</archive>",
            "",
        ]
    )


def _eml(world: World) -> str:
    statement = escape(
        f"{len(world.species)} invented species in {len(world.finds)} invented finds, drawn by a program with seed "
        f"{world.seed}. None of these species exists and nobody has found anything at these places: the collection "
        "is for trying out and testing Fungarium and must not be taken for records of fungi."
    )
    return "\n".join(
        [
            '<?xml version="1.0" encoding="UTF-8"?>',
            f'<eml:eml xmlns:eml="eml://ecoinformatics.org/eml-2.1.1" packageId="fungarium-drawings-{world.seed}" '
            'system="fungarium" scope="system" xml:lang="en">',
            "  <dataset>",
            f"    <title>{escape(TITLE)}</title>",
            f"    <creator><organizationName>{AUTHOR}</organizationName></creator>",
            f"    <metadataProvider><organizationName>{AUTHOR}</organizationName></metadataProvider>",
            "    <language>en</language>",
            f"    <abstract><para>{statement}</para></abstract>",
            "    <intellectualRights><para>Dedicated to the public domain under "
            f'<ulink url="{LICENCE}"><citetitle>CC0 1.0</citetitle></ulink>.</para></intellectualRights>',
            f"    <contact><organizationName>{AUTHOR}</organizationName></contact>",
            "  </dataset>",
            "</eml:eml>",
            "",
        ]
    )
