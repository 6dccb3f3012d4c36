from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.curation.names import KnownNames, parse_name

SPECIES = {
    "Amanita muscaria": ("Amanita muscaria", ""),
    "Amanita muscaria (L.) Lam.": ("Amanita muscaria", "(L.) Lam."),
    "Amanita_muscaria": ("Amanita muscaria", ""),
    "<i>Amanita muscaria</i> (L.) Lam.": ("Amanita muscaria", "(L.) Lam."),
    "AMANITA MUSCARIA": ("Amanita muscaria", ""),
    "amanita muscaria": ("Amanita muscaria", ""),
    "Xylodon flaviporus (Berk. & M.A. Curtis) Riebesehl & E. Langer": (
        "Xylodon flaviporus",
        "(Berk. & M. A. Curtis) Riebesehl & E. Langer",
    ),
    "Uromyces armeriae Lév. ex J. Kickx f.": ("Uromyces armeriae", "Lév. ex J. Kickx f."),
    "Puccinia allii F. Rudolphi ": ("Puccinia allii", "F. Rudolphi"),
    "Uromyces proëminens (DC.) Pass. in Rabenh.": ("Uromyces proëminens", "(DC.) Pass. in Rabenh."),
    "Gymnosporangium clavariiforme (Wulfen\u00a0: Pers.) DC.": (
        "Gymnosporangium clavariiforme",
        "(Wulfen : Pers.) DC.",
    ),
    "Boletus rubroflammeus de Vries": ("Boletus rubroflammeus", "de Vries"),
    "Melampsora laricis-populina Kleb.": ("Melampsora laricis-populina", "Kleb."),
    "Agaricus (Psalliota) campestris L.": ("Agaricus campestris", "L."),
    "Psilocybe semilanceata (Fr.) P.Kumm.": ("Psilocybe semilanceata", "(Fr.) P. Kumm."),
    "Lactoria cornuta (Linnaeus, 1758)": ("Lactoria cornuta", "(Linnaeus, 1758)"),
}


@pytest.mark.parametrize(("text", "expected"), SPECIES.items())
def test_name_and_authorship_are_told_apart(text: str, expected: object) -> None:
    name = parse_name(text)

    assert (name.species, name.authorship) == expected
    assert name.uncertain == name.infraspecific == ""


@pytest.mark.parametrize(
    ("text", "species", "authorship", "whole"),
    [
        ("Amanita phalloides var. alba Costantin", "Amanita phalloides", "", "Amanita phalloides var. alba"),
        ("Amanita muscaria (L.) Lam. var. muscaria", "Amanita muscaria", "(L.) Lam.", "Amanita muscaria var. muscaria"),
        ("Mycena galopus f. nigra", "Mycena galopus", "", "Mycena galopus f. nigra"),
        ("Hygrophorus hypothejus forma aureus", "Hygrophorus hypothejus", "", "Hygrophorus hypothejus f. aureus"),
        ("Morchella esculenta ssp. rotunda", "Morchella esculenta", "", "Morchella esculenta subsp. rotunda"),
        ("Globicephala melaena melaena Traill", "Globicephala melaena", "", "Globicephala melaena melaena"),
    ],
)
def test_infraspecific_names_belong_to_their_species(text: str, species: str, authorship: str, whole: str) -> None:
    name = parse_name(text)

    assert (name.species, name.authorship, name.infraspecific, name.full) == (species, authorship, whole, whole)


@pytest.mark.parametrize(
    "text",
    [
        "Amanita",
        "Amanita Pers.",
        "Amanita sp.",
        "Larix spp",
        "Cortinarius sp. 'IN34'",
        "Amanita indet.",
        "Agaricaceae",
        "Agaricales incertae sedis",
        "Russula sect. Compactae",
    ],
)
def test_a_genus_or_family_is_no_species(text: str) -> None:
    name = parse_name(text)

    assert name.species == ""
    assert name.genus == text.split()[0]


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "unknown",
        "Mixed collection",
        "1234",
        "Salix fragilis x Salix pentandra",
        "?",
        "not yet determined",
        "×",
    ],
)
def test_what_is_no_name_gives_nothing(text: str) -> None:
    assert parse_name(text).full == ""


@pytest.mark.parametrize(
    "text", ["Amanita cf. muscaria", "Amanita aff. muscaria", "Amanita muscaria?", "cf. Amanita muscaria"]
)
def test_a_guess_is_marked_as_one(text: str) -> None:
    name = parse_name(text)

    assert name.species == "Amanita muscaria"
    assert name.uncertain


@pytest.mark.parametrize(
    ("text", "authorship", "loose"),
    [
        ("Hygrocybe acutoconica sensu lato", "", "aggregate"),
        ("Armillaria mellea agg.", "", "aggregate"),
        ("Armillaria mellea (Vahl) P. Kumm. s.l.", "(Vahl) P. Kumm.", "aggregate"),
        ("Cronartium quercuum Miyabe ex Shirai  s.l.", "Miyabe ex Shirai", "aggregate"),
        ("Armillaria mellea complex", "", "aggregate"),
        ("Hydnum umbilicatum ss auct. eur.", "", "used in another sense"),
        ("Armillaria mellea s.str.", "", ""),
        ("Populus × canescens", "", "hybrid"),
        ("Populus x canescens", "", "hybrid"),
    ],
)
def test_wide_uses_and_hybrids_keep_their_name_and_say_so(text: str, authorship: str, loose: str) -> None:
    name = parse_name(text)

    assert len(name.species.split()) == 2
    assert (name.authorship, name.loose) == (authorship, loose)


@given(st.text(max_size=60))
def test_no_text_makes_the_reading_of_names_fail(text: str) -> None:
    name = parse_name(text)

    assert name.species == "" or name.species.startswith(name.genus + " ")


def test_a_key_goes_before_a_name() -> None:
    names = KnownNames({"Agaricus muscarius": ("Amanita muscaria", 1)}, {7: ("Boletus edulis", 2)})

    assert names.accepted("Agaricus muscarius", None) == ("Amanita muscaria", 1)
    assert names.accepted("Agaricus muscarius", 7) == ("Boletus edulis", 2)
    assert names.accepted("Russula emetica", 8) is None
