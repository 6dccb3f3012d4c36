"""CONTRIBUTING.md: its recipes name existing files, and following the one for an importer works."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from indexer.archives import reading
from indexer.archives.reading import read_archive
from indexer.records import ArchiveSource, Record, RejectedRecord

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
RECIPES = ("Add an importer", "Add a model runtime", "Add a contract", "Add a page", "Add a prior")


def recipe(title: str) -> str:
    """The text of a recipe."""
    return re.split(r"^## ", PAGE.partition(f"## {title}\n")[2], maxsplit=1, flags=re.MULTILINE)[0]


@pytest.mark.parametrize("title", RECIPES)
def test_a_recipe_fits_on_a_screen_and_points_at_an_example_that_is_there(title: str) -> None:
    text = recipe(title)

    named = re.findall(r"`((?:\w+/)+\w+\.\w+)`", text)

    assert named
    assert [
        name for name in named if not (ROOT / name).exists() and "NAME" not in name and "herbarium" not in name
    ] == []
    assert len(text.splitlines()) <= 50


@pytest.mark.parametrize("title", RECIPES)
def test_the_names_in_capitals_that_a_recipe_mentions_are_in_the_code(title: str) -> None:
    sources = "".join(path.read_text(encoding="utf-8") for path in ROOT.glob("*/**/*.py") if ".venv" not in path.parts)

    names = set(re.findall(r"`([A-Z][A-Z]+|[A-Z][a-z]+(?:[A-Z][a-z]+)+)`", recipe(title))) - {"NAME"}

    assert [name for name in names if not re.search(rf"\b{name}\b", sources)] == []


def test_the_recipe_for_an_importer_can_be_followed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", recipe("Add an importer"), flags=re.DOTALL)
    names: dict[str, object] = {}
    exec(compile(code, "CONTRIBUTING.md", "exec"), names)
    monkeypatch.setitem(reading.READERS, "herbarium", names["read_herbarium"])
    archive = tmp_path / "sheets.txt"
    archive.write_text(
        "a.jpg | Mycena rubra | Ane | CC BY 4.0\nb.jpg | Mycena\nc.jpg|Mycena alba|Bo|CC0\n", encoding="utf-8"
    )

    read = list(read_archive(ArchiveSource("herbarium", archive)))

    assert [type(item) for item in read] == [Record, RejectedRecord, Record]
    assert [(item.photo, item.scientific_name, item.line) for item in read if isinstance(item, Record)] == [
        ("a.jpg", "Mycena rubra", 1),
        ("c.jpg", "Mycena alba", 3),
    ]
