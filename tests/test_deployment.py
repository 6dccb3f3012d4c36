"""The documented installation is linted, and its commands run, without containers and without root."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from settings import PREFIX, Settings, read_settings
from tests.ports import free_port
from tests.snapshots import make_snapshot
from tests.web.test_server import FIND, serving

ROOT = Path(__file__).resolve().parents[1]
DOCKERFILE, COMPOSE = ROOT / "Dockerfile", ROOT / "deployment" / "compose.yaml"
PATIENCE = 120


def instructions() -> list[tuple[str, str]]:
    """The lines of the Dockerfile as (word, rest), those that go on joined, comments left out."""
    text = re.sub(r"^#.*\n", "", DOCKERFILE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    joined = re.sub(r"\\\n\s*", " ", text)
    return [(line.split(" ", 1)[0], line.split(" ", 1)[1].strip()) for line in joined.splitlines() if line.strip()]


def lines_of(word: str) -> list[str]:
    return [rest for found, rest in instructions() if found == word]


def copied_names() -> list[str]:
    """The files and folders of the checkout that the Dockerfile copies, patterns filled in."""
    named = [name for rest in lines_of("COPY") if "--from" not in rest for name in rest.split()[:-1]]
    found = {name: sorted(ROOT.glob(name)) for name in named}
    assert [name for name, paths in found.items() if not paths] == []
    return [path.relative_to(ROOT).as_posix() for paths in found.values() for path in paths]


def environment_of_image() -> dict[str, str]:
    pairs = [re.findall(r"(\w+)=(\S+)", rest) for rest in lines_of("ENV")]
    return {name: value for found in pairs for name, value in found}


def test_the_dockerfile_is_linted() -> None:
    linter = Path(sys.executable).with_name("hadolint")
    if not linter.exists():
        pytest.skip("hadolint is not installed: pip install -r requirements-dev.txt")

    ran = subprocess.run([linter, "--no-color", DOCKERFILE], capture_output=True, text=True, timeout=PATIENCE)

    assert (ran.returncode, ran.stdout) == (0, "")


def test_everything_that_the_image_copies_is_there_and_let_through() -> None:
    let_through = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()

    for name in copied_names():
        assert any(f"!{name}" == line or (line.endswith("*.txt") and name.endswith(".txt")) for line in let_through), (
            name
        )


def test_the_image_installs_the_requirements_that_it_copies() -> None:
    (install,) = (rest for rest in lines_of("RUN") if "pip install" in rest and "-r " in rest)

    for requirements in re.findall(r"-r (\S+)", install):
        assert requirements in copied_names()


def test_the_image_sets_only_settings_that_there_are_and_listens_for_others() -> None:
    environment = environment_of_image()
    read = read_settings({name: value for name, value in environment.items() if name.startswith(PREFIX)})

    assert (read.host, str(read.port)) == ("0.0.0.0", lines_of("EXPOSE")[0])
    assert str(read.data).startswith(lines_of("VOLUME")[0])
    assert lines_of("USER") == ["10001"]


def test_the_image_can_be_installed_from_what_it_copies_and_holds_all_that_its_check_imports(tmp_path: Path) -> None:
    pytest.importorskip("hatchling", reason="needs requirements-dev.txt")
    copied, made = tmp_path / "copied", tmp_path / "made"
    copied.mkdir()
    for name in copied_names():
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, copied / name, ignore=shutil.ignore_patterns("__pycache__", "frontend"))
        else:
            shutil.copy(source, copied / name)
    (check,) = (rest for rest in lines_of("RUN") if rest.startswith("python -c"))
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]

    built = subprocess.run([*build, "--wheel-dir", made, copied], capture_output=True, text=True, timeout=PATIENCE)
    assert built.returncode == 0, built.stderr
    (wheel,) = made.glob("*.whl")
    shutil.unpack_archive(wheel, made, "zip")
    ran = subprocess.run(
        [sys.executable, "-P", "-c", ast.literal_eval(check.removeprefix("python -c ").strip())],
        cwd=tmp_path,
        env={"PYTHONDONTWRITEBYTECODE": "1", "PYTHONPATH": str(made), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )

    assert ran.returncode == 0, ran.stderr


def test_the_images_command_serves_and_its_health_check_tells(tmp_path: Path) -> None:
    make_snapshot(tmp_path / "flora_indexes")
    command = json.loads(lines_of("CMD")[0])
    health = json.loads(re.search(r"CMD (\[.*\])", lines_of("HEALTHCHECK")[0])[1])  # type: ignore[index] # else fails
    port = free_port()
    assert (command, health[0]) == (["fungarium", "serve"], "python")

    def check() -> int:
        environment = {"FUNGARIUM_PORT": str(port), "PATH": os.environ["PATH"]}
        ran = subprocess.run([sys.executable, *health[1:]], env=environment, capture_output=True, timeout=PATIENCE)
        return ran.returncode

    with serving(tmp_path, [sys.executable, "-m", *command], port, FUNGARIUM_WORKERS="1") as server:
        assert server.post("/api/v1/identify", FIND)[0] == 200
        assert check() == 0
    assert check() != 0


@pytest.mark.skipif(
    not shutil.which("docker-compose"), reason="docker-compose is not installed (Debian: docker-compose)"
)
def test_the_compose_file_fits_its_schema_and_sets_what_there_is() -> None:
    command = ["docker-compose", "--file", str(COMPOSE), "config"]
    environment = {"PATH": os.environ["PATH"], "FUNGARIUM_DATABASE_PASSWORD": "for-the-test"}

    ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE)

    assert ran.returncode == 0, ran.stderr
    assert "postgresql+psycopg://fungarium:for-the-test@database/fungarium" in ran.stdout


def compose() -> dict[str, Any]:
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
    read: dict[str, Any] = yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))
    return read


def test_the_compose_file_sets_only_what_there_is_and_keeps_what_must_stay() -> None:
    described = compose()
    app = described["services"]["app"]

    known = {PREFIX + name.upper() for name in Settings.__dataclass_fields__}
    assert {name for name in app["environment"] if name.startswith(PREFIX)} <= known
    assert (COMPOSE.parent / app["build"]).resolve() == ROOT
    assert any(volume.endswith(":" + lines_of("VOLUME")[0]) for volume in app["volumes"])
    kept = {volume.split(":")[0] for service in described["services"].values() for volume in service["volumes"]}
    assert kept == set(described["volumes"])
    assert all(port.startswith("127.0.0.1:") for port in app["ports"])
    wanted = set(re.findall(r"\$\{(\w+)\}", COMPOSE.read_text(encoding="utf-8")))
    given = set(re.findall(r"^(\w+)=", (COMPOSE.parent / "example.env").read_text(encoding="utf-8"), re.MULTILINE))
    assert wanted <= given


UNITS = ("fungarium.service", "fungarium-ray-head.service", "fungarium-ray-node.service")


@pytest.mark.parametrize("name", UNITS)
def test_a_unit_is_accepted_by_systemd(tmp_path: Path, name: str) -> None:
    analyser = shutil.which("systemd-analyze")
    if analyser is None:
        pytest.skip("systemd-analyze is not installed")
    text = (ROOT / "deployment" / name).read_text(encoding="utf-8")
    unit = tmp_path / name
    unit.write_text(text.replace("/opt/fungarium/bin/fungarium serve", f"{sys.executable} -m fungarium serve"), "utf-8")

    ran = subprocess.run([analyser, "verify", unit], capture_output=True, text=True, timeout=PATIENCE)

    ours = [line for line in ran.stderr.splitlines() if "fungarium" in line]
    assert (ran.returncode, ours) == (0, []), ran.stderr
    set_here = {line.split("=")[1] for line in text.splitlines() if line.startswith("Environment=FUNGARIUM_")}
    assert set_here <= {PREFIX + name.upper() for name in Settings.__dataclass_fields__}


def test_the_servers_unit_starts_the_server_and_sees_the_folder_of_the_clusters_units() -> None:
    server, *others = ((ROOT / "deployment" / name).read_text(encoding="utf-8").splitlines() for name in UNITS)

    assert "ExecStart=/opt/fungarium/bin/fungarium serve" in server
    assert "ReadWritePaths=-/run/fungarium-ray" in server
    (after,) = (line for line in server if line.startswith("After="))
    assert set(UNITS[1:]) < set(after.removeprefix("After=").split())
    for lines in others:
        assert {"RuntimeDirectory=fungarium-ray", "RuntimeDirectoryPreserve=yes", "User=fungarium"} < set(lines)
        assert "--temp-dir=/run/fungarium-ray " in "\n".join(lines)


def starts_of_ray() -> list[list[str]]:
    """The words after `ray start` in the units and in docs/scale.md, with the settings of a unit filled in."""
    pages = [ROOT / "deployment" / name for name in UNITS[1:]] + [ROOT / "docs" / "scale.md"]
    text = "\n".join(page.read_text(encoding="utf-8") for page in pages)
    found = re.findall(r"^(?:ray|ExecStart=.*/ray) start (--.*?)'?$", text, re.MULTILINE)
    filled = [re.sub(r"\$\{\w+\}", "10.0.0.1", line).replace(" $RAY_OPTIONS", "") for line in found]
    return [line.split() for line in filled]


def test_ray_is_started_with_options_that_it_has_and_not_at_the_port_of_redis() -> None:
    pytest.importorskip("ray", reason="needs requirements-ray.txt")
    from ray.scripts.scripts import start

    assert len(starts_of_ray()) == 4
    for words in starts_of_ray():
        given = start.make_context("ray start", words).params
        assert given["port"] == 6390 if given["head"] else given["address"] == "10.0.0.1:6390"
