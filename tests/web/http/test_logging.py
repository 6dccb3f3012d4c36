"""Logs hold no address, no query and no key, whoever writes them."""

from __future__ import annotations

import io
import json
import logging
from pathlib import Path

import pytest
from gunicorn.config import Config
from sqlalchemy.exc import IntegrityError

from database.accounts.api_keys import MARK
from database.models import Dataset
from database.session import open_database, upgrade
from web.gunicorn import ServerLog
from web.http.logging import clean, make_formatter

KEY = MARK + "Zm9yZXN0LWZsb29yLTEyMzQ1Njc4OTA"
SECRETS = ("192.0.2.77", "2001:db8::77", "55.6761", "near=", KEY)


@pytest.mark.parametrize("form", ["json", "text"])
def test_what_gunicorn_writes_of_a_request_is_cleaned(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FUNGARIUM_LOG", form)
    log, stream = ServerLog(Config()), io.StringIO()
    for handler in log.error_log.handlers:
        handler.setStream(stream)

    try:
        raise ValueError(f"/api/v1/identify?near=55.6761,12.5&api-key={KEY} of 192.0.2.77")
    except ValueError:
        log.exception("Error handling request %s", f"/observations?near=55.6761,12.5683&api-key={KEY}")
    log.warning("Invalid request from ip=%s: %s", "192.0.2.77", "[2001:db8::77] sent nonsense")
    log.error("Authorization: Bearer %s", KEY)

    said = stream.getvalue()
    assert "Error handling request" in said
    assert "ValueError" in said
    assert [secret for secret in SECRETS if secret in said] == []


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("from 192.0.2.77 at 09:14:07", "from (address) at 09:14:07"),
        ("from ::ffff:192.0.2.77, [2001:db8::1]:443", "from (address), [(address)]:443"),
        ("redis at 127.0.0.1:6379 and ::1", "redis at 127.0.0.1:6379 and ::1"),
        ("GET /a/b?x=1&y=2 HTTP/1.1", "GET /a/b?(query) HTTP/1.1"),
        ("where? here; faiss 1.8.0.1", "where? here; faiss (address)"),
        ('File "web/api/photos.py", line 40', 'File "web/api/photos.py", line 40'),
        (f"key {KEY}", "key (key)"),
    ],
)
def test_addresses_queries_and_keys_are_replaced_and_nothing_else(text: str, cleaned: str) -> None:
    assert clean(text) == cleaned


def test_a_statement_that_fails_does_not_say_its_values(tmp_path: Path) -> None:
    upgrade(f"sqlite:///{tmp_path}/a.db")

    def add() -> None:
        with open_database(f"sqlite:///{tmp_path}/a.db") as opened, opened.writing() as session:
            session.add(Dataset(id="walks", title="behind the old mill"))

    add()
    with pytest.raises(IntegrityError) as failed:
        add()

    record = logging.LogRecord("web", logging.ERROR, "", 0, "it broke", (), (IntegrityError, failed.value, None))
    assert "old mill" not in make_formatter("json").format(record)
    assert json.loads(make_formatter("json").format(record))["message"] == "it broke"
