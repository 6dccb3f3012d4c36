"""Pages use standard terms: retired phrases do not return."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
GONE = (
    "Rank the species",
    "Ask again",
    "Photos of one find",
    "photos of one find",
    "species of your region ranked",
    "Which list of species",
    "stands behind its name",
    "what you know already",
    "What you know already",
    "Day of the find",
    "Where I am",
    "No place",
    "Only within",
    "Keep the answer at a link",
    "Keep this answer at a link",
    "is kept at this link",
    "shows: ",
    "I guess",
    '"cut"',
    "Draw a box",
    '"Closer"',
    '"Farther"',
    "What it may be",
    "Ranked species",
    "A name as narrow as this",
    "only %(share)s sure",
    "Only this much is sure",
    "Perhaps none of these",
    "perhaps no fungus",
    "photograph it from near",
    "No photo shows yet",
    "may settle it",
    "spoke most",
    "not its season",
    "expected here",
    "expected now",
    "no records near here",
    "more like it",
    "search by this one",
    "The photos fit best",
    "no advice on eating",
    "tated by a source",
    "What you hold it for",
    "may be empty",
    "Give or take",
    "Place in words",
    "How sure you are",
    "Your word",
    "Take my word back",
    "%(num)d word",
    "was settled since",
    "waits for your word",
    "What the engine said",
    "The engine’s",
    "settles the name",
    "Everybody’s",
    "Only some of them",
    "Another password",
    "The present one",
    "The new one",
    "do not belong together",
    "Accounts are made by",
    "cannot be fulfilled",
    "has impossible values",
    "somebody who is signed in",
    "Somebody new",
    "May come in",
    "What was done",
    "Asked for on these pages",
    "Leave it as it is",
    "Go on",
    "Going back",
    "Broken off",
    "whoever runs this server",
)
"""Words that pages once had."""


def page_files() -> list[Path]:
    """Whatever holds words that people read on a page, but for the scripts, which have none of their own."""
    web = ROOT / "web"
    listed = [
        *(web / "templates").glob("*.html"),
        *(web / "translations").glob("*.po*"),
        *(web / "pages").rglob("*.py"),
    ]
    return [*listed, web / "http" / "errors.py", web / "http" / "access.py", ROOT / "retrieval" / "domain.py"]


def words_of(path: Path) -> str:
    """What a file says: of a module its strings, but for docstrings, which people do not read on a page."""
    text = path.read_text(encoding="utf-8")
    if path.suffix != ".py":
        return text
    tree = ast.parse(text)
    docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    constants = (node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in docstrings)
    return "\n".join(f'"{node.value}"' for node in constants if isinstance(node.value, str))


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    return {path.relative_to(ROOT).as_posix(): words_of(path) for path in page_files()}


@pytest.mark.parametrize("phrase", GONE)
def test_no_page_speaks_in_riddles(texts: dict[str, str], phrase: str) -> None:
    assert [name for name, text in texts.items() if phrase in text] == []


def test_no_template_says_flora_to_people(texts: dict[str, str]) -> None:
    said = re.compile(r"_\(\s*[\"']([^\"']*\bfloras?\b[^\"']*)[\"']", re.IGNORECASE)

    assert {name: found for name, text in texts.items() if (found := said.findall(text))} == {}


def test_backticks_around_commands_are_never_shown(texts: dict[str, str]) -> None:
    shown = re.compile(r"(?<!mark_commands\()_\(\s*\"[^\"]*`")

    assert {name for name, text in texts.items() if name.endswith(".html") and shown.search(text)} == set()
