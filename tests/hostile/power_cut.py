"""Writes everything that a server acknowledges, saying so each time: what is recorded for `test_power_cuts`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from database.accounts.api_keys import issue_key
from database.accounts.people import person_by_login
from fungarium.cli import main
from tests.circle import Installation, installed
from tests.snapshots import EMETICA, draw_photo

ACKNOWLEDGED = "acknowledged"


def acknowledge(what: str) -> None:
    """Say that something has been acknowledged, by a system call that is recorded with the others."""
    os.write(1, f"{ACKNOWLEDGED} {what}\n".encode())


def write_all(installation: Installation, number: int) -> None:
    """Write one of each kind."""
    client = installation.client()
    body = installation.record([draw_photo(EMETICA, 500 + number, side=40)], scientificName="Russula emetica")
    acknowledge("observation")
    said = {"scientificName": "Amanita muscaria", "certainty": "possible"}
    assert client.post(f"{body['url']}/verdicts", json=said, headers=installation.keys["omar"]).status_code < 300
    acknowledge("verdict")
    approved = installation.approve(body["id"])
    assert approved.status_code == 200, approved.get_json()
    acknowledge("approval")
    with installation.database.writing() as session:
        issue_key(session, person_by_login(session, "olga").id, {"read"})
    acknowledge("key")
    if number % 4 == 0:
        assert main(["observations", "adopt"]) == 0
        acknowledge("publication")
        assert main(["index", "withdraw", body["photos"][0]["sha256"]]) == 0
        acknowledge("withdrawal")
        assert main(["backup", "make", str(installation.folder / "backups")]) == 0
        acknowledge("backup")


if __name__ == "__main__":
    with pytest.MonkeyPatch.context() as patch, installed(Path(sys.argv[1]), patch) as installation:
        acknowledge("beginning")
        for number in range(int(sys.argv[2])):
            write_all(installation, number)
