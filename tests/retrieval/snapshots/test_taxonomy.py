"""Completion of names in a small taxonomy."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from retrieval.domain import Taxon
from retrieval.snapshots.taxonomy import TaxonFacts, Taxonomy, write_taxonomy

TAXA = (
    Taxon(1, "Fungi", "kingdom"),
    Taxon(2, "Russula", "genus", 1),
    Taxon(3, "Russula rosea", "species", 2),
    Taxon(4, "Russula emetica", "species", 2),
    Taxon(5, "Russulaceae", "family", 1),
    Taxon(6, "Amanita", "genus", 1),
    Taxon(7, "Amanita muscaria", "species", 6),
    Taxon(8, "Agaricus 100%_pure", "species", 1),
    Taxon(9, "Lactarius", "genus", 5),
)
SYNONYMS = (("Russula amoenolens", 7), ("Agaricus emeticus", 4))
COMMON = ((7, "en", "fly agaric"), (4, "en", "Russula sickener"), (3, "de", "Rosa Täubling"), (7, "da", "Østlig hat"))


@pytest.fixture(scope="module")
def taxonomy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Taxonomy]:
    path = tmp_path_factory.mktemp("taxonomy") / "taxonomy.sqlite"
    write_taxonomy(path, [(taxon, "poisonous" if taxon.id == 7 else "") for taxon in TAXA], SYNONYMS, COMMON)
    opened = Taxonomy(path)
    yield opened
    opened.close()


def names(found: list[Taxon]) -> list[str]:
    return [taxon.name for taxon in found]


def test_accepted_names_come_first_then_synonyms_and_of_each_the_shorter(taxonomy: Taxonomy) -> None:
    found = names(taxonomy.complete("Russula", 10))

    # a genus before its species; then what only a synonym calls so; each taxon once, however many of its names begin so
    assert found == ["Russula", "Russulaceae", "Russula rosea", "Russula emetica", "Amanita muscaria"]


def test_no_more_are_given_than_were_asked_for(taxonomy: Taxonomy) -> None:
    assert names(taxonomy.complete("Russula", 2)) == ["Russula", "Russulaceae"]


@pytest.mark.parametrize("typed", ["russula e", "RUSSULA E", "  Russula   e"])
def test_letter_case_and_blanks_do_not_matter(taxonomy: Taxonomy, typed: str) -> None:
    assert names(taxonomy.complete(typed, 10)) == ["Russula emetica"]


def test_a_word_within_a_common_name_counts_and_one_within_a_scientific_name_does_not(taxonomy: Taxonomy) -> None:
    assert names(taxonomy.complete("agaric", 10)) == ["Agaricus 100%_pure", "Russula emetica", "Amanita muscaria"]
    assert names(taxonomy.complete("sick", 10)) == ["Russula emetica"]
    assert names(taxonomy.complete("muscaria", 10)) == []
    assert names(taxonomy.complete("aubling", 10)) == []  # a beginning, not a middle


@pytest.mark.parametrize("typed", ["", "   ", "%", "_ussula", "Russula_", "zzz", "\\"])
def test_signs_of_the_database_stand_for_themselves(taxonomy: Taxonomy, typed: str) -> None:
    assert taxonomy.complete(typed, 10) == []


def test_a_name_with_such_signs_is_found_by_them(taxonomy: Taxonomy) -> None:
    assert names(taxonomy.complete("agaricus 100%_", 10)) == ["Agaricus 100%_pure"]


@pytest.mark.parametrize(
    "words", ["russ", "RUSSULA R", "a", "%", "_", "\\", "täub", "TÄUB", "øst", "ØST", "agaric", "zzz", "100%_p"]
)
def test_words_within_names_are_found_in_any_letter_case_as_by_comparing_each(taxonomy: Taxonomy, words: str) -> None:
    for rank in ("species", "family"):
        accepted = [taxon.id for taxon in TAXA if taxon.rank == rank and words.lower() in taxon.name.lower()]
        ranks = {taxon.id: taxon.rank for taxon in TAXA}
        common = [taxon for taxon, _, name in COMMON if ranks[taxon] == rank and words.lower() in name.lower()]

        assert taxonomy.containing(words, rank).tolist() == sorted(set(accepted))
        assert taxonomy.containing(words, rank, common=True).tolist() == sorted({*accepted, *common})


@pytest.mark.parametrize("words", ["russ", "Agaric", "f", "rosa", "%", "zzz"])
def test_names_that_begin_so_are_found_as_by_comparing_each(taxonomy: Taxonomy, words: str) -> None:
    named = [(taxon.name, taxon.id) for taxon in TAXA] + list(SYNONYMS) + [(name, taxon) for taxon, _, name in COMMON]
    expected = {taxon for name, taxon in named if name.lower().startswith(words.lower())}

    assert taxonomy.starting_with(words).tolist() == sorted(expected)


def test_names_worth_comparing_begin_with_the_same_letter_or_end_with_the_same_word(taxonomy: Taxonomy) -> None:
    found = taxonomy.named_alike("species", "R", "muscaria")

    assert [name for _, name in found] == ["Russula rosea", "Russula emetica", "Amanita muscaria"]
    assert taxonomy.named_alike("species", "r", "100%_pure") == [(8, "Agaricus 100%_pure")]
    assert taxonomy.named_alike("species", "r", "pure") == []
    assert taxonomy.named_alike("family", "R", "x") == [(5, "Russulaceae")]


def test_many_taxa_are_described_as_each_alone_is(taxonomy: Taxonomy) -> None:
    taxa = [taxon.id for taxon in TAXA]

    described = taxonomy.describe_many(taxa)

    assert list(described) == taxa
    for taxon, facts in described.items():
        family = taxonomy.ancestor(taxon, "family")
        assert facts == TaxonFacts(
            taxonomy.taxon(taxon).name,
            "" if family is None else family.name,
            tuple(name for _, name in taxonomy.vernacular_names(taxon)),
            bool(taxonomy.toxicity(taxon)),
        )
    assert taxonomy.describe_many([]) == {}
    assert taxonomy.describe_many([9])[9].family == "Russulaceae"
    with pytest.raises(KeyError):
        taxonomy.describe_many([404])


def test_children_come_by_name_and_languages_once_each(taxonomy: Taxonomy) -> None:
    assert names(taxonomy.children(1)) == ["Agaricus 100%_pure", "Amanita", "Russula", "Russulaceae"]
    assert taxonomy.children(7) == []
    assert taxonomy.languages() == ("da", "de", "en")


@pytest.mark.parametrize(
    "look_up",
    [
        lambda taxonomy: taxonomy.children(1),
        lambda taxonomy: taxonomy.find_key(5),
        lambda taxonomy: taxonomy._languages(),
        lambda taxonomy: taxonomy.find("Russula"),
        lambda taxonomy: taxonomy.complete("rus", 3),
        lambda taxonomy: taxonomy.starting_with("rus"),
        lambda taxonomy: (taxonomy.synonyms(4), taxonomy.vernacular_names(4), taxonomy.toxicity(4)),
    ],
)
def test_no_look_up_of_a_name_or_a_taxon_reads_all_of_them(
    taxonomy: Taxonomy, look_up: Callable[[Taxonomy], object]
) -> None:
    connection = taxonomy._table._connection
    asked: list[str] = []
    connection.set_trace_callback(asked.append)  # queries with their values
    look_up(taxonomy)
    connection.set_trace_callback(None)

    steps = [step for query in asked for *_, step in connection.execute(f"EXPLAIN QUERY PLAN {query}")]

    assert steps
    assert [step for step in steps if step.startswith("SCAN") and "LIST SUBQUERY" not in step] == []
