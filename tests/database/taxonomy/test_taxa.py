from __future__ import annotations

from database.session import Database
from database.taxonomy.taxa import (
    TaxonEntry,
    TaxonRegister,
    known_names,
    named_taxa,
    synonyms,
    taxa,
    toxicities,
    vernacular_names,
)

LINEAGE = (("kingdom", "Fungi"), ("order", "Agaricales"), ("family", "Amanitaceae"), ("genus", "Amanita"))
FLY_AGARIC = TaxonEntry("Amanita muscaria", authorship="(L.) Lam.", gbif_key=5240269, lineage=LINEAGE)


def file(database: Database, *entries: TaxonEntry) -> list[int]:
    register = TaxonRegister()
    with database.writing() as session:
        return [register.file(session, entry) for entry in entries]


def tree(database: Database) -> dict[str, str | None]:
    """Name of every taxon with the name of its parent."""
    with database.reading() as session:
        found = list(taxa(session))
    names = {taxon.id: taxon.name for taxon in found}
    return {taxon.name: names[taxon.parent] if taxon.parent is not None else None for taxon in found}


def test_a_species_comes_with_its_lineage(database: Database) -> None:
    file(database, FLY_AGARIC)

    assert tree(database) == {
        "Fungi": None,
        "Agaricales": "Fungi",
        "Amanitaceae": "Agaricales",
        "Amanita": "Amanitaceae",
        "Amanita muscaria": "Amanita",
    }


def test_the_same_species_is_filed_once_by_one_register_and_by_another(database: Database) -> None:
    first = file(database, FLY_AGARIC, FLY_AGARIC)

    again = file(database, FLY_AGARIC)

    assert {*first, *again} == {first[0]}
    assert len(tree(database)) == 5


def test_a_species_without_lineage_stands_under_its_genus(database: Database) -> None:
    file(database, TaxonEntry("Boletus edulis"))

    assert tree(database) == {"Boletus": None, "Boletus edulis": "Boletus"}


def test_a_lineage_learnt_later_is_put_in_place(database: Database) -> None:
    file(database, TaxonEntry("Amanita muscaria", lineage=(("order", "Agaricales"), ("genus", "Amanita"))))

    file(database, FLY_AGARIC)

    assert tree(database) == {
        "Agaricales": "Fungi",
        "Amanita": "Amanitaceae",
        "Amanita muscaria": "Amanita",
        "Fungi": None,
        "Amanitaceae": "Agaricales",
    }


def test_the_first_family_of_a_genus_keeps_it(database: Database) -> None:
    file(database, FLY_AGARIC)

    file(database, TaxonEntry("Amanita rubescens", lineage=(("family", "Pluteaceae"), ("genus", "Amanita"))))

    assert tree(database)["Amanita"] == "Amanitaceae"


def test_what_is_missing_is_filled_in_and_what_is_known_is_kept(database: Database) -> None:
    file(database, TaxonEntry("Amanita muscaria"))
    file(database, FLY_AGARIC)

    file(database, TaxonEntry("Amanita muscaria", authorship="somebody else", toxicity="poisonous"))

    with database.reading() as session:
        (taxon,) = [taxon for taxon in taxa(session) if taxon.rank == "species"]
        assert (taxon.authorship, taxon.gbif_key) == ("(L.) Lam.", 5240269)
        assert toxicities(session) == {taxon.id: "poisonous"}


def test_a_key_finds_the_taxon_whatever_the_name(database: Database) -> None:
    (known,) = file(database, FLY_AGARIC)

    (found,) = file(database, TaxonEntry("Amanita muscarea", gbif_key=5240269))

    assert found == known
    with database.reading() as session:
        assert list(synonyms(session)) == [("Amanita muscarea", known)]


def test_a_synonym_finds_the_accepted_taxon_by_name_and_by_key(database: Database) -> None:
    (known,) = file(database, TaxonEntry("Clitocybe nebularis", gbif_key=1, synonyms=(("Lepista nebularis", 2),)))

    found = file(database, TaxonEntry("Lepista nebularis"), TaxonEntry("Omphalia nebularis", gbif_key=2))

    assert found == [known, known]
    assert tree(database) == {"Clitocybe": None, "Clitocybe nebularis": "Clitocybe"}


def test_an_accepted_name_never_becomes_a_synonym_of_another(database: Database) -> None:
    first, second = file(
        database,
        TaxonEntry("Lepista nebularis"),
        TaxonEntry("Clitocybe nebularis", synonyms=(("Lepista nebularis", None),)),
    )

    with database.reading() as session:
        assert first != second
        assert list(synonyms(session)) == []


def test_a_name_points_to_one_taxon_the_first_that_claimed_it(database: Database) -> None:
    first, _ = file(
        database,
        TaxonEntry("Inocybe rimosa", synonyms=(("Agaricus rimosus", None),)),
        TaxonEntry("Inocybe umbrinella", synonyms=(("Agaricus rimosus", None),)),
    )

    with database.reading() as session:
        assert list(synonyms(session)) == [("Agaricus rimosus", first)]


def test_a_key_that_belongs_to_a_genus_is_not_given_to_a_species(database: Database) -> None:
    file(database, TaxonEntry("Amanita", rank="genus", gbif_key=77))

    file(database, TaxonEntry("Amanita muscaria", gbif_key=77))

    with database.reading() as session:
        assert {taxon.name: taxon.gbif_key for taxon in taxa(session)} == {"Amanita": 77, "Amanita muscaria": None}


def test_keys_larger_than_32_bits_are_kept(database: Database) -> None:
    file(database, TaxonEntry("Amanita muscaria", gbif_key=9_999_999_999))

    with database.reading() as session:
        assert 9_999_999_999 in {taxon.gbif_key for taxon in taxa(session)}


def test_vernacular_names_are_kept_once_for_each_language(database: Database) -> None:
    names = (("en", "Fly agaric"), ("da", "Rød fluesvamp"), ("en", "Fly agaric"))
    (fly_agaric,) = file(database, TaxonEntry("Amanita muscaria", vernacular_names=names))

    file(database, TaxonEntry("Amanita muscaria", vernacular_names=(("en", "Fly agaric"),)))

    with database.reading() as session:
        assert list(vernacular_names(session)) == [
            (fly_agaric, "da", "Rød fluesvamp"),
            (fly_agaric, "en", "Fly agaric"),
        ]


def test_known_names_answer_by_every_name_and_key(database: Database) -> None:
    file(database, TaxonEntry("Clitocybe nebularis", gbif_key=1, synonyms=(("Lepista nebularis", 2),)))

    with database.reading() as session:
        by_name, by_key = known_names(session)

    accepted = ("Clitocybe nebularis", 1)
    assert by_name == {"Clitocybe nebularis": accepted, "Lepista nebularis": accepted}
    assert by_key == {1: accepted, 2: accepted}


def test_named_taxa_hold_every_rank_and_synonym(database: Database) -> None:
    (species,) = file(database, TaxonEntry("Clitocybe nebularis", synonyms=(("Lepista nebularis", None),)))

    with database.reading() as session:
        named = named_taxa(session)

    assert named.keys() == {"Clitocybe", "Clitocybe nebularis", "Lepista nebularis"}
    assert named["Lepista nebularis"] == named["Clitocybe nebularis"] == species
