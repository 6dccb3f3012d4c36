"""The documents speak of everything there is: commands, settings, routes, files and links."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path

import pytest

from database.commands import backups, fates, field, keys, people
from indexer.commands import atlases, checklists, circle, exports, floras, imports, models, regions, snapshots, tables
from retrieval.models.handles import HANDLES
from settings import PREFIX, Settings

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "flora_indexes" / "README.md"])


def documented_commands() -> Iterator[str]:
    """Every command of indexer and database, with its verb where it has verbs."""
    parser = argparse.ArgumentParser()
    commands = parser.add_subparsers()
    of_indexer = (imports, checklists, regions, floras, snapshots, atlases, circle, exports, models, tables)
    for module in (*of_indexer, people, keys, field, fates, backups):
        module.register(commands)
    for name, command in commands.choices.items():
        verbs = [action for action in command._actions if isinstance(action, argparse._SubParsersAction)]
        yield from (f"{name} {verb}" for verb in verbs[0].choices) if verbs else [name]


def test_every_command_is_documented() -> None:
    page = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")

    undocumented = [command for command in documented_commands() if f"`{command}" not in page]

    assert undocumented == []


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
