"""Settings are read once, and unknown names and invalid values are refused."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, fields
from pathlib import Path

import pytest

from retrieval.errors import SettingsError
from settings import Settings, parse_smtp, read_settings


def test_without_variables_the_defaults_hold() -> None:
    assert read_settings({"PATH": "/bin", "FUNGARIA": "x"}) == Settings()


def test_every_setting_can_be_set_by_its_name_in_capitals() -> None:
    for setting in fields(Settings):
        text = setting.metadata.get("choices", (setting.metadata.get("example", "7"),))[-1]

        read = read_settings({f"FUNGARIUM_{setting.name.upper()}": text})

        assert str(getattr(read, setting.name)) == text
        assert type(getattr(read, setting.name)) is type(getattr(Settings(), setting.name))


def test_a_choice_is_one_of_those_there_are() -> None:
    with pytest.raises(SettingsError, match="FUNGARIUM_IDENTIFY must be one of open, keyed, not 'shut'"):
        read_settings({"FUNGARIUM_IDENTIFY": "shut"})


def test_every_setting_says_what_it_is() -> None:
    assert all(setting.metadata["help"] for setting in fields(Settings))


@pytest.mark.parametrize("name", ["FUNGARIUM_MODELL", "FUNGARIUM_", "FUNGARIUM_model"])
def test_a_misspelt_name_is_refused_and_the_right_ones_are_listed(name: str) -> None:
    with pytest.raises(SettingsError, match=f"there is no setting {name}; there are: .*FUNGARIUM_MODEL, "):
        read_settings({name: "descriptor"})


@pytest.mark.parametrize("text", ["", "0", "-1", "1.5", "many", "²", "1e3"])
def test_a_number_must_be_whole_and_above_0(text: str) -> None:
    with pytest.raises(SettingsError, match="FUNGARIUM_PORT must be a whole number above 0"):
        read_settings({"FUNGARIUM_PORT": text})


def test_a_port_beyond_the_last_is_refused() -> None:
    assert read_settings({"FUNGARIUM_PORT": "65535"}).port == 65535

    with pytest.raises(SettingsError, match="FUNGARIUM_PORT must be at most 65535, not 65536"):
        read_settings({"FUNGARIUM_PORT": "65536"})


def test_a_folder_must_be_named() -> None:
    with pytest.raises(SettingsError, match="FUNGARIUM_DATA must name a folder"):
        read_settings({"FUNGARIUM_DATA": ""})


def test_the_database_lies_in_the_data_folder_unless_it_is_set() -> None:
    assert read_settings({"FUNGARIUM_DATA": "here"}).database_url == f"sqlite:///{Path('here') / 'fungarium.sqlite'}"
    assert read_settings({"FUNGARIUM_DATABASE": "postgresql:///x"}).database_url == "postgresql:///x"


def test_a_setting_with_choices_takes_no_other() -> None:
    with pytest.raises(SettingsError, match="FUNGARIUM_METRICS must be one of loopback, everybody, nobody, not 'all'"):
        read_settings({"FUNGARIUM_METRICS": "all"})


def test_settings_cannot_be_changed_once_they_are_read() -> None:
    with pytest.raises(FrozenInstanceError):
        read_settings({}).port = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    "text",
    ["mail.example.org", "http://mail.example.org", "smtp://", "smtps://h:0x", "smtp://ann:secret@h", "smtp://h/path"],
)
def test_a_mail_server_that_is_none_is_refused_without_showing_its_password(text: str) -> None:
    given = {"FUNGARIUM_MAIL_SENDER": "fungi@example.org", "FUNGARIUM_PUBLIC_URL": "https://fungi.example"}

    with pytest.raises(SettingsError, match="FUNGARIUM_SMTP") as refused:
        read_settings({**given, "FUNGARIUM_SMTP": text})

    assert "secret" not in str(refused.value)


def test_the_parts_of_a_mail_server_are_read() -> None:
    assert parse_smtp("smtps://ann:a%40b@mail.example.org") == ("smtps", "mail.example.org", 465, "ann", "a@b")
    assert parse_smtp("smtp://localhost:2525") == ("smtp", "localhost", 2525, "", "")
