from __future__ import annotations

from sqlalchemy import select

from database.models import ChecklistTaxon, Dataset, Observation, Taxon
from database.session import Database
from database.taxonomy.checklists import ListedTaxon, replace_checklist
from database.taxonomy.merging import merge_taxa
from database.taxonomy.register import TaxonEntry, TaxonRegister, names_same_species
from database.taxonomy.taxa import synonyms, taxa, vernacular_names


def test_everything_that_speaks_of_one_species_speaks_of_the_other(database: Database) -> None:
    with database.writing() as session:
        old, new, other = TaxonRegister().file_all(session, [
            TaxonEntry("Boletus badius", gbif_key=5, synonyms=(("Xerocomus badius", 6),), toxicity="toxic raw",
                       vernacular_names=(("de", "Marone"), ("en", "Bay bolete"))),
            TaxonEntry("Imleria badia", vernacular_names=(("de", "Marone"),)),
            TaxonEntry("Mycena pura"),
        ])  # fmt: skip
        session.add(Dataset(id="walks", title="Walks"))
        session.flush()
        session.add_all(
            Observation(dataset_id="walks", observation_key=str(taxon), taxon_id=taxon) for taxon in (old, new, other)
        )
        for name, said in (("be", {old: "BE", new: "BE"}), ("nl", {old: "NL"})):
            lines = {(taxon, code): ListedTaxon(taxon, code) for taxon, code in said.items()}
            replace_checklist(session, name, lines, title="", region="", source="")

        merge_taxa(session, old, new)
        merge_taxa(session, old, new)  # once more changes nothing
        merge_taxa(session, new, new)

    with database.reading() as session:
        assert {taxon.name for taxon in taxa(session) if taxon.rank == "species"} == {"Imleria badia", "Mycena pura"}
        assert set(synonyms(session)) == {("Boletus badius", new), ("Xerocomus badius", new)}
        assert set(vernacular_names(session)) == {(new, "de", "Marone"), (new, "en", "Bay bolete")}
        assert sorted(session.scalars(select(Observation.taxon_id))) == sorted([new, new, other])
        assert set(session.execute(select(ChecklistTaxon.checklist_id, ChecklistTaxon.taxon_id)).all()) == {
            ("be", new), ("nl", new),
        }  # fmt: skip
        assert session.get_one(Taxon, new).toxicity == "toxic raw"


def test_names_of_one_species_are_told_from_others() -> None:
    alike = [("Boletus badius", "Imleria badia"), ("Boletus edulis", "Boletus edulus"), ("Amanita muscaria",) * 2]
    different = [("Boletus edulis", "Amanita muscaria"), ("Russula vesca", "Russula emetica"), ("Amanita", "Boletus")]

    assert all(names_same_species(*pair) for pair in alike)
    assert not any(names_same_species(*pair) for pair in different)


def test_a_key_of_another_species_is_kept_by_its_owner_and_told(database: Database) -> None:
    register = TaxonRegister()
    with database.writing() as session:
        known = register.file(session, TaxonEntry("Amanita muscaria", gbif_key=77))

        found = register.file(session, TaxonEntry("Boletus edulis", gbif_key=77))

        assert found != known
        assert [(conflict.gbif_key, conflict.name, conflict.known) for conflict in register.conflicts] == [
            (77, "Boletus edulis", "Amanita muscaria")
        ]
        assert session.get_one(Taxon, found).gbif_key is None


def test_many_entries_are_filed_as_one_after_the_other(database: Database) -> None:
    entries = [
        TaxonEntry("Aa aa", synonyms=(("Bb aa", 7),), vernacular_names=(("en", "x"),)),
        TaxonEntry("Bb aa", gbif_key=7),
        TaxonEntry("Aa aa", authorship="L.", gbif_key=1, lineage=(("family", "Aaceae"), ("genus", "Aa"))),
        TaxonEntry("Cc cc", gbif_key=1),
        TaxonEntry("Aa", rank="genus", lineage=(("order", "Aales"),)),
        TaxonEntry("Aa aa", vernacular_names=(("en", "x"), ("en", "y"))),
    ]
    found = []
    for size in (1, 2, len(entries)):
        with database.writing() as session:
            register = TaxonRegister()
            for start in range(0, len(entries), size):
                register.file_all(session, entries[start : start + size])
            listed = list(taxa(session))
            names = {taxon.id: taxon.name for taxon in listed}
            found.append((
                sorted((t.name, t.rank, t.authorship, t.gbif_key or 0, names.get(t.parent or 0, "")) for t in listed),
                [(name, names[taxon]) for name, taxon in synonyms(session)],
                [(names[taxon], language, name) for taxon, language, name in vernacular_names(session)],
            ))  # fmt: skip
            session.rollback()

    assert found[0] == found[1] == found[2]
    assert ("Aa aa", "species", "L.", 1, "Aa") in found[0][0]
    assert found[0][1] == [("Bb aa", "Aa aa")]
