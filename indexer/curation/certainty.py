"""Whether a record is a wild observation with a certain identification, by its other columns. Pure functions."""

from __future__ import annotations

import re

from indexer.curation.texts import read_text
from indexer.records import Record, RecordFault

SENSE = r"(?:s|ss|sens|sensu)\b[. ]*"
WIDE = re.compile(rf"{SENSE}(?:l|lat|ampl)\w*\b.*|agg(?:r|reg\w*)?\b.*|(?:species )?(?:group|complex)|coll\b.*", re.I)
CERTAIN = re.compile(
    rf"{SENSE}(?:s|str|stricto)\b\.?|(?:is )?(?:certain|sure|confirmed|verified|definite|correct|accurate|valid)|exact|"
    r"no doubt|not doubtful|det\.?|determined|identified|yes|true",
    re.I,
)
UNVERIFIED = re.compile(
    r"un(?!known)\w+.*|(?:not|non|nicht) (?:verif|confirm|valid|review|accept|correct|approv|determin|check|geprüft).*|"
    r"0|no|nein|false|casual|invalid\b.*|(?:needs?|requires?|awaiting|pending)\b.*|.*\b(?:needed|required|pending)|"
    r".*\b(?:reject|dismiss|doubt|dubious|question|uncertain|incorrect|wrong|misident|erroneous|disput|unable).*|"
    r"unsicher|ungeprüft|ovalider\w+|underkän\w+",
    re.I,
)
ABSENT = re.compile(
    r"absen(?:t|ce)\b.*|not (?:found|present|detected|observed|seen)|0|no|false|extinct|eradicated", re.I
)
KEPT = re.compile(
    r"(?:in )?captiv.*|cultivat.*|managed\b.*|planted|farmed|commercial.*|in culture|greenhouse|zuchtpilz\w*", re.I
)
BEFORE_TERM = re.compile(r".*[/#:]|[\W_]", re.S)
NO_FIND = {
    "materialsample": "a sample", "livingspecimen": "a culture or captive specimen", "fossilspecimen": "a fossil",
    "materialcitation": "a citation from literature", "literature": "a citation from literature",
    "drawing": "a drawing", "illustration": "a drawing", "taxon": "a taxon",
}  # fmt: skip
"""Values of basisOfRecord whose photos do not show a specimen in the field."""


def find_wild_fault(record: Record) -> RecordFault | None:
    """Return why a record is no wild observation: absent, cultivated, a sample, or a drawing."""
    status = read_text(record.occurrence_status)
    if ABSENT.fullmatch(status):
        return RecordFault(
            "absent", f"the record says that the fungus was not there: {status}", "occurrenceStatus", status
        )
    for text, term in (
        (record.establishment_means, "establishmentMeans"),
        (record.degree_of_establishment, "degreeOfEstablishment"),
    ):
        if KEPT.fullmatch(read_text(text)):
            return RecordFault("cultivated", f"the find is not a wild one: {text}", term, text)
    basis = BEFORE_TERM.sub("", record.basis_of_record.lower())
    if basis in NO_FIND:
        text = record.basis_of_record
        return RecordFault("not-a-find", f"the record is of {NO_FIND[basis]}", "basisOfRecord", text)
    return None


def find_doubt(record: Record) -> RecordFault | None:
    """Return why columns other than the name make the identification doubtful.

    Unknown qualifiers are doubts: `aff. edulis`, `sp. 'IN01'`. A verification status is one only if it says so, since
    most archives have their own words for verified records.
    """
    qualifier = record.identification_qualifier.strip()  # read_text drops the placeholder `?`
    if (qualifier == "?" or read_text(qualifier)) and not (CERTAIN.fullmatch(qualifier) or is_wide(qualifier)):
        return RecordFault(
            "uncertain-identification",
            f"the identification is qualified: {qualifier}",
            "identificationQualifier",
            qualifier,
        )
    status = read_text(record.verification_status.replace("_", " "))
    if UNVERIFIED.fullmatch(status) and not CERTAIN.fullmatch(status):
        return RecordFault(
            "uncertain-identification",
            f"the identification is {status}",
            "identificationVerificationStatus",
            status,
        )
    return None


def is_wide(qualifier: str) -> bool:
    """Return whether a qualifier means the species in a wide sense, or its group."""
    return WIDE.fullmatch(qualifier.strip()) is not None
