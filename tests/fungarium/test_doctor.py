"""`fungarium doctor` in installations that are complete, new, or broken in one way each."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, text

from database.session import latest_revision
from fungarium import __version__
from fungarium.cli import main
from fungarium.jobs import checkup
from tests.indexer.collections import line, write_table

ROOT = Path(__file__).resolve().parents[2]
Doctor = Callable[[], tuple[int, dict[str, list[dict[str, Any]]]]]


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A collection of four photos with a published snapshot."""
    home = tmp_path_factory.mktemp("installation")
    names = ("Boletus edulis", "Boletus edulis", "Amanita muscaria", "Amanita muscaria")
    table = write_table(home / "walks", [line(f"{place}.png", name) for place, name in enumerate(names)])
    with pytest.MonkeyPatch.context() as patch:
        settle(patch, home)
        steps = [["collection", "import", "csv", str(table), "--dataset", "walks", "--copy"]]
        steps += [["index", name] for name in ("embed", "build", "publish")]
        assert [main(step) for step in steps] == [0, 0, 0, 0]
    return home


def settle(patch: pytest.MonkeyPatch, home: Path) -> None:
    """The settings of an installation in a folder, and no others."""
    for name in ("CLUSTER", "DATABASE", "GPU_MEGABYTES", "MODEL_CARD"):
        patch.delenv(f"FUNGARIUM_{name}", raising=False)
    for name, value in {"DATA": home / "data", "FLORA_INDEXES": home / "flora_indexes", "MODEL": "descriptor"}.items():
        patch.setenv(f"FUNGARIUM_{name}", str(value))


@pytest.fixture
def home(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the installation, to be broken."""
    folder = tmp_path / "home"
    shutil.copytree(template, folder)
    settle(monkeypatch, folder)
    return folder


@pytest.fixture
def doctor(capsys: pytest.CaptureFixture[str]) -> Doctor:
    """Runs the command; gives its exit code and its findings by name."""

    def run() -> tuple[int, dict[str, list[dict[str, Any]]]]:
        capsys.readouterr()
        code = main(["doctor", "--json"])
        told = json.loads(capsys.readouterr().out)
        assert told["usable"] is (code == 0)
        found: dict[str, list[dict[str, Any]]] = {}
        for check in told["checks"]:
            found.setdefault(check["name"], []).append(check)
        return code, found

    return run


def broken(found: dict[str, list[dict[str, Any]]]) -> list[tuple[str, str]]:
    return [(one["name"], one["text"]) for checks in found.values() for one in checks if one["state"] == "broken"]


def test_a_whole_installation_has_nothing_broken_and_every_check_in_it(home: Path, doctor: Doctor) -> None:
    code, found = doctor()

    assert (code, broken(found)) == (0, [])
    assert list(found) == [
        "program",
        "packages",
        "extras",
        "settings",
        "database",
        "photos",
        "model",
        "snapshot",
        "scores",
        "disk",
        "memory",
        "gpus",
        "cluster",
        "languages",
        "scripts",
    ]
    assert found["program"][0]["details"]["version"] == __version__
    assert found["packages"][0]["details"]["numpy"]
    assert found["database"][0]["details"] == {"revision": latest_revision(), "referencePhotos": 4}
    assert found["photos"][0]["details"] == {"lookedAt": 4, "missing": 0, "examples": []}
    assert found["snapshot"][0]["details"]["references"] == 4
    assert "published today" in found["snapshot"][0]["text"]
    assert [one["details"]["language"] for one in found["languages"]] == ["en", "da", "de"]


def test_finds_that_are_probably_in_two_datasets_are_noted_and_listed(
    home: Path, doctor: Doctor, capsys: pytest.CaptureFixture[str]
) -> None:
    said = {"eventDate": "2019-09-05", "decimalLatitude": "55.7", "decimalLongitude": "12.6"}
    for dataset in ("hikes", "portal"):
        table = write_table(home / dataset, [line(f"{dataset}.png", "Boletus edulis", observation="7", **said)])
        assert main(["collection", "import", "csv", str(table), "--dataset", dataset, "--copy"]) == 0

    code, found = doctor()

    assert code == 0
    (note,) = found["duplicates"]
    assert (note["state"], note["text"]) == (
        "note",
        "observations that are probably in two datasets: 1 of hikes and portal",
    )
    assert main(["collection", "duplicates"]) == 0
    assert capsys.readouterr().out == "Boletus edulis\t2019-09-05\thikes: 7\tportal: 7\n"


def test_a_new_installation_is_told_what_to_do_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settle(monkeypatch, tmp_path)

    assert main(["doctor"]) == 0

    said = capsys.readouterr().out
    assert "`fungarium collection import` creates it" in said
    assert "nothing has been published under" in said
    assert said.splitlines()[-1] == "nothing is broken"
    assert list(tmp_path.iterdir()) == [], "a look leaves nothing behind"


def lose_photo(home: Path, _: pytest.MonkeyPatch) -> None:
    next(path for path in (home / "data" / "photos").rglob("*") if path.is_file()).unlink()


def age_database(home: Path, _: pytest.MonkeyPatch) -> None:
    with create_engine(f"sqlite:///{home / 'data' / 'fungarium.sqlite'}").begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))


def cut_segment(home: Path, _: pytest.MonkeyPatch) -> None:
    path = next((home / "flora_indexes" / "segments").rglob("embeddings.npy"))
    path.write_bytes(path.read_bytes()[:-8])


def lose_manifest(home: Path, _: pytest.MonkeyPatch) -> None:
    next((home / "flora_indexes" / "snapshots").rglob("manifest.json")).write_text("{")


def choose_other_model(_: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setenv("FUNGARIUM_MODEL", "default")


def choose_no_model(_: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setenv("FUNGARIUM_MODEL", "onnx:/nowhere/net.onnx")


def misspell(_: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setenv("FUNGARIUM_PROT", "8000")


def ask_for_gpu(_: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(checkup, "count_gpus", lambda: 0)
    patch.setenv("FUNGARIUM_GPU_MEGABYTES", "1000")


def fill_disk(_: Path, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(checkup, "MIN_FREE_DISK", 1 << 62)


@pytest.mark.parametrize(
    ("spoil", "name", "says", "advice"),
    [
        (lose_photo, "photos", "1 reference photos are not on disk (all checked), such as", "import their archive"),
        (age_database, "database", "has the tables of an older version (0001", ""),
        (cut_segment, "snapshot", "embeddings.npy is missing or has the wrong length", "fungarium index rollback"),
        (lose_manifest, "snapshot", "the manifest of snapshot", ""),
        (
            choose_other_model,
            "snapshot",
            "the model descriptor@1, but efficientnet-lite0@",
            "FUNGARIUM_MODEL",
        ),
        (choose_no_model, "model", "there is no model at /nowhere/net.onnx", ""),
        (misspell, "settings", "there is no setting FUNGARIUM_PROT", "correct the environment variable"),
        (ask_for_gpu, "gpus", "FAISS finds no GPU", "requirements-gpu.txt"),
        (fill_disk, "disk", "GB free", "make room"),
    ],
    ids=lambda part: part.__name__ if callable(part) else "",
)
def test_what_is_broken_is_named_with_what_to_do_and_ends_with_1(
    home: Path,
    doctor: Doctor,
    monkeypatch: pytest.MonkeyPatch,
    spoil: Callable[[Path, pytest.MonkeyPatch], None],
    name: str,
    says: str,
    advice: str,
) -> None:
    spoil(home, monkeypatch)

    code, found = doctor()

    assert code == 1
    assert {of for of, _ in broken(found)} == {name} | ({"snapshot"} if spoil is choose_no_model else set())
    (one, *_) = [check for check in found[name] if check["state"] == "broken"]
    assert says in one["text"]
    assert advice in one["advice"]


def test_a_cluster_that_nobody_runs_is_named_with_what_to_do_and_ends_with_1(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray", reason="Ray is not installed: pip install -r requirements-ray.txt")
    monkeypatch.setenv("FUNGARIUM_CLUSTER", "127.0.0.1:9")  # the port of a service that nobody runs

    ran = subprocess.run(  # in a process of its own: one that has joined another cluster before stays in that
        [sys.executable, "-m", "fungarium", "doctor", "--json"], cwd=ROOT, capture_output=True, text=True, timeout=120
    )

    assert ran.returncode == 1, ran.stderr
    broken_ones = [check for check in json.loads(ran.stdout)["checks"] if check["state"] == "broken"]
    assert {check["name"] for check in broken_ones} == {"cluster"}
    assert "nothing answers at 127.0.0.1:9" in broken_ones[0]["text"]


def test_of_a_large_catalogue_a_sample_is_looked_for(
    home: Path, doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkup, "PHOTOS", 3)

    _, found = doctor()

    assert found["photos"][0]["details"]["lookedAt"] == 3
    assert "a sample of 3 of 4" in found["photos"][0]["text"]
