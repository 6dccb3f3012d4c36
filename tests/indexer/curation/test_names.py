from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
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
    "Uromyces proëminens (DC.) Pass. in Rabenh.": (
        "Uromyces proeminens",
        "(DC.) Pass.",
    ),  # whose book it stands in is no author
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
    ("text", "species"),
    [
        ("Puccinia calthae - palustris", "Puccinia calthae-palustris"),
        ("Puccinia calthae \u2013 palustris Otth", "Puccinia calthae-palustris"),
        ("Puccinia calthae- palustris", "Puccinia calthae-palustris"),
        ("Puccinia calthae \u2043palustris", "Puccinia calthae-palustris"),
        ("Puccinia calthae\u02d7palustris", "Puccinia calthae-palustris"),
        ("Puccinia calthae_palustris", "Puccinia calthae-palustris"),
        ("Puccinia_calthae-palustris", "Puccinia calthae-palustris"),
        ("Puccinia (Leptopuccinia) calthae - palustris", "Puccinia calthae-palustris"),
        ("Lactarius pubescens - immature", "Lactarius pubescens"),
        ("Amanita pantherina_group", "Amanita pantherina"),
        ("Amanita_pantherina_var._nana", "Amanita pantherina"),
    ],
)
def test_halves_of_a_hyphenated_epithet_are_one_epithet(text: str, species: str) -> None:
    assert parse_name(text).species == species


@pytest.mark.parametrize(
    ("text", "species"),
    [
        ("Entoloma aëroides", "Entoloma aeroides"),
        ("Entoloma zoöphilum", "Entoloma zoophilum"),
        ("Boletus grevilleï", "Boletus grevillei"),
        ("Psathyrella krügeri", "Psathyrella kruegeri"),
        ("Inocybe löwei", "Inocybe loewei"),
        ("Agaricus nørrebyensis", "Agaricus noerrebyensis"),
        ("Hebeloma cœsium", "Hebeloma coesium"),
        ("Russula bénédicta", "Russula benedicta"),
        ("Tulostoma nuñezii", "Tulostoma nunezii"),
        ("Inocybe o\u2019briennii", "Inocybe obriennii"),
        ("Hübneria alba", "Huebneria alba"),
        ("\uff21manita \uff52ubescens", "Amanita rubescens"),
        ("\u2160. Amanita rubescens", "Amanita rubescens"),
        ("17) Amanita rubescens", "Amanita rubescens"),
    ],
)
def test_a_name_has_no_diacritics_or_apostrophes_by_the_code_of_nomenclature(text: str, species: str) -> None:
    assert parse_name(text).species == species


@pytest.mark.parametrize(
    "text",
    ["(doubtful)", "[uncertain]", ", unsicher", "- unsure", "(DC.) Bigeard (not certain)", "ad int.", "(prov.)",
     "(to be confirmed)", "tentatively"],
)  # fmt: skip
def test_a_remark_of_doubt_behind_a_name_is_one(text: str) -> None:
    name = parse_name(f"Tricholoma fulvum {text}")

    assert name.species == "Tricholoma fulvum"
    assert name.uncertain


@pytest.mark.parametrize("epithet", ["dubium", "incertum", "provisum", "probabile", "adintum"])
def test_epithets_that_sound_of_doubt_are_epithets(epithet: str) -> None:
    name = parse_name(f"Tricholoma {epithet} Fr.")

    assert (name.species, name.uncertain) == (f"Tricholoma {epithet}", "")


def test_authors_keep_their_letters() -> None:
    assert parse_name("Peniophora aëria Höhn. & Møller").authorship == "Höhn. & Møller"
    assert parse_name("Boletus albus l'Héritier").species == "Boletus albus"


@pytest.mark.parametrize("text", ["Puccinia arenariae I", "Puccinia arenariae 0, \u2160", "Puccinia arenariae II, III"])
def test_stages_of_a_rust_are_no_authors(text: str) -> None:
    name = parse_name(text)

    assert (name.species, name.authorship) == ("Puccinia arenariae", "")


def test_only_a_species_can_be_a_hybrid_species() -> None:
    assert parse_name("Puccinia arenariae f. sp. x").loose == ""
    assert parse_name("Lactarius torminosus nothovar. mixtus").loose == ""
    assert parse_name("Lactarius \u00d7 torminosus").loose == "hybrid"


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


@settings(deadline=None)  # the first one reads tables
@given(st.text(max_size=60))
def test_no_text_makes_the_reading_of_names_fail(text: str) -> None:
    name = parse_name(text)

    assert name.species == "" or name.species.startswith(name.genus + " ")


def test_a_key_is_believed_where_the_names_agree() -> None:
    names = KnownNames(
        {"Agaricus muscarius": ("Amanita muscaria", 1)}, {7: ("Boletus edulis", 2), 9: ("Amanita muscaria", 3)}
    )

    assert names.accepted("Agaricus muscarius", None) == ("Amanita muscaria", 1)
    assert names.accepted("Agaricus muscarius", 9) == ("Amanita muscaria", 3)
    assert names.accepted("Agaricus muscarius", 7) == ("Amanita muscaria", 1)  # the key names another species
    assert names.accepted("Russula emetica", 8) is None


@pytest.mark.parametrize(
    "text",
    [
        "Russula section Compactae", "Russula subgenus Compactae", "Cortinarius stirps Vibratiles",
        "Inocybe series X",
        "Cortinarius undetermined", "Mycena unknown", "Psathyrella complex", "Lepiota sensu lato", "Hebeloma species",
        "Tubaria sektion Confragosae", "Entoloma hybrid", "Lepista nom. prov.", "Galerina auct.", "Conocybe ined.",
        "Peziza de Bary", "Dacrymyces van der Aa, 1968", "Boletus sp. (yellow pores)", "Boletus sp. 'IN07'",
        "Boletus sp-IN07", "Boletus PNW12", "Boletus sp1", "Boletus 'dark-capped'", "Boletus like", "Boletus var.",
    ],
)  # fmt: skip
def test_words_behind_a_genus_are_not_epithets_because_they_stand_there(text: str) -> None:
    name = parse_name(text)

    assert (name.genus, name.species, name.full) == (text.split()[0], "", text.split()[0])


@pytest.mark.parametrize(
    "text",
    [
        "Lepiota cfr cristata", "Lepiota cf cristata", "Lepiota c.f. cristata", "Lepiota aff.cristata",
        "Lepiota near cristata",
        "Lepiota nr. cristata", "Lepiota gr cristata", "Lepiota gr. cristata", "Lepiota cristata ?",
        "Lepiota (?) cristata",
        "Lepiota possibly cristata", "Lepiota prob. cristata", "conf. Lepiota cristata", "Lepiota cristata cf.",
        "Lepiota cristata auct.", "Lepiota cristata auct. non (Bolton) P. Kumm.", "Lepiota cristata sensu Ricken",
        "Lepiota cristata ss. auct. eur.", "Lepiota cristata s. Ricken", "Lepiota cristata s. auct.",
        "Lepiota cristata nom. prov.",
        "Lepiota cristata ined.", "Lepiota cristata nom. ined.",
    ],
)  # fmt: skip
def test_doubts_are_seen_in_every_spelling(text: str) -> None:
    name = parse_name(text)

    assert name.species == "Lepiota cristata"
    assert name.uncertain


@pytest.mark.parametrize(
    "text",
    [
        "Lepiota or Cystolepiota", "Lepiota cristata or L. castanea", "Lepiota cristata/castanea",
        "Lepiota cristata / castanea",
        "Lepiota cristata oder Lepiota castanea", "Lepiota cristata vel castanea", "Lepiota cristata & castanea",
        "Lepiota cristata and Lepiota castanea", "Lepiota cristata vs. castanea",
        "Lepiota cristata, Lepiota castanea",
        "Lepiota cristata × Lepiota castanea",
    ],
)  # fmt: skip
def test_one_of_several_species_is_none_of_them(text: str) -> None:
    assert parse_name(text).species == ""


@pytest.mark.parametrize(
    ("text", "species", "authorship"),
    [
        ("Lepiota cristata\u200b (Bolton) P.\u00a0Kumm.", "Lepiota cristata", "(Bolton) P. Kumm."),
        ("Lepiota cris\u00adtata", "Lepiota cristata", ""),
        ("\ufeffLepiota\u2009cristata\u200e", "Lepiota cristata", ""),
        ("Boletus pi\ufb01era", "Boletus pifiera", ""),
        ("Lentinus a\ufb03nis", "Lentinus affinis", ""),
        ("Mycena hæmatopus (Pers.) P. Kumm.", "Mycena haematopus", "(Pers.) P. Kumm."),
        ("Clitocybe fœtida Sœur", "Clitocybe foetida", "Sœur"),
        ("Puccinia pruni\u2010spinosae Pers.", "Puccinia pruni-spinosae", "Pers."),
        ("Puccinia pruni\u2012spinosae Pers.", "Puccinia pruni-spinosae", "Pers."),
        ("Puccinia pruni\u2212spinosae Pers.", "Puccinia pruni-spinosae", "Pers."),
        ("Puccinia bäumleri", "Puccinia baeumleri", ""),  # decomposed
        ("Puccinia ba\u0308umleri", "Puccinia baeumleri", ""),
        ("Xylodon asper (Berk. &amp; M.A. Curtis) Hjortstam &amp; Ryvarden",
         "Xylodon asper", "(Berk. & M. A. Curtis) Hjortstam & Ryvarden"),
        ("Xylodon asper (Berk. &amp;amp; Curtis)", "Xylodon asper", "(Berk. & Curtis)"),
        ("&lt;em&gt;Xylodon asper&lt;/em&gt; Fr.", "Xylodon asper", "Fr."),
        ("\u0410manita pant\u0435rina", "Amanita panterina", ""),  # two letters are Cyrillic
        ("Russula aeruginea S.L. Fr.", "Russula aeruginea", "S. L. Fr."),
        ("Russula aeruginea F. Sp. Mill.", "Russula aeruginea", "F. Sp. Mill."),
        ("“Russula aeruginea” Lindbl.", "Russula aeruginea", "Lindbl."),
        ("Agaricus bisporus cv. Somycel", "Agaricus bisporus", ""),
        ("Agaricus bisporus Fly agaric", "Agaricus bisporus", ""),
    ],
)  # fmt: skip
def test_typography_changes_no_name(text: str, species: str, authorship: str) -> None:
    name = parse_name(text)

    assert (name.species, name.authorship, name.uncertain) == (species, authorship, "")


@pytest.mark.parametrize("mark", ["f. sp.", "f.sp.", "f sp", "forma specialis", "fsp."])
def test_a_special_form_belongs_to_its_species(mark: str) -> None:
    name = parse_name(f"Blumeria graminis {mark} hordei Marchal")

    assert (name.species, name.infraspecific) == ("Blumeria graminis", "Blumeria graminis f. sp. hordei")
    assert name.authorship == ""


def test_names_of_headers_and_remarks_are_no_genera() -> None:
    assert [parse_name(text).full for text in ("eventDate", "day", "id,day", "Faaborg-Midtfyn", "found by me")] == [
        ""
    ] * 5


@settings(max_examples=200, deadline=None)
@given(
    genus=st.from_regex(r"[A-Z][a-z]{3,9}", fullmatch=True),
    epithet=st.from_regex(r"[b-t][aeiou][b-t]{1,2}[aeiou](?:us|a|um|is|ae|ens|i)", fullmatch=True),
)
def test_plain_names_are_read_as_the_parser_reads_them(genus: str, epithet: str) -> None:
    by_parser = parse_name(f"{genus} {epithet} Fr.")

    assert replace(by_parser, authorship="") == parse_name(f"{genus} {epithet}")
