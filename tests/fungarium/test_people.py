"""`fungarium people` and `fungarium observations`."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from database.accounts.api_keys import find_key
from database.accounts.links import RESET, find_link
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


def test_links_are_made_listed_and_revoked(
    url: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FUNGARIUM_PUBLIC_URL", "https://fungi.example/")
    main(["people", "person", "add", "ada", "--no-password"])
    capsys.readouterr()

    main(["people", "person", "invite", "--role", "expert", "--name", "Iris", "--days", "3"])
    main(["people", "person", "reset-link", "ada"])
    invitation, reset = capsys.readouterr().out.splitlines()
    main(["people", "link", "revoke", "1"])
    main(["people", "link", "list", "--json"])
    listed = json.loads(capsys.readouterr().out.partition("\n")[2])

    assert invitation.startswith("https://fungi.example/invitations/")
    assert [(link["purpose"], link["state"], link["role"], link["login"]) for link in listed] == [
        ("reset", "valid", "", "ada"),
        ("invitation", "revoked", "expert", ""),
    ]
    with open_database(url) as database, database.reading() as session:
        assert find_link(session, reset.rpartition("/")[2], RESET).login == "ada"


@pytest.mark.parametrize("days", ["0", "91"])
def test_a_link_for_too_few_or_too_many_days_is_refused(
    url: str, days: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["people", "person", "invite", "--days", days]) == 1

    assert "1 to 90 days" in capsys.readouterr().err
