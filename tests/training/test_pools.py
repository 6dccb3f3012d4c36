"""Gathering pools of pictures; nothing here needs torch."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fungarium.cli import main
from training.gather import gather_pool
from training.pool import Pool, PoolError, open_pool


def test_a_pool_holds_every_picture_of_its_plan_with_its_names(pool: Pool) -> None:
    assert len(pool) == 3 * 4 * 3 * 2 + 4 * 3 * 2
    assert pool.pictures(np.array([0, 95])).shape == (2, 48, 48, 3)
    assert len(set(pool.names["species"].tolist())) == 12 + 4
    assert len(set(pool.names["observation"].tolist())) == 12 * 3 + 4 * 3
    assert len(set(pool.names["family"][pool.names["part"] == "fungi"].tolist())) == 3


def test_pictures_of_a_pool_come_back_in_the_order_asked_for(pool: Pool) -> None:
    wanted = np.array([70, 3, 3, 95])

    found = pool.pictures(wanted)

    for picture, number in zip(found, wanted.tolist(), strict=True):
        np.testing.assert_array_equal(picture, pool.pictures(np.array([number]))[0])


def write_photos(folder: Path) -> Path:
    """Six photos of two species in a table; one file is no photo."""
    rng = np.random.default_rng(1)
    rows = []
    for number in range(6):
        name = f"photo-{number}.jpg"
        pixels = rng.integers(0, 256, (60, 90, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / name)
        rows.append(
            {
                "file": name,
                "species": f"Mycena {('pura', 'rosea')[number % 2]}",
                "observation": f"o{number % 2}-{number // 4}",
            }
        )
    (folder / "photo-5.jpg").write_bytes(b"no photo")
    table = folder / "photos.csv"
    with table.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return table


def test_a_table_of_photos_becomes_a_pool_without_those_that_cannot_be_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = write_photos(tmp_path)

    pool = gather_pool(table, tmp_path / "pool", side=32)

    assert len(pool) == 5
    assert set(pool.names["genus"].tolist()) == {"Mycena"}
    assert pool.pictures(np.arange(5)).shape == (5, 32, 32, 3)
    assert "photo-5.jpg is left out" in capsys.readouterr().err


def test_an_interrupted_pool_is_finished_and_a_finished_one_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.gather.PHOTOS_PER_SHARD", 2)
    table = write_photos(tmp_path)
    whole = gather_pool(table, tmp_path / "whole", side=32)
    half = tmp_path / "half"
    gather_pool(table, half, side=32)
    plan = json.loads((half / "pool.json").read_text(encoding="utf-8"))
    plan.pop("shards")
    (half / ".pool.json").write_text(json.dumps(plan), encoding="utf-8")
    (half / "pool.json").unlink()
    (half / "shard-00001.json").unlink()
    kept = (half / "shard-00000.npy").stat().st_mtime_ns

    again = gather_pool(table, half, side=32)

    assert (half / "shard-00000.npy").stat().st_mtime_ns == kept
    np.testing.assert_array_equal(again.pictures(np.arange(5)), whole.pictures(np.arange(5)))


def test_a_folder_with_another_pool_or_anything_else_is_refused(tmp_path: Path) -> None:
    table = write_photos(tmp_path)
    gather_pool(table, tmp_path / "pool", side=32)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "letter.txt").write_text("dear", encoding="utf-8")

    with pytest.raises(PoolError, match="another plan"):
        gather_pool(table, tmp_path / "pool", side=48)
    with pytest.raises(PoolError, match="holds no pool"):
        gather_pool(table, tmp_path / "other", side=32)
    with pytest.raises(PoolError, match="gather one first"):
        open_pool(tmp_path / "nowhere")
    assert (tmp_path / "other" / "letter.txt").read_text(encoding="utf-8") == "dear"


def test_a_table_without_what_is_needed_is_refused_by_name(tmp_path: Path) -> None:
    table = tmp_path / "photos.csv"
    table.write_text("file,species\na.jpg,Mycena pura\n", encoding="utf-8")

    with pytest.raises(PoolError, match="observation is missing"):
        gather_pool(table, tmp_path / "pool", side=32)
    with pytest.raises(PoolError, match="no table of photos at"):
        gather_pool(tmp_path / "none.csv", tmp_path / "pool", side=32)
    assert not (tmp_path / "pool").exists()


def test_the_table_of_a_catalogue_is_gathered_as_it_was_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FUNGARIUM_DATA", str(tmp_path / "data"))
    (tmp_path / "photos").mkdir()
    table = write_photos(tmp_path / "photos")
    assert main(["collection", "import", "csv", str(table), "--dataset", "mine", "--licences", "any"]) == 0

    ended = main(["model", "table", str(tmp_path / "table.csv")])

    pool = gather_pool(tmp_path / "table.csv", tmp_path / "pool", side=32)
    assert ended == 0
    assert len(pool) == 5
    assert sorted(pool.names["species"].tolist()) == ["Mycena pura"] * 3 + ["Mycena rosea"] * 2
    assert len(set(pool.names["observation"].tolist())) == 3
    assert set(pool.names["genus"].tolist()) == {"Mycena"}
