"""`fungarium people` and `fungarium observations`."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from database.accounts.api_keys import find_key
from database.accounts.people import sign_in
from database.session import open_database
from fungarium.cli import main

PASSWORD = "a sentence for tests"


@pytest.fixture
def url(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The settings of an installation that is new."""
    monkeypatch.setenv("FUNGARIUM_DATA", str(tmp_path))
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{PASSWORD}\n"))
    return f"sqlite:///{tmp_path / 'fungarium.sqlite'}"


def test_the_first_administrator_is_made_and_gets_a_key(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    made = main(["people", "person", "add", "Ada", "--role", "administrator"])
    issued = main(["people", "key", "issue", "ada", "--scope", "read"])
    key = capsys.readouterr().out.splitlines()[-1]
    with open_database(url) as database:
        with database.reading() as session:
            found = find_key(session, key)
        assert sign_in(database, "ada", PASSWORD) is not None
    revoked = main(["people", "key", "revoke", "1"])
    with open_database(url) as database, database.reading() as session:
        gone = find_key(session, key)

    assert (made, issued, revoked) == (0, 0, 0)
    assert found is not None
    assert (found[0].scopes, found[1].role) == (("read",), "administrator")
    assert gone is None


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        ("people person add a", "cannot be a username"),
        ("people person password nobody", "there is no person 'nobody'"),
        ("people key issue nobody", "there is no person 'nobody'"),
        ("people key revoke 7", "there is no key 7"),
        ("observations obscure add Nomen", "is not in the catalogue"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_sentence(
    url: str, command: str, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(command.split()) == 1

    assert sentence in capsys.readouterr().err


def test_the_store_of_photos_is_swept_and_checked(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert [
        main(["observations", "photos", "sweep"]),
        main(["observations", "photos", "check"]),
        main(["observations", "rescore"]),
    ] == [0, 0, 0]

    assert "0 files removed" in capsys.readouterr().out
