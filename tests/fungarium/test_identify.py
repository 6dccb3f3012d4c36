"""`fungarium identify` and `similar`: arguments, text, JSON, error messages and exit codes."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from fungarium.cli import main
from fungarium.exit_codes import run_guarded
from retrieval.domain import NOTICE
from retrieval.models.descriptor import Descriptor
from tests.retrieval.photos.oddities import exif, save, scene
from tests.snapshots import CITRINA, MUSCARIA, Made, draw_photo, make_entry, make_snapshot

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make_snapshot(tmp_path_factory.mktemp("indexes"))


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Two photos of one fly agaric that is not in the snapshot."""
    folder = tmp_path_factory.mktemp("find")
    for number in (0, 1):
        (folder / f"{number}.jpg").write_bytes(draw_photo(MUSCARIA, 9, number))
    return [str(folder / "0.jpg"), str(folder / "1.jpg")]


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FLORA_INDEXES", "MODEL", "MODEL_CARD", "MAX_PHOTOS", "MAX_PHOTO_BYTES", "MAX_PHOTO_PIXELS"):
        monkeypatch.delenv(f"FUNGARIUM_{name}", raising=False)
    monkeypatch.setenv("FUNGARIUM_MODEL", "descriptor")  # which the snapshots of these tests are made with


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = main(list(arguments))
    written = capsys.readouterr()
    return code, written.out, written.err


def check_candidate(candidate: dict[str, Any]) -> None:
    """Every field that the answer promises, and reference photos never without author and licence."""
    always = {"taxon", "score", "share", "sharePerPhoto", "prior", "evidence"}
    flags = {"expectedHere", "expectedNow", "expectedInHabitat", "expectedOnSubstrate"}
    assert always <= set(candidate) <= always | flags | {"lookalikes", "priors"}
    assert 0 <= candidate["share"] <= 1
    assert 0 <= candidate["score"] <= 1
    assert all(0 <= share <= 1 for share in candidate["sharePerPhoto"])
    described = {"taxonID", "scientificName", "scientificNameAuthorship", "taxonRank", "vernacularNames"}
    assert described <= set(candidate["taxon"])
    for evidence in candidate["evidence"]:
        named = {"photo", "observation", "author", "licence", "source", "aspect", "similarity", "queryPhoto"}
        assert set(evidence) == named
        assert evidence["author"]
        assert evidence["licence"]
        assert evidence["queryPhoto"] in {0, 1}


def test_identify_prints_a_ranking_with_evidence_and_the_notice(
    capsys: pytest.CaptureFixture[str], made: Made, photos: list[str]
) -> None:
    code, out, err = run(capsys, "identify", "--indexes", str(made.root), "--flora", "north", *photos)

    lines = out.splitlines()
    assert (code, err) == (0, "")
    assert lines[0] == f"2 photos, flora north, snapshot {made.manifest.name}, model descriptor@1"
    assert "1. " in lines[2]
    assert "Amanita muscaria (rød fluesvamp), Amanitaceae  [poisonous]" in lines[2]
    assert "similarity 0." in lines[3]
    assert lines[3].endswith(("A. Author, CC0-1.0", "B. Author, CC-BY-4.0"))
    assert any(line.startswith("Genus:  Amanita ") for line in lines)
    assert any(line.startswith("Family: Amanitaceae ") for line in lines)
    assert lines[-2] == "Percentages are shares of the votes of similar photos, not yet calibrated."
    assert lines[-1] == NOTICE


def test_identify_says_what_the_list_excluded(
    capsys: pytest.CaptureFixture[str], made: Made, photos: list[str]
) -> None:
    _, out, _ = run(capsys, "identify", "--indexes", str(made.root), "--flora", "south", photos[0])

    _, excluded = out.split("Looks more similar, but is not on the list of south:\n")
    assert out.startswith("1 photo, flora south")
    assert "Amanita muscaria" in excluded.splitlines()[0]


def test_identify_as_json_has_every_field_of_the_answer(
    capsys: pytest.CaptureFixture[str], made: Made, photos: list[str]
) -> None:
    code, out, err = run(capsys, "identify", "--indexes", str(made.root), "--flora", "south", "--json", *photos)

    answer = json.loads(out)
    assert (code, err) == (0, "")
    for ranking in ("species", "genera", "families", "notOnTheList"):
        assert answer[ranking]
        for candidate in answer[ranking]:
            check_candidate(candidate)
    assert answer["notOnTheList"][0]["taxon"] == {
        "taxonID": MUSCARIA,
        "scientificName": "Amanita muscaria",
        "scientificNameAuthorship": "(L.) Lam.",
        "taxonRank": "species",
        "family": "Amanitaceae",
        "genus": "Amanita",
        "vernacularNames": [
            {"language": "da", "vernacularName": "rød fluesvamp"},
            {"language": "en", "vernacularName": "fly agaric"},
        ],
        "gbifKey": 900011,
        "toxicity": "poisonous",
    }
    assert (answer["flora"], answer["photos"], answer["model"]) == ("south", 2, "descriptor@1")
    assert answer["snapshot"] == made.manifest.name
    assert answer["notice"] == NOTICE
    assert "Not yet calibrated" in answer["shareMeaning"]
    assert all(len(candidate["sharePerPhoto"]) == 2 for candidate in answer["species"])
    assert "rød" in out, "names are written as they are, not as escapes"


def test_what_is_unknown_is_left_out_of_the_json(
    capsys: pytest.CaptureFixture[str], made: Made, tmp_path: Path
) -> None:
    (tmp_path / "photo.jpg").write_bytes(draw_photo(CITRINA, 9))

    _, out, _ = run(capsys, "identify", "--indexes", str(made.root), "--json", str(tmp_path / "photo.jpg"))

    taxon = json.loads(out)["species"][0]["taxon"]
    assert taxon["scientificName"] == "Amanita citrina"
    assert not {"gbifKey", "toxicity"} & set(taxon)


def test_similar_lists_references_with_species_author_and_licence(
    capsys: pytest.CaptureFixture[str], made: Made, photos: list[str]
) -> None:
    code, out, _ = run(capsys, "similar", "--indexes", str(made.root), "--count", "3", *photos)

    lines = out.splitlines()
    assert code == 0
    assert [line[:5] for line in lines] == ["  1. ", "  2. ", "  3. "]
    for line in lines:
        assert "Amanita muscaria: photo " in line
        assert line.endswith(("A. Author, CC0-1.0", "B. Author, CC-BY-4.0"))


def test_similar_as_json(capsys: pytest.CaptureFixture[str], made: Made, photos: list[str]) -> None:
    _, out, _ = run(capsys, "similar", "--indexes", str(made.root), "--count", "4", "--json", *photos)

    answer = json.loads(out)
    assert len(answer["references"]) == 4
    similarities = [reference["similarity"] for reference in answer["references"]]
    assert similarities == sorted(similarities, reverse=True)
    assert {reference["queryPhoto"] for reference in answer["references"]} <= {0, 1}
    assert answer["references"][0]["taxon"]["scientificName"] == "Amanita muscaria"
    assert answer["snapshot"] == made.manifest.name


def test_a_reference_whose_author_nobody_stated_says_so(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, photos: list[str]
) -> None:
    entries = [make_entry("a" * 64, 1, MUSCARIA, author="", licence="")]
    view = make_snapshot(tmp_path / "other").embeddings[:1]
    made = make_snapshot(tmp_path / "indexes", entries, view)

    _, out, _ = run(capsys, "similar", "--indexes", str(made.root), photos[0])

    assert "author not stated, licence not stated" in out


def test_a_snapshot_can_be_named(capsys: pytest.CaptureFixture[str], tmp_path: Path, photos: list[str]) -> None:
    old = make_snapshot(tmp_path)
    make_snapshot(tmp_path, floras={})

    _, out, _ = run(capsys, "identify", "--indexes", str(tmp_path), "--snapshot", old.manifest.name, photos[0])

    assert f"snapshot {old.manifest.name}" in out


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["{photo}", "--flora", "atlantis"], "there is no flora 'atlantis' in snapshot"),
        (["{folder}/gone.jpg"], "gone.jpg cannot be read: No such file or directory"),
        (["{folder}"], "cannot be read: Is a directory"),
        (["{photo}", "{folder}/text.jpg"], "photo 2 of 2: the file is not a JPEG, PNG, WebP or HEIC photo"),
        (["{photo}"] * 9, "9 photos were given; one observation may have at most 8"),
        (["{photo}", "--indexes", "{folder}"], "nothing has been published under"),
        (["{photo}", "--snapshot", "0123456789abcdef"], "there is no snapshot 0123456789abcdef"),
        (["{photo}", "--snapshot", "../x"], "'../x' is no name of a snapshot"),
        (["{photo}", "--model", "oracle"], "'oracle' is no model handle; there are: default, lite0"),
        (["{photo}", "--model", "onnx:{folder}/gone.onnx"], "there is no model at"),
    ],
)
@pytest.mark.parametrize("command", ["identify", "similar"])
def test_an_error_is_one_sentence_on_stderr_and_a_code(
    capsys: pytest.CaptureFixture[str],
    made: Made,
    photos: list[str],
    tmp_path: Path,
    command: str,
    arguments: list[str],
    says: str,
) -> None:
    (tmp_path / "text.jpg").write_text("not a photo", encoding="utf-8")
    filled = [argument.format(photo=photos[0], folder=tmp_path) for argument in arguments]

    code, out, err = run(capsys, command, "--indexes", str(made.root), *filled)

    assert code == 1
    assert out == ""
    assert err.startswith("error: ")
    assert says in err
    assert err.count("\n") == 1


def test_a_snapshot_of_another_model_is_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, photos: list[str]
) -> None:
    make_snapshot(tmp_path, card={**Descriptor().card, "model": "tiny@0123"})

    code, _, err = run(capsys, "identify", "--indexes", str(tmp_path), photos[0])

    assert code == 1
    assert "made with the model tiny@0123, but descriptor@1 is open" in err


def test_a_damaged_snapshot_is_refused_by_the_name_of_the_file(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, photos: list[str]
) -> None:
    made = make_snapshot(tmp_path)
    damaged = tmp_path / "segments" / made.manifest.segments[0] / "observations.npy"
    damaged.write_bytes(damaged.read_bytes()[:-8] + bytes(range(8)))

    code, _, err = run(capsys, "identify", "--indexes", str(tmp_path), photos[0])

    assert code == 1
    assert "has been changed since it was built" in err
    assert "observations.npy" in err


def test_a_misspelt_setting_is_refused_before_anything_is_done(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FUNGARIUM_MODELL", "descriptor")

    code, _, err = run(capsys, "identify", "photo.jpg")

    assert code == 1
    assert err.startswith("error: there is no setting FUNGARIUM_MODELL; there are: FUNGARIUM_")


def test_the_limits_come_from_the_settings(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, made: Made, photos: list[str]
) -> None:
    monkeypatch.setenv("FUNGARIUM_MAX_PHOTOS", "1")
    monkeypatch.setenv("FUNGARIUM_FLORA_INDEXES", str(made.root))

    alone, _, _ = run(capsys, "identify", photos[0])
    together, _, err = run(capsys, "identify", *photos)

    assert (alone, together) == (0, 1)
    assert "2 photos were given; one observation may have at most 1" in err


def test_a_folder_that_is_none_is_named_in_one_sentence(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.write_text("a file", encoding="utf-8")

    def make_folder() -> int:
        taken.mkdir()
        return 0

    assert run_guarded(make_folder) == 1
    assert capsys.readouterr().err == f"error: {taken}: File exists\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "Usage: fungarium "),
        (["identify"], "error: missing argument 'PHOTO...'; `fungarium identify --help` says more\n"),
        (["guess", "x.jpg"], "error: no such command 'guess'; `fungarium --help` says more\n"),
        (["identify", "x.jpg", "--count", "many"], "error: invalid value for '--count': 'many' is not a valid integer"),
        (["similar", "x.jpg", "--count", "0"], "error: invalid value for '--count': 0 is not in the range x>=1"),
        (["similar", "x.jpg", "--speed", "9"], "error: no such option"),
        (["identify", "x.jpg", "--date", "tomorrow"], "a date is written YYYY-MM-DD, such as 2026-10-03"),
        (["collection"], "Usage: fungarium collection "),
    ],
)
def test_a_command_that_cannot_be_understood_ends_with_2(
    capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert main(arguments) == 2

    written = capsys.readouterr()
    assert written.out == ""
    assert said in written.err


@pytest.fixture(scope="module")
def two_fungi(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One photo with a fly agaric on its left half and a false death cap on its right."""
    path = tmp_path_factory.mktemp("two") / "both.png"
    halves = [np.asarray(Image.open(io.BytesIO(draw_photo(species, 9)))) for species in (MUSCARIA, CITRINA)]
    Image.fromarray(np.concatenate(halves, axis=1)).save(path)
    return path


@pytest.mark.parametrize(("box", "name"), [("0,0,0.5,1", "Amanita muscaria"), ("0.5,0,0.5,1", "Amanita citrina")])
def test_a_box_says_which_of_two_fungi_is_meant(
    capsys: pytest.CaptureFixture[str], made: Made, two_fungi: Path, box: str, name: str
) -> None:
    code, out, _ = run(capsys, "identify", "--indexes", str(made.root), "--json", "--box", box, str(two_fungi))

    assert code == 0
    assert json.loads(out)["species"][0]["taxon"]["scientificName"] == name


def test_an_empty_box_is_the_whole_photo(capsys: pytest.CaptureFixture[str], made: Made, photos: list[str]) -> None:
    asked = ("identify", "--indexes", str(made.root), "--json", *photos)

    _, whole, _ = run(capsys, *asked)
    _, empty, _ = run(capsys, *asked, "--box", "", "--box", "")
    _, cut, _ = run(capsys, *asked, "--box", "", "--box", "0.3,0.3,0.3,0.3")

    assert json.loads(empty) == json.loads(whole)
    assert json.loads(cut) != json.loads(whole)


@pytest.mark.parametrize(
    ("boxes", "says"),
    [
        (["0,0,1"], "a box is four numbers: left,top,width,height"),
        (["left"], "a box is four numbers"),
        (["0.5,0,0.6,1"], "a box must end within the photo"),
        (["0,0,1,1", "0,0,1,1"], "2 boxes were given for 1 photos"),
    ],
)
def test_a_box_that_cannot_be_is_one_sentence(
    capsys: pytest.CaptureFixture[str], made: Made, photos: list[str], boxes: list[str], says: str
) -> None:
    given = [part for box in boxes for part in ("--box", box)]

    code, out, err = run(capsys, "identify", "--indexes", str(made.root), photos[0], *given)

    assert (code, out) == (1, "")
    assert says in err
    assert err.count("\n") == 1


def test_with_mirrored_views_a_photo_and_its_mirror_image_are_answered_alike(
    capsys: pytest.CaptureFixture[str], made: Made, tmp_path: Path
) -> None:
    pixels = np.asarray(Image.open(io.BytesIO(draw_photo(MUSCARIA, 9))))
    for name, shown in (("photo", pixels), ("mirrored", pixels[:, ::-1])):
        Image.fromarray(np.ascontiguousarray(shown)).save(tmp_path / f"{name}.png")

    def similarity(name: str, views: str) -> float:
        asked = ("--indexes", str(made.root), "--json", "--views", views)
        _, out, _ = run(capsys, "identify", *asked, str(tmp_path / f"{name}.png"))
        return float(json.loads(out)["species"][0]["evidence"][0]["similarity"])

    assert similarity("photo", "mirrored") == pytest.approx(similarity("mirrored", "mirrored"), abs=1e-6)
    assert similarity("photo", "none") != pytest.approx(similarity("mirrored", "none"), abs=1e-6)


def test_nothing_of_where_a_photo_was_taken_is_in_the_answer(
    capsys: pytest.CaptureFixture[str], made: Made, tmp_path: Path
) -> None:
    (tmp_path / "photo.jpg").write_bytes(save(scene(), exif=exif(1, secret="SECRET-PLACE")))

    for shape in ([], ["--json"]):
        _, out, _ = run(capsys, "identify", "--indexes", str(made.root), *shape, str(tmp_path / "photo.jpg"))
        assert "SECRET" not in out
        assert "GPS" not in out


def test_it_runs_as_a_module_of_its_own(made: Made, photos: list[str]) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "fungarium", "identify", "--indexes", str(made.root), *photos],
        cwd=ROOT,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        env=plain_environment(),
    )

    assert ran.returncode == 0, ran.stderr
    assert "Amanita muscaria" in ran.stdout.splitlines()[2]


def plain_environment() -> Mapping[str, str]:
    return {"PYTHONIOENCODING": "utf-8", "FUNGARIUM_MODEL": "descriptor"}
