"""Columns besides the name: whether a record is an observation in the field, and how certain its identification is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from indexer.curation.certainty import find_doubt, find_wild_fault, is_wide
from indexer.records import Record

FIND = Record(photo="a.jpg", scientific_name="Boletus edulis")


@pytest.mark.parametrize(
    "qualifier",
    [
        "cf.",
        "cf",
        "aff.",
        "aff. edulis",
        "?",
        "sp. 'IN01'",
        "sp.",
        "nr.",
        "prob.",
        "uncertain",
        "possibly",
        "gr. edulis",
    ],
)
def test_a_qualifier_makes_an_identification_uncertain(qualifier: str) -> None:
    fault = find_doubt(replace(FIND, identification_qualifier=qualifier))

    assert fault is not None
    assert (fault.reason, fault.field, fault.text) == ("uncertain-identification", "identificationQualifier", qualifier)


@pytest.mark.parametrize(
    "qualifier",
    ["", " ", "-", "none", "n/a", "s.str.", "sensu stricto", "s. s.", "certain", "Confirmed", "det.", "s.l.", "agg."],
)
def test_a_qualifier_that_doubts_nothing_leaves_it_certain(qualifier: str) -> None:
    assert find_doubt(replace(FIND, identification_qualifier=qualifier)) is None


@pytest.mark.parametrize(
    ("qualifier", "wide"),
    [("s.l.", True), ("sensu lato", True), ("agg.", True), ("species group", True), ("s.str.", False)],
)
def test_a_qualifier_may_mean_the_species_in_a_wide_sense(qualifier: str, wide: bool) -> None:
    assert is_wide(qualifier) == wide


@pytest.mark.parametrize(
    "status",
    [
        "unverified", "Unverified", "Unconfirmed - not reviewed", "not verified", "Not accepted", "needs_id",
        "needs ID", "casual",
        "0", "requires confirmation", "verification required", "rejected", "doubtful", "Dismissed",
        "uncertain", "incorrect",
        "questionable", "Unvalidated",
    ],
)  # fmt: skip
def test_a_status_of_verification_may_deny_it(status: str) -> None:
    fault = find_doubt(replace(FIND, verification_status=status))

    assert fault is not None
    assert fault.field == "identificationVerificationStatus"


@pytest.mark.parametrize(
    "status",
    [
        "",
        "verified",
        "Accepted - considered correct",
        "research",
        "1",
        "validated by expert",
        "approved",
        "Godkänd",
        "unknown",
    ],
)
def test_words_of_an_archive_s_own_are_no_doubt(status: str) -> None:
    assert find_doubt(replace(FIND, verification_status=status)) is None


@pytest.mark.parametrize(
    ("changes", "reason", "term"),
    [
        ({"occurrence_status": "absent"}, "absent", "occurrenceStatus"),
        ({"occurrence_status": "ABSENT"}, "absent", "occurrenceStatus"),
        ({"occurrence_status": "not found"}, "absent", "occurrenceStatus"),
        ({"establishment_means": "cultivated"}, "cultivated", "establishmentMeans"),
        ({"establishment_means": "managed"}, "cultivated", "establishmentMeans"),
        ({"establishment_means": "captive"}, "cultivated", "establishmentMeans"),
        ({"degree_of_establishment": "captive (category B1)"}, "cultivated", "degreeOfEstablishment"),
        ({"establishment_means": "introduced", "degree_of_establishment": "cultivated (category B2)"}, "cultivated",
         "degreeOfEstablishment"),
        ({"basis_of_record": "MaterialSample"}, "not-a-find", "basisOfRecord"),
        ({"basis_of_record": "MATERIAL_SAMPLE"}, "not-a-find", "basisOfRecord"),
        ({"basis_of_record": "http://rs.tdwg.org/dwc/terms/LivingSpecimen"}, "not-a-find", "basisOfRecord"),
        ({"basis_of_record": "Fossil Specimen"}, "not-a-find", "basisOfRecord"),
        ({"basis_of_record": "Drawing"}, "not-a-find", "basisOfRecord"),
        ({"basis_of_record": "MaterialCitation"}, "not-a-find", "basisOfRecord"),
    ],
)  # fmt: skip
def test_what_was_no_wild_find_is_left_out(changes: dict[str, Any], reason: str, term: str) -> None:
    fault = find_wild_fault(replace(FIND, **changes))

    assert fault is not None
    assert (fault.reason, fault.field) == (reason, term)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"occurrence_status": "present"},
        {"occurrence_status": "common"},
        {"establishment_means": "native"},
        {"establishment_means": "introduced"},
        {"degree_of_establishment": "invasive (category E)"},
        {"basis_of_record": "HumanObservation"},
        {"basis_of_record": "PRESERVED_SPECIMEN"},
    ],
)
def test_wild_finds_pass(changes: dict[str, Any]) -> None:
    assert find_wild_fault(replace(FIND, **changes)) is None
