"""The command's groups, exit codes, completion and output for scripts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import click
import pytest

from fungarium import __version__
from fungarium import training as training_commands
from fungarium.cli import cli, main
from fungarium.identify import identify
from fungarium.terminal import ProgressBars
from tests.snapshots import MUSCARIA, draw_photo, make_snapshot

ROOT = Path(__file__).resolve().parents[2]
GROUPS = [
    "start",
    "region",
    "fetch",
    "collection",
    "index",
    "identify",
    "similar",
    "serve",
    "evaluate",
    "people",
    "observations",
    "model",
    "backup",
    "cluster",
    "demo",
    "doctor",
]


def commands(group: click.Group = cli, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Every command and group with the words that lead to it."""
    yield path, group
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from commands(command, (*path, name))
        else:
            yield (*path, name), command


def test_help_lists_the_groups_in_the_order_of_work(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0

    listed = capsys.readouterr().out.partition("Commands:\n")[2].splitlines()
    assert [line.split()[0] for line in listed[: len(GROUPS)]] == GROUPS


@pytest.mark.parametrize("path", [path for path, _ in commands()], ids=" ".join)
def test_every_help_says_in_a_whole_line_what_each_command_does(
    capsys: pytest.CaptureFixture[str], path: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FUNGARIUM_MISSPELT", "is refused by commands, and by no help")

    assert main([*path, "--help"]) == 0

    said = capsys.readouterr().out
    assert said.startswith("Usage: fungarium ")
    listed = said.partition("Commands:\n")[2].partition("\n\n")[0]
    assert not [line for line in listed.splitlines() if line.endswith("...")], "a line is cut off"


@pytest.mark.parametrize(
    ("path", "command"), list(commands()), ids=lambda part: " ".join(part) if type(part) is tuple else ""
)
def test_every_option_says_what_it_is_for(path: tuple[str, ...], command: click.Command) -> None:
    options = [parameter for parameter in command.params if isinstance(parameter, click.Option)]

    plain = {"title", "loss", "steps", "batch", "precision", "licence"}  # whose name says all
    assert [option.name for option in options if not option.help and option.name not in plain] == []


def test_the_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0

    assert capsys.readouterr().out == f"fungarium {__version__}\n"


@pytest.mark.parametrize("given", [["--place", "-33.87,151.21"], ["--place=-33.87,151.21"]])
def test_a_southern_place_is_no_option(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, given: list[str]
) -> None:
    monkeypatch.setenv("FUNGARIUM_MODEL", "descriptor")
    monkeypatch.setenv("FUNGARIUM_FLORA_INDEXES", str(make_snapshot(tmp_path).root))
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(draw_photo(MUSCARIA, 9))

    assert main(["identify", *given, "--json", str(photo)]) == 0

    assert json.loads(capsys.readouterr().out)["species"]
    assert identify.make_context("identify", [*given, str(photo)]).params["place"] == "-33.87,151.21"


@pytest.mark.parametrize("place", ["-95,0", "0,181", "nan,0", "55.7", "north,south"])
def test_a_place_that_is_none_is_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.setenv("FUNGARIUM_MODEL", "descriptor")
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(draw_photo(MUSCARIA, 9))

    code = main(["identify", "--indexes", str(make_snapshot(tmp_path).root), "--place", place, str(photo)])

    written = capsys.readouterr()
    assert (code, written.out) == (1, "")
    assert written.err == "error: --place is latitude,longitude in degrees, such as 55.68,12.57\n"


@pytest.mark.parametrize(
    ("line", "words", "completed"),
    [
        ("fungarium ", 1, {"collection", "doctor"}),
        ("fungarium index p", 2, {"publish"}),
        ("fungarium collection flora ", 3, {"add", "coverage"}),
        ("fungarium identify --fusion ", 3, {"learned", "mean", "product"}),
    ],
)
def test_a_shell_is_told_how_a_line_goes_on(line: str, words: int, completed: set[str]) -> None:
    environment = {**os.environ, "_FUNGARIUM_COMPLETE": "bash_complete", "COMP_WORDS": line, "COMP_CWORD": str(words)}

    ran = subprocess.run(
        [sys.executable, "-m", "fungarium"], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )

    assert completed <= {entry.partition(",")[2] for entry in ran.stdout.splitlines()}


def test_completing_an_option_loads_nothing_that_the_command_needs() -> None:
    program = "import sys; from fungarium.cli import main; main([]); print({'numpy', 'PIL'} & set(sys.modules))"
    line = {"_FUNGARIUM_COMPLETE": "bash_complete", "COMP_WORDS": "fungarium identify --f", "COMP_CWORD": "2"}

    ran = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={**os.environ, **line},
        capture_output=True,
        text=True,
        check=True,
    )

    assert ran.stdout.splitlines() == ["plain,--flora", "plain,--fusion", "set()"]


def test_a_reader_that_has_seen_enough_is_no_error(tmp_path: Path) -> None:
    listing = subprocess.Popen(
        [sys.executable, "-m", "fungarium", "model", "list"], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert listing.stdout is not None
    assert listing.stderr is not None
    listing.stdout.close()

    assert (listing.stderr.read(), listing.wait(60)) == (b"", 0)
    listing.stderr.close()


AT_A_TERMINAL = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # who runs in the background is started deaf to Ctrl+C
from fungarium.cli import main
sys.exit(main(sys.argv[1:]))
"""


def test_an_interrupted_command_says_that_nothing_is_lost(tmp_path: Path) -> None:
    drawing = subprocess.Popen(
        [sys.executable, "-c", AT_A_TERMINAL, "demo", "draw", str(tmp_path / "drawn"), "--processes", "1"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not next((tmp_path / "drawn").rglob("*.jpg"), None):  # it is at work, and so are its processes
        assert drawing.poll() is None
        time.sleep(0.05)
    drawing.send_signal(signal.SIGINT)

    out, said = drawing.communicate(timeout=60)

    assert drawing.returncode == 130
    assert out == ""
    assert said.splitlines()[-1] == "interrupted; nothing is lost: run the same command again to go on"


def test_ctrl_c_at_the_password_ends_as_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FUNGARIUM_DATA", str(tmp_path))
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)

    def interrupt(*_: object, **__: object) -> str:
        raise click.Abort

    monkeypatch.setattr(click, "prompt", interrupt)

    assert main(["people", "person", "add", "ada"]) == 130
    assert "interrupted" in capsys.readouterr().err


def test_the_choices_of_a_training_are_those_of_its_modules() -> None:
    pytest.importorskip("torch", reason="needs requirements-train.txt")
    from training.augment import Augmentation
    from training.losses import KINDS
    from training.trainer import PRECISIONS

    assert training_commands.LOSSES == KINDS
    assert training_commands.PRECISIONS == PRECISIONS
    assert {*training_commands.AUGMENTATIONS, "mirror"} == {setting.name for setting in fields(Augmentation)}


def test_bars_show_stages_one_after_the_other_and_sentences_between(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressBars("photo") as bars:
        bars("embed", 1, 2)
        bars("embed", 1, 2)
        bars("now for something else")
        bars("read", 3)
        bars("write", 1, 7)

    shown = [line for line in capsys.readouterr().err.replace("\r", "\n").splitlines() if line]
    assert any(line.startswith("embed: 100%") and "2/2" in line for line in shown)
    assert "now for something else" in shown
    assert any(line.startswith("read: 3photo") for line in shown)
    assert shown[-1].startswith("write:  14%")
