"""The whole pipeline on real photographs: the documented recall, however the photos were imported."""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from fungarium.cli import main

META = """<archive xmlns="http://rs.tdwg.org/dwc/text/">
  <core encoding="UTF-8" fieldsTerminatedBy="\\t" linesTerminatedBy="\\n" fieldsEnclosedBy="" ignoreHeaderLines="1"
        rowType="http://rs.tdwg.org/dwc/terms/Occurrence">
    <files><location>occurrence.txt</location></files>
    <id index="0"/>
    <field index="1" term="http://rs.tdwg.org/dwc/terms/scientificName"/>
  </core>
  <extension encoding="UTF-8" fieldsTerminatedBy="\\t" linesTerminatedBy="\\n" fieldsEnclosedBy="" ignoreHeaderLines="1"
        rowType="http://rs.gbif.org/terms/1.0/Multimedia">
    <files><location>multimedia.txt</location></files>
    <coreid index="0"/>
    <field index="1" term="http://purl.org/dc/terms/identifier"/>
    <field index="2" term="http://purl.org/dc/terms/creator"/>
    <field index="3" term="http://purl.org/dc/terms/license"/>
    <field term="http://purl.org/dc/terms/type" default="StillImage"/>
  </extension>
</archive>
"""


def read_rows(photos: Path) -> list[dict[str, str]]:
    with (photos / "photos.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def as_csv(photos: Path, folder: Path) -> list[str]:
    """The table as it lies there, read in place."""
    return ["csv", str(photos / "photos.csv")]


def as_folders(photos: Path, folder: Path) -> list[str]:
    """species/observation/file, without a word about author or licence."""
    for row in read_rows(photos):
        place = folder / row["species"].replace(" ", "_") / row["observation"].replace("/", "-")
        place.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(photos / row["file"], place / Path(row["file"]).name)
    return ["folder", str(folder)]


def as_darwin_core(photos: Path, folder: Path) -> list[str]:
    """An occurrence core with a multimedia extension."""
    folder.mkdir(parents=True)
    (folder / "meta.xml").write_text(META, encoding="utf-8")
    rows = read_rows(photos)
    occurrences = {row["observation"]: row["species"] for row in rows}
    core = ["id\tscientificName", *(f"{key}\t{species}" for key, species in occurrences.items())]
    media = [
        "id\tidentifier\tcreator\tlicense",
        *("\t".join((row["observation"], row["file"], row["attribution"], row["licence"])) for row in rows),
    ]
    (folder / "occurrence.txt").write_text("\n".join(core) + "\n", encoding="utf-8")
    (folder / "multimedia.txt").write_text("\n".join(media) + "\n", encoding="utf-8")
    return ["dwca", str(folder), "--photos", str(photos)]


@pytest.fixture(scope="module")
def measured(shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., dict[str, Any]]:
    """Import, embed, build, publish and evaluate through the commands; embeddings are made once for all ways in."""
    base = tmp_path_factory.mktemp("real")
    embeddings = base / "embeddings"

    def run(way: Callable[[Path, Path], list[str]], patch: pytest.MonkeyPatch) -> dict[str, Any]:
        home = base / way.__name__
        home.mkdir()
        patch.setenv("FUNGARIUM_DATA", str(home / "data"))
        patch.setenv("FUNGARIUM_FLORA_INDEXES", str(home / "flora_indexes"))
        if embeddings.is_dir():
            shutil.copytree(embeddings, home / "data" / "embeddings")
        archive = way(shared / "photos", home / "archive")
        steps = [
            ["collection", "import", *archive, "--dataset", "photos", "--licences", "any"],
            *(["index", name] for name in ("embed", "build", "publish")),
        ]
        assert [main(step) for step in steps] == [0, 0, 0, 0]
        shutil.copytree(home / "data" / "embeddings", embeddings, dirs_exist_ok=True)
        assert main(["evaluate", "measure", "--json", str(home / "result.json")]) == 0
        result: dict[str, Any] = json.loads((home / "result.json").read_text(encoding="utf-8"))
        return result

    return run


@pytest.mark.slow
def test_the_default_model_finds_the_promised_share_of_species_whichever_way_photos_come_in(
    measured: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    results = [measured(way, monkeypatch) for way in (as_csv, as_folders, as_darwin_core)]

    for result in results:
        assert result["observations"] == 264
        assert result["references"] == 527
        assert result["voting"]["temperature"] == 0.08, "it belongs to the model's head"
        assert result["measures"]["top1"]["value"] >= 0.38
        assert result["measures"]["top5"]["value"] >= 0.53
    assert results[0]["measures"] == results[1]["measures"] == results[2]["measures"]
