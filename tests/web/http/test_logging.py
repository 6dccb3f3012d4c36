"""Logs hold no address, no query and no key, whoever writes them."""

from __future__ import annotations

import io
import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest
from gunicorn.config import Config
from sqlalchemy.exc import IntegrityError

from database.accounts.api_keys import MARK
from database.models import Dataset
from database.session import open_database, upgrade
from web.gunicorn import ServerLog
from web.http.logging import clean, format_greeting, make_formatter

ROOT = Path(__file__).resolve().parents[3]
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


SPEAKS = """
import logging, sys, threading, warnings
from web.http.logging import start_logging
start_logging("json", "info")

class Stubborn:
    def __del__(self):
        raise ValueError("nobody can catch this")

def fail():
    raise ValueError("a thread failed")

warnings.warn("this will change")
thread = threading.Thread(target=fail)
thread.start()
thread.join()
stubborn = Stubborn()
del stubborn
logging.getLogger("ray").warning("a node is gone")
logging.getLogger("cluster.health").warning("replica 0 is lost", extra={"fields": {"shard": 0}})
raise RuntimeError("this ends the process")
"""


def test_warnings_and_errors_that_nothing_caught_are_lines_of_json_too() -> None:
    ran = subprocess.run([sys.executable, "-c", SPEAKS], cwd=ROOT, capture_output=True, text=True, timeout=60)

    lines = [json.loads(line) for line in ran.stderr.splitlines()]
    assert ran.returncode == 1
    assert [(line["level"], line["logger"]) for line in lines] == [
        ("warning", "py.warnings"),
        ("critical", "app"),
        ("critical", "app"),
        ("warning", "ray"),
        ("warning", "cluster.health"),
        ("critical", "app"),
    ]
    told = [line.get("exception", line["message"]) for line in lines]
    words = ("this will change", "a thread failed", "nobody can catch", "a node is gone", "is lost", "ends the process")
    assert all(word in text for word, text in zip(words, told, strict=True))


def test_rays_own_logger_writes_as_ours_do_once_it_is_connected() -> None:
    pytest.importorskip("ray", reason="needs requirements-ray.txt")
    code = (
        "import logging; from web.http.logging import start_logging; start_logging('json', 'info');"
        "from cluster import connection; connection.load_ray()\n"
        "with connection._silent(): logging.getLogger('ray.worker').warning('starting')\n"
        "logging.getLogger('ray.worker').warning('the raylet is gone')"
    )

    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)

    (line,) = ran.stderr.splitlines()
    assert (json.loads(line)["logger"], json.loads(line)["message"]) == ("ray.worker", "the raylet is gone")


@pytest.mark.parametrize(("form", "on_terminal"), [("text", False), ("json", True)])
def test_people_are_greeted_in_a_sentence(form: str, on_terminal: bool) -> None:
    said = format_greeting(form, "http://127.0.0.1:8000/", on_terminal=on_terminal)

    assert said == "Fungarium answers at http://127.0.0.1:8000/ (Ctrl+C ends it)"
