"""The wheel, installed without a checkout: its contents, and the demo from import to serving."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from tests.ports import free_port
from tests.web.test_server import serving

ROOT = Path(__file__).resolve().parents[2]
PATIENCE = 600  # seconds for one command on a busy machine
NEEDED = (
    "app.py",
    "settings.py",
    "database/migrations/env.py",
    "database/migrations/versions/0001_first_tables.py",
    "retrieval/models/tfhub_child.py",
    "web/templates/identify.html",
    "web/static/fungarium.css",
    "web/translations/da.po",
)

Fungarium = Callable[..., str]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from this checkout, without a network."""
    pytest.importorskip("hatchling", reason="needs requirements-dev.txt")
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    ran = subprocess.run(
        [*command, "--wheel-dir", str(folder), str(ROOT)], capture_output=True, text=True, check=False, timeout=PATIENCE
    )
    assert ran.returncode == 0, ran.stderr
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment with the wheel in it, which sees the libraries of this one, and not the checkout."""
    folder = tmp_path_factory.mktemp("environment") / "venv"
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    own = sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)})
    (Path(own) / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    command = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*command, "--ignore-installed", str(wheel)], check=True, capture_output=True, timeout=PATIENCE)
    return folder


@pytest.fixture
def fungarium(environment: Path, tmp_path: Path) -> Fungarium:
    """Runs the installed command in an empty folder; gives what it prints."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("FUNGARIUM_", "PYTHON"))}

    def run(*words: str) -> str:
        ran = subprocess.run(
            [environment / "bin" / "fungarium", *words],
            cwd=tmp_path,
            env=clean,
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
        assert ran.returncode == 0, ran.stderr[-2000:]
        return ran.stdout

    return run


def test_the_wheel_puts_one_folder_beside_other_peoples_packages(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()

    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"fungarium"}
    program = {name.removeprefix("fungarium/program/") for name in names}
    assert [name for name in NEEDED if name not in program] == []
    assert not [name for name in names if "/frontend/" in name or "/tests/" in name or "__pycache__" in name]


def test_every_module_and_page_of_the_checkout_is_in_the_wheel(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        held = {name.removeprefix("fungarium/program/") for name in archive.namelist()}

    packages = ("retrieval", "database", "indexer", "evaluation", "training", "web", "cluster", "fungarium")
    files = [path.relative_to(ROOT) for name in packages for path in (ROOT / name).rglob("*") if path.is_file()]
    wanted = {path.as_posix() for path in files if not {"frontend", "__pycache__"} & set(path.parts)}

    assert wanted - held == set()


def test_nothing_of_the_program_is_importable_before_fungarium_is(environment: Path, tmp_path: Path) -> None:
    looked = "import importlib.util as u; print([n for n in ('web', 'database', 'settings', 'app') if u.find_spec(n)])"
    python = environment / "bin" / "python"
    isolated = {"PATH": os.environ["PATH"]}

    before = subprocess.run([python, "-P", "-c", looked], cwd=tmp_path, env=isolated, capture_output=True, text=True)
    after = subprocess.run(
        [python, "-P", "-c", f"import fungarium, web, settings; print(web.__file__); {looked}"],
        cwd=tmp_path,
        env=isolated,
        capture_output=True,
        text=True,
    )

    editable = list(Path(sysconfig.get_path("purelib")).glob("*fungarium*.pth"))
    assert before.stdout == "[]\n" or editable, "found through the libraries of a checkout"
    assert after.stdout.startswith(str(environment.resolve())), after.stderr
    assert after.stdout.endswith("['web', 'database', 'settings', 'app']\n")


def rank(answer: dict[str, Any]) -> list[tuple[str, float]]:
    """Species and scores of an answer."""
    return [(one["taxon"]["scientificName"], round(one["score"], 5)) for one in answer["species"]]


@pytest.mark.slow
def test_the_demo_is_drawn_imported_built_identified_and_served_by_the_installed_command(
    fungarium: Fungarium, environment: Path, tmp_path: Path
) -> None:
    program = environment.resolve()
    assert json.loads(fungarium("doctor", "--json"))["usable"] is True

    fungarium("demo", "draw", "drawn", "--species", "6", "--seed", "3")
    imported = fungarium(
        "collection", "import", "dwca", "drawn/archive", "--dataset", "drawings", "--title", "Drawings"
    )
    fungarium("collection", "checklist", "import", "drawn/checklists/north", "--id", "north", "--title", "North")
    fungarium("collection", "flora", "add", "north", "--title", "North", "--checklist", "north")
    fungarium("index", "embed")
    built = fungarium("index", "build")
    published = fungarium("index", "publish")
    finds = sorted((tmp_path / "drawn" / "held_out" / "find-01").glob("*.jpg"))
    somewhere = ("--place", "-33.87,151.21", "--flora", "north")
    answer = json.loads(fungarium("identify", *somewhere, "--json", *map(str, finds)))
    checks = {one["name"]: one for one in json.loads(fungarium("doctor", "--json"))["checks"]}

    assert "rejected 0" in imported
    assert "north: " in built
    assert published.startswith("published ")
    assert answer["snapshot"] == published.split()[1]
    assert answer["species"]
    assert answer["priorsApplied"] == ["place"]
    assert Path(checks["program"]["details"]["program"]).is_relative_to(program)
    assert checks["snapshot"]["details"]["name"] == answer["snapshot"]
    settings = {"FUNGARIUM_MODEL": "default", "FUNGARIUM_WORKERS": "1", "FUNGARIUM_DATA": "data", "PYTHONPATH": ""}
    command = [str(environment / "bin" / "fungarium"), "serve"]
    with serving(tmp_path, command, free_port(), cwd=tmp_path, **settings) as server:
        photos = [path.read_bytes() for path in finds]
        asked = {"flora": "north", "latitude": "-33.87", "longitude": "151.21"}
        served = server.post("/api/v1/identify", photos, **asked)[1]
        assert rank(served)[:3] == rank(answer)[:3]
        with urlopen(server.address + "/?flora=north", timeout=60) as page:
            assert "Fungarium" in page.read().decode("utf-8")
