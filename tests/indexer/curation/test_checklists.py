from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from indexer.curation.checklists import ChecklistLine, read_checklist
from indexer.records import RejectedRecord
from retrieval.errors import ArchiveError
from tests.indexer.archives.samples import DC, DWC, OCCURRENCE, TAXON, descriptor, section, write_archive, write_folder

TAXA = (
    "taxonID,scientificName,kingdom,family,genus,taxonRank,scientificNameAuthorship,acceptedNameUsageID,taxonomicStatus\n"
    't1,Amanita muscaria (L.) Lam.,Fungi,"Amanitaceae  ",Amanita,species,(L.) Lam.,t1,accepted\n'
    "t2,Agaricus muscarius L.,Fungi,Amanitaceae,Agaricus,species,L.,t1,synonym\n"
    "t3,Picea abies,Plantae,,Picea,species,,,\n"
    "t4,Mycena galopus var. nigra,Fungi,Mycenaceae,Mycena,variety,,,\n"
    "t5,,Fungi,,,,,,\n"
    "t6,Russula sp.,Fungi,Russulaceae,Russula,species,,,\n"
    "t7,Boletus badius,Fungi,Boletaceae,Boletus,species,,,synonym\n"
)
DISTRIBUTION = (
    "taxonID,locationID,countryCode,occurrenceStatus,establishmentMeans\n"
    "t1,ISO_3166-2:BE,BE,present,native\nt1,ISO_3166-2:NL,,present,native\nt1,,LU,doubtful,\n"
    "t4,,,absent,\nt6,,DEU,,\nt9,,BE,present,\n"
)  # fmt: skip
VERNACULAR = (
    "taxonID,dwc:language,vernacularName\nt1,en,Fly agaric\nt1,german,Fliegenpilz\nt1,nl,\nt1,of some island,Flymush\n"
)
GBIF = "http://rs.gbif.org/terms/1.0/"
FILES: dict[str, str | bytes] = {"taxon.csv": TAXA, "distribution.csv": DISTRIBUTION, "vernacularname.csv": VERNACULAR}


def read(path: Path) -> tuple[list[ChecklistLine], list[RejectedRecord]]:
    items = list(read_checklist(path))
    return [item for item in items if isinstance(item, ChecklistLine)], [
        item for item in items if isinstance(item, RejectedRecord)
    ]


def columns(table: str) -> dict[str, int | str]:
    return {DWC + name: place for place, name in enumerate(table.splitlines()[0].split(","))}


def described() -> dict[str, str | bytes]:
    comma = 'fieldsTerminatedBy="," fieldsEnclosedBy="&quot;"'
    names: dict[str, int | str] = {DC + "language": 1, DWC + "vernacularName": 2}
    return FILES | {
        "meta.xml": descriptor(
            section("core", TAXON, "taxon.csv", columns(TAXA), comma),
            section("extension", GBIF + "Distribution", "distribution.csv", columns(DISTRIBUTION), comma),
            section("extension", GBIF + "VernacularName", "vernacularname.csv", names, comma),
        )
    }  # fmt: skip


@pytest.mark.parametrize("form", ["folder", "table", "archive", "described folder"])
def test_taxa_are_joined_with_their_places_and_names(tmp_path: Path, form: str) -> None:
    path = {
        "folder": lambda: write_folder(tmp_path / "list", FILES),
        "table": lambda: write_folder(tmp_path / "list", FILES) / "taxon.csv",
        "archive": lambda: write_archive(tmp_path / "list.zip", described()),
        "described folder": lambda: write_folder(tmp_path / "list", described()),
    }[form]()

    lines, rejections = read(path)

    assert [(line.scientific_name, line.occurrence_status, line.country_codes, line.synonym_of) for line in lines] == [
        ("Amanita muscaria", "doubtful", ("LU",), ""),
        ("Amanita muscaria", "present", ("BE", "NL"), ""),
        ("Agaricus muscarius", "present", (), "Amanita muscaria"),
        ("Mycena galopus var. nigra", "absent", (), ""),
        ("Russula", "present", ("DE",), ""),
    ]
    assert [(r.reason, r.file, r.line) for r in rejections] == [
        ("not-a-fungus", "taxon.csv", 4),
        ("no-identification", "taxon.csv", 6),
        ("unresolved-synonym", "taxon.csv", 8),
        ("orphan", "distribution.csv", 7),
    ]
    first = lines[1]
    assert first.establishment_means == "native"
    assert first.lineage == (("kingdom", "Fungi"), ("family", "Amanitaceae"), ("genus", "Amanita"))
    assert first.scientific_name_authorship == "(L.) Lam."
    assert first.vernacular_names == (("en", "Fly agaric"), ("de", "Fliegenpilz"), ("", "Flymush"))
    assert [line.species for line in lines] == ["Amanita muscaria"] * 2 + ["Agaricus muscarius", "Mycena galopus", ""]
    assert [line.taxon_rank for line in lines] == ["species", "species", "species", "variety", "genus"]


def test_plain_text_is_one_name_per_line(tmp_path: Path) -> None:
    path = tmp_path / "mine.txt"
    path.write_text("# seen last year\nAmanita muscaria (L.) Lam.\n\nBoletus edulis\n???\nRussula\n")

    lines, rejections = read(path)

    assert [(line.scientific_name, line.taxon_rank, line.line) for line in lines] == [
        ("Amanita muscaria", "species", 2),
        ("Boletus edulis", "species", 4),
        ("Russula", "genus", 6),
    ]
    assert [(r.reason, r.line) for r in rejections] == [("not-a-name", 5)]


def test_a_remark_behind_a_name_is_not_its_author(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("Amanita muscaria # under the birch\nRussula emetica (Schaeff.) Pers. #2\n")

    lines, rejections = read(tmp_path / "mine.txt")

    assert rejections == []
    assert [(line.scientific_name, line.scientific_name_authorship) for line in lines] == [
        ("Amanita muscaria", ""),
        ("Russula emetica", "(Schaeff.) Pers."),
    ]


@pytest.mark.parametrize("sign", [";", ",", "\t", " | "])
def test_a_table_without_a_header_is_not_read_as_a_list_of_genera(tmp_path: Path, sign: str) -> None:
    path = tmp_path / "mine.csv"
    path.write_text(f"Amanita muscaria{sign}Fly agaric\nRussula emetica{sign}Sickener\n")

    with pytest.raises(ArchiveError, match=r"line 1: .* holds more than a name; put a line above it"):
        read(path)

    path.write_text(f"Boletus edulis Bull., 1782\nAmanita muscaria{sign}Fly agaric\n")
    lines, rejections = read(path)
    assert [line.scientific_name for line in lines] == ["Boletus edulis"]
    assert [(r.reason, r.line) for r in rejections] == [("not-a-name", 2)]


SYNONYMS = "taxonID,scientificName,taxonomicStatus,acceptedNameUsageID,acceptedNameUsage\n"


@pytest.mark.parametrize(
    ("rows", "accepted", "unresolved"),
    [
        (["1,Amanita aa,synonym,2,", "2,Amanita bb,synonym,3,", "3,Amanita cc,accepted,3,"], ["cc", "cc", ""], 0),
        (["1,Amanita aa,synonym,,Amanita bb", "2,Amanita bb,synonym,,Amanita cc"], ["cc", "cc"], 0),
        (["1,Amanita aa,synonym,2,", "2,Amanita bb,synonym,1,", "3,Amanita cc,synonym,1,"], [], 3),
        (["1,Amanita aa,synonym,,Amanita bb", "2,Amanita bb,synonym,,Amanita aa"], [], 2),
        (["1,Amanita aa,synonym,2,", "2,Amanita bb,,1,"], ["bb", ""], 0),
        (["1,Amanita aa,,2,", "2,Amanita bb,,1,"], ["", ""], 0),
        (["1,Amanita aa,synonym,2,", "2,Amanita bb,synonym,9,"], [], 2),
        (["1,Amanita aa,synonym,2,", "2,Amanita bb,accepted,,", "3,Amanita bb,synonym,1,"], ["bb", "", ""], 0),
    ],
    ids=[
        "chain",
        "chain of names",
        "circle",
        "circle of names",
        "one of a circle",
        "no synonyms",
        "chain to nothing",
        "namesake",
    ],
)
def test_synonyms_of_synonyms_are_followed_to_an_accepted_name(
    tmp_path: Path, rows: Sequence[str], accepted: Sequence[str], unresolved: int
) -> None:
    (tmp_path / "list.csv").write_text(SYNONYMS + "\n".join(rows) + "\n")

    lines, rejections = read(tmp_path / "list.csv")

    assert [line.synonym_of.removeprefix("Amanita ") for line in lines] == accepted
    assert [r.reason for r in rejections] == ["unresolved-synonym"] * unresolved


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("species\nAmanita muscaria\n", ("Amanita muscaria", None, (), "")),
        (
            "Scientific Name;Poisonous;countryCode\nAmanita muscaria;1;BE | NL\n",
            ("Amanita muscaria", None, ("BE", "NL"), "poisonous"),
        ),
        (
            "taxonKey\tscientificName\tacceptedScientificName\n"
            "5240151\tAmanita muscaria (L.) Lam.\tAmanita muscaria (L.) Lam.\n",
            ("Amanita muscaria", 5240151, (), ""),
        ),
        ("\ufeffgenus,specificEpithet\nAmanita,muscaria\n", ("Amanita muscaria", None, (), "")),
    ],
)
def test_a_table_of_names_is_a_checklist(tmp_path: Path, text: str, expected: object) -> None:
    (tmp_path / "list.csv").write_text(text)

    lines, rejections = read(tmp_path / "list.csv")

    assert rejections == []
    assert [(line.scientific_name, line.gbif_key, line.country_codes, line.toxicity) for line in lines] == [expected]


@pytest.mark.parametrize(
    ("files", "name", "message"),
    [
        ({"a.csv": "id,day\n1,2\n"}, "a.csv", "a.csv, line 1: 'id,day' is neither a header"),
        ({"a.csv": ""}, "a.csv", "a.csv, line 1: the file is empty"),
        ({"list/a.csv": "x", "list/b.csv": "y"}, "list", "neither meta.xml nor a table called taxon"),
        ({"list/taxon.csv": "taxonID,family\n1,Amanitaceae\n"}, "list", "taxon.csv, line 1: no column holds names"),
        ({}, "none.csv", "no such file"),
        (
            {
                "list/meta.xml": descriptor(section("core", OCCURRENCE, "o.txt", {DWC + "day": 1})),
                "list/o.txt": "a\tb\n",
            },
            "list",
            "core of taxa, and this one is of occurrence",
        ),
    ],
)
def test_what_is_no_checklist_is_refused(
    tmp_path: Path, files: Mapping[str, str | bytes], name: str, message: str
) -> None:
    write_folder(tmp_path, files)

    with pytest.raises(ArchiveError) as refusal:
        read(tmp_path / name)

    assert message in str(refusal.value)


def test_the_real_rusts_of_belgium_are_listed_without_their_hosts(shared: Path) -> None:
    lines, rejections = read(shared / "samples" / "checklists" / "trias-uredinales")

    assert len(lines) + len(rejections) == 755
    assert Counter(line.occurrence_status for line in lines) == {"present": 202, "doubtful": 34, "absent": 1}
    assert {line.country_codes for line in lines} == {("BE",)}
    assert Counter(line.taxon_rank for line in lines) == {"species": 217, "variety": 20}
    assert Counter(rejection.reason for rejection in rejections) == {"not-a-fungus": 517, "not-a-name": 1}
    assert all(line.species and dict(line.lineage)["family"].isalpha() for line in lines)


def test_real_taxon_archives_are_checklists(shared: Path) -> None:
    samples = shared / "samples" / "dwca" / "gbif-dwca-io"

    spiders, nameless = read(samples / "checklist_980.zip")
    _, whales = read(samples / "archive-tax.zip")

    assert (len(spiders), Counter(r.reason for r in nameless)) == (
        319,
        {"no-identification": 35, "uncertain-identification": 2},
    )
    reasons = Counter(r.reason for r in whales)
    assert reasons["not-a-fungus"] == 3075  # no line says its kingdom; the ones that name their code name the animals'


COLDP = (
    "col:ID\tcol:parentID\tcol:status\tcol:scientificName\tcol:authorship\tcol:rank\tcol:code\n"
    "K\t\taccepted\tFungi\t\tkingdom\tbotanical\n"
    "F\tK\taccepted\tBoletaceae\t\tfamily\tbotanical\n"
    "G\tF\taccepted\tImleria\tVizzini\tgenus\tbotanical\n"
    "A\tG\taccepted\tImleria badia\t(Fr.) Vizzini\tspecies\tbotanical\n"
    "S1\tA\tsynonym\tBoletus badius\t(Fr.) Fr.\tspecies\tbotanical\n"
    "S2\tS1\tambiguous synonym\tXerocomus badius\t\tspecies\tbotanical\n"
    "M\tA\tmisapplied\tBoletus glutinosus\tauct.\tspecies\tbotanical\n"
    "P\tG\tprovisionally accepted\tImleria obscura\t\tspecies\tbotanical\n"
    "B\tK\tbare name\tBoletus nudus\t\tspecies\tbotanical\n"
    "L\t\taccepted\tPlantae\t\tkingdom\tbotanical\n"
    "L1\tL\taccepted\tFagus\tL.\tgenus\tbotanical\n"
    "L2\tL1\taccepted\tFagus sylvatica\tL.\tspecies\tbotanical\n"
    "L3\tL2\tsynonym\tFagus silvestris\t\tspecies\tbotanical\n"
    "X\tX\taccepted\tMycena pura\t\tspecies\tbotanical\n"
    "Z\t\taccepted\tTurdus merula\tLinnaeus, 1758\tspecies\tzoological\n"
)
COLDP_FILES: dict[str, str | bytes] = {
    "NameUsage.tsv": COLDP,
    "metadata.yaml": "title: a list\n",
    "VernacularName.tsv": "col:taxonID\tcol:name\tcol:language\nA\tMaronen-Röhrling\tdeu\n",
    "Distribution.tsv": "col:taxonID\tcol:area\tcol:gazetteer\tcol:status\nA\tCH\tiso\tnative\nP\tFR\tiso\tuncertain\n",
}


@pytest.mark.parametrize("form", ["table", "folder", "zip"])
def test_a_coldp_list_says_which_names_are_accepted_by_status_and_parent(tmp_path: Path, form: str) -> None:
    files = {"NameUsage.tsv": COLDP} if form == "table" else COLDP_FILES
    folder = write_folder(tmp_path / "list", files)
    path = {"table": folder / "NameUsage.tsv", "folder": folder, "zip": write_archive(tmp_path / "a.zip", files)}[form]

    lines, rejections = read(path)

    species = {line.scientific_name: line for line in lines if line.species}
    assert {name: line.synonym_of for name, line in species.items()} == {
        "Imleria badia": "",
        "Boletus badius": "Imleria badia",
        "Xerocomus badius": "Imleria badia",
        "Imleria obscura": "",
        "Mycena pura": "",
    }
    assert dict(species["Imleria badia"].lineage) == {"kingdom": "Fungi", "family": "Boletaceae", "genus": "Imleria"}
    assert [line.scientific_name for line in lines if not line.species] == ["Fungi", "Boletaceae", "Imleria"]
    assert [line.scientific_name for line in lines if not line.listed] == ["Boletus badius", "Xerocomus badius"]
    assert Counter(rejection.reason for rejection in rejections) == {"not-accepted": 2, "not-a-fungus": 5}
    if form != "table":
        badia = species["Imleria badia"]
        assert (badia.country_codes, badia.vernacular_names) == (("CH",), (("de", "Maronen-Röhrling"),))
        assert species["Imleria obscura"].occurrence_status == "doubtful"


SPLIT_COLDP: dict[str, str | bytes] = {
    "metadata.yaml": "title: a list\n",
    "Name.tsv": "ID\tscientificName\tauthorship\trank\tgenus\tspecificEpithet\tcode\tstatus\n"
    "n1\tHypholoma\t(Fr.) P.Kumm.\tgenus\t\t\tbotanical\t\n"
    "n2\tHypholoma capnoides\t(Fr.) P.Kumm.\tspecies\tHypholoma\tcapnoides\tbotanical\t\n"
    "n3\tNematoloma capnoides\t(Fr.) P.Karst.\tspecies\tNematoloma\tcapnoides\tbotanical\t\n"
    "n4\t\tFr.\tspecies\tAgaricus\tcapnoides\tbotanical\tillegitimate\n"
    "n5\tHypholoma lapponicum\t\tspecies\tHypholoma\tlapponicum\tbotanical\t\n"
    "n6\tHypholoma nudum\t\tspecies\tHypholoma\tnudum\tbotanical\t\n"
    "n2\tHypholoma capnoides\t(Fr.) P.Kumm.\tspecies\tHypholoma\tcapnoides\tbotanical\t\n",
    "Taxon.tsv": "ID\tparentID\tnameID\tprovisional\tkingdom\tfamily\n"
    "t1\t\tn1\t\tFungi\tStrophariaceae\nt2\tt1\tn2\tfalse\t\t\nt5\tt1\tn5\ttrue\t\t\nt9\tt1\tn99\t\t\t\n",
    "Synonym.tsv": "ID\ttaxonID\tnameID\tstatus\ns1\tt2\tn3\tsynonym\ns2\tt2\tn4\t\n",
    "Distribution.tsv": "taxonID\tareaID\tarea\tgazetteer\tstatus\n"
    "t2\tSE\tSweden\tiso\tnative\nt2\tXQ\t\tiso\tnative\nt5\t\tLappi\ttext\tuncertain\n",
    "VernacularName.tsv": "taxonID\tname\tlanguage\nt2\tRökslöjskivling\tswe\nt2\tGråling\tof the hills\nt2\tX\tund\n",
}  # fmt: skip


@pytest.mark.parametrize("form", ["table", "folder", "zip"])
def test_a_coldp_list_with_names_taxa_and_synonyms_apart_is_put_together(tmp_path: Path, form: str) -> None:
    folder = write_folder(tmp_path / "list", SPLIT_COLDP)
    packed = write_archive(tmp_path / "a.zip", SPLIT_COLDP)
    lines, rejections = read({"table": folder / "Taxon.tsv", "folder": folder, "zip": packed}[form])

    species = {line.scientific_name: line for line in lines if line.species}
    assert {name: (line.synonym_of, line.file, line.line) for name, line in species.items()} == {
        "Hypholoma capnoides": ("", "Taxon.tsv", 3),
        "Hypholoma lapponicum": ("", "Taxon.tsv", 4),
        "Nematoloma capnoides": ("Hypholoma capnoides", "Synonym.tsv", 2),
        "Agaricus capnoides": ("Hypholoma capnoides", "Synonym.tsv", 3),
    }
    capnoides = species["Hypholoma capnoides"]
    assert dict(capnoides.lineage) == {"kingdom": "Fungi", "family": "Strophariaceae", "genus": "Hypholoma"}
    assert capnoides.scientific_name_authorship == "(Fr.) P. Kumm."
    assert (capnoides.country_codes, capnoides.occurrence_status) == (("SE",), "present")
    assert capnoides.vernacular_names == (("sv", "Rökslöjskivling"), ("", "Gråling"), ("", "X"))
    assert [(value.reason, value.file, value.line, value.text) for value in capnoides.dropped] == [
        ("language-not-known", "VernacularName.tsv", 3, "of the hills"),
        ("country-not-known", "Distribution.tsv", 3, "XQ"),
    ]
    assert species["Hypholoma lapponicum"].occurrence_status == "doubtful"
    assert species["Hypholoma lapponicum"].dropped == ()
    assert sorted((one.reason, one.file, one.line) for one in rejections) == [
        ("duplicate", "Name.tsv", 8),
        ("not-accepted", "Name.tsv", 7),
        ("orphan", "Taxon.tsv", 5),
    ]


def test_what_refers_to_a_key_of_two_names_refers_to_neither(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "taxon.csv": "taxonID,scientificName,taxonomicStatus,acceptedNameUsageID\n"
        "1,Mycena pura,accepted,\n1,Mycena rosea,accepted,\n2,Agaricus purus,synonym,1\n3,Mycena alba,accepted,\n",
        "distribution.csv": "taxonID,countryCode\n1,DK\n3,SE\n",
        "vernacularname.csv": "taxonID,vernacularName,language\n1,Rosa huesvamp,da\n",
    }

    lines, rejections = read(write_folder(tmp_path / "list", files))

    assert [(line.scientific_name, line.country_codes, line.vernacular_names) for line in lines] == [
        ("Mycena pura", (), ()), ("Mycena rosea", (), ()), ("Mycena alba", ("SE",), ()),
    ]  # fmt: skip
    assert sorted((one.reason, one.file, one.line) for one in rejections) == [
        ("ambiguous-identification", "distribution.csv", 2),
        ("ambiguous-identification", "vernacularname.csv", 2),
        ("unresolved-synonym", "taxon.csv", 4),
    ]


def test_a_coldp_name_id_of_two_names_names_no_taxon(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "Name.tsv": "ID\tscientificName\trank\nn1\tMycena pura\tspecies\nn1\tMycena rosea\tspecies\n",
        "Taxon.tsv": "ID\tnameID\nt1\tn1\n",
    }

    lines, rejections = read(write_folder(tmp_path / "list", files))

    assert lines == []
    assert [(one.reason, one.file) for one in rejections] == [
        ("duplicate", "Name.tsv"), ("ambiguous-identification", "Taxon.tsv"),
    ]  # fmt: skip


def test_lists_of_index_fungorum_and_of_gbif_are_read_by_their_own_headers(tmp_path: Path) -> None:
    (tmp_path / "if.csv").write_text(
        "NAME OF FUNGUS,AUTHORS,INFRASPECIFIC RANK,CURRENT NAME,CURRENT NAME RECORD NUMBER,RECORD NUMBER,Family name\n"
        "Imleria badia,(Fr.) Vizzini,sp.,Imleria badia,11,11,Boletaceae\n"
        "Boletus badius,(Fr.) Fr.,sp.,,11,12,\n"
    )
    (tmp_path / "gbif.tsv").write_text(
        "taxonKey\tscientificName\tacceptedTaxonKey\tacceptedScientificName\tnumberOfOccurrences\ttaxonRank\t"
        "taxonomicStatus\tkingdom\tfamily\tspecies\tspeciesKey\n"
        "2\tBoletus badius (Fr.) Fr.\t3\tImleria badia (Fr.) Vizzini\t9\tSPECIES\tSYNONYM\tFungi\tBoletaceae\t"
        "Imleria badia\t3\n"
        "3\tImleria badia (Fr.) Vizzini\t3\tImleria badia (Fr.) Vizzini\t99\tSPECIES\tACCEPTED\tFungi\tBoletaceae\t"
        "Imleria badia\t3\n"
        "4\tImleria\t4\tImleria\t108\tGENUS\tACCEPTED\tFungi\tBoletaceae\t\t\n"
    )

    fungorum, none = read(tmp_path / "if.csv")
    gbif, nothing = read(tmp_path / "gbif.tsv")

    assert none == nothing == []
    assert [(line.scientific_name, line.synonym_of) for line in fungorum] == [
        ("Imleria badia", ""), ("Boletus badius", "Imleria badia"),
    ]  # fmt: skip
    assert dict(fungorum[0].lineage)["family"] == "Boletaceae"
    assert [(line.scientific_name, line.synonym_of, line.gbif_key, line.taxon_rank) for line in gbif] == [
        ("Boletus badius", "Imleria badia", 2, "species"),
        ("Imleria badia", "", 3, "species"),
        ("Imleria", "", 4, "genus"),
    ]


@pytest.mark.parametrize(
    ("text", "status"),
    [
        *(
            (word, "present")
            for word in ("common", "Rare", "irregular", "PRESENT", "extant", "native", "very rare", "")
        ),
        *((word, "present") for word in ("naturalised", "Locally common", "häufig", "introduced: established", "x")),
        *((word, "absent") for word in ("absent", "extinct", "Eradicated", "excluded", "regionally extinct", "0")),
        *((word, "absent") for word in ("rare, probably extinct", "no longer present", "ausgestorben")),
        *((word, "doubtful") for word in ("doubtful", "?", "Present?", "presence uncertain", "unconfirmed")),
        ("near threatened", "near threatened"),
        ("not evaluated", "not evaluated"),
    ],
)
def test_statuses_are_present_absent_or_doubtful_and_others_stay_as_written(
    tmp_path: Path, text: str, status: str
) -> None:
    (tmp_path / "list.csv").write_text(f'scientificName,countryCode,occurrenceStatus\nMycena pura,CH,"{text}"\n')

    lines, _ = read(tmp_path / "list.csv")

    assert [line.occurrence_status for line in lines] == [status]


def test_a_synonym_is_of_the_kingdom_of_its_accepted_name(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_text(
        "taxonID,scientificName,kingdom,acceptedNameUsageID,taxonomicStatus\n"
        "1,Fagus sylvatica,Plantae,1,accepted\n2,Fagus silvestris,,1,synonym\n3,Mycena pura,,3,accepted\n"
    )

    lines, rejections = read(tmp_path / "list.csv")

    assert [line.scientific_name for line in lines] == ["Mycena pura"]
    assert [(rejection.reason, rejection.line) for rejection in rejections] == [
        ("not-a-fungus", 2),
        ("not-a-fungus", 3),
    ]


def test_a_plain_list_takes_no_name_that_is_in_doubt(tmp_path: Path) -> None:
    (tmp_path / "list.txt").write_text(
        "Russula gr emetica\nInocybe cfr rimosa\nBoletus edulis?\nAmanita near muscaria\nAmanita muscaria\n",
        encoding="utf-8",
    )

    lines = list(read_checklist(tmp_path / "list.txt"))

    assert [line.scientific_name for line in lines if isinstance(line, ChecklistLine)] == ["Amanita muscaria"]
    assert {line.reason for line in lines if isinstance(line, RejectedRecord)} == {"uncertain-identification"}


def test_a_name_in_an_unknown_encoding_costs_its_own_line_only(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "names.txt"
    path.write_bytes("Mycena pura Sørensen\nMycena rosea\n".encode("cp1252"))

    lines = list(read_checklist(path))

    assert [line.scientific_name for line in lines if isinstance(line, ChecklistLine)] == ["Mycena rosea"]
    assert [(line.reason, line.line) for line in lines if isinstance(line, RejectedRecord)] == [("unreadable-text", 1)]
    assert len(caplog.messages) == 1
