"""GBIF's download service: a download requested by a person's account, waited for and fetched, across interruptions."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from database.field.photo_files import write_whole
from indexer.archives.coco import text_of
from indexer.harvesting.client import ApiClient, size_of
from indexer.harvesting.gbif import WITH_PHOTOS, Gbif, dicts, member
from indexer.harvesting.stored import RegionPlan
from retrieval.errors import BuildError, ServiceRefusal, ServiceUnavailable

KEEP = "download"
KEY = re.compile(r"[0-9]{1,12}-[0-9]{1,20}")
SEARCH_TERMS = {
    "country": "COUNTRY", "gadmGid": "GADM_GID", "occurrenceStatus": "OCCURRENCE_STATUS",
    "basisOfRecord": "BASIS_OF_RECORD",
}  # fmt: skip
PHOTO = {"type": "equals", "key": "MEDIA_TYPE", "value": "StillImage"}
UNDER_WAY = ("PREPARING", "RUNNING")
READY = "SUCCEEDED"
PAUSES = 60  # between two questions for the status, as a multiple of the pause between requests
LONGEST = 2_880  # questions of a run for the status: a day, at half a second between requests
TOO_MANY = (420, HTTPStatus.TOO_MANY_REQUESTS)
LOOPBACK = ("127.0.0.1", "::1", "localhost")
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class DownloadState:
    """What is stored of a download, `download.json`; without a key, a request may or may not have reached GBIF."""

    round: int
    key: str = ""
    earlier: tuple[str, ...] = ()  # keys that are not asked for again
    doi: str = ""
    created: str = ""  # ISO date
    size: int = 0  # bytes of the archive


class Downloads:
    """The download of a round, in the folder of a region's GBIF."""

    def __init__(self, gbif: Gbif, folder: Path, account: tuple[str, str], say: Say) -> None:
        self._gbif, self._account, self._say = gbif, account, say
        self._folder = folder
        self.archive = folder / "download.zip"

    def obtain(self, plan: RegionPlan, number: int) -> Path:
        """Return the archive of a round's records: requested unless it was, waited for, and fetched.

        Raises ServiceUnavailable and ServiceRefusal, BudgetSpent, and BuildError where the disk lacks room.
        """
        state = read_state(self._folder)
        if state is None or state.round != number:
            self.archive.unlink(missing_ok=True)
            known = (*state.earlier, *filter(None, [state.key])) if state else ()
            state = self._request(plan, DownloadState(number, earlier=known))
        elif not state.key:
            state = self._find(plan, state) or self._request(plan, state)
        if not state.doi or not self.archive.exists():
            state = self._wait(state)
        missing = state.size - size_of(self.archive)
        if missing > shutil.disk_usage(self._folder).free:
            raise BuildError(
                f"the archive of download {state.key} needs {missing:,} bytes, more than the disk has free"
            )
        self._gbif.client.download(
            f"{self._gbif.base}/occurrence/download/request/{state.key}.zip", self.archive, state.size
        )
        return self.archive

    def remove(self) -> None:
        """Remove the archive, when everything has been chosen from it."""
        self.archive.unlink(missing_ok=True)

    def _request(self, plan: RegionPlan, state: DownloadState) -> DownloadState:
        """Request a download. The state is written before: a run killed meanwhile leaves word of it."""
        check_transport(self._gbif.base)
        self._write(state)
        user = self._account[0]
        wanted = {"creator": user, "sendNotification": False, "format": "DWCA", "predicate": make_predicate(plan)}
        key = self._ask("occurrence/download/request", wanted).strip().strip('"')
        if not KEY.fullmatch(key):
            raise ServiceUnavailable(
                "GBIF answers a request for a download with no key; run the same command again later"
            )
        self._say(f"requested download {key} of GBIF")
        return self._write(replace(state, key=key))

    def _find(self, plan: RegionPlan, state: DownloadState) -> DownloadState | None:
        """Return the state with the key of a request that reached GBIF though its reply did not come; None without."""
        check_transport(self._gbif.base)
        reply = self._ask(f"occurrence/download/user/{quote(self._account[0], safe='')}?limit=100")
        try:
            listed = json.loads(reply)
        except ValueError as error:
            raise ServiceUnavailable("GBIF lists downloads in a form that is not known") from error
        wanted = make_predicate(plan)
        for one in dicts(listed.get("results") if isinstance(listed, dict) else None):
            key, asked = text_of(one.get("key")), member(one, "request")
            is_usable = KEY.fullmatch(key) and key not in state.earlier and one.get("status") in (*UNDER_WAY, READY)
            if is_usable and asked.get("predicate") == wanted and asked.get("format") == "DWCA":
                self._say(f"download {key} of GBIF was requested before")
                return self._write(replace(state, key=key))
        return None

    def _ask(self, path: str, body: object = None) -> str:
        """Ask with the account; returns the text of the reply."""
        status, text = self._gbif.client.ask_as(self._account, f"{self._gbif.base}/{path}", body)
        if status in (HTTPStatus.OK, HTTPStatus.CREATED):
            return text
        if status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            raise ServiceRefusal(
                "GBIF does not accept the account: FUNGARIUM_GBIF_USER is the user name at gbif.org (not the e-mail "
                "address), FUNGARIUM_GBIF_PASSWORD its password"
            )
        if status in TOO_MANY:
            raise ServiceUnavailable(
                "GBIF prepares too many downloads for this account; run the same command again when one is ready"
            )
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            raise ServiceUnavailable(f"GBIF answers {status}; run the same command again later")
        raise ServiceRefusal(f"GBIF refuses a request for a download with {status}")

    def _wait(self, state: DownloadState) -> DownloadState:
        """Ask for the status until the archive is ready; returns the state with its size and DOI."""
        client, said = self._gbif.client, ""
        for _ in range(LONGEST):
            found = read_status(client, f"{self._gbif.base}/occurrence/download/{state.key}")
            status = text_of(found.get("status")) or "GONE"
            if status != said:
                self._say(f"download {state.key}: {status.lower()}")
                said = status
            if status == READY:
                size, doi = int(found.get("size") or 0), text_of(found.get("doi"))
                if state.size and state.size != size:
                    self.archive.unlink(missing_ok=True)  # another file by now
                return self._write(replace(state, doi=doi, size=size, created=text_of(found.get("created"))[:10]))
            if status not in UNDER_WAY:  # FAILED, KILLED, CANCELLED, SUSPENDED, FILE_ERASED, or unknown to GBIF
                self.archive.unlink(missing_ok=True)
                self._write(DownloadState(state.round, earlier=(*state.earlier, state.key)))
                raise ServiceRefusal(
                    f"GBIF does not deliver download {state.key} ({status.lower()}); the same command requests another"
                )
            client.rest(PAUSES)
        raise ServiceUnavailable(f"download {state.key} is not ready yet; run the same command again later")

    def _write(self, state: DownloadState) -> DownloadState:
        self._folder.mkdir(parents=True, exist_ok=True)
        write_whole(self._folder / "download.json", (json.dumps(asdict(state), indent=1) + "\n").encode())
        return state


def read_state(folder: Path) -> DownloadState | None:
    """Read what is stored of a download, or None."""
    try:
        read: dict[str, Any] = json.loads((folder / "download.json").read_bytes())
    except FileNotFoundError:
        return None
    return DownloadState(**{**read, "earlier": tuple(read["earlier"])})


def read_status(client: ApiClient, url: str) -> Mapping[str, Any]:
    """Ask for the present description of a download; empty where GBIF knows none."""
    client.forget(KEEP)
    found = client.get(url, keep=KEEP)
    client.forget(KEEP)
    return found if isinstance(found, dict) else {}


def make_predicate(plan: RegionPlan) -> dict[str, Any]:
    """Return the predicate of a region's records with photos, as the search asks for them.

    There is none of licence: GBIF's is of the record, and the photo's decides.
    """
    parts = [make_term(name, value) for name, value in (*plan.area, *WITH_PHOTOS) if name != "mediaType"]
    taxa = {"type": "in", "key": "TAXON_KEY", "values": [str(key) for _, key in plan.groups]}
    return {"type": "and", "predicates": [*parts, taxa, PHOTO]}


def make_term(name: str, value: str) -> dict[str, Any]:
    """Return the predicate of a parameter of occurrence search."""
    if name == "geometry":
        return {"type": "within", "geometry": value}
    if name == "geoDistance":
        latitude, longitude, distance = value.split(",")
        return {"type": "geoDistance", "latitude": latitude, "longitude": longitude, "distance": distance}
    return {"type": "equals", "key": SEARCH_TERMS[name], "value": value}


def check_transport(base: str) -> None:
    """Raise BuildError if a password would travel unencrypted to another machine."""
    parts = urlsplit(base)
    if parts.scheme != "https" and parts.hostname not in LOOPBACK:
        raise BuildError("FUNGARIUM_GBIF is no https address; the password of an account is not sent to it")
