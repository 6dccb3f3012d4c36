from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from tests.fungarium.conftest import Run
from tests.indexer.collections import line, mixed_rows, write_table

SQUARE = {"type": "Polygon", "coordinates": [[[0, 0], [10, 0], [10, 10], [0, 10], [0, 0]]]}


def test_an_import_reports_what_became_of_every_record(run: Run, tmp_path: Path) -> None:
    table = write_table(tmp_path / "walks", [*mixed_rows(6), line("z.png", license="")])

    status, out, err = run("collection", "import", "csv", table, "--dataset", "walks", "--title", "Walks")

    assert status == 0
    assert out.splitlines()[:3] == ["dataset walks: 12 read", "  accepted 6 (6 new, 0 already there)", "  rejected 6"]
    assert "    duplicate 2\n" in out
    assert "    licence-missing 1\n" in out
    assert "import walks: 12 records" in err
    with (tmp_path / "data" / "reports" / "walks-rejections.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 6
    assert {row["reason"] for row in rows} >= {"duplicate", "licence-missing"}
    assert all(row["file"] == "photos.csv" and int(row["line"]) > 1 and row["detail"] for row in rows)


def test_a_second_import_reports_the_same(run: Run, tmp_path: Path) -> None:
    table = write_table(tmp_path / "walks", mixed_rows(6))
    _, first, _ = run("collection", "import", "auto", table, "--dataset", "walks")

    _, second, _ = run("collection", "import", "auto", table, "--dataset", "walks")

    assert second == first.replace("(6 new, 0 already there)", "(0 new, 6 already there)")


def test_rejections_are_listed_by_reason(run: Run, tmp_path: Path) -> None:
    table = write_table(tmp_path / "walks", [line("a.png"), line("b.png", license=""), line("c.png", "Amanita")])
    run("collection", "import", "csv", table, "--dataset", "walks")

    _, everything, _ = run("collection", "rejections", "walks")
    _, chosen, _ = run("collection", "rejections", "walks", "--reason", "licence-missing")

    assert [row.split("\t")[0] for row in everything.splitlines()] == ["licence-missing", "not-to-species"]
    assert chosen.startswith("licence-missing\tphotos.csv, line 3\t")
    assert len(chosen.splitlines()) == 1


def test_columns_and_constants_can_be_given(run: Run, tmp_path: Path) -> None:
    table = write_table(tmp_path / "walks", [line("a.png", license="")])
    table.write_text(table.read_text().replace("scientificName", "art"))

    arguments = ("collection", "import", "csv", table, "--dataset", "walks", "--column", "scientific_name=art")
    _, out, _ = run(*arguments, "--column", "licence==CC0-1.0")

    assert "accepted 1 (1 new" in out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("collection", "rejections", "walks"), "there is no database at"),
        (("collection", "import", "csv", "absent.csv", "--dataset", "walks"), "absent.csv"),
        (("collection", "import", "csv", "absent.csv", "--dataset", "../up"), "cannot be the id of a dataset"),
        (
            ("collection", "import", "csv", "absent.csv", "--dataset", "walks", "--column", "nonsense"),
            "write FIELD=HEADER",
        ),
        (("collection", "checklist", "import", "absent.csv", "--id", "be"), "absent.csv"),
        (("collection", "region", "import", "wgsrpd", "absent"), "tblLevel2.txt: cannot be read"),
        (("collection", "flora", "add", "be", "--country", "BE"), "would hold no species"),
        (("collection", "flora", "add", "world", "--country", "BE"), ""),
        (("collection", "flora", "list"), "there is no database at"),
    ],
)
def test_what_cannot_be_done_is_one_sentence_and_a_failure(run: Run, arguments: tuple[str, ...], sentence: str) -> None:
    status, out, err = run(*arguments)

    assert status == 1
    assert out == ""
    assert err.splitlines()[-1].startswith("error: ")
    assert sentence in err
    assert "Traceback" not in err


def test_rejections_of_an_unknown_dataset_name_the_known_ones(run: Run, tmp_path: Path) -> None:
    run("collection", "import", "csv", write_table(tmp_path / "walks", [line("a.png")]), "--dataset", "walks")

    status, _, err = run("collection", "rejections", "talks")

    assert status == 1
    assert "there is no dataset 'talks'; there are: walks" in err


def test_the_whole_way_from_checklist_to_coverage(run: Run, tmp_path: Path) -> None:
    rows = [line("a.png", "Boletus edulis", countryCode="BE"), line("b.png", "Amanita muscaria", countryCode="FR")]
    run("collection", "import", "csv", write_table(tmp_path / "walks", rows), "--dataset", "walks")
    listed = tmp_path / "be.csv"
    listed.write_text("scientificName,countryCode\nBoletus edulis,BE\nRussula emetica,BE\n")
    (tmp_path / "area.geojson").write_text(json.dumps(SQUARE))
    (tmp_path / "mine.txt").write_text("Boletus edulis\nRusula emetica\n")

    _, checklist, _ = run("collection", "checklist", "import", listed, "--id", "be", "--title", "Belgium")
    _, lists, _ = run("collection", "checklist", "list")
    _, region, _ = run(
        "collection", "region", "add", "garden", "--geojson", tmp_path / "area.geojson", "--title", "Garden"
    )
    _, country, _ = run("collection", "flora", "add", "belgium", "--country", "BE", "--title", "Belgium")
    _, mine, unmatched = run("collection", "flora", "add", "mine", "--names", tmp_path / "mine.txt")
    _, regions, _ = run("collection", "region", "list")
    _, floras, _ = run("collection", "flora", "list")
    _, shown, _ = run("collection", "flora", "show", "belgium")
    _, covered, _ = run("collection", "flora", "coverage", "belgium")
    _, as_json, _ = run("collection", "flora", "coverage", "belgium", "--json")
    _, removed, _ = run("collection", "flora", "remove", "mine")

    assert checklist.splitlines()[0] == "checklist be: 2 read"
    assert "be\t2 species present" in lists
    assert region == "region garden added: Garden\n"
    assert country == "flora belgium added: 2 species\n"
    assert mine.splitlines()[0] == "flora mine added: 1 species"
    assert "mine.txt, line 2: Rusula emetica matches no taxon; did you mean Russula emetica?" in unmatched
    assert [row.split("\t")[0] for row in regions.splitlines()] == ["garden", "iso-be"]
    assert [row.split("\t")[:2] for row in floras.splitlines()] == [
        ["world", "2 species"],
        ["belgium", "2 species"],
        ["mine", "1 species"],
    ]
    assert shown.splitlines()[1:] == ["  Boletus edulis", "  Russula emetica"]
    assert covered.splitlines() == ["flora belgium: 1 of 2 species have photos, 1 have none", "  Russula emetica"]
    assert json.loads(as_json)["missing"][0]["name"] == "Russula emetica"
    assert removed == "flora mine removed\n"


def test_values_that_were_dropped_are_counted_and_listed_with_their_text(run: Run, tmp_path: Path) -> None:
    rows = [
        line("a.png", eventDate="3/4/2018", countryCode="Atlantis"),
        line("b.png", eventDate="7.X.2018", countryCode="Scotland"),
        line("c.png", eventDate="2018-10", decimalLatitude="51.5", decimalLongitude="here"),
        line("d.png", "Amanita cf. muscaria"),
    ]
    table = write_table(tmp_path / "walks", rows)

    _, out, _ = run("collection", "import", "csv", table, "--dataset", "walks")
    _, listed, _ = run("collection", "rejections", "walks")
    _, chosen, _ = run("collection", "rejections", "walks", "--reason", "date-ambiguous")

    assert "  accepted 3 (3 new, 0 already there)\n  rejected 1\n    uncertain-identification 1\n" in out
    dropped = "    coordinates-not-read 1\n    country-not-known 1\n    date-ambiguous 1\n"
    assert f"  values dropped 3; their photos are kept\n{dropped}" in out
    assert "  assumed\n    date-without-day 1\n" in out
    with (tmp_path / "data" / "reports" / "walks-rejections.csv").open(newline="", encoding="utf-8") as file:
        report = list(csv.DictReader(file))
    assert [(row["reason"], row["left_out"], row["term"], row["text"], row["line"]) for row in report] == [
        ("uncertain-identification", "record", "scientificName", "Amanita cf. muscaria", "5"),
        ("date-ambiguous", "value", "eventDate", "3/4/2018", "2"),
        ("country-not-known", "value", "countryCode", "Atlantis", "2"),
        ("coordinates-not-read", "value", "decimalLatitude", "51.5, here", "4"),
    ]
    assert all(row["what_to_do"] and row["file"] == "photos.csv" for row in report)
    assert len(listed.splitlines()) == 4
    assert chosen.startswith("date-ambiguous\tphotos.csv, line 2\t")


def test_a_second_import_lists_what_was_dropped_once(run: Run, tmp_path: Path) -> None:
    table = write_table(tmp_path / "walks", [line("a.png", eventDate="3/4/2018")])
    run("collection", "import", "csv", table, "--dataset", "walks")
    run("collection", "import", "csv", table, "--dataset", "walks")

    _, listed, _ = run("collection", "rejections", "walks")

    assert len(listed.splitlines()) == 1


def test_doubtful_identifications_are_taken_where_asked_for(run: Run, tmp_path: Path) -> None:
    table = write_table(tmp_path / "walks", [line("a.png", "Amanita cf. muscaria"), line("b.png", "Amanita ? sp.")])

    _, out, _ = run("collection", "import", "csv", table, "--dataset", "walks", "--uncertain")

    assert "  accepted 1 (1 new, 0 already there)\n  rejected 1\n    not-to-species 1\n" in out
    assert "    name-uncertain 1\n" in out
