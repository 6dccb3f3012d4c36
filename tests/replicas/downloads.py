"""GBIF's download service in the replica: requests by an account, statuses, and Darwin Core Archives."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.replicas.serving import Query, Reply, Site, as_json

ACCOUNT = "ane:pass:wørd"
PRIVATE = ("POST /v1/occurrence/download/request", "/v1/occurrence/download/user/")
PARAMETERS = {
    "COUNTRY": "country", "GADM_GID": "gadmGid", "OCCURRENCE_STATUS": "occurrenceStatus", "MEDIA_TYPE": "mediaType",
    "BASIS_OF_RECORD": "basisOfRecord", "TAXON_KEY": "taxonKey",
}  # fmt: skip
DWC, GBIF, DC = "http://rs.tdwg.org/dwc/terms/", "http://rs.gbif.org/terms/1.0/", "http://purl.org/dc/terms/"
OF_GBIF = {"gbifID", "datasetKey", "taxonKey", "speciesKey", "genusKey", "acceptedScientificName", "species",
           "taxonomicStatus"}  # fmt: skip
COLUMNS = (
    "gbifID", "license", "references", "rightsHolder", "occurrenceID", "basisOfRecord", "occurrenceStatus",
    "recordedBy", "degreeOfEstablishment", "identificationVerificationStatus", "eventDate", "year", "month", "day",
    "countryCode", "decimalLatitude", "decimalLongitude", "coordinateUncertaintyInMeters", "scientificName", "kingdom",
    "phylum", "class", "order", "family", "genus", "species", "taxonRank", "taxonomicStatus", "datasetKey",
    "taxonKey", "genusKey", "speciesKey", "acceptedScientificName",
)  # fmt: skip
OF_PHOTOS = ("gbifID", "type", "format", "identifier", "license", "creator", "rightsHolder")


def no_records(query: Query) -> list[dict[str, Any]]:
    return []


@dataclass
class Downloads:
    """The downloads of one person."""

    search: Callable[[Query], list[dict[str, Any]]] = no_records
    statuses: list[str] = field(default_factory=list)  # of the next questions for a status; then SUCCEEDED
    made: list[dict[str, Any]] = field(default_factory=list)
    archives: dict[str, bytes] = field(default_factory=dict)
    breaks: list[int] = field(default_factory=list)  # bytes after which the next replies with an archive break off
    refused: int = 0  # status with which requests are refused
    api: Site = field(default_factory=lambda: Site(""))
    media: Site = field(default_factory=lambda: Site(""))

    def answer(self, path: str, query: Query) -> Reply:
        """Answer one of the routes below `occurrence/download`."""
        last = path.rpartition("/")[2]
        if path.startswith("POST "):
            return Reply(self.refused, b"", "") if self.refused else self.issue(json.loads(query[0][1]))
        if "/user/" in path:
            return as_json({"offset": 0, "limit": 100, "endOfRecords": True, "count": len(self.made),
                            "results": self.made[::-1]})  # fmt: skip
        if last.endswith(".zip"):
            return Reply(302, b"", "", {"Location": f"{self.media.address}/archive/{last}"})
        made = next((one for one in self.made if one["key"] == last), None)
        if made is None:
            return as_json({"message": "not found"}, 404)
        made["status"] = self.statuses.pop(0) if self.statuses else "SUCCEEDED"
        return as_json(made)

    def archive(self, path: str) -> Reply:
        """Answer with an archive."""
        body = self.archives.get(path.rpartition("/")[2].removesuffix(".zip"))
        if body is None:
            return Reply(404, b"", "")
        return Reply(200, body, "application/zip", sent=self.breaks.pop(0) if self.breaks else None)

    def issue(self, wanted: dict[str, Any]) -> Reply:
        key = f"{len(self.made) + 1:07}-261130120000000"
        found = self.search(read_predicate(wanted["predicate"]))
        self.archives[key] = write_archive(found)
        self.made.append({
            "key": key,
            "doi": f"10.0000/dl.test{len(self.made) + 1}",
            "license": "http://creativecommons.org/licenses/by/4.0/legalcode",
            "request": {"predicate": wanted["predicate"], "creator": wanted["creator"], "format": wanted["format"],
                        "sendNotification": wanted["sendNotification"], "type": "OCCURRENCE"},
            "created": "2026-11-30T12:00:00.000+00:00",
            "modified": "2026-11-30T12:10:00.000+00:00",
            "eraseAfter": "2027-05-30T12:00:00.000+00:00",
            "status": "PREPARING",
            "downloadLink": f"{self.api.address}/v1/occurrence/download/request/{key}.zip",
            "size": len(self.archives[key]),
            "totalRecords": len(found),
            "numberDatasets": len({one["datasetKey"] for one in found}),
        })  # fmt: skip
        return Reply(201, key.encode(), "text/plain")


def read_predicate(predicate: dict[str, Any]) -> Query:
    """The parameters of a search that finds what a predicate does; places restrict nothing in the replica."""
    if predicate["type"] == "and":
        return [pair for part in predicate["predicates"] for pair in read_predicate(part)]
    if predicate["type"] in ("within", "geoDistance"):
        return []
    values = predicate["values"] if predicate["type"] == "in" else [predicate["value"]]
    return [(PARAMETERS[predicate["key"]], value) for value in values]


def write_archive(records: list[dict[str, Any]]) -> bytes:
    """A Darwin Core Archive as GBIF writes it: tables with tabs and no quotes, described by meta.xml."""
    rows = [[str(record.get(name, "")) for name in COLUMNS] for record in records]
    photos = [
        [str(record["gbifID"]), *(str(photo.get(name, "")) for name in OF_PHOTOS[1:])]
        for record in records
        for photo in record["media"]
    ]
    meta = (
        '<archive xmlns="http://rs.tdwg.org/dwc/text/" metadata="metadata.xml">'
        + describe_table("core", f"{DWC}Occurrence", "occurrence.txt", "id", COLUMNS)
        + describe_table("extension", f"{GBIF}Multimedia", "multimedia.txt", "coreid", OF_PHOTOS)
        + "</archive>"
    )
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("occurrence.txt", write_rows([list(COLUMNS), *rows]))
        packed.writestr("multimedia.txt", write_rows([list(OF_PHOTOS), *photos]))
        packed.writestr("meta.xml", meta)
        packed.writestr("citations.txt", "Dataset 1, invented.\n")
        packed.writestr("rights.txt", "Dataset 1\nRights as supplied: none\n")
    return stream.getvalue()


def write_rows(rows: list[list[str]]) -> str:
    return "".join("\t".join(row) + "\n" for row in rows)


def describe_table(section: str, row_type: str, file: str, key: str, names: tuple[str, ...]) -> str:
    """A section of the descriptor."""
    fields = "".join(f'<field index="{at}" term="{locate_term(name)}"/>' for at, name in enumerate(names))
    return (
        f'<{section} encoding="utf-8" fieldsTerminatedBy="\\t" linesTerminatedBy="\\n" fieldsEnclosedBy="" '
        f'ignoreHeaderLines="1" rowType="{row_type}"><files><location>{file}</location></files>'
        f'<{key} index="0"/>{fields}</{section}>'
    )


def locate_term(name: str) -> str:
    """The URI of a term."""
    dublin = {"license", "references", "rightsHolder", "type", "format", "identifier", "creator"}
    return (GBIF if name in OF_GBIF else DC if name in dublin else DWC) + name
