from __future__ import annotations

import re
from dataclasses import replace
from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.curation.curate import CurationPolicy, curate
from indexer.curation.names import KnownNames
from indexer.curation.places import NOT_COUNTRIES, is_no_language
from indexer.curation.reasons import DROPPED
from indexer.curation.texts import read_text
from indexer.records import CuratedRecord, Record, RejectedRecord
from tests.indexer.archives.samples import POLICY, TODAY

NOBODY = KnownNames()
FLY_AGARIC = Record(
    photo="a.jpg",
    scientific_name="Amanita muscaria (L.) Lam.",
    taxon_rank="SPECIES",
    kingdom="Fungi",
    family="Amanitaceae",
    genus="Amanita",
    licence="CC BY 4.0",
    creator="N. N.",
    file="photos.csv",
    line=2,
)


def kept(record: Record, policy: CurationPolicy = POLICY, names: KnownNames = NOBODY) -> CuratedRecord:
    curated = curate(record, policy, names)
    assert isinstance(curated, CuratedRecord), curated
    return curated


def reasons(curated: CuratedRecord) -> tuple[str, ...]:
    return tuple(doubt.reason for doubt in curated.doubts)


def reason(record: Record, policy: CurationPolicy = POLICY, names: KnownNames = NOBODY) -> str:
    rejection = curate(record, policy, names)
    assert isinstance(rejection, RejectedRecord), rejection
    assert (rejection.file, rejection.line, rejection.photo) == (record.file, record.line, record.photo)
    assert rejection.detail
    return rejection.reason


def test_a_sound_record_is_kept_in_one_form() -> None:
    curated = kept(replace(FLY_AGARIC, taxon_key="5240151", event_date="2024-09-30T10:00:00", country_code="DEU"))

    assert (curated.species_name, curated.species_authorship) == ("Amanita muscaria", "(L.) Lam.")
    assert curated.species_key == 5240151
    assert curated.lineage == (("kingdom", "Fungi"), ("family", "Amanitaceae"), ("genus", "Amanita"))
    assert (curated.licence, curated.creator) == ("CC-BY-4.0", "N. N.")
    assert (curated.event_date, curated.country_code) == (date(2024, 9, 30), "DE")
    assert curated.synonym == ""
    assert curated.doubts == ()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"photo": " "}, "no-photo"),
        ({"media_type": "Sound"}, "not-a-photo"),
        ({"media_type": "InteractiveResource"}, "not-a-photo"),
        ({"media_type": "http://purl.org/dc/dcmitype/Text"}, "not-a-photo"),
        ({"media_format": "text/html"}, "not-a-photo"),
        ({"media_format": "application/ld+json"}, "not-a-photo"),
        ({"media_format": "video/mp4"}, "not-a-photo"),
        ({"kingdom": "Plantae"}, "not-a-fungus"),
        ({"kingdom": "ANIMALIA"}, "not-a-fungus"),
        ({"scientific_name": ""}, "no-identification"),
        ({"scientific_name": "unknown"}, "no-identification"),
        ({"scientific_name": "Amanita"}, "not-to-species"),
        ({"scientific_name": "Amanita sp."}, "not-to-species"),
        ({"scientific_name": "Amanita muscaria", "taxon_rank": "GENUS"}, "not-to-species"),
        ({"scientific_name": "12 !!"}, "not-to-species"),
        ({"scientific_name": "Amanita cf. muscaria"}, "uncertain-identification"),
        ({"scientific_name": "Amanita muscaria ?"}, "uncertain-identification"),
        ({"taxonomic_status": "SYNONYM"}, "unresolved-synonym"),
        ({"licence": ""}, "licence-missing"),
        ({"licence": "none stated"}, "licence-missing"),
        ({"licence": "© all rights reserved"}, "licence-reserved"),
        ({"licence": "J.A. Cooper"}, "licence-unknown"),
        ({"licence": "CC BY-NC 4.0"}, "licence-not-accepted"),
        ({"licence": "CC BY-ND 4.0"}, "licence-not-accepted"),
        ({"creator": ""}, "no-author"),
    ],
)
def test_what_cannot_be_trusted_is_left_out_with_its_reason(change: dict[str, Any], expected: object) -> None:
    assert reason(replace(FLY_AGARIC, **change)) == expected


@pytest.mark.parametrize(
    "change",
    [
        {"media_type": "StillImage"},
        {"media_type": "http://purl.org/dc/dcmitype/StillImage"},
        {"media_format": "jpeg"},
        {"media_format": "image/png"},
        {"media_format": "image/jpeg; charset=binary"},
        {"kingdom": ""},
        {"kingdom": "incertae sedis"},
        {"kingdom": "Protozoa"},
        {"kingdom": "Eumycota"},
        {"taxon_rank": "variety"},
        {"creator": "", "rights_holder": "N. N."},
        {"creator": "", "licence": "CC0"},
    ],
)
def test_what_is_said_otherwise_is_accepted_all_the_same(change: dict[str, Any]) -> None:
    assert kept(replace(FLY_AGARIC, **change)).species_name == "Amanita muscaria"


def test_the_policy_says_which_licences_pass() -> None:
    noncommercial = CurationPolicy(today=TODAY, licences="noncommercial")
    anything = CurationPolicy(today=TODAY, licences="any")

    assert kept(replace(FLY_AGARIC, licence="CC BY-NC-SA 4.0"), noncommercial).licence == "CC-BY-NC-SA-4.0"
    assert reason(replace(FLY_AGARIC, licence="CC BY-NC-ND 4.0"), noncommercial) == "licence-not-accepted"
    assert kept(replace(FLY_AGARIC, licence="CC BY-NC-ND 4.0"), anything).licence == "CC-BY-NC-ND-4.0"
    unknown = kept(replace(FLY_AGARIC, licence="J.A. Cooper", creator=""), anything)
    assert (unknown.licence, reasons(unknown)) == ("", ("licence-not-known",))
    with pytest.raises(ValueError, match="no licence policy 'opne'"):
        CurationPolicy(today=TODAY, licences="opne")


def test_the_policy_says_which_kingdoms_pass_and_whether_guesses_do() -> None:
    plants = CurationPolicy(today=TODAY, kingdoms=frozenset({"Plantae"}), uncertain=True)
    guess = replace(FLY_AGARIC, kingdom="Plantae", scientific_name="Amanita cf. muscaria")

    assert reasons(kept(guess, plants)) == ("name-uncertain",)
    assert reason(FLY_AGARIC, plants) == "not-a-fungus"


def test_infraspecific_names_go_to_their_species_and_stay_known_as_synonyms() -> None:
    curated = kept(replace(FLY_AGARIC, scientific_name="Amanita muscaria var. formosa Pers.", taxon_key="99"))

    assert (curated.species_name, curated.species_key) == ("Amanita muscaria", None)
    assert (curated.synonym, curated.synonym_key) == ("Amanita muscaria var. formosa", 99)
    assert curated.species_authorship == ""


def test_the_accepted_name_of_the_archive_goes_before_the_name_it_was_found_under() -> None:
    curated = kept(
        replace(
            FLY_AGARIC,
            scientific_name="Agaricus muscarius L.",
            accepted_name="Amanita muscaria (L.) Lam.",
            taxonomic_status="SYNONYM",
            taxon_key="2",
            accepted_taxon_key="5240151",
            species_key="5240151",
        )
    )

    assert (curated.species_name, curated.species_authorship) == ("Amanita muscaria", "(L.) Lam.")
    assert (curated.species_key, curated.synonym, curated.synonym_key) == (5240151, "Agaricus muscarius", 2)
    assert ("family", "Amanitaceae") in curated.lineage


def test_gbif_gives_the_key_of_the_species_even_for_a_variety() -> None:
    curated = kept(
        replace(
            FLY_AGARIC,
            scientific_name="Amanita muscaria var. formosa Pers.",
            accepted_name="Amanita muscaria",
            taxon_key="99",
            accepted_taxon_key="99",
            species_key="5240151",
        )
    )

    assert (curated.species_name, curated.species_key) == ("Amanita muscaria", 5240151)


@pytest.mark.parametrize("status", ["synonym", "HETEROTYPIC_SYNONYM", "misapplied"])
def test_a_synonym_is_resolved_by_whoever_knows_it(status: str) -> None:
    by_name = KnownNames({"Agaricus muscarius": ("Amanita muscaria", 5240151)})
    by_key = KnownNames(by_key={2: ("Amanita muscaria", 5240151)})
    record = replace(FLY_AGARIC, scientific_name="Agaricus muscarius L.", taxonomic_status=status, taxon_key="2")

    for names in (by_name, by_key):
        curated = kept(record, names=names)
        assert (curated.species_name, curated.species_key) == ("Amanita muscaria", 5240151)
        assert (curated.synonym, curated.synonym_key) == ("Agaricus muscarius", 2)
        assert curated.species_authorship == ""
    assert reason(record) == "unresolved-synonym"


def test_a_resolver_is_believed_even_where_the_archive_calls_the_name_accepted() -> None:
    names = KnownNames({"Boletus luridiformis": ("Neoboletus erythropus", None)})

    curated = kept(
        replace(FLY_AGARIC, scientific_name="Boletus luridiformis Rostk.", genus="Boletus", family="Boletaceae"),
        names=names,
    )

    assert (curated.species_name, curated.synonym) == ("Neoboletus erythropus", "Boletus luridiformis")
    assert ("genus", "Neoboletus") in curated.lineage


def test_a_name_in_two_columns_is_put_together() -> None:
    curated = kept(replace(FLY_AGARIC, scientific_name="", genus="Amanita", specific_epithet="muscaria"))

    assert curated.species_name == "Amanita muscaria"


@pytest.mark.parametrize(
    ("text", "day", "doubt"),
    [
        ("2024-09-30", date(2024, 9, 30), ""),
        ("2025-11-07 10:52:43", date(2025, 11, 7), ""),
        ("2011-10-22T00:00Z", date(2011, 10, 22), ""),
        ("2014-06-11 00:00:00+00:00", date(2014, 6, 11), ""),
        ("2024-9-3", date(2024, 9, 3), ""),
        ("20240930", date(2024, 9, 30), ""),
        ("30.09.2024", date(2024, 9, 30), ""),
        ("30/09/2024", date(2024, 9, 30), ""),
        ("Tue Apr 01 00:00:00 CET 1930", date(1930, 4, 1), ""),
        ("2024-09", date(2024, 9, 1), "date-without-day"),
        ("2024-09-28/2024-09-30", date(2024, 9, 28), ""),
        ("2024-09-28/30", date(2024, 9, 28), ""),
        ("2024-09-28T10:30/11:15", date(2024, 9, 28), ""),
        ("1878-07/1880-08", None, "date-over-months"),
        ("1888-05/1888-05", date(1888, 5, 1), "date-without-day"),
        ("2024-08-31/2024-09-01", None, "date-over-months"),
        ("2024", None, "date-without-month"),
        ("03/04/2024", None, "date-ambiguous"),
        ("2024-02-30", None, "date-not-read"),
        ("last autumn", None, "date-not-read"),
        ("2026-05-01", TODAY, ""),
        ("2026-05-02", None, "date-in-future"),
        ("1699-12-31", None, "date-too-early"),
        ("", None, ""),
        ("nan", None, ""),
    ],
)
def test_dates_are_read_or_dropped_with_a_doubt(text: str, day: date | None, doubt: str) -> None:
    curated = kept(replace(FLY_AGARIC, event_date=text))

    assert (curated.event_date, reasons(curated)) == (day, (doubt,) if doubt else ())


@pytest.mark.parametrize(
    ("latitude", "longitude", "expected"),
    [
        ("41.86", "14.29", (41.86, 14.29, True)),
        ("41,86", "-14,29", (41.86, -14.29, True)),
        ("0", "14.29", (0.0, 14.29, True)),
        ("0", "0.0", (None, None, False)),
        ("41.86", "", (None, None, False)),
        ("", "", (None, None, True)),
        ("91", "10", (None, None, False)),
        ("41.86", "181", (None, None, False)),
        ("nan", "14", (None, None, False)),
        ("inf", "14", (None, None, False)),
        ("here", "there", (None, None, False)),
    ],
)
def test_coordinates_come_in_pairs_on_earth_or_not_at_all(latitude: str, longitude: str, expected: object) -> None:
    curated = kept(replace(FLY_AGARIC, decimal_latitude=latitude, decimal_longitude=longitude))

    assert (curated.decimal_latitude, curated.decimal_longitude, not curated.doubts) == expected


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("DE", "DE"),
        ("deu", "DE"),
        ("Germany", "DE"),
        ("UK", "GB"),
        ("GBR", "GB"),
        ("", ""),
        ("ZZ", ""),
        ("Atlantis", ""),
    ],
)
def test_countries_become_two_letters(text: str, code: str | None) -> None:
    curated = kept(replace(FLY_AGARIC, country_code=text))

    assert curated.country_code == code
    assert bool(curated.doubts) == (text == "Atlantis")


def test_an_uncertainty_needs_a_place_to_belong_to() -> None:
    placed = replace(FLY_AGARIC, decimal_latitude="50", decimal_longitude="10", coordinate_uncertainty="25")

    assert kept(placed).coordinate_uncertainty == 25.0
    assert kept(replace(placed, decimal_latitude="")).coordinate_uncertainty is None
    assert reasons(kept(replace(placed, coordinate_uncertainty="-5"))) == ("uncertainty-not-read",)


def test_the_recorder_stands_in_for_an_author_nobody_names() -> None:
    curated = kept(replace(FLY_AGARIC, creator="", recorded_by="A recorder"))

    assert curated.creator == "A recorder"
    assert reasons(curated) == ("author-is-recorder",)


@pytest.mark.parametrize(
    ("text", "aspect"),
    [
        ("cap", "cap"),
        ("Gills", "hymenium"),
        ("underside of cap", ""),
        ("spores, 1000x", "microscopy"),
        ("flower", ""),
        ("", ""),
    ],
)
def test_an_aspect_is_taken_only_where_one_is_meant(text: str, aspect: str) -> None:
    assert kept(replace(FLY_AGARIC, aspect=text)).aspect == aspect


@pytest.mark.parametrize(
    ("text", "toxicity"),
    [
        ("1", "poisonous"),
        ("True", "poisonous"),
        ("0", ""),
        ("", ""),
        ("edible", ""),
        ("Edible when cooked", ""),
        ("deadly", "deadly"),
    ],
)
def test_poison_is_repeated_and_harmlessness_never(text: str, toxicity: str) -> None:
    assert kept(replace(FLY_AGARIC, toxicity=text)).toxicity == toxicity


def test_a_record_and_a_policy_always_give_the_same_answer() -> None:
    record = replace(FLY_AGARIC, event_date="2026-05-02", country_code="Atlantis")

    assert curate(record, POLICY, NOBODY) == curate(record, POLICY, KnownNames())


@pytest.mark.parametrize(("text", "position"), [("3", 3), ("", 0), ("-1", 0), ("9" * 5000, 0), ("first", 0)])
def test_a_position_that_is_no_small_number_stops_no_import(text: str, position: int) -> None:
    assert kept(replace(FLY_AGARIC, position=text)).position == position


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"identification_qualifier": "cf."}, "uncertain-identification"),
        ({"identification_qualifier": "?"}, "uncertain-identification"),
        ({"verification_status": "needs_id"}, "uncertain-identification"),
        ({"verbatim_identification": "Amanita cf. muscaria"}, "uncertain-identification"),
        ({"scientific_name_authorship": "auct. non (L.) Lam."}, "uncertain-identification"),
        ({"scientific_name": "Amanita muscaria sensu Coker"}, "uncertain-identification"),
        ({"scientific_name": "", "genus": "Amanita", "specific_epithet": "cf. muscaria"}, "uncertain-identification"),
        ({"scientific_name": "Amanita section Vaginatae"}, "not-to-species"),
        ({"scientific_name": "Amanita muscaria", "taxon_rank": "infrageneric_name"}, "not-to-species"),
        ({"occurrence_status": "absent"}, "absent"),
        ({"establishment_means": "cultivated"}, "cultivated"),
        ({"basis_of_record": "MaterialSample"}, "not-a-find"),
        ({"media_subtype": "Drawing"}, "not-a-photo"),
        ({"kingdom": "Aves"}, "not-a-fungus"),
        ({"licence": "CC BY 4.0", "rights": "CC BY-NC 4.0"}, "licence-unknown"),
        ({"licence": "CC BY 4.0", "rights": "No commercial use without permission"}, "licence-unknown"),
        ({"licence": "CC BY 4.0", "rights": "All rights reserved"}, "licence-reserved"),
    ],
)
def test_what_other_columns_say_counts(change: dict[str, Any], expected: str) -> None:
    assert reason(replace(FLY_AGARIC, **change)) == expected


@pytest.mark.parametrize(
    "change",
    [
        {"identification_qualifier": "s.str."},
        {"verification_status": "verified"},
        {"verbatim_identification": "Amanita muscaria"},
        {"scientific_name_authorship": "(L.) Lam."},
        {"occurrence_status": "present"},
        {"basis_of_record": "HUMAN_OBSERVATION"},
        {"media_subtype": "Photograph"},
        {"rights": "© 2020 A. Example"},
        {"rights": "http://creativecommons.org/licenses/by/4.0/"},
    ],
)
def test_columns_that_raise_no_doubt_change_nothing(change: dict[str, Any]) -> None:
    curated = kept(replace(FLY_AGARIC, **change))

    assert (curated.species_name, curated.licence, curated.doubts) == ("Amanita muscaria", "CC-BY-4.0", ())


def test_guesses_are_taken_where_the_policy_says_so() -> None:
    trusting = CurationPolicy(today=TODAY, uncertain=True)

    curated = kept(replace(FLY_AGARIC, identification_qualifier="aff."), trusting)

    assert reasons(curated) == ("name-uncertain",)


def test_an_aggregate_counts_for_its_species_and_is_told() -> None:
    for record in (
        replace(FLY_AGARIC, scientific_name="Amanita muscaria agg."),
        replace(FLY_AGARIC, identification_qualifier="s.l."),
    ):
        assert reasons(kept(record)) == ("name-in-wide-sense",)


def test_coordinates_may_stand_in_one_cell() -> None:
    curated = kept(replace(FLY_AGARIC, verbatim_coordinates="51°30'N 0°07'30\"E"))

    assert (curated.decimal_latitude, curated.decimal_longitude) == (51.5, 0.125)


@pytest.mark.parametrize(("latitude", "longitude"), [("46,95", ""), ("", "7,44")])
def test_half_a_place_with_a_decimal_comma_is_no_place_and_is_said(latitude: str, longitude: str) -> None:
    curated = kept(replace(FLY_AGARIC, decimal_latitude=latitude, decimal_longitude=longitude))

    assert (curated.decimal_latitude, curated.decimal_longitude) == (None, None)
    assert "coordinates-not-read" in {doubt.reason for doubt in curated.doubts}


CELLS = st.one_of(
    st.sampled_from([
        "", "unknown", "2018-10-07", "2018", "3/4/2018", "7.X.2018", "autumn", "51.5", "51°30'N", "0",
        "somewhere", "DE", "Turkey",
        "Atlantis", "25 m", "-3", "en_US", "klingonese", "cap", "leaf", "1", "first",
    ]),
    st.text(max_size=12),
)  # fmt: skip


VALUES = (
    "event_date", "decimal_latitude", "decimal_longitude", "coordinate_uncertainty", "country_code",
    "vernacular_language",
    "aspect", "position",
)  # fmt: skip


@settings(deadline=None)
@given(st.fixed_dictionaries(dict.fromkeys(VALUES, CELLS)))
def test_every_value_is_kept_or_reported(cells: dict[str, Any]) -> None:
    """No value vanishes: whatever a cell says is in the curated record, or among what was dropped."""
    curated = kept(replace(FLY_AGARIC, vernacular_name="Fly agaric", **cells))

    told = {doubt.field for doubt in curated.doubts if doubt.reason in DROPPED}
    said = {field for field, text in cells.items() if read_text(text) and not says_nothing(field, text)}
    for field, value, term in (
        ("event_date", curated.event_date, "eventDate"),
        ("decimal_latitude", curated.decimal_latitude, "decimalLatitude"),
        ("decimal_longitude", curated.decimal_longitude, "decimalLatitude"),
        ("coordinate_uncertainty", curated.coordinate_uncertainty, "coordinateUncertaintyInMeters"),
        ("country_code", curated.country_code or None, "countryCode"),
        ("vernacular_language", curated.vernacular_language or None, "language"),
        ("aspect", curated.aspect or None, "subjectPart"),
    ):
        assert field not in said or (value is None) == (term in told), (field, cells[field], curated.doubts)
    assert "position" not in said or str(curated.position).lstrip("0") == cells["position"].strip().lstrip("0") or (
        "position" in told
    )  # fmt: skip


def says_nothing(field: str, text: str) -> bool:
    """Codes and zeros that stand for nothing."""
    if field == "country_code":
        return " ".join(text.split()).upper() in NOT_COUNTRIES
    if field == "vernacular_language":
        return is_no_language(text)
    return field == "event_date" and not re.sub(r"[0\W]|[T\s].*", "", text)
