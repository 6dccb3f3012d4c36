"""The documentation covers all commands, settings, routes, files and links."""

from __future__ import annotations

import itertools
import re
import shlex
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import click
import pytest

from fungarium.cli import cli
from retrieval.models.handles import HANDLES
from settings import PREFIX, Settings

ROOT = Path(__file__).resolve().parents[1]
CODE = ("retrieval", "database", "indexer", "evaluation", "training", "web", "cluster", "fungarium", "deployment")
SUFFIXES = (".py", ".html", ".md", ".yaml", ".po", ".ts", ".service", ".txt")
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "flora_indexes" / "README.md"])
SPELT = [
    *(page for page in PAGES if page.name != "CHANGELOG.md"),
    *(path for name in CODE for path in sorted((ROOT / name).rglob("*")) if path.suffix in SUFFIXES),
    *(ROOT / name for name in ("Makefile", "Dockerfile", "deployment/kubernetes/Dockerfile", ".ci/run")),
]
"""Everything in which somebody may read a command."""
SPELT = [path for path in SPELT if "node_modules" not in path.parts and "built" not in path.parts]


BEFORE = re.compile(r"[&|;<>]+|app|-m|[\d*]|\w+=.*")
"""A word after which `fungarium` is the command, in a shell, a container or a crontab."""


def all_commands(group: click.Group = cli, path: str = "") -> Iterator[str]:
    """Every command with the groups that it is in, such as `collection flora add`."""
    for name, command in group.commands.items():
        if isinstance(command, click.Group):
            yield from all_commands(command, f"{path}{name} ")
        else:
            yield f"{path}{name}"


def find_command(words: list[str]) -> str:
    """The command that words begin with, such as `collection flora add`; the words of groups that have no such one."""
    found: list[str] = []
    command: click.Command = cli
    while isinstance(command, click.Group) and words[len(found) :]:
        word = words[len(found)]
        assert word in command.commands, f"there is no command fungarium {' '.join(words)}"
        command = command.commands[word]
        found.append(word)
    return " ".join(found)


def test_every_command_is_documented_and_every_documented_command_is_there() -> None:
    page = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")

    rows = re.findall(r"^\| `(.+?)` \|", page, flags=re.MULTILINE)

    assert sorted(find_command(row.split()) for row in rows) == sorted(all_commands())


@pytest.mark.parametrize("path", SPELT, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_command_that_is_spelt_out_is_there(path: Path) -> None:
    text = path.read_text(encoding="utf-8")

    for line in re.findall(
        r"(?:[`>]|: |-m |bin/|app |exec |&& |^ *|\* )fungarium ([a-z]+(?:[ -][a-z]+)*)", text, re.MULTILINE
    ):
        find_command(line.split())


def commands_to_copy(page: Path) -> list[list[str]]:
    """The words after `fungarium` of each command in a page's blocks of code, which people copy."""
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    shell = [block for language, block in blocks if language in {"", "sh"}]
    shell += re.findall(r"^ {4}(\S.*)$", text, re.MULTILINE)
    lines = [line for block in shell for line in re.sub(r"\\\n\s*", " ", block).splitlines()]
    found = []
    for line in lines:
        split = shlex.shlex(line, posix=True, punctuation_chars="&|;<>")
        split.whitespace_split = True
        words = list(split)
        for place, word in enumerate(words):
            named = word.endswith("bin/fungarium") or (
                word == "fungarium" and (place == 0 or BEFORE.fullmatch(words[place - 1]) is not None)
            )
            if named:
                command = itertools.takewhile(lambda word: not set(word) <= set("&|;<>"), words[place + 1 :])
                found.append(list(command))
    return found


@pytest.mark.parametrize(("page", "least"), [("operations", 25), ("training", 4)])
def test_every_command_in_the_operators_pages_is_parsed_with_its_options(page: str, least: int) -> None:
    commands = commands_to_copy(ROOT / "docs" / f"{page}.md")

    assert len(commands) >= least
    for words in commands:
        path = find_command(words).split()
        command: click.Command = cli
        for word in path:
            assert isinstance(command, click.Group)
            command = command.commands[word]
        assert not isinstance(command, click.Group), words
        command.make_context(" ".join(path), words[len(path) :], resilient_parsing=False)


@pytest.mark.parametrize("path", SPELT, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_command_of_before_is_left(path: Path) -> None:
    old = re.findall(
        r"python -m (?:indexer|database|retrieval|evaluation|training|cluster)\b(?!\.\w)",
        path.read_text(encoding="utf-8"),
    )

    assert not old


def test_every_setting_is_documented_with_its_default() -> None:
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(FUNGARIUM_\w+)` \| (.+?) \|", page, flags=re.MULTILINE))

    assert sorted(rows) == sorted(PREFIX + setting.name.upper() for setting in fields(Settings))
    for setting in fields(Settings):
        if str(setting.default):
            assert rows[PREFIX + setting.name.upper()] == f"`{setting.default}`"


def test_every_model_handle_is_documented() -> None:
    page = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")

    assert [handle for handle in HANDLES if f"## {handle}" not in page] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_between_the_documents_leads_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)

    links = re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", text)

    assert [link for link in links if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_file_that_the_documents_name_is_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")

    named = re.findall(r"`((?:retrieval|indexer|database|web|evaluation|tests|benchmarks)/[\w/.]*\.\w+)`", text)

    assert [name for name in named if not (ROOT / name).exists()] == []


def test_no_page_says_that_a_fungus_is_safe_to_eat() -> None:
    forbidden = re.compile(r"\b(edible|safe to eat|good to eat|delicious|tasty)\b", re.IGNORECASE)

    texts = [*PAGES, *(ROOT / "web").rglob("*.html")]

    assert [str(text) for text in texts if forbidden.search(text.read_text(encoding="utf-8"))] == []
